// SPDX-License-Identifier: Apache-2.0
// Eight workers, connections that open and close at random, joins that fall to any worker, rules loaded anew all the time. At the
// end every frame has one end, every connection one record, and each that ended well its bytes. Runs for MPTAP_STRESS_SECONDS
// (10).
#include <gtest/gtest.h>
#include <openssl/sha.h>

#include <chrono>
#include <cstdlib>
#include <map>
#include <mutex>
#include <random>

#include "crew/crew.h"

namespace mptap::test {
namespace {

std::string sha256(const Bytes& bytes) {
  std::array<uint8_t, SHA256_DIGEST_LENGTH> digest;
  SHA256(bytes.data(), bytes.size(), digest.data());
  std::string hex;
  for (const uint8_t b : digest) {
    constexpr char kDigits[] = "0123456789abcdef";
    hex += kDigits[b >> 4];
    hex += kDigits[b & 15];
  }
  return hex;
}

struct Expected {
  bool graceful = false;
  uint64_t bytes = 0;
  std::string sha;
  size_t subflows = 0;
};

// What the records say, by the first subflow's client.
class Ledger {
 public:
  void on_record(const event::ConnectionRecord& r) {
    const std::lock_guard lock(mutex_);
    if (!r.mptcp) return;
    ++records;
    if (r.subflows.empty() || r.subflows[0].join != event::Join::kInitial) {
      ++groups;
      return;
    }
    Seen& s = seen[{r.head.src.address.v4_bytes()[2], r.head.src.port}];
    ++s.times;
    s.bytes = r.stream[0].bytes;
    s.missing = r.stream[0].missing_bytes;
    s.sha = r.stream[0].sha256.value_or("");
    s.subflows = r.subflows.size();
    for (const auto& sub : r.subflows) s.verified += sub.join == event::Join::kVerified;
  }
  struct Seen {
    int times = 0;
    uint64_t bytes = 0, missing = 0;
    std::string sha;
    size_t subflows = 0, verified = 0;
  };
  std::map<std::pair<uint8_t, uint16_t>, Seen> seen;
  uint64_t records = 0, groups = 0;

 private:
  std::mutex mutex_;
};

class Session {
 public:
  Session(Conversation::Config config) : c_(config) { c_.handshake(); }

  // The next frame; false: it is over.
  bool next(Sent& frame, std::mt19937& random) {
    while (at_ == c_.wire.size()) {
      if (over_) return false;
      c_.wire.clear();
      at_ = 0;
      act(random);
    }
    frame = std::move(c_.wire[at_++]);
    return true;
  }
  Expected expected() const { return {graceful_, sent_.size(), sha256(sent_), static_cast<size_t>(c_.subflows())}; }
  std::pair<uint8_t, uint16_t> name() const { return {c_.config().network, c_.config().client_port}; }

 private:
  void act(std::mt19937& random) {
    const auto what = random() % 100;
    const int subflow = static_cast<int>(random() % static_cast<uint64_t>(c_.subflows()));
    if (what < 12 && c_.subflows() < 4) {
      c_.join({.by_server = random() % 4 == 0});
    } else if (what < 80 || sent_.size() < 200) {
      Bytes piece(1 + random() % 900);
      for (uint8_t& b : piece) b = static_cast<uint8_t>('a' + random() % 26);
      c_.data(subflow, kToServer, sent_.size(), piece);
      append(sent_, piece);
      c_.ack(subflow, kToClient);
    } else if (what < 95) {
      c_.close();
      graceful_ = over_ = true;
    } else if (what < 98) {
      c_.fast_close(0, kToServer);
      for (int s = 0; s < c_.subflows(); ++s) c_.rst(s, kToClient);
      over_ = true;
    } else {
      over_ = true;  // silence
    }
  }

  Conversation c_;
  size_t at_ = 0;
  Bytes sent_;
  bool over_ = false, graceful_ = false;
};

Conversation::Config config_of(uint32_t n) {
  Conversation::Config c;
  c.network = static_cast<uint8_t>(n % 25 * 10);
  c.client_port = static_cast<uint16_t>(1024 + n / 25 % 60000);
  c.client_key = n * 0x9e3779b97f4a7c15ull + 1;
  c.server_key = n * 0xc2b2ae3d27d4eb4full + 7;
  c.client_isn = n * 2654435761u;
  return c;
}

TEST(Stress, EightWorkersOpenCloseJoinReload) {
  const char* seconds = std::getenv("MPTAP_STRESS_SECONDS");
  const auto duration = std::chrono::seconds(seconds != nullptr ? std::atoi(seconds) : 10);
  Ledger ledger;
  CrewOptions options;
  options.workers = 8;
  options.fabric.packets = 256;
  options.fabric.segments = 4096;
  options.fabric.tokens = 1 << 15;
  options.engine.max_connections = options.engine.max_subflows = 1 << 15;
  options.engine.closed_ns = 200'000'000;
  options.engine.idle_ns = 60'000'000'000;
  options.engine.sha256 = true;
  options.streams = false;
  options.rules = "alert tcp any any -> any any (msg:\"a\"; content:\"abc\"; sid:1;)\n";
  options.on_record = [&](const event::ConnectionRecord& r) { ledger.on_record(r); };
  std::mt19937 random(4711);
  options.fabric.shards.resize(1024);
  for (uint16_t& shard : options.fabric.shards) shard = static_cast<uint16_t>(random() % options.workers);
  Crew crew(options);
  crew.start();

  std::map<std::pair<uint8_t, uint16_t>, Expected> expected;
  std::vector<std::unique_ptr<Session>> sessions;
  uint32_t opened = 0;
  uint64_t clock = Conversation::Config{}.start_ns;
  unsigned reloads = 0;
  const auto began = std::chrono::steady_clock::now();
  auto next_reload = began;
  bool closing = false;
  for (uint64_t n = 0; !closing || !sessions.empty(); ++n) {
    if (n % 64 == 0) {
      const auto now = std::chrono::steady_clock::now();
      closing = closing || now - began > duration;
      if (now >= next_reload && !closing) {
        next_reload = now + std::chrono::milliseconds(100);
        crew.give_rules(++reloads % 2 == 0 ? options.rules
                                           : "alert tcp any any -> any any (msg:\"b\"; content:\"xyz\"; sid:2;)\n"
                                             "alert tcp any any -> any any (msg:\"c\"; pcre:\"/q[a-d]+z/\"; sid:3;)\n");
      }
    }
    if (!closing && sessions.size() < 96) sessions.push_back(std::make_unique<Session>(config_of(opened++)));
    auto& session = sessions[random() % sessions.size()];
    Sent frame;
    if (session->next(frame, random)) {
      clock += 1000 + random() % 10'000;
      crew.feed(frame.frame, clock);
    } else {
      expected.emplace(session->name(), session->expected());
      std::swap(session, sessions.back());
      sessions.pop_back();
    }
  }
  crew.settle();
  crew.finish();

  EXPECT_EQ(crew.imbalance(), "");
  EXPECT_EQ(crew.count(worker::kHandoffDropped), 0u);
  EXPECT_EQ(crew.hits(), "");
  EXPECT_EQ(crew.count(worker::kConnectionsOpen), 0u);
  EXPECT_EQ(crew.fabric().tokens().size(), 0u) << "tokens of connections that are no more";
  EXPECT_EQ(ledger.groups, 0u) << "joins that did not find their connection";
  EXPECT_EQ(ledger.records, opened);
  EXPECT_EQ(ledger.seen.size(), opened);
  uint64_t wrong = 0, graceful = 0, joined = 0;
  for (const auto& [name, e] : expected) {
    const auto& s = ledger.seen[name];
    joined += e.subflows > 1;
    if (!e.graceful) continue;
    ++graceful;
    const bool right = s.times == 1 && s.bytes == e.bytes && s.sha == e.sha && s.missing == 0 && s.subflows == e.subflows &&
                       s.verified == e.subflows - 1;
    if (!right && ++wrong <= 3) {
      ADD_FAILURE() << "10.1." << int{name.first} << ".1:" << name.second << ": " << s.times << " records, " << s.bytes << " of "
                    << e.bytes << " bytes, " << s.missing << " missing, " << s.subflows << " of " << e.subflows << " subflows, "
                    << s.verified << " verified";
    }
  }
  EXPECT_EQ(wrong, 0u) << "of " << graceful;
  EXPECT_GT(graceful, 20u);
  EXPECT_GT(joined, 20u);
  EXPECT_GT(crew.count(worker::kHandedOff), 100u);
  EXPECT_GT(reloads, 3u);
  std::printf("%llu frames, %u connections (%llu joined), %llu handed off, %u reloads\n",
              static_cast<unsigned long long>(crew.fed()), opened, static_cast<unsigned long long>(joined),
              static_cast<unsigned long long>(crew.count(worker::kHandedOff)), reloads);
}

}  // namespace
}  // namespace mptap::test
