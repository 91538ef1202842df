// SPDX-License-Identifier: Apache-2.0
// Random rules over a tiny alphabet, random streams with holes, random chunks: the scanner and the naive evaluator agree.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <fmt/format.h>

#include "harness.h"
#include "naive.h"

namespace mptap::rules {
namespace {

int draw(int min, int max) {
  return *rc::gen::resize(rc::kNominalSize, rc::gen::inRange(min, max + 1));
}
bool chance(int percent) {
  return draw(0, 99) >= 100 - percent;
}  // shrinks to false

std::string draw_bytes(int min, int max, const std::string& alphabet) {
  std::string out(static_cast<size_t>(draw(min, max)), 'a');
  for (char& c : out) c = alphabet[static_cast<size_t>(draw(0, static_cast<int>(alphabet.size()) - 1))];
  return out;
}

std::string draw_content(bool first) {
  const bool negated = !first && chance(25);
  const std::string bytes = draw_bytes(1, 3, "abA");
  const int size = static_cast<int>(bytes.size());
  std::string out = fmt::format("content:{}\"{}\";", negated ? "!" : "", bytes);
  if (chance(25)) out += " nocase;";
  if (!first && chance(60)) {
    if (chance(70)) out += fmt::format(" distance:{};", draw(-5, 4));
    if (chance(60)) out += fmt::format(" within:{};", draw(size, size + 5));
  } else if (chance(10)) {
    out += " startswith;";
  } else {
    if (chance(20)) out += fmt::format(" offset:{};", draw(0, 8));
    if (chance(20)) out += fmt::format(" depth:{};", draw(size, 12));
  }
  if (!negated && chance(5)) out += " endswith;";
  return out;
}

std::string draw_pcre(bool relative_allowed) {
  // Of the kind that std::regex and PCRE read alike, and that look neither ahead nor behind.
  static const std::vector<std::string> kPatterns = {"ab", "a+b", "b{2}", "aA?b", "(a|bb)A", "a[^b]a", "A.b"};
  const std::string& pattern = kPatterns[static_cast<size_t>(draw(0, static_cast<int>(kPatterns.size()) - 1))];
  const bool relative = relative_allowed && chance(50);
  return fmt::format("pcre:{}\"/{}{}/{}\";", chance(30) ? "!" : "", chance(30) ? "^" : "", pattern, relative ? "R" : "");
}

std::string draw_rule(bool pcres) {
  std::string options = draw_content(true);
  bool after_positive = true;
  const int more = draw(0, 3);
  for (int i = 0; i < more; ++i) {
    if (pcres && chance(40) && i + 1 == more) {
      options += " " + draw_pcre(after_positive);
    } else {
      options += " " + draw_content(false);
    }
  }
  return options;
}

struct Plan {
  std::vector<Piece> pieces;
  std::vector<std::vector<size_t>> chunks;  // per piece
};

Plan draw_stream(int max_pieces) {
  Plan plan;
  uint64_t offset = chance(80) ? 0 : static_cast<uint64_t>(draw(1, 5));
  const int pieces = draw(1, max_pieces);
  for (int i = 0; i < pieces; ++i) {
    const std::string bytes = draw_bytes(1, 40, "aabbA.");
    std::vector<size_t> chunks;
    for (size_t left = bytes.size(); left > 0; left -= chunks.back()) {
      chunks.push_back(std::min(left, static_cast<size_t>(draw(1, chance(30) ? 40 : 5))));
    }
    plan.pieces.push_back({offset, bytes});
    plan.chunks.push_back(chunks);
    offset += bytes.size() + static_cast<uint64_t>(draw(1, 4));
  }
  return plan;
}

// history holds no more than the ruleset says it needs, unless there are holes.
Spans scan(const std::shared_ptr<const Ruleset>& ruleset, const Plan& plan) {
  Stream stream(ruleset);
  for (size_t i = 0; i < plan.pieces.size(); ++i) {
    if (plan.pieces[i].offset != stream.offset) stream.hole(plan.pieces[i].offset - stream.offset);
    size_t at = 0;
    for (const size_t chunk : plan.chunks[i]) {
      if (plan.pieces.size() == 1) stream.history.forget_before(stream.offset - std::min(stream.offset, ruleset->lookback()));
      stream.feed(std::string_view(plan.pieces[i].bytes).substr(at, chunk));
      at += chunk;
    }
  }
  stream.finish();
  Spans out;
  for (const Hit& hit : stream.found) {
    // Once per end, and no duplicates.
    RC_ASSERT(out.insert({hit.from, hit.to}).second);
  }
  return out;
}

void agree(const std::string& options, const Plan& plan, const RuleOptions& limits) {
  const auto ruleset = compile("alert tcp any any -> any any (" + options + " sid:1;)", limits);
  RC_ASSERT(ruleset->rules().size() == 1u);
  std::string shown;
  for (size_t i = 0; i < plan.pieces.size(); ++i) {
    shown += fmt::format("{}:{} in", plan.pieces[i].offset, plan.pieces[i].bytes);
    for (const size_t chunk : plan.chunks[i]) shown += fmt::format(" {}", chunk);
    shown += "; ";
  }
  RC_LOG() << options << "\n" << shown << "\nwindow " << limits.confirm_window << " reach " << limits.reach << "\n";
  const Spans expected = naive_hits(ruleset->rules()[0], plan.pieces, limits);
  RC_CLASSIFY(!expected.empty(), "with hits");
  RC_ASSERT(scan(ruleset, plan) == expected);
}

RuleOptions draw_limits() {
  RuleOptions limits;
  limits.confirm_window = static_cast<uint32_t>(draw(12, 30));
  limits.reach = static_cast<uint32_t>(draw(0, 8));
  return limits;
}

TEST(Property, ContentsAgreeWithTheNaiveEvaluator) {
  EXPECT_TRUE(rc::check([] { agree(draw_rule(false), draw_stream(3), draw_limits()); }));
}

TEST(Property, ContentsWithPcreAgreeWithTheNaiveEvaluator) {
  EXPECT_TRUE(rc::check([] { agree(draw_rule(true), draw_stream(2), draw_limits()); }));
}

// Hyperscan is exact here and knows no window, so neither may the naive evaluator.
TEST(Property, PcreAloneAgreesWithTheNaiveEvaluator) {
  EXPECT_TRUE(rc::check([] {
    static const std::vector<std::string> kPatterns = {"ab",     "a+b", "b{2,3}", "aA?b",      "(a|bb)A",
                                                       "a[^b]a", "A.b", "a.*b",   "(a|b)A\\1", "(ab|A)+"};
    agree("pcre:\"/" + kPatterns[static_cast<size_t>(draw(0, static_cast<int>(kPatterns.size()) - 1))] + "/\";", draw_stream(2),
          {});
  }));
}

}  // namespace
}  // namespace mptap::rules
