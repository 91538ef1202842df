// SPDX-License-Identifier: Apache-2.0
// The Unix socket, and who is at its other end. gRPC 1.51 tells no more of a connection than "fd:N", so connections are accepted
// here, their peers' rights read from the kernel, and the descriptors given to gRPC.
//
// A call can outlive its connection, and descriptors' numbers come again: a number that was once used for one set of rights is
// therefore never used for another while the daemon lives. Numbers are taken from the upper half of what the process may have,
// where nobody else's descriptors come.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include <tl/expected.hpp>

#include "control/access.h"

namespace mptap::control {

class UnixListener {
 public:
  // Makes the socket, 0660 and of that group (where the group exists and we may), and its folder where that is missing. A socket
  // that nobody listens on is replaced; one that somebody does is an error.
  static tl::expected<std::unique_ptr<UnixListener>, std::string> open(const std::string& path, const std::string& group);
  ~UnixListener();
  UnixListener(const UnixListener&) = delete;
  UnixListener& operator=(const UnixListener&) = delete;

  // take owns the descriptor that it gets; it runs on a thread of the listener.
  void start(std::function<void(int)> take);
  void stop();  // and removes the socket
  std::optional<UnixPeer> peer(int number) const;
  uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }  // no number was left

 private:
  UnixListener() = default;
  void run();
  void accept_one();
  int numbered(int fd, const UnixPeer& peer);

  std::string path_;
  int socket_ = -1, wake_ = -1;
  int lowest_ = 0;
  std::function<void(int)> take_;
  std::thread thread_;
  std::atomic<uint64_t> refused_{0};
  mutable std::mutex mutex_;
  std::map<int, UnixPeer> peers_;  // by number, for good
};

// What the kernel knows of the peer of a Unix socket.
std::optional<UnixPeer> peer_of(int socket);

}  // namespace mptap::control
