// SPDX-License-Identifier: Apache-2.0
// The engine against hosts that are functions: SYN in, answer out, on a clock of its own.
#include "apps/mptap/scan/engine.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>
#include <string>

#include "apps/mptap/scan/report.h"
#include "apps/mptap/scan/segments.h"
#include "mptcp/crypto.h"
#include "mptcp/option.h"
#include "mptcp/write.h"

namespace mptap::scan {
namespace {

using packet::kAck;
using packet::kRst;
using packet::kSyn;
using packet::TcpSegment;

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kHostKey = 0x1122334455667788;

// A segment that owns its options.
struct Answer {
  TcpSegment segment;
  std::vector<uint8_t> options;
};
using Host = std::function<std::optional<Answer>(const Outgoing&)>;

Answer answer_to(const Outgoing& o, uint8_t flags, uint32_t seq, std::vector<uint8_t> options = {}) {
  Answer a;
  a.segment.src = o.target;
  a.segment.dst = {*packet::IpAddress::parse("10.9.9.9"), o.source_port};
  a.segment.flags = flags;
  a.segment.seq = seq;
  a.segment.ack = o.seq + 1;
  a.segment.ttl = 64;
  a.options = std::move(options);
  return a;
}

std::vector<uint8_t> list_of(mptcp::OptionWriter& w) {
  const auto b = w.finish();
  return {b.begin(), b.end()};
}

mptcp::Options read(const Outgoing& o) {
  mptcp::Options out;
  mptcp::parse_options(o.option_bytes(), o.flags, false, out);
  return out;
}

std::optional<Answer> closed(const Outgoing& o) {
  return answer_to(o, kRst | kAck, 0);
}
std::optional<Answer> tcp_only(const Outgoing& o) {
  if (!(o.flags & kSyn)) return std::nullopt;
  return answer_to(o, kSyn | kAck, o.seq * 7 + 5);
}
std::optional<Answer> v1_host(const Outgoing& o) {
  if (!(o.flags & kSyn)) return std::nullopt;
  const auto options = read(o);
  mptcp::OptionWriter w;
  if (options.has(mptcp::Options::kJoin)) {
    w.tcp_rst(false, 1);
    return answer_to(o, kRst | kAck, 0, list_of(w));
  }
  if (options.has(mptcp::Options::kCapable) && options.capable.version == 1)
    w.capable({.length = 12, .version = 1, .flags = 1, .sender_key = kHostKey});
  return answer_to(o, kSyn | kAck, o.seq * 7 + 5, list_of(w));
}

struct World {
  explicit World(const std::string& targets, std::vector<uint16_t> ports = {80}, Policy policy = {}) {
    config.targets = *TargetSet::make({*parse_target(targets)}, {});
    config.ports = std::move(ports);
    config.policy = policy;
    config.timeout_ns = 1000 * kMs;
  }

  Engine& engine() {
    if (!engine_) engine_ = std::make_unique<Engine>(config, [this](const Result& r) { results.push_back(r); });
    return *engine_;
  }

  void deliver(const Answer& a) {
    TcpSegment s = a.segment;
    s.options = a.options.data();
    s.options_size = static_cast<uint8_t>(a.options.size());
    engine().on_segment(s, now);
  }

  // Until finished, or `steps` packets have gone out.
  void run(size_t steps = 1'000'000) {
    while (!engine().finished() && steps > 0) {
      engine().expire(now);
      if (auto o = engine().next()) {
        steps--;
        now += kMs;
        sent.push_back(*o);
        engine().sent(*o, now);
        const auto host = hosts.find(o->target.address.to_string());
        const auto& behave = host == hosts.end() ? other : host->second;
        if (behave)
          if (const auto a = behave(*o)) deliver(*a);
      } else {
        now = std::max(now, engine().next_deadline().value_or(now + kMs));
      }
    }
  }

  uint64_t count(uint8_t flags) const {
    return static_cast<uint64_t>(std::count_if(sent.begin(), sent.end(), [&](const Outgoing& o) { return o.flags == flags; }));
  }
  Verdict verdict(const std::string& address) const {
    for (const auto& r : results)
      if (r.target.address.to_string() == address) return r.verdict;
    ADD_FAILURE() << "no result for " << address;
    return Verdict::kFiltered;
  }

  EngineConfig config;
  std::map<std::string, Host> hosts;
  Host other;
  std::vector<Result> results;
  std::vector<Outgoing> sent;
  uint64_t now = 1;

 private:
  std::unique_ptr<Engine> engine_;
};

TEST(Engine, GivesEachTargetItsVerdictOnce) {
  World w("10.0.0.0/28", {80, 443});
  w.hosts = {{"10.0.0.1", v1_host}, {"10.0.0.2", tcp_only}, {"10.0.0.3", closed}};
  w.run();
  ASSERT_EQ(w.results.size(), 32u);
  std::set<std::string> seen;
  for (const auto& r : w.results) EXPECT_TRUE(seen.insert(r.target.to_string()).second);
  EXPECT_EQ(w.verdict("10.0.0.1"), Verdict::kV1);
  EXPECT_EQ(w.verdict("10.0.0.2"), Verdict::kTcpOnly);
  EXPECT_EQ(w.verdict("10.0.0.3"), Verdict::kClosed);
  EXPECT_EQ(w.verdict("10.0.0.4"), Verdict::kFiltered);
  EXPECT_TRUE(w.engine().progress().complete());
  EXPECT_EQ(w.engine().progress().verdicts[static_cast<size_t>(Verdict::kV1)], 2u);
}

TEST(Engine, ResetsEveryHalfOpenConnectionItMade) {
  World w("10.0.0.1");
  w.other = tcp_only;
  w.run();
  // v1, v0, cookie, join: each answered by SYN/ACK, each closed with the number that the host awaits.
  EXPECT_EQ(w.count(kSyn), 4u);
  ASSERT_EQ(w.count(kRst), 4u);
  for (size_t i = 0; i + 1 < w.sent.size(); i += 2) {
    EXPECT_EQ(w.sent[i + 1].flags, kRst);
    EXPECT_EQ(w.sent[i + 1].seq, w.sent[i].seq + 1);
    EXPECT_EQ(w.sent[i + 1].source_port, w.sent[i].source_port);
  }
}

TEST(Engine, SilentTargetsGetTheRetriesAndOnePlainSyn) {
  World w("10.0.0.1");
  w.config.retries = 2;
  w.run();
  ASSERT_EQ(w.sent.size(), 4u);
  for (int i = 0; i < 3; i++) EXPECT_TRUE(read(w.sent[static_cast<size_t>(i)]).has(mptcp::Options::kCapable));
  EXPECT_FALSE(read(w.sent[3]).has(mptcp::Options::kAnyMptcp));
  EXPECT_GE(w.now, 4000 * kMs);
}

TEST(Engine, ALostAnswerIsMadeUpByARetry) {
  World w("10.0.0.1");
  int lost = 0;
  w.other = [&](const Outgoing& o) -> std::optional<Answer> { return lost++ % 3 == 0 ? std::nullopt : v1_host(o); };
  w.run();
  EXPECT_EQ(w.verdict("10.0.0.1"), Verdict::kV1);
}

TEST(Engine, AnswersThatDoNotProveThemselvesAreIgnored) {
  World w("10.0.0.1");
  w.other = [&](const Outgoing& o) -> std::optional<Answer> {
    auto forged = *v1_host(o);
    forged.segment.ack++;
    w.deliver(forged);  // another acknowledgement number
    forged = *v1_host(o);
    forged.segment.dst.port++;
    w.deliver(forged);  // another port
    forged = *v1_host(o);
    forged.segment.src.port = 81;
    w.deliver(forged);  // another target
    forged = *v1_host(o);
    forged.segment.flags = kRst;
    w.deliver(forged);  // no acknowledgement at all
    return std::nullopt;
  };
  w.config.retries = 0;
  w.run();
  EXPECT_EQ(w.verdict("10.0.0.1"), Verdict::kFiltered);
  EXPECT_EQ(w.count(kRst), 0u);
}

TEST(Engine, LateAnswersAreResetAndCounted) {
  World w("10.0.0.1");
  std::vector<Answer> kept;
  w.other = [&](const Outgoing& o) -> std::optional<Answer> {
    kept.push_back(*v1_host(o));
    return std::nullopt;
  };
  w.run();
  EXPECT_EQ(w.verdict("10.0.0.1"), Verdict::kFiltered);
  w.deliver(kept[0]);
  EXPECT_EQ(w.engine().progress().late, 1u);
  const auto o = w.engine().next();
  ASSERT_TRUE(o);
  EXPECT_EQ(o->flags, kRst);
  EXPECT_EQ(o->seq, kept[0].segment.ack);
}

TEST(Engine, SynCookiesAreTold) {
  World w("10.0.0.1");
  w.other = [](const Outgoing& o) -> std::optional<Answer> {
    if (!(o.flags & kSyn)) return std::nullopt;
    return answer_to(o, kSyn | kAck, 0x5eed0000 + o.seq);  // Linux: a hash of the addresses plus the SYN's number
  };
  w.run();
  ASSERT_EQ(w.results.size(), 1u);
  EXPECT_EQ(w.results[0].evidence.syn_cookies, true);
}

TEST(Engine, VerifyConnectsAndChecksTheDataAck) {
  for (const bool right : {true, false}) {
    World w("10.0.0.1", {80}, {.verify = true});
    uint64_t our_key = 0;
    w.other = [&](const Outgoing& o) -> std::optional<Answer> {
      const auto options = read(o);
      if (options.has(mptcp::Options::kCapable) && options.capable.length == 20) {
        EXPECT_EQ(options.capable.receiver_key, kHostKey);
        our_key = options.capable.sender_key;
      }
      if (options.has(mptcp::Options::kDss)) {
        EXPECT_TRUE(options.dss.data_fin);
        EXPECT_EQ(options.dss.dsn, mptcp::digest_key(1, our_key).idsn + 1);
        EXPECT_EQ(options.dss.ack, mptcp::digest_key(1, kHostKey).idsn + 1);
        mptcp::OptionWriter reply;
        reply.dss({.has_ack = true, .ack8 = false, .ack = mptcp::digest_key(1, our_key).idsn + (right ? 2 : 3)});
        auto a = answer_to(o, kAck, 5, list_of(reply));
        a.segment.ack = o.seq;
        return a;
      }
      return v1_host(o);
    };
    w.run();
    ASSERT_EQ(w.results.size(), 1u);
    EXPECT_EQ(w.results[0].evidence.proof, right ? Proof::kDataAck : Proof::kNoDss);
    EXPECT_EQ(w.results[0].verdict, right ? Verdict::kV1 : Verdict::kStripped);
    // Closed at MPTCP's level first, then at TCP's.
    ASSERT_GE(w.sent.size(), 2u);
    EXPECT_TRUE(read(w.sent[w.sent.size() - 2]).has(mptcp::Options::kFastClose));
    EXPECT_EQ(w.sent.back().flags, kRst);
  }
}

TEST(Engine, RoutersQuotesShowWhereTheOptionIsLost) {
  World w("10.0.0.1");
  w.other = [&](const Outgoing& o) -> std::optional<Answer> {
    if (o.ttl != 64) {
      static const uint8_t kNops[24] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
      IcmpError e;
      e.type = 11;
      e.from = *packet::IpAddress::parse(o.ttl == 1 ? "10.1.0.1" : "10.2.0.1");
      e.src = {*packet::IpAddress::parse("10.9.9.9"), o.source_port};
      e.dst = o.target;
      e.seq = o.seq;
      e.options = o.ttl == 1 ? o.option_bytes() : std::span<const uint8_t>(kNops);
      w.engine().on_icmp(e, w.now);
      return std::nullopt;
    }
    auto a = tcp_only(o);
    if (a) a->segment.ttl = 62;
    return a;
  };
  w.run();
  ASSERT_EQ(w.results.size(), 1u);
  EXPECT_EQ(w.results[0].verdict, Verdict::kStripped);
  EXPECT_EQ(w.results[0].evidence.intact_at, "10.1.0.1");
  EXPECT_EQ(w.results[0].evidence.stripped_at, "10.2.0.1");
}

TEST(Engine, AnIcmpErrorEndsATargetOnlyWhenItQuotesUs) {
  World w("10.0.0.1");
  w.other = [&](const Outgoing& o) -> std::optional<Answer> {
    IcmpError e;
    e.type = 3;
    e.code = 13;
    e.from = *packet::IpAddress::parse("10.1.0.1");
    e.src = {*packet::IpAddress::parse("10.9.9.9"), o.source_port};
    e.dst = o.target;
    e.seq = o.seq + 1;
    w.engine().on_icmp(e, w.now);
    EXPECT_TRUE(w.results.empty());
    e.seq = o.seq;
    w.engine().on_icmp(e, w.now);
    return std::nullopt;
  };
  w.run();
  ASSERT_EQ(w.results.size(), 1u);
  EXPECT_EQ(w.results[0].reason, "10.1.0.1 says administratively prohibited");
  EXPECT_EQ(w.sent.size(), 1u);
}

TEST(Engine, StoppedAndResumedEachTargetIsDoneOnce) {
  for (const size_t steps : {1, 10, 57, 200}) {
    World first("10.0.0.0/26");
    first.hosts = {{"10.0.0.1", v1_host}, {"10.0.0.9", tcp_only}};
    first.config.most_in_flight = 8;
    first.run(steps);
    const auto checkpoint = first.engine().checkpoint();
    World second("10.0.0.0/26");
    second.hosts = first.hosts;
    second.engine().resume(checkpoint);
    second.run();
    std::set<std::string> seen;
    for (const auto* world : {&first, &second})
      for (const auto& r : world->results) EXPECT_TRUE(seen.insert(r.target.to_string()).second) << r.target.to_string();
    EXPECT_EQ(seen.size(), 64u) << steps;
    EXPECT_TRUE(second.engine().progress().complete());
  }
}

TEST(Engine, StopFinishesWhatIsInFlightOnly) {
  World w("10.0.0.0/26");
  w.config.most_in_flight = 8;
  w.run(4);
  w.engine().stop();
  w.run();
  EXPECT_EQ(w.results.size(), 4u);
  EXPECT_EQ(w.engine().checkpoint().next, 4u);
  EXPECT_TRUE(w.engine().checkpoint().done.empty());
}

TEST(Engine, HoldsNoMoreInFlightThanAllowed) {
  World w("10.0.0.0/24");
  w.config.most_in_flight = 16;
  size_t started = 0;
  while (w.engine().next()) started++;
  EXPECT_EQ(started, 16u);
}

TEST(Report, JsonAndTableSayTheSame) {
  World w("10.0.0.1");
  w.other = v1_host;
  w.run();
  const auto text = json_row(w.results[0]);
  for (const char* part :
       {R"("type":"result")", R"("address":"10.0.0.1")", R"("port":80)", R"("verdict":"v1")", R"("capable_v1":"mptcp")",
        R"("join":"reset")", R"("join_reset_reason":"mptcp_specific")", R"("syn_cookies":false)"})
    EXPECT_NE(text.find(part), std::string::npos) << part << " in " << text;
  EXPECT_NE(table_row(w.results[0]).find("10.0.0.1:80"), std::string::npos);
  Progress p{.total = 65536, .started = 30000, .finished = 24411, .late = 0, .verdicts = {12, 0, 0, 0, 3, 0, 24396}};
  EXPECT_EQ(progress_line(p, 48822, 998.2, 1000),
            " 37.2 %  24,411 of 65,536 targets  998/s  0:01:22 left  12 v1, 3 tcp_only, 24,396 filtered");
}

}  // namespace
}  // namespace mptap::scan
