// SPDX-License-Identifier: Apache-2.0
// A network namespace of this process with one kernel in it, reached through a TUN device. The peers' addresses live on no kernel
// interface, so nobody answers for them. What inject() sends has been taken by the kernel's TCP when the call returns, and its
// answers can be taken at once: no thread, no sleep, no race (work that the kernel gives to a worker aside).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "packet/address.h"
#include "traffic/bytes.h"

namespace mptap::judge {

using test::Bytes;

inline constexpr size_t kEthernet = 14;  // frames have such a header, as in a capture; the TUN device takes what follows it
inline constexpr uint16_t kListenPort = 5001;

class World {
 public:
  // Moves the process into a new namespace. An empty string: it can be done here; else why not.
  static std::string missing();
  World();  // throws std::runtime_error
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  void inject(const Bytes& frame);
  std::optional<Bytes> take();  // the next frame that the kernel has sent
  // Waits until the kernel has sent something; false after so long.
  bool wait(int milliseconds);

  // net.mptcp.checksum_enabled for sockets that are made from now on.
  void want_checksums(bool on);

  int listener(bool v6) const { return v6 ? listen6_ : listen4_; }
  static packet::IpAddress kernel_address(bool v6);
  // An address of a peer that nobody has had before (65,000 of them).
  packet::IpAddress new_peer(bool v6);

 private:
  int tun_ = -1, listen4_ = -1, listen6_ = -1;
  bool checksums_ = false;
  uint32_t peers_ = 0;
};

// One application behind the kernel's MPTCP.
class App {
 public:
  enum class End : uint8_t { kOpen, kEof, kReset, kNone };  // kNone: the connection never came to the application

  App() = default;
  ~App() { kill(); }
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  void connect(bool v6, const packet::Endpoint& to);
  // Takes the connection of this peer out of the listener's queue, if it is there.
  void accept(int listener, const packet::Endpoint& peer);
  bool open() const { return fd_ >= 0; }

  void drain();  // reads all there is
  bool write(const Bytes& bytes);
  void shutdown();
  void kill();  // at once, with FAST_CLOSE or RST

  Bytes got;
  End end = End::kNone;
  int error = 0;

 private:
  int fd_ = -1;
};
const char* end_name(App::End);

}  // namespace mptap::judge
