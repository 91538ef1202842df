// SPDX-License-Identifier: Apache-2.0
#include "connection/token_map.h"

#include <algorithm>
#include <bit>
#include <random>

namespace mptap::connection {
namespace {

// Two buckets an entry keep chains at half an entry on average.
unsigned bucket_bits(size_t capacity) {
  return std::clamp<unsigned>(static_cast<unsigned>(std::bit_width(2 * capacity - 1)), 4, 31);
}

}  // namespace

TokenMap::TokenMap(size_t capacity, unsigned readers)
    : seed_(std::random_device{}() | 1),
      shift_(32 - bucket_bits(capacity)),
      heads_(std::make_unique<std::atomic<uint32_t>[]>(size_t{1} << bucket_bits(capacity))),
      entries_(capacity),
      readers_(readers),
      retired_(capacity) {
  for (size_t i = 0; i < size_t{1} << bucket_bits(capacity); ++i) heads_[i].store(kNone, std::memory_order_relaxed);
  free_.reserve(capacity);
  for (size_t i = capacity; i > 0; --i) free_.push_back(static_cast<uint32_t>(i - 1));
}

size_t TokenMap::find(uint32_t token, std::span<Candidate> out) const {
  size_t found = 0;
  // Acquire pairs with the release that linked the entry: its fields are complete.
  for (uint32_t i = bucket(token).load(std::memory_order_acquire); i != kNone && found < out.size();
       i = entries_[i].next.load(std::memory_order_acquire)) {
    if (entries_[i].token == token) out[found++] = entries_[i].candidate;
  }
  return found;
}

uint32_t TokenMap::take_free() {
  const uint64_t passed = readers_.passed();
  while (retired_count_ > 0 && retired_[retired_first_].epoch < passed) {
    free_.push_back(retired_[retired_first_].entry);
    retired_first_ = (retired_first_ + 1) % retired_.size();
    --retired_count_;
  }
  if (free_.empty()) return kNone;
  const uint32_t entry = free_.back();
  free_.pop_back();
  return entry;
}

bool TokenMap::link(uint32_t token, const Candidate& candidate) {
  const uint32_t index = take_free();
  if (index == kNone) return false;
  Entry& entry = entries_[index];
  std::atomic<uint32_t>& head = bucket(token);
  entry.token = token;
  entry.candidate = candidate;
  entry.next.store(head.load(std::memory_order_relaxed), std::memory_order_relaxed);
  head.store(index, std::memory_order_release);
  size_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

TokenMap::Inserted TokenMap::insert(uint32_t token, const Candidate& candidate, Candidate* displaced) {
  const std::lock_guard lock(writer_);
  // A claim is alone under its token.
  Candidate claim;
  if (unlink(token, nullptr, &claim, bucket(token)) && displaced != nullptr) *displaced = claim;
  std::array<Candidate, kMaxCandidates> others;
  const size_t found = find(token, others);
  const bool again = std::any_of(others.begin(), others.begin() + static_cast<long>(found),
                                 [&](const Candidate& c) { return c.handle == candidate.handle; });
  const size_t count = found - again;
  // The new one first: a token that is borne is never absent, or somebody would claim it.
  if (count == kMaxCandidates || !link(token, candidate)) {
    refused_.fetch_add(1, std::memory_order_relaxed);
    return Inserted::kFull;
  }
  if (again) unlink(token, &candidate.handle, nullptr, entries_[bucket(token).load(std::memory_order_relaxed)].next);
  return count == 0 ? Inserted::kFirst : Inserted::kShared;
}

Candidate TokenMap::claim(uint32_t token, Candidate candidate, bool* no_room) {
  const std::lock_guard lock(writer_);
  Candidate newest;
  if (find(token, {&newest, 1}) != 0) return newest;
  candidate.claim = true;
  if (claims_ >= std::max<size_t>(1, entries_.size() / 4) || !link(token, candidate)) {
    refused_.fetch_add(1, std::memory_order_relaxed);
    if (no_room != nullptr) *no_room = true;
  } else {
    ++claims_;
  }
  return candidate;
}

bool TokenMap::erase(uint32_t token, const Handle& handle) {
  const std::lock_guard lock(writer_);
  return unlink(token, &handle, nullptr, bucket(token));
}

// The entry with this handle in the chain that begins there; without a handle, a claim.
bool TokenMap::unlink(uint32_t token, const Handle* handle, Candidate* removed, std::atomic<uint32_t>& from) {
  std::atomic<uint32_t>* link = &from;
  for (uint32_t i = link->load(std::memory_order_relaxed); i != kNone; i = link->load(std::memory_order_relaxed)) {
    Entry& entry = entries_[i];
    if (entry.token == token && (handle != nullptr ? entry.candidate.handle == *handle : entry.candidate.claim)) {
      if (removed != nullptr) *removed = entry.candidate;
      if (entry.candidate.claim) --claims_;
      // A reader that stands on the entry still finds the rest of the chain behind it.
      link->store(entry.next.load(std::memory_order_relaxed), std::memory_order_release);
      retired_[(retired_first_ + retired_count_) % retired_.size()] = {i, readers_.retire()};
      ++retired_count_;
      size_.fetch_sub(1, std::memory_order_relaxed);
      return true;
    }
    link = &entry.next;
  }
  return false;
}

}  // namespace mptap::connection
