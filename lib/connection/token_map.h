// SPDX-License-Identifier: Apache-2.0
// Token -> connections, shared by all workers: the one table that they have in common (RFC 8684 section 3.2: a join names its
// connection by a 32-bit token).
//
// Two connections of different hosts can bear one token, so an answer is a list of candidates, newest first; each bears copies
// of its connection's immutable keys, so that the asking worker can let the join's HMAC decide without touching anything of the
// owner's. A candidate names its connection by a handle: worker, slot and the slot's generation, which tells a stale one.
//
// Who may what: find() is for any registered reader, takes no lock and never waits; the entries it copies stay readable until
// that reader's next quiescent(). insert(), claim() and erase() are for any thread and take a short lock; they happen at
// handshake rate. Layout: an array of chain heads and a pool of entries of 64 bytes, both of fixed size: nothing is allocated
// later. An entry is written before the release store that links it and not changed until every reader has passed its unlinking.
// Entries that wait for a stalled reader are not free: with enough of them insert() refuses, so memory stays bounded.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "connection/qsbr.h"

namespace mptap::connection {

struct Handle {
  uint32_t slot = 0;
  uint32_t generation = 0;
  uint16_t worker = 0;

  bool operator==(const Handle&) const = default;
};

struct Candidate {
  Handle handle;
  uint8_t version = 1;
  bool client_token = false;         // the client's; false: the server's
  bool keys_known = false;           // both keys
  bool claim = false;                // joins of a connection that was not seen; has no keys
  std::array<uint64_t, 2> keys{};    // client's, server's
};

class TokenMap {
 public:
  static constexpr size_t kMaxCandidates = 16;  // under one token; hosts that share more are an attack

  // readers: workers that will call find(), numbered from 0.
  TokenMap(size_t capacity, unsigned readers);

  enum class Inserted : uint8_t {
    kFirst,    // nobody else bears the token
    kShared,   // others do
    kFull,     // refused: the table is full, or the token has kMaxCandidates
  };
  // A connection that bears the token takes the place of a claim; *displaced then is that claim.
  // Takes the place of a candidate with the same handle; a reader in between finds one of them or both.
  Inserted insert(uint32_t token, const Candidate& candidate, Candidate* displaced = nullptr);

  // Inserts a claim where the token has no candidate; otherwise the newest of those that there are. The returned one owns the
  // joins of this token. candidate itself where there is no room: each worker is then on its own. Claims take at most a quarter
  // of the table, so that a flood of joins with made-up tokens leaves room for connections.
  Candidate claim(uint32_t token, Candidate candidate, bool* no_room = nullptr);

  // false: it was not there.
  bool erase(uint32_t token, const Handle& handle);

  // Copies at most out.size() candidates, newest first; returns how many.
  size_t find(uint32_t token, std::span<Candidate> out) const;

  Qsbr& readers() { return readers_; }

  // Any thread; a moment old.
  size_t size() const { return size_.load(std::memory_order_relaxed); }
  uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }
  size_t capacity() const { return entries_.size(); }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  struct Entry {
    std::atomic<uint32_t> next{kNone};
    uint32_t token = 0;
    Candidate candidate;
  };

  std::atomic<uint32_t>& bucket(uint32_t token) const { return heads_[static_cast<uint32_t>(token * seed_) >> shift_]; }
  bool unlink(uint32_t token, const Handle* handle, Candidate* removed, std::atomic<uint32_t>& from);
  bool link(uint32_t token, const Candidate& candidate);
  uint32_t take_free();

  const uint32_t seed_;  // odd, random: bucket collisions cannot be prepared
  unsigned shift_;
  std::unique_ptr<std::atomic<uint32_t>[]> heads_;
  std::vector<Entry> entries_;
  Qsbr readers_;
  std::atomic<size_t> size_{0};
  std::atomic<uint64_t> refused_{0};

  std::mutex writer_;  // guards the linking and what follows
  std::vector<uint32_t> free_;
  size_t claims_ = 0;
  struct Retired {
    uint32_t entry;
    uint64_t epoch;
  };
  std::vector<Retired> retired_;  // a ring: in the order of their epochs
  size_t retired_first_ = 0, retired_count_ = 0;
};

}  // namespace mptap::connection
