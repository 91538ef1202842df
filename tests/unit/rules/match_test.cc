// SPDX-License-Identifier: Apache-2.0
// Rule and stream in, hits out: the same ones however the stream is cut into chunks.
#include <gtest/gtest.h>

#include <set>

#include <fmt/format.h>

#include "harness.h"

namespace mptap::rules {
namespace {

struct Case {
  std::string options;  // of the rule, without sid
  std::string stream;
  std::string hits;  // `from-to` in order
};

std::string spans(const Stream& stream) {
  std::string out;
  for (const Hit& hit : stream.found) out += fmt::format("{}{}-{}", out.empty() ? "" : " ", hit.from, hit.to);
  return out;
}

std::set<std::string> span_set(const std::string& text) {
  std::set<std::string> out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    out.insert(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

class Match : public testing::TestWithParam<Case> {};

TEST_P(Match, IsTheSameAtEveryChunkBorder) {
  const Case& c = GetParam();
  const auto ruleset = compile("alert tcp any any -> any any (" + c.options + " sid:1;)");
  ASSERT_EQ(ruleset->rules().size(), 1u);
  EXPECT_EQ(spans(Stream(ruleset).feed(c.stream).finish()), c.hits) << c.options;
  for (size_t cut = 1; cut < c.stream.size(); ++cut) {
    Stream stream(ruleset);
    stream.feed(c.stream.substr(0, cut)).feed(c.stream.substr(cut)).finish();
    EXPECT_EQ(span_set(spans(stream)), span_set(c.hits)) << c.options << " cut at " << cut;
  }
  for (const size_t chunk : {1u, 2u, 3u, 7u}) {
    EXPECT_EQ(span_set(spans(Stream(ruleset).feed(c.stream, chunk).finish())), span_set(c.hits))
        << c.options << " chunks of " << chunk;
  }
}

INSTANTIATE_TEST_SUITE_P(Content, Match,
                         testing::ValuesIn(std::vector<Case>{
                             {"content:\"evil stuff\";", "some evil stuff here", "5-15"},
                             {"content:\"evil stuff\";", "some evil  stuff", ""},
                             {"content:\"aa\";", "aaaa", "0-2 1-3 2-4"},
                             {"content:\"a|0d 0A|b\";", "xa\r\nb", "1-5"},
                             {"content:\"EviL\"; nocase;", "evil EVIL eVil", "0-4 5-9 10-14"},
                             {"content:\"EviL\";", "evil EviL", "5-9"},
                             {"content:\"ab\"; offset:3;", "ab ab ab", "3-5 6-8"},
                             {"content:\"ab\"; depth:4;", "ab ab ab", "0-2"},
                             {"content:\"ab\"; depth:5;", "ab ab ab", "0-2 3-5"},
                             {"content:\"ab\"; offset:1; depth:4;", "ab ab ab", "3-5"},
                             {"content:\"ab\"; startswith;", "abab", "0-2"},
                             {"content:\"ab\"; endswith;", "abab", "2-4"},
                             {"content:\"ab\"; endswith;", "ababx", ""},
                             {"content:\"ab\"; startswith; endswith;", "ab", "0-2"},
                         }));

INSTANTIATE_TEST_SUITE_P(Several, Match,
                         testing::ValuesIn(std::vector<Case>{
                             // no order without distance or within
                             {"content:\"one\"; content:\"two\";", "one two", "0-7"},
                             {"content:\"one\"; content:\"two\";", "two one", "0-7"},
                             {"content:\"one\"; content:\"two\";", "one two two", "0-7 0-11"},
                             {"content:\"one\"; content:\"two\"; distance:0;", "two one two", "4-11"},
                             {"content:\"one\"; content:\"two\"; distance:0;", "two one", ""},
                             {"content:\"one\"; content:\"two\"; distance:2;", "one two one  two", "8-16"},
                             {"content:\"one\"; content:\"two\"; within:4;", "one two one  two", "0-7"},
                             {"content:\"one\"; content:\"two\"; distance:1; within:4;", "one  two", "0-8"},
                             {"content:\"one\"; content:\"two\"; distance:1; within:3;", "one  two", ""},
                             // the first choice of `one` is wrong, the second right
                             {"content:\"one\"; content:\"two\"; distance:0; within:4; content:\"six\"; distance:0; within:4;",
                              "one two one two six", "8-19"},
                             {"content:\"abc\"; content:\"b\"; distance:-3; within:3;", "xabcx", "1-4"},
                             {"content:\"abc\"; content:\"x\"; distance:-4; within:1;", "xabcx", "0-4"},
                             {"content:\"zz\"; fast_pattern; content:\"longer\"; distance:-20;", "longer zz longer", "0-9 7-16"},
                             {"content:\"two\"; distance:3;", "two two", "4-7"},
                             {"content:\"two\"; within:4;", "two two", "0-3"},
                         }));

INSTANTIATE_TEST_SUITE_P(Negated, Match,
                         testing::ValuesIn(std::vector<Case>{
                             {"content:\"GET\"; content:!\"Mozilla\";", "GET / Mozilla", ""},
                             {"content:\"GET\"; content:!\"Mozilla\";", "GET / curl", "0-3"},
                             {"content:\"Agent: \"; content:!\"Moz\"; within:3;", "Agent: Mozilla Agent: curl", "15-22"},
                             {"content:\"Agent: \"; content:!\"Moz\"; within:3;", "Agent: Mo", "0-7"},
                             {"content:\"b\"; content:!\"a\"; distance:-2; within:1;", "ab cb", "4-5"},
                             {"content:\"evil\"; content:!\"HTTP\"; depth:4;", "HTTP evil", ""},
                             {"content:\"evil\"; content:!\"HTTP\"; depth:4;", " HTTP evil", "6-10"},
                         }));

INSTANTIATE_TEST_SUITE_P(Pcre, Match,
                         testing::ValuesIn(std::vector<Case>{
                             {"content:\"id=\"; pcre:\"/id=[0-9]{3}/\";", "id=12 id=123", "0-3 6-9"},
                             {"content:\"id=\"; pcre:\"/^[0-9]{3}/R\";", "id=12 id=123", "6-9"},
                             {"content:\"id=\"; pcre:!\"/^[0-9]{3}/R\";", "id=12 id=123", "0-3"},
                             {"content:\"id=\"; pcre:\"/ID=\\d/i\";", "id=x id=1", "0-3 5-8"},
                             {"content:\"foo\"; pcre:\"/^foo/\";", "foo foo", "0-3 4-7"},
                             {"content:\"foo\"; pcre:\"/^foo/\";", " foo", ""},
                             {"content:\"foo\"; pcre:\"/foo(?!bar)/\";", "foobar", ""},
                             {"content:\"foo\"; pcre:\"/foo(?!bar)/\";", "foobaz", "0-3"},
                             {"content:\"foo\"; pcre:\"/foo$/\";", "foo", "0-3"},
                             {"content:\"foo\"; pcre:\"/foo$/\";", "foo ", ""},
                             {"content:\"foo\"; pcre:\"/\\Afoo/\";", "xfoo", ""},
                             // alone: Hyperscan finds it, exactly or as a filter
                             {"pcre:\"/ev[i1]l+/\";", "xevil ev1lll", "1-5 6-10"},
                             {"pcre:\"/a.*b/s\";", "xa..b..b", "1-5"},
                             {"pcre:\"/(a|b)c\\1/\";", "acb bcb", "4-7"},
                             {"pcre:\"/^abc/\";", "abc abc", "0-3"},
                             {"pcre:\"/abc/A\";", "xabc", ""},
                             {"pcre:\"/abc$/\";", "abc abc", "4-7"},
                             {"pcre:\"/foo(?=bar)/\";", "foobaz foobar", "7-10"},
                             {"pcre:\"/a b c/x\";", "abc", "0-3"},
                         }));

TEST(Scanner, MatchesOnBothSidesOfAHoleButNotAcross) {
  const auto ruleset = compile("alert tcp any any -> any any (content:\"evil stuff\"; sid:1;)");
  EXPECT_EQ(Stream(ruleset).feed("evil ").hole(1).feed("stuff").finish().hits(), "");
  EXPECT_EQ(Stream(ruleset).feed("evil stuff").hole(10).feed("evil stuff").finish().hits(), "1:0-10 1:20-30");
}

TEST(Scanner, AfterAHoleOffsetAndStartswithDoNotMatchAgain) {
  for (const char* options : {"startswith;", "depth:4;", "offset:0; depth:8;"}) {
    const auto ruleset = compile(fmt::format("alert tcp any any -> any any (content:\"GET \"; {} sid:1;)", options));
    EXPECT_EQ(Stream(ruleset).feed("GET /").hole(10).feed("GET /").finish().hits(), "1:0-4") << options;
    EXPECT_EQ(Stream(ruleset).hole(10).feed("GET /").finish().hits(), "") << options;
  }
  const auto pcre = compile("alert tcp any any -> any any (pcre:\"/^GET /\"; sid:1;)");
  EXPECT_EQ(Stream(pcre).feed("GET /").hole(10).feed("GET /").finish().hits(), "1:0-4");
}

TEST(Scanner, CandidatesLeaveTheStreamAlone) {
  const auto ruleset = compile("alert tcp any any -> any any (content:\"evil\"; content:\"stuff\"; distance:0; sid:1;)");
  Stream stream(ruleset);
  stream.feed("evil ");
  std::vector<Hit> hits;
  const std::string other = "evil stuff";
  stream.scanner.scan_candidate(100, {reinterpret_cast<const uint8_t*>(other.data()), other.size()}, stream.scratch, hits);
  EXPECT_EQ(to_string(hits), "1:100-110");
  EXPECT_EQ(stream.hits(), "");
  EXPECT_EQ(stream.feed("stuff").hits(), "1:0-10");
}

}  // namespace
}  // namespace mptap::rules
