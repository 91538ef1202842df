// SPDX-License-Identifier: Apache-2.0
// What workers share: the token map, the lanes between each ordered pair of them, the table that says whose a flow is, and the
// marks by which each tells how far it has come. Made once, before the workers; everything in it is for any thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "connection/token_map.h"
#include "packet/decode.h"
#include "port/rss.h"
#include "worker/lane.h"

namespace mptap::worker {

struct FabricOptions {
  unsigned workers = 1;
  size_t segments = 4096;  // of each lane to the owner of a connection
  size_t packets = 1024;   // of each lane to the worker of a flow's shard
  size_t tokens = 262144;
  bool ordered = false;    // files: nothing is dropped, packets are processed in their order
  std::vector<uint16_t> shards;  // symmetric hash modulo size (a power of two) -> worker; empty: spread evenly
};

class Fabric {
 public:
  explicit Fabric(const FabricOptions& options);

  unsigned workers() const { return options_.workers; }
  bool ordered() const { return options_.ordered; }
  connection::TokenMap& tokens() { return tokens_; }
  Lane& segments(unsigned from, unsigned to) { return *segments_[from * options_.workers + to]; }
  Lane& packets(unsigned from, unsigned to) { return *packets_[from * options_.workers + to]; }
  // No parcel is in any lane; a moment old.
  bool empty() const;
  unsigned shard(const packet::TcpSegment& s) const { return shards_[port::symmetric_hash(s.src, s.dst) & (shards_.size() - 1)]; }

  // Ordered. Packets are counted from 1 by the reader; time_of() is known for the last kWindow of those dispatched.
  static constexpr uint64_t kWindow = 1 << 15;
  void dispatch(uint64_t order, uint64_t time_ns) {
    times_[order % kWindow].store(time_ns, std::memory_order_relaxed);
    dispatched_.store(order, std::memory_order_release);
  }
  uint64_t dispatched() const { return dispatched_.load(std::memory_order_acquire); }
  uint64_t time_of(uint64_t order) const { return times_[order % kWindow].load(std::memory_order_relaxed); }
  void close_input() { closed_.store(true, std::memory_order_release); }
  bool input_closed() const { return closed_.load(std::memory_order_acquire); }

  // How far a worker has come. Ordered: all its packets up to this one are sorted (sent to their owners) or processed.
  void set_sorted(unsigned worker, uint64_t order) { marks_[worker].sorted.store(order, std::memory_order_release); }
  void set_processed(unsigned worker, uint64_t order) { marks_[worker].processed.store(order, std::memory_order_release); }
  uint64_t all_sorted() const { return least(&Mark::sorted); }
  uint64_t all_processed() const { return least(&Mark::processed); }
  // Live: when it last had passed on all that it received before, as time since the epoch.
  void set_clock(unsigned worker, uint64_t now_ns) { marks_[worker].clock.store(now_ns, std::memory_order_release); }
  uint64_t all_clocks() const { return least(&Mark::clock); }
  // Live: a packet may take two steps, from the worker that received it to its shard's and from there to its owner. This is up to
  // when a worker has passed on what others sorted to it, too.
  void set_passed(unsigned worker, uint64_t clock_ns) { marks_[worker].passed.store(clock_ns, std::memory_order_release); }
  uint64_t all_passed() const { return least(&Mark::passed); }
  // Live: of the newest packet that a worker has received, and that all have.
  void set_packet_time(unsigned worker, uint64_t ns) { marks_[worker].packet.store(ns, std::memory_order_release); }
  uint64_t latest_packet() const {
    uint64_t latest = 0;
    for (unsigned i = 0; i < options_.workers; ++i) latest = std::max(latest, marks_[i].packet.load(std::memory_order_acquire));
    return latest;
  }
  uint64_t clock(unsigned worker) const { return marks_[worker].clock.load(std::memory_order_acquire); }

 private:
  struct alignas(64) Mark {
    std::atomic<uint64_t> sorted{0}, processed{0}, clock{0}, passed{0}, packet{0};
  };
  uint64_t least(std::atomic<uint64_t> Mark::*mark) const {
    uint64_t result = UINT64_MAX;
    for (unsigned i = 0; i < options_.workers; ++i) {
      const uint64_t value = (marks_[i].*mark).load(std::memory_order_acquire);
      if (value < result) result = value;
    }
    return result;
  }

  const FabricOptions options_;
  std::vector<uint16_t> shards_;
  connection::TokenMap tokens_;
  std::vector<std::unique_ptr<Lane>> segments_, packets_;
  std::unique_ptr<Mark[]> marks_;
  std::unique_ptr<std::atomic<uint64_t>[]> times_;
  std::atomic<uint64_t> dispatched_{0};
  std::atomic<bool> closed_{false};
};

}  // namespace mptap::worker
