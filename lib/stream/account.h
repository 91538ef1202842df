// SPDX-License-Identifier: Apache-2.0
// Who holds how many bytes that wait for others: one account for each connection, its subflows' bytes included, and one for all
// connections of a worker. Whoever lets a peer decide how much waits asks has_room() first; refused() says which limit was met.
// One worker's; not thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace mptap::stream {

enum class HoldLimit : uint8_t { kStream, kConnection, kWorker, kCount };

struct WorkerAccount {
  uint64_t limit = std::numeric_limits<uint64_t>::max();
  uint64_t held = 0;
  std::array<uint64_t, static_cast<size_t>(HoldLimit::kCount)> refused{};  // segments, by the limit that refused them
};

class Account {
 public:
  Account(uint64_t limit, WorkerAccount& worker) : worker_(worker), limit_(limit) {}
  ~Account() { worker_.held -= held_; }
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;

  uint64_t held() const { return held_; }
  bool has_room(uint64_t bytes) const { return held_ + bytes <= limit_ && worker_.held + bytes <= worker_.limit; }
  void add(uint64_t bytes) {
    held_ += bytes;
    worker_.held += bytes;
  }
  void remove(uint64_t bytes) {
    held_ -= bytes;
    worker_.held -= bytes;
  }
  // A segment of this size found no room; own: beyond the asking stream's or subflow's own limit.
  void refused(bool own, uint64_t bytes) {
    const HoldLimit which = own ? HoldLimit::kStream : held_ + bytes > limit_ ? HoldLimit::kConnection : HoldLimit::kWorker;
    ++worker_.refused[static_cast<size_t>(which)];
  }

 private:
  WorkerAccount& worker_;
  const uint64_t limit_;
  uint64_t held_ = 0;
};

// Bytes that something beside the queues holds, for as long as it lives.
class Charge {
 public:
  explicit Charge(Account& account) : account_(account) {}
  ~Charge() { account_.remove(bytes_); }
  Charge(const Charge&) = delete;
  Charge& operator=(const Charge&) = delete;

  // False: there is no room; counted.
  bool add(uint64_t bytes) {
    if (!account_.has_room(bytes)) {
      account_.refused(false, bytes);
      return false;
    }
    account_.add(bytes);
    bytes_ += bytes;
    return true;
  }

 private:
  Account& account_;
  uint64_t bytes_ = 0;
};

}  // namespace mptap::stream
