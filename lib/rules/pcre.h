// SPDX-License-Identifier: Apache-2.0
// PCRE2 behind a small face: compiled patterns shared by all workers, and the per-worker state that matching needs.
//
// A stream arrives in pieces, and what a pattern says about a place must not depend on where the pieces were cut. So a
// match is asked with what is known about the end of the subject: more bytes will come (kOpen), no more will be looked at
// (kDecided), or the stream ends here (kStreamEnd). While it is open, an answer is given only when no later byte can change it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

struct pcre2_real_code_8;
struct pcre2_real_match_data_8;
struct pcre2_real_match_context_8;
struct pcre2_real_jit_stack_8;

namespace mptap::rules {

enum class PcreAnswer : uint8_t { kMatch, kNoMatch, kUndecided, kLimit };
enum class SubjectEnd : uint8_t { kOpen, kDecided, kStreamEnd };

struct PcreSpan {
  size_t from = 0, to = 0;
};

class PcreScratch {
 public:
  PcreScratch();
  ~PcreScratch();
  PcreScratch(PcreScratch&&) noexcept;
  PcreScratch& operator=(PcreScratch&&) noexcept;

 private:
  friend class PcreCode;
  struct Free {
    void operator()(pcre2_real_match_data_8* p) const;
    void operator()(pcre2_real_match_context_8* p) const;
    void operator()(pcre2_real_jit_stack_8* p) const;
  };
  std::unique_ptr<pcre2_real_jit_stack_8, Free> stack_;
  std::unique_ptr<pcre2_real_match_context_8, Free> context_;
  std::unique_ptr<pcre2_real_match_data_8, Free> data_;
};

class PcreCode {
 public:
  // flags: of i s m x A E G, any order; others must be gone.
  static tl::expected<std::shared_ptr<const PcreCode>, std::string> compile(const std::string& pattern, std::string_view flags,
                                                                            uint32_t match_limit);
  ~PcreCode();

  // The first match that begins at subject[start] or later. anchor: start is where ^ (and the flag A) hold.
  PcreAnswer search(std::span<const uint8_t> subject, size_t start, bool anchor, SubjectEnd end, PcreScratch& scratch,
                    PcreSpan& span) const;
  // The leftmost match in it that ends at subject[end_at] exactly.
  PcreAnswer search_ending(std::span<const uint8_t> subject, size_t start, bool anchor, size_t end_at, SubjectEnd end,
                           PcreScratch& scratch, PcreSpan& span) const;

  // What matches in a beginning of the subject matches in the whole of it, too: nothing in the pattern looks ahead.
  bool looks_ahead() const { return looks_ahead_; }

 private:
  PcreCode() = default;
  PcreAnswer run(const pcre2_real_code_8* code, std::span<const uint8_t> subject, size_t start, bool anchor, SubjectEnd end,
                 PcreScratch& scratch, PcreSpan& span) const;

  pcre2_real_code_8* code_ = nullptr;
  pcre2_real_code_8* ending_ = nullptr;  // the same with a callout at its end, which picks the end
  uint32_t match_limit_ = 0;
  bool anchored_ = false;   // flag A
  bool one_start_ = false;  // every match begins at the start: flag A, or ^ before all alternatives
  bool looks_ahead_ = false;
};

// What a pattern uses, as far as it matters here; over-cautious inside of comments.
struct PatternTraits {
  bool verbs = false;         // (*VERB)
  bool match_reset = false;   // \K
  bool callouts = false;      // (?C)
  bool looks_ahead = false;   // lookahead, \b \B \z \Z $, atomic groups, possessive quantifiers, conditions
  bool looks_behind = false;  // lookbehind, ^ \A \b \B \G
};
PatternTraits pattern_traits(std::string_view pattern);

}  // namespace mptap::rules
