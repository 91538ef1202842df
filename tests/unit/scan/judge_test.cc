// SPDX-License-Identifier: Apache-2.0
// Answers in, the next question and the verdict out.
#include "apps/mptap/scan/judge.h"

#include <gtest/gtest.h>

#include <vector>

namespace mptap::scan {
namespace {

Reply silent() {
  return {};
}
Reply plain(uint8_t nops = 1, uint8_t ttl = 64) {
  return {.seen = Seen::kPlain, .isn = 1000, .nops = nops, .ttl = ttl};
}
Reply capable(uint8_t version, uint8_t ttl = 64) {
  return {.seen = Seen::kMptcp, .isn = 1000, .version = version, .key = 5, .ttl = ttl};
}
Reply mirrored() {
  return {.seen = Seen::kMirrored, .isn = 1000, .ttl = 64};
}
Reply reset(std::optional<uint8_t> reason = {}) {
  return {.seen = Seen::kReset, .ttl = 64, .reset_reason = reason};
}
Reply cookie(uint32_t isn) {
  return {.seen = Seen::kPlain, .isn = isn, .ttl = 64};
}

// Each answer with the question that it must be the answer to.
using Talk = std::vector<std::pair<Kind, Reply>>;
Judge after(const Talk& talk, const Policy& policy = {}) {
  Judge j(policy);
  for (const auto& [kind, reply] : talk) {
    EXPECT_EQ(j.asks(), kind) << kind_name(kind);
    j.take(reply);
  }
  return j;
}
void expect(const Judge& j, Verdict verdict, const std::string& reason) {
  EXPECT_FALSE(j.asks()) << kind_name(*j.asks());
  EXPECT_STREQ(verdict_name(j.verdict()), verdict_name(verdict));
  EXPECT_EQ(j.reason(), reason);
}

TEST(Judge, VersionOneIsProvenByItsKeyAndTheResetOfAJoin) {
  const auto j = after({{Kind::kV1, capable(1)}, {Kind::kCookie, cookie(9)}, {Kind::kJoin, reset(1)}});
  expect(j, Verdict::kV1, "answers with a key of its own, resets a join with an unknown token (mptcp_specific)");
  EXPECT_EQ(j.evidence().syn_cookies, false);
}

TEST(Judge, JoinsThatAreStrippedOrDropped) {
  expect(after({{Kind::kV1, capable(1)}, {Kind::kCookie, silent()}, {Kind::kJoin, plain()}}), Verdict::kV1,
         "answers with a key of its own, but takes a join for plain TCP: joins are stripped on the way");
  expect(after({{Kind::kV1, capable(1)}, {Kind::kCookie, silent()}, {Kind::kJoin, silent()}}), Verdict::kV1,
         "answers with a key of its own, leaves a join unanswered");
}

TEST(Judge, VersionZero) {
  expect(after({{Kind::kV1, plain()}, {Kind::kV0, capable(0)}, {Kind::kCookie, cookie(9)}, {Kind::kJoin, reset()}}), Verdict::kV0,
         "answers with a key of its own, resets a join with an unknown token");
  // One that answers version 1 with version 0 is asked again in its own terms.
  expect(after({{Kind::kV1, capable(0)}, {Kind::kV0, capable(0)}, {Kind::kCookie, cookie(9)}, {Kind::kJoin, reset()}}),
         Verdict::kV0, "answers with a key of its own, resets a join with an unknown token");
}

TEST(Judge, Mirrors) {
  expect(after({{Kind::kV1, mirrored()}, {Kind::kV0, mirrored()}, {Kind::kCookie, cookie(9)}, {Kind::kJoin, mirrored()}}),
         Verdict::kMirrored, "gives our own key back: something on the way mirrors options");
  expect(after({{Kind::kV1, mirrored()}, {Kind::kV0, plain()}, {Kind::kCookie, cookie(9)}, {Kind::kJoin, plain()}}),
         Verdict::kMirrored, "gives our option back, without a key: something on the way mirrors options");
  // Behind a mirror a host of version 0 can still be told by its own key.
  EXPECT_EQ(
      after({{Kind::kV1, mirrored()}, {Kind::kV0, capable(0)}, {Kind::kCookie, cookie(9)}, {Kind::kJoin, reset()}}).verdict(),
      Verdict::kV0);
}

TEST(Judge, PlainTcpAndItsCookies) {
  const Talk open{{Kind::kV1, plain()}, {Kind::kV0, plain()}};
  auto with = [&](uint32_t isn) {
    Talk t = open;
    t.insert(t.end(), {{Kind::kCookie, cookie(isn)}, {Kind::kJoin, plain()}});
    return after(t);
  };
  expect(with(123456), Verdict::kTcpOnly, "plain TCP");
  expect(with(1000 + kCookieStep), Verdict::kTcpOnly, "plain TCP, by SYN cookies: perhaps of a proxy before the host");
  EXPECT_EQ(with(1000 + kCookieStep).evidence().syn_cookies, true);
}

TEST(Judge, StrippedByTheTraceItLeaves) {
  expect(after({{Kind::kV1, plain(12)}, {Kind::kV0, plain()}, {Kind::kCookie, cookie(9)}, {Kind::kJoin, plain()}}),
         Verdict::kStripped, "the answer bears 12 NOPs where an option was");
  expect(after({{Kind::kV1, plain()}, {Kind::kV0, plain()}, {Kind::kCookie, cookie(9)}, {Kind::kJoin, reset(1)}}),
         Verdict::kStripped, "answers without the option, yet resets a join as an MPTCP host does");
  expect(after({{Kind::kV1, plain()}, {Kind::kV0, plain()}, {Kind::kCookie, cookie(9)}, {Kind::kJoin, reset()}}),
         Verdict::kStripped, "answers without the option, yet resets a join: its answers are stripped, or joins rejected");
  EXPECT_EQ(after({{Kind::kV1, plain(3)}, {Kind::kV0, plain(3)}, {Kind::kCookie, cookie(9)}, {Kind::kJoin, plain()}}).verdict(),
            Verdict::kTcpOnly);
}

TEST(Judge, StrippedAsRoutersQuoteIt) {
  const Talk far{{Kind::kV1, plain(1, 61)}, {Kind::kV0, plain(1, 61)}, {Kind::kCookie, cookie(9)}, {Kind::kJoin, plain(1, 61)}};
  Judge j = after(far);
  EXPECT_EQ(j.asks(), Kind::kTrace);
  EXPECT_EQ(j.evidence().hops, 3);
  j.take_quote(3, "10.0.3.1", false);
  j.take_quote(1, "10.0.1.1", true);
  j.take_quote(2, "10.0.2.1", false);
  j.take(silent());
  expect(j, Verdict::kStripped, "the option is lost between 10.0.1.1 and 10.0.2.1");
  // Whole all the way: nothing was taken.
  Judge whole = after(far);
  whole.take_quote(1, "10.0.1.1", true);
  whole.take(silent());
  expect(whole, Verdict::kTcpOnly, "plain TCP");
  // A neighbour has no routers before it, and who does not want to trace does not.
  Policy quiet{.trace = false};
  EXPECT_FALSE(after(far, quiet).asks());
}

TEST(Judge, ClosedAndFiltered) {
  expect(after({{Kind::kV1, reset()}, {Kind::kPlain, reset()}}), Verdict::kClosed, "refuses");
  expect(after({{Kind::kV1, silent()}, {Kind::kPlain, silent()}}), Verdict::kFiltered, "no answer");
  expect(after({{Kind::kV1, silent()}, {Kind::kPlain, reset()}}), Verdict::kClosed,
         "refuses a plain SYN, leaves one with MPTCP unanswered");
  expect(after({{Kind::kV1, reset()}, {Kind::kPlain, silent()}}), Verdict::kClosed, "refuses");
  expect(after({{Kind::kV1, {.seen = Seen::kUnreachable, .icmp = "10.0.0.1 says host unreachable"}}}), Verdict::kFiltered,
         "10.0.0.1 says host unreachable");
  Policy no_plain{.plain = false};
  expect(after({{Kind::kV1, silent()}}, no_plain), Verdict::kFiltered, "no answer");
  expect(after({{Kind::kV1, reset()}}, no_plain), Verdict::kClosed, "refuses");
}

TEST(Judge, MptcpThatIsRejectedOrDroppedIsNotClosed) {
  expect(after({{Kind::kV1, reset()}, {Kind::kPlain, plain()}}), Verdict::kFiltered,
         "open to plain TCP; SYNs with MPTCP are rejected");
  expect(after({{Kind::kV1, silent()}, {Kind::kPlain, plain()}}), Verdict::kFiltered,
         "open to plain TCP; SYNs with MPTCP are dropped");
}

TEST(Judge, VerifyDecides) {
  const Policy verify{.verify = true};
  const Talk talk{{Kind::kV1, capable(1)}, {Kind::kCookie, cookie(9)}, {Kind::kJoin, reset(1)}};
  Judge good = after(talk, verify);
  ASSERT_EQ(good.asks(), Kind::kVerify);
  good.take_proof(Proof::kDataAck);
  expect(good, Verdict::kV1,
         "answers with a key of its own, resets a join with an unknown token (mptcp_specific), acknowledges data by DSS");
  Judge cut = after(talk, verify);
  cut.take_proof(Proof::kNoDss);
  expect(cut, Verdict::kStripped, "answers with a key, but later options are taken out on the way");
  Judge fake = after({{Kind::kV1, capable(1)}, {Kind::kCookie, cookie(9)}, {Kind::kJoin, plain()}}, verify);
  fake.take_proof(Proof::kNoDss);
  expect(fake, Verdict::kMirrored, "answers with a key, but then speaks plain TCP: something on the way answers the option");
  EXPECT_FALSE(
      after({{Kind::kV1, plain()}, {Kind::kV0, plain()}, {Kind::kCookie, cookie(9)}, {Kind::kJoin, plain()}}, verify).asks());
}

std::optional<Reply> read(uint8_t flags, std::vector<uint8_t> options, Kind kind, uint64_t key = 0x0102030405060708) {
  packet::TcpSegment s;
  s.flags = flags;
  s.seq = 77;
  s.ttl = 60;
  s.options = options.data();
  s.options_size = static_cast<uint8_t>(options.size());
  return read_reply(s, kind, {.key = key});
}
constexpr uint8_t kSynAck = packet::kSyn | packet::kAck;

TEST(ReadReply, VersionOneByLengthAndKey) {
  const auto r = read(kSynAck, {2, 4, 5, 180, 30, 12, 0x01, 0x81, 9, 9, 9, 9, 9, 9, 9, 8}, Kind::kV1);
  ASSERT_TRUE(r);
  EXPECT_EQ(r->seen, Seen::kMptcp);
  EXPECT_EQ(r->version, 1);
  EXPECT_EQ(r->flags, 0x81);
  EXPECT_EQ(r->key, 0x0909090909090908u);
  EXPECT_EQ(r->isn, 77u);
  EXPECT_EQ(read(kSynAck, {30, 4, 0x01, 0x01}, Kind::kV1)->seen, Seen::kMirrored);
}

TEST(ReadReply, VersionZeroByItsKey) {
  EXPECT_EQ(read(kSynAck, {30, 12, 0x00, 0x01, 1, 2, 3, 4, 5, 6, 7, 8}, Kind::kV0)->seen, Seen::kMirrored);
  EXPECT_EQ(read(kSynAck, {30, 12, 0x00, 0x01, 1, 2, 3, 4, 5, 6, 7, 9}, Kind::kV0)->seen, Seen::kMptcp);
}

TEST(ReadReply, WhatWasNotAskedForProvesNothing) {
  EXPECT_EQ(read(kSynAck, {30, 12, 0x01, 0x01, 9, 9, 9, 9, 9, 9, 9, 9}, Kind::kPlain)->seen, Seen::kPlain);
  EXPECT_EQ(read(kSynAck, {30, 12, 0x10, 0x01, 9, 9, 9, 9, 9, 9, 9, 9}, Kind::kV1)->seen, Seen::kPlain);
  EXPECT_EQ(read(kSynAck, {30, 12, 0x10, 0x01, 9, 9, 9, 9, 9, 9, 9, 9}, Kind::kJoin)->seen, Seen::kMirrored);
}

TEST(ReadReply, ResetsAndNops) {
  EXPECT_EQ(read(packet::kRst | packet::kAck, {30, 4, 0x80, 0x01}, Kind::kJoin)->reset_reason, 1);
  EXPECT_FALSE(read(packet::kRst | packet::kAck, {}, Kind::kJoin)->reset_reason);
  EXPECT_EQ(read(kSynAck, {2, 4, 5, 180, 1, 1, 1, 1, 1, 1, 3, 3, 7, 1}, Kind::kV1)->nops, 6);
  EXPECT_FALSE(read(packet::kAck, {}, Kind::kV1));
  EXPECT_FALSE(read(packet::kSyn, {}, Kind::kV1));
  // Lists that are cut or lie about their lengths.
  EXPECT_EQ(read(kSynAck, {30}, Kind::kV1)->seen, Seen::kPlain);
  EXPECT_EQ(read(kSynAck, {30, 0, 1, 1}, Kind::kV1)->seen, Seen::kPlain);
  EXPECT_EQ(read(kSynAck, {30, 12, 1, 1}, Kind::kV1)->seen, Seen::kPlain);
}

}  // namespace
}  // namespace mptap::scan
