// SPDX-License-Identifier: Apache-2.0
// A DPDK port that receives: opened by name, with symmetric RSS where the device has it, and closed when it dies.
//
//   auto port = port::Port::open("net_af_packet0,iface=eth1", {.queues = 4});
//   port::RxBurst burst;
//   burst.receive(*port, queue, clock.now_ns());
//   for (const packet::Frame& frame : burst.frames()) …
//
// Opening and closing belong to the main thread; each queue to one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "packet/frame.h"
#include "port/rss.h"

struct rte_mbuf;
struct rte_mempool;

namespace mptap::port {

struct PortOptions {
  uint16_t queues = 1;             // wanted; a device without RSS gets what it has to have
  uint16_t tx_queues = 0;          // for actions; at most what the device has
  uint16_t rx_descriptors = 2048;  // a queue
  uint16_t tx_descriptors = 512;
  uint16_t mtu = 9000;  // frames up to this and the link header are received, if the device can
  bool promiscuous = true;
  uint32_t extra_mbufs = 4096;  // beyond the descriptors: what the workers may hold at once
};

struct PortInfo {
  std::string name;    // as the user wrote it
  std::string device;  // DPDK's name
  std::string driver;
  uint16_t id = 0;
  uint16_t tx_queues = 0;
  uint16_t mtu = 0;
  int socket = 0;
  bool rx_checksum = false;  // the device verifies TCP checksums
  bool timestamps = false;   // frames bear the time of the capture (net_pcap reading a file)
  uint32_t mbufs = 0;
  RssSetup rss;
};

struct LinkState {
  bool up = false;
  uint32_t mbps = 0;  // 0: unknown
};

// Since the port started.
struct PortStats {
  uint64_t packets = 0, bytes = 0;
  uint64_t missed = 0;     // dropped by the device: queues were full
  uint64_t errors = 0;     // malformed on the wire
  uint64_t no_buffer = 0;  // dropped by the driver: the pool was empty
  uint64_t sent = 0, send_errors = 0;
};

class Port {
 public:
  // Opens, configures and starts. Needs the EAL. The error says what was wrong and what would be right.
  static tl::expected<Port, std::string> open(const std::string& name, const PortOptions& options = {});

  Port(Port&&) noexcept;
  Port& operator=(Port&&) noexcept;
  ~Port();

  const PortInfo& info() const;
  uint16_t id() const;
  uint16_t queues() const { return info().rss.queues; }
  rte_mempool* pool() const;
  LinkState link() const;
  PortStats stats() const;

  // Names of the ports that DPDK has, for messages.
  static std::vector<std::string> existing();

 private:
  struct State;
  explicit Port(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// One burst: mbufs seen as frames. Holds them until the next receive() or its end; keep it at hand, it has buffers of its own.
class RxBurst {
 public:
  static constexpr uint16_t kSize = 64;

  RxBurst();
  ~RxBurst();
  RxBurst(const RxBurst&) = delete;
  RxBurst& operator=(const RxBurst&) = delete;

  // Frames get now_ns, unless the port has timestamps of its own. number counts on from first_number. Returns how many came.
  uint16_t receive(const Port& port, uint16_t queue, uint64_t now_ns, uint64_t first_number = 0);
  void release();

  std::span<const packet::Frame> frames() const { return {frames_.data(), count_}; }
  // The device found the TCP checksum right.
  bool checksum_good(size_t i) const;
  rte_mbuf* mbuf(size_t i) const { return mbufs_[i]; }
  // Hands the mbuf to the caller, who frees it.
  rte_mbuf* take(size_t i);

 private:
  const uint8_t* contiguous(rte_mbuf* chain, size_t i);

  uint16_t count_ = 0;
  std::array<rte_mbuf*, kSize> mbufs_{};
  std::array<packet::Frame, kSize> frames_;
  std::array<std::vector<uint8_t>, kSize> copies_;  // of frames that span several mbufs
};

}  // namespace mptap::port
