// SPDX-License-Identifier: Apache-2.0
// What a scanner does beyond matching one rule: flows, several rules, pass, limits, reload.
#include "rules/scanner.h"

#include <gtest/gtest.h>

#include <fmt/format.h>
#include <chrono>

#include "harness.h"

namespace mptap::rules {
namespace {

std::string sids(const std::shared_ptr<const Ruleset>& ruleset, const FlowContext& context, const std::string& stream = "evil") {
  Stream scanned(ruleset, context);
  scanned.feed(stream).finish();
  std::string out;
  for (const Hit& hit : scanned.found) out += fmt::format("{}{}", out.empty() ? "" : " ", hit.rule->sid);
  return out;
}

TEST(Flows, HeadersAndDirectionsDecideWhichRulesAreAsked) {
  const auto ruleset = compile(R"(
    alert tcp any any -> any 80 (content:"evil"; sid:1;)
    alert tcp any 80 -> any any (content:"evil"; sid:2;)
    alert tcp 10.0.0.0/8 any -> !10.0.0.0/8 any (content:"evil"; sid:3;)
    alert tcp 192.0.2.1 80 <> 10.0.0.1 any (content:"evil"; sid:4;)
    alert tcp any any -> any any (flow:to_server; content:"evil"; sid:5;)
    alert tcp any any -> any any (flow:to_client; content:"evil"; sid:6;)
    alert tcp 2001:db8::/32 any -> any any (content:"evil"; sid:7;)
    alert tcp any [1:79,81:] -> any [1:79,81:] (content:"evil"; sid:8;)
  )");
  EXPECT_EQ(sids(ruleset, flow("10.0.0.1", 40000, "192.0.2.1", 80, true)), "1 3 4 5");
  EXPECT_EQ(sids(ruleset, flow("192.0.2.1", 80, "10.0.0.1", 40000, false)), "2 4 6");
  EXPECT_EQ(sids(ruleset, flow("2001:db8::1", 1, "2001:db9::1", 2, true)), "5 7 8");
  EXPECT_EQ(sids(ruleset, flow("10.0.0.1", 1, "10.0.0.2", 2, true)), "5 8");
}

TEST(Flows, WithoutARuleForThemTheScannerIsInactive) {
  const auto ruleset = compile("alert tcp any any -> any 80 (content:\"evil\"; sid:1;)");
  EXPECT_TRUE(Stream(ruleset).scanner.active());
  Stream other(ruleset, flow("10.0.0.1", 1, "10.0.0.2", 81));
  EXPECT_FALSE(other.scanner.active());
  EXPECT_EQ(other.feed("evil").finish().hits(), "");
  EXPECT_LT(other.scanner.memory(), Stream(ruleset).feed("x").scanner.memory());
  EXPECT_FALSE(Stream(compile("")).scanner.active());
}

TEST(Flows, ManyDifferentHeaders) {
  std::string text;
  for (int port = 1; port <= 400; ++port)
    text += fmt::format("alert tcp any any -> any {} (content:\"evil\"; sid:{};)\n", port, port);
  const auto ruleset = compile(text);
  EXPECT_EQ(ruleset->patterns(), 1u);
  EXPECT_EQ(ruleset->headers().groups(), 400u);
  EXPECT_EQ(sids(ruleset, flow("10.0.0.1", 1, "10.0.0.2", 399)), "399");
  EXPECT_EQ(sids(ruleset, flow("10.0.0.1", 1, "10.0.0.2", 64)), "64");
  EXPECT_EQ(sids(ruleset, flow("10.0.0.1", 1, "10.0.0.2", 401)), "");
}

TEST(Rules, ShareAPatternThatIsInTheDatabaseOnce) {
  const auto ruleset = compile(R"(
    alert tcp any any -> any any (content:"evil"; sid:1;)
    alert tcp any any -> any any (content:"evil"; content:"x"; distance:0; sid:2;)
    alert tcp any any -> any any (content:"EVIL"; nocase; sid:3;)
    alert tcp any any -> any any (content:"evil"; nocase; offset:4; sid:4;)
  )");
  EXPECT_EQ(ruleset->patterns(), 2u);
  EXPECT_EQ(sids(ruleset, any_flow(), "evil x"), "1 3 2");
  EXPECT_EQ(sids(ruleset, any_flow(), "   Evil"), "3");
  EXPECT_EQ(sids(ruleset, any_flow(), "    Evil"), "3 4");
}

TEST(Rules, WithoutContentHitOncePerStreamAtItsFirstByte) {
  const auto ruleset = compile("alert tcp any any -> any 80 (msg:\"a connection\"; sid:1;)");
  EXPECT_EQ(Stream(ruleset).feed("abc").feed("def").hole(3).feed("ghi").finish().hits(), "1:0-1");
  EXPECT_EQ(Stream(ruleset).hole(7).feed("abc").hits(), "1:7-8");
  EXPECT_EQ(Stream(ruleset).finish().hits(), "");
}

TEST(Pass, SuppressesFromTheEndOfItsMatchOn) {
  const auto ruleset = compile(R"(
    pass tcp any any -> any any (content:"good"; sid:1;)
    alert tcp any any -> any any (content:"evil"; sid:2;)
    alert tcp any any -> any any (content:"good"; sid:3;)
  )");
  for (const size_t chunk : {1u, 3u, 100u}) {
    Stream stream(ruleset);
    stream.feed("evil evil good evil", chunk);
    EXPECT_EQ(stream.hits(), "2:0-4 2:5-9") << chunk;
    EXPECT_TRUE(stream.scanner.passed());
    EXPECT_FALSE(stream.scanner.active());
    EXPECT_EQ(stream.feed("evil").hits(), "2:0-4 2:5-9");
  }
  EXPECT_FALSE(Stream(ruleset).feed("evil").scanner.passed());
}

TEST(Pass, OfAWholeFlow) {
  const auto ruleset =
      compile("pass tcp 10.0.0.1 any -> any any (sid:1;)\nalert tcp any any -> any any (content:\"evil\"; sid:2;)");
  EXPECT_EQ(Stream(ruleset).feed("evil").hits(), "");
  EXPECT_EQ(Stream(ruleset, flow("10.0.0.2", 1, "10.0.0.3", 2)).feed("evil").hits(), "2:0-4");
}

TEST(Window, ContentsFurtherApartDoNotMatch) {
  const auto ruleset = compile("alert tcp any any -> any any (content:\"first\"; content:\"second\"; distance:0; sid:1;)");
  for (const size_t chunk : {1460u, 16384u, 1000000u}) {
    EXPECT_EQ(Stream(ruleset).feed("first" + std::string(65536 - 11, 'x') + "second", chunk).hits(), "1:0-65536") << chunk;
    EXPECT_EQ(Stream(ruleset).feed("first" + std::string(65536 - 10, 'x') + "second", chunk).hits(), "") << chunk;
  }
}

TEST(Window, TheHistoryNeededIsToldAndEnough) {
  EXPECT_EQ(compile("alert tcp any any -> any any (content:\"first\"; offset:3; nocase; sid:1;)")->lookback(), 0u);
  const auto tight = compile("alert tcp any any -> any any (content:\"first\"; content:\"second\"; within:100; sid:1;)");
  EXPECT_LE(tight->lookback(), 110u);
  Stream stream(tight);
  stream.feed(std::string(1000, 'x')).feed("first");
  stream.history.forget_before(stream.offset - 5);
  EXPECT_EQ(stream.feed("second").hits(), "1:1000-1011");
  const auto wide = compile("alert tcp any any -> any any (content:\"first\"; content:\"second\"; sid:1;)");
  EXPECT_GE(wide->lookback(), 65536u);
}

TEST(Window, ForgottenHistoryLosesTheMatchAndNothingElse) {
  const auto ruleset = compile("alert tcp any any -> any any (content:\"first\"; content:\"second\"; distance:0; sid:1;)");
  Stream stream(ruleset);
  stream.feed("first");
  stream.history.forget_before(stream.offset);
  EXPECT_EQ(stream.feed("second").hits(), "");
  EXPECT_EQ(stream.feed("first").feed("second").hits(), "1:11-22");
}

TEST(Gap, DecidesWhatWaitedForBytes) {
  const auto ruleset = compile("alert tcp any any -> any any (content:\"Agent: \"; content:!\"Moz\"; within:10; sid:1;)");
  EXPECT_EQ(Stream(ruleset).feed("Agent: cu").hits(), "");
  EXPECT_EQ(Stream(ruleset).feed("Agent: cu").hole(5).feed("x").hits(), "1:0-7");
  EXPECT_EQ(Stream(ruleset).feed("Agent: cu").hole(5).finish().hits(), "1:0-7");
  EXPECT_EQ(Stream(ruleset).feed("Agent: Mo").hole(5).feed("z").finish().hits(), "1:0-7");
  EXPECT_EQ(Stream(ruleset).feed("Agent: Moz").hole(5).feed("x").finish().hits(), "");
  Stream gone(ruleset);
  gone.feed("Agent: cu").hole(5);
  gone.history.forget_before(14);
  EXPECT_EQ(gone.feed("x").finish().hits(), "");
  EXPECT_EQ(gone.scratch.stats().dropped, 1u);
}

TEST(Gap, EndswithHoldsAtTheEndOfTheStreamOnly) {
  const auto ruleset = compile("alert tcp any any -> any any (content:\"end\"; endswith; sid:1;)");
  EXPECT_EQ(Stream(ruleset).feed("the end").hole(3).feed("no").finish().hits(), "");
  EXPECT_EQ(Stream(ruleset).feed("the end").hole(3).feed("end").finish().hits(), "1:10-13");
  EXPECT_EQ(Stream(ruleset).feed("the end").hole(3).finish().hits(), "") << "the end of the stream was not seen";
}

TEST(Scan, GoesOnAtAnotherOffsetAsAfterAGap) {
  const auto ruleset = compile("alert tcp any any -> any any (content:\"evil stuff\"; sid:1;)");
  Stream stream(ruleset);
  stream.feed("evil ");
  stream.offset += 4;
  EXPECT_EQ(stream.feed("stuff").hits(), "");
}

TEST(Pcre, MatchesAreConfirmedAsSoonAsNoByteCanChangeThem) {
  const auto ruleset = compile("alert tcp any any -> any any (content:\"id=\"; pcre:\"/^\\d{3}/R\"; sid:1;)");
  Stream stream(ruleset);
  EXPECT_EQ(stream.feed("id=12").hits(), "");
  EXPECT_EQ(stream.feed("3").hits(), "1:0-3");
  const auto open = compile("alert tcp any any -> any any (content:\"foo\"; pcre:\"/foo.*bar/s\"; sid:1;)");
  EXPECT_EQ(Stream(open).feed("foo bar").hits(), "1:0-3") << "a greedy .* does not wait";
}

TEST(Pcre, RunawayPatternsStopAtTheMatchLimit) {
  const auto ruleset = compile("alert tcp any any -> any any (content:\"aaa\"; pcre:\"/^(a+)+$/R\"; sid:1;)");
  Stream stream(ruleset);
  stream.feed("aaa" + std::string(3000, 'a') + "b").finish();
  EXPECT_EQ(stream.hits(), "");
  EXPECT_GT(stream.scratch.stats().pcre_limit, 0u);
}

// Each of these made a backtracking search take hours: thousands of first halves, none with its second half in place.
TEST(HalfMatches, CostNoMoreThanTheirLength) {
  const auto begin = std::chrono::steady_clock::now();
  const auto chain = compile(
      "alert tcp any any -> any any (content:\"a\"; content:\"a\"; distance:1; content:\"a\"; distance:1; content:\"a\"; "
      "distance:1; "
      "content:\"ab\"; fast_pattern; distance:1; within:3; content:\"c\"; distance:0; sid:1;)");
  Stream one(chain);
  std::string bytes;
  while (bytes.size() < 300000) bytes += "aaab";
  one.feed(bytes, 16384);
  EXPECT_EQ(one.hits(), "");
  one.feed("c");
  EXPECT_EQ(one.found.size(), 1u);
  const auto back =
      compile("alert tcp any any -> any any (content:\"ab\"; content:\"a\"; distance:-30; content:\"q\"; distance:-30; sid:1;)");
  Stream two(back);
  two.feed(bytes + "q", 16384);
  const auto ungreedy = compile("alert tcp any any -> any any (pcre:\"/(a)\\1.*b/s\"; sid:1;)");
  Stream three(ungreedy);
  three.feed(bytes, 16384);
  EXPECT_GT(three.found.size(), 0u);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

TEST(Reload, RunningScannersKeepTheirRulesAndOneScratchServesBoth) {
  auto old_rules = compile("alert tcp any any -> any any (content:\"old\"; sid:1;)");
  Stream stream(old_rules);
  stream.feed("ol");
  std::weak_ptr<const Ruleset> watch = old_rules;
  old_rules.reset();
  EXPECT_FALSE(watch.expired());
  std::string text;
  for (int i = 0; i < 500; ++i) text += fmt::format("alert tcp any any -> any any (content:\"new{:04}\"; sid:{};)\n", i, i + 2);
  const auto new_rules = compile(text);
  ASSERT_TRUE(stream.scratch.prepare(*new_rules));
  Scanner second(new_rules, any_flow());
  std::vector<Hit> hits;
  WholeHistory history;
  const std::string bytes = "new0007";
  history.put(0, bytes);
  second.scan(0, {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, history, stream.scratch, hits);
  EXPECT_EQ(to_string(hits), "9:0-7");
  EXPECT_EQ(stream.feed("d").hits(), "1:0-3");
  stream.scanner = Scanner(new_rules, any_flow());
  EXPECT_TRUE(watch.expired());
}

TEST(Compile, APcreThatHyperscanCannotSearchForIsLeftOutWithItsPlace) {
  auto loaded = load_rules_text("alert tcp any any -> any any (pcre:\"/x?/\"; sid:1;)\nalert tcp any any -> any any (sid:2;)",
                                "a.rules", {});
  ASSERT_TRUE(loaded);
  const auto ruleset = Ruleset::compile(std::move(loaded->rules), {}, &loaded->report);
  ASSERT_TRUE(ruleset);
  EXPECT_EQ((*ruleset)->rules().size(), 1u);
  EXPECT_EQ(loaded->report.loaded, 1u);
  ASSERT_EQ(loaded->report.left_out.size(), 1u);
  EXPECT_TRUE(loaded->report.left_out[0].to_string().starts_with(
      "a.rules:1: a pcre without any content that Hyperscan cannot search for: "))
      << loaded->report.left_out[0].to_string();
}

}  // namespace
}  // namespace mptap::rules
