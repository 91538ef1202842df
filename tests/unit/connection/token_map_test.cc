// SPDX-License-Identifier: Apache-2.0
#include "connection/token_map.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <random>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mptap::connection {
namespace {

using testing::ElementsAre;

Candidate candidate(uint32_t slot, uint16_t worker = 0, uint32_t generation = 1) {
  // Keys follow from the slot, so that a torn or recycled entry shows.
  return {.handle = {.slot = slot, .generation = generation, .worker = worker},
          .keys_known = true,
          .keys = {slot * 0x9e3779b97f4a7c15ull, ~(slot * 0x9e3779b97f4a7c15ull)}};
}

bool whole(const Candidate& c) {
  return c.keys[0] == c.handle.slot * 0x9e3779b97f4a7c15ull && c.keys[1] == ~c.keys[0];
}

std::vector<uint32_t> slots_of(const TokenMap& map, uint32_t token) {
  std::array<Candidate, TokenMap::kMaxCandidates> found;
  std::vector<uint32_t> slots;
  const size_t count = map.find(token, found);
  for (size_t i = 0; i < count; ++i) slots.push_back(found[i].handle.slot);
  return slots;
}

TEST(TokenMap, SeveralConnectionsUnderOneTokenNewestFirst) {
  TokenMap map(64, 1);
  EXPECT_EQ(map.insert(7, candidate(1)), TokenMap::Inserted::kFirst);
  EXPECT_EQ(map.insert(7, candidate(2)), TokenMap::Inserted::kShared);
  EXPECT_EQ(map.insert(8, candidate(3)), TokenMap::Inserted::kFirst);
  EXPECT_THAT(slots_of(map, 7), ElementsAre(2, 1));
  EXPECT_TRUE(map.erase(7, candidate(1).handle));
  EXPECT_THAT(slots_of(map, 7), ElementsAre(2));
  EXPECT_EQ(map.size(), 2u);
}

TEST(TokenMap, SameHandleAgainTakesTheEntrysPlace) {
  TokenMap map(64, 1);
  Candidate without_keys = candidate(1);
  without_keys.keys_known = false;
  EXPECT_EQ(map.insert(7, without_keys), TokenMap::Inserted::kFirst);
  EXPECT_EQ(map.insert(7, candidate(1)), TokenMap::Inserted::kFirst);
  EXPECT_EQ(map.size(), 1u);
  Candidate found;
  ASSERT_EQ(map.find(7, {&found, 1}), 1u);
  EXPECT_TRUE(found.keys_known);
}

TEST(TokenMap, StaleHandleErasesNothing) {
  TokenMap map(64, 1);
  map.insert(7, candidate(1, 0, 5));
  EXPECT_FALSE(map.erase(7, candidate(1, 0, 4).handle));
  EXPECT_FALSE(map.erase(7, candidate(1, 1, 5).handle));
  EXPECT_FALSE(map.erase(8, candidate(1, 0, 5).handle));
  EXPECT_THAT(slots_of(map, 7), ElementsAre(1));
}

TEST(TokenMap, FirstToClaimOwnsTheToken) {
  TokenMap map(64, 1);
  EXPECT_EQ(map.claim(7, candidate(1, 3)).handle.worker, 3);
  EXPECT_EQ(map.claim(7, candidate(2, 4)).handle.worker, 3);
  EXPECT_THAT(slots_of(map, 7), ElementsAre(1));
}

TEST(TokenMap, ConnectionTakesTheClaimsPlace) {
  TokenMap map(64, 1);
  map.claim(7, candidate(1, 3));
  Candidate displaced;
  EXPECT_EQ(map.insert(7, candidate(2, 4), &displaced), TokenMap::Inserted::kFirst);
  EXPECT_TRUE(displaced.claim);
  EXPECT_EQ(displaced.handle.worker, 3);
  EXPECT_THAT(slots_of(map, 7), ElementsAre(2));
  EXPECT_FALSE(map.erase(7, candidate(1, 3).handle));
  EXPECT_EQ(map.claim(7, candidate(5, 5)).handle.slot, 2u);
}

TEST(TokenMap, ClaimsTakeAtMostAQuarter) {
  TokenMap map(16, 1);
  for (uint32_t token = 0; token < 16; ++token) EXPECT_EQ(map.claim(token, candidate(token)).handle.slot, token);
  EXPECT_EQ(map.size(), 4u);
  EXPECT_EQ(map.refused(), 12u);
  EXPECT_TRUE(map.erase(0, candidate(0).handle));
  map.claim(20, candidate(20));
  EXPECT_EQ(map.size(), 4u);
}

TEST(TokenMap, FullRefusesAndCounts) {
  TokenMap map(3, 1);
  for (uint32_t i = 0; i < 3; ++i) EXPECT_NE(map.insert(i, candidate(i)), TokenMap::Inserted::kFull);
  EXPECT_EQ(map.insert(9, candidate(9)), TokenMap::Inserted::kFull);
  EXPECT_EQ(map.claim(9, candidate(9)).handle.slot, 9u);
  EXPECT_EQ(map.refused(), 2u);
  EXPECT_TRUE(map.erase(1, candidate(1).handle));
  EXPECT_EQ(map.insert(9, candidate(9)), TokenMap::Inserted::kFirst);
}

TEST(TokenMap, OneTokenCannotTakeTheTable) {
  TokenMap map(64, 1);
  for (uint32_t i = 0; i < TokenMap::kMaxCandidates; ++i) EXPECT_NE(map.insert(7, candidate(i)), TokenMap::Inserted::kFull);
  EXPECT_EQ(map.insert(7, candidate(99)), TokenMap::Inserted::kFull);
  EXPECT_EQ(map.insert(8, candidate(99)), TokenMap::Inserted::kFirst);
}

TEST(TokenMap, StalledReaderKeepsEntriesAndInsertsAreRefused) {
  TokenMap map(2, 2);
  map.readers().online(0);
  map.readers().online(1);
  map.insert(1, candidate(1));
  map.insert(2, candidate(2));
  map.erase(1, candidate(1).handle);
  EXPECT_EQ(map.insert(3, candidate(3)), TokenMap::Inserted::kFull);
  map.readers().quiescent(0);
  EXPECT_EQ(map.insert(3, candidate(3)), TokenMap::Inserted::kFull) << "reader 1 may still look at the entry";
  map.readers().quiescent(1);
  EXPECT_EQ(map.insert(3, candidate(3)), TokenMap::Inserted::kFirst);
  map.erase(3, candidate(3).handle);
  map.readers().offline(0);
  map.readers().offline(1);
  EXPECT_EQ(map.insert(4, candidate(4)), TokenMap::Inserted::kFirst);
}

// Readers look tokens up while writers insert and erase them at random in a table too small for all: what a reader sees is
// whole, and at the end the table holds exactly what was inserted and not erased.
TEST(TokenMap, ReadersAndWritersAtOnce) {
  constexpr unsigned kReaders = 3, kWriters = 3, kTokens = 48;
  constexpr size_t kCapacity = 64;
  TokenMap map(kCapacity, kReaders);
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> seen{0}, broken{0};
  std::vector<std::thread> threads;
  for (unsigned r = 0; r < kReaders; ++r) {
    map.readers().online(r);
    threads.emplace_back([&, r] {
      std::mt19937 random(r);
      std::array<Candidate, TokenMap::kMaxCandidates> found;
      while (!stop.load(std::memory_order_relaxed)) {
        for (int i = 0; i < 32; ++i) {
          const size_t count = map.find(static_cast<uint32_t>(random() % kTokens), found);
          seen.fetch_add(count, std::memory_order_relaxed);
          for (size_t c = 0; c < count; ++c) broken.fetch_add(!whole(found[c]), std::memory_order_relaxed);
        }
        map.readers().quiescent(r);
      }
      map.readers().offline(r);
    });
  }
  std::array<std::vector<std::pair<uint32_t, Candidate>>, kWriters> held;
  std::atomic<uint64_t> inserted{0}, refused{0};
  for (unsigned w = 0; w < kWriters; ++w) {
    threads.emplace_back([&, w] {
      std::mt19937 random(100 + w);
      auto& mine = held[w];
      const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1500);
      for (uint32_t n = 0; std::chrono::steady_clock::now() < end; ++n) {
        if (mine.size() < 24 && random() % 2 == 0) {
          const auto token = static_cast<uint32_t>(random() % kTokens);
          const Candidate c = candidate(n, static_cast<uint16_t>(w), n);
          if (map.insert(token, c) == TokenMap::Inserted::kFull) {
            ++refused;
          } else {
            mine.emplace_back(token, c);
            ++inserted;
          }
        } else if (!mine.empty()) {
          std::swap(mine[random() % mine.size()], mine.back());
          EXPECT_TRUE(map.erase(mine.back().first, mine.back().second.handle));
          mine.pop_back();
        }
      }
    });
  }
  for (size_t i = kReaders; i < threads.size(); ++i) threads[i].join();
  stop = true;
  for (size_t i = 0; i < kReaders; ++i) threads[i].join();
  EXPECT_EQ(broken.load(), 0u);
  EXPECT_GT(seen.load(), 0u);
  EXPECT_GT(inserted.load(), 1000u);
  EXPECT_EQ(map.refused(), refused.load());

  size_t left = 0;
  for (const auto& mine : held) {
    left += mine.size();
    for (const auto& [token, c] : mine) {
      std::array<Candidate, TokenMap::kMaxCandidates> found;
      const size_t count = map.find(token, found);
      EXPECT_TRUE(std::any_of(found.begin(), found.begin() + static_cast<long>(count),
                              [&](const Candidate& f) { return f.handle == c.handle; }));
    }
  }
  EXPECT_EQ(map.size(), left);
  // Nothing leaked: the rest of the table can be filled.
  for (uint32_t i = 0; left + i < kCapacity; ++i) EXPECT_NE(map.insert(1000 + i, candidate(i, 9)), TokenMap::Inserted::kFull);
}

}  // namespace
}  // namespace mptap::connection
