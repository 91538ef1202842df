// SPDX-License-Identifier: Apache-2.0
#define PCRE2_CODE_UNIT_WIDTH 8
#include "rules/pcre.h"

#include <cstring>

#include <fmt/format.h>
#include <pcre2.h>

namespace mptap::rules {

namespace {

constexpr uint32_t kEndCallout = 255;
constexpr size_t kStackStart = 32 * 1024, kStackMax = 512 * 1024;
constexpr uint32_t kHeapLimitKib = 8 * 1024;

// Goes on past every end of a match but the wanted one.
int pick_end(pcre2_callout_block_8* block, void* wanted) {
  return block->callout_number == kEndCallout && block->current_position != *static_cast<const size_t*>(wanted) ? 1 : 0;
}

tl::expected<pcre2_code_8*, std::string> compile_one(const std::string& pattern, uint32_t options) {
  int error = 0;
  PCRE2_SIZE at = 0;
  pcre2_code_8* code =
      pcre2_compile_8(reinterpret_cast<PCRE2_SPTR8>(pattern.data()), pattern.size(), options, &error, &at, nullptr);
  if (code == nullptr) {
    char text[256] = {};
    pcre2_get_error_message_8(error, reinterpret_cast<PCRE2_UCHAR8*>(text), sizeof text);
    return tl::unexpected(fmt::format("{} at offset {}", text, at));
  }
  // Without JIT for this pattern or machine pcre2_match interprets: slower, the same answers.
  pcre2_jit_compile_8(code, PCRE2_JIT_COMPLETE | PCRE2_JIT_PARTIAL_SOFT | PCRE2_JIT_PARTIAL_HARD);
  return code;
}

}  // namespace

void PcreScratch::Free::operator()(pcre2_match_data_8* p) const {
  pcre2_match_data_free_8(p);
}
void PcreScratch::Free::operator()(pcre2_match_context_8* p) const {
  pcre2_match_context_free_8(p);
}
void PcreScratch::Free::operator()(pcre2_jit_stack_8* p) const {
  pcre2_jit_stack_free_8(p);
}

PcreScratch::PcreScratch()
    : stack_(pcre2_jit_stack_create_8(kStackStart, kStackMax, nullptr)),
      context_(pcre2_match_context_create_8(nullptr)),
      data_(pcre2_match_data_create_8(1, nullptr)) {
  pcre2_jit_stack_assign_8(context_.get(), nullptr, stack_.get());
  pcre2_set_heap_limit_8(context_.get(), kHeapLimitKib);
}
PcreScratch::~PcreScratch() = default;
PcreScratch::PcreScratch(PcreScratch&&) noexcept = default;
PcreScratch& PcreScratch::operator=(PcreScratch&&) noexcept = default;

PcreCode::~PcreCode() {
  pcre2_code_free_8(code_);
  pcre2_code_free_8(ending_);
}

tl::expected<std::shared_ptr<const PcreCode>, std::string> PcreCode::compile(const std::string& pattern, std::string_view flags,
                                                                             uint32_t match_limit) {
  uint32_t options = PCRE2_NEVER_UTF | PCRE2_NEVER_UCP;
  std::shared_ptr<PcreCode> out(new PcreCode);
  for (const char flag : flags) {
    switch (flag) {
      case 'i': options |= PCRE2_CASELESS; break;
      case 's': options |= PCRE2_DOTALL; break;
      case 'm': options |= PCRE2_MULTILINE; break;
      case 'x': options |= PCRE2_EXTENDED; break;
      case 'E': options |= PCRE2_DOLLAR_ENDONLY; break;
      case 'G': options |= PCRE2_UNGREEDY; break;
      case 'A':
        options |= PCRE2_ANCHORED;
        out->anchored_ = true;
        break;
      default: return tl::unexpected(fmt::format("unknown flag \"{}\"", flag));
    }
  }
  const PatternTraits traits = pattern_traits(pattern);
  if (traits.verbs) return tl::unexpected(std::string("verbs such as (*ACCEPT) are not supported"));
  if (traits.match_reset) return tl::unexpected(std::string("\\K is not supported"));
  if (traits.callouts) return tl::unexpected(std::string("callouts are not supported"));
  const auto code = compile_one(pattern, options);
  if (!code) return tl::unexpected(code.error());
  out->code_ = *code;
  // A newline ends a trailing comment of the extended syntax, and is nothing but space there.
  const char* close = (options & PCRE2_EXTENDED) != 0 ? "\n" : "";
  const auto ending = compile_one(fmt::format("(?:{}{})(?C{})", pattern, close, kEndCallout), options);
  if (!ending) return tl::unexpected(ending.error());
  out->ending_ = *ending;
  out->looks_ahead_ = traits.looks_ahead;
  uint32_t found = 0;
  pcre2_pattern_info_8(out->code_, PCRE2_INFO_ALLOPTIONS, &found);
  out->one_start_ = (found & PCRE2_ANCHORED) != 0;
  out->match_limit_ = match_limit;
  return out;
}

PcreAnswer PcreCode::run(const pcre2_code_8* code, std::span<const uint8_t> subject, size_t start, bool anchor, SubjectEnd end,
                         PcreScratch& scratch, PcreSpan& span) const {
  uint32_t options = 0;
  if (!anchor) {
    if (anchored_) return PcreAnswer::kNoMatch;
    options |= PCRE2_NOTBOL;
  }
  if (end != SubjectEnd::kStreamEnd) options |= PCRE2_NOTEOL;
  if (end == SubjectEnd::kOpen) options |= looks_ahead_ ? PCRE2_PARTIAL_HARD : PCRE2_PARTIAL_SOFT;
  pcre2_set_match_limit_8(scratch.context_.get(), match_limit_);
  const int rc = pcre2_match_8(code, subject.data(), subject.size(), start, options, scratch.data_.get(), scratch.context_.get());
  if (rc >= 0) {
    const PCRE2_SIZE* at = pcre2_get_ovector_pointer_8(scratch.data_.get());
    span = {at[0], at[1]};
    return PcreAnswer::kMatch;
  }
  if (rc == PCRE2_ERROR_PARTIAL) return PcreAnswer::kUndecided;
  if (rc == PCRE2_ERROR_NOMATCH) {
    // Where a match can only begin at the start, and bytes were there to refuse it, that is final; elsewhere the next byte
    // may begin one. (PCRE2 calls no match of no bytes partial.)
    const bool final = end != SubjectEnd::kOpen || (one_start_ && subject.size() > start);
    return final ? PcreAnswer::kNoMatch : PcreAnswer::kUndecided;
  }
  return PcreAnswer::kLimit;
}

PcreAnswer PcreCode::search(std::span<const uint8_t> subject, size_t start, bool anchor, SubjectEnd end, PcreScratch& scratch,
                            PcreSpan& span) const {
  return run(code_, subject, start, anchor, end, scratch, span);
}

PcreAnswer PcreCode::search_ending(std::span<const uint8_t> subject, size_t start, bool anchor, size_t end_at, SubjectEnd end,
                                   PcreScratch& scratch, PcreSpan& span) const {
  // Nothing after the end matters to a pattern that does not look ahead: the answer is final at once.
  if (!looks_ahead_) {
    subject = subject.first(end_at);
    if (end == SubjectEnd::kOpen) end = SubjectEnd::kDecided;
  }
  pcre2_set_callout_8(scratch.context_.get(), pick_end, &end_at);
  const PcreAnswer answer = run(ending_, subject, start, anchor, end, scratch, span);
  pcre2_set_callout_8(scratch.context_.get(), nullptr, nullptr);
  return answer;
}

PatternTraits pattern_traits(std::string_view p) {
  PatternTraits traits;
  bool quantifier = false;  // the thing before was one: a + makes it possessive
  for (size_t i = 0; i < p.size(); ++i) {
    const std::string_view rest = p.substr(i);
    const bool after_quantifier = quantifier;
    quantifier = false;
    switch (p[i]) {
      case '\\':
        if (i + 1 >= p.size()) return traits;
        if (p[i + 1] == 'Q') {
          const size_t end = p.find("\\E", i + 2);
          if (end == std::string_view::npos) return traits;
          i = end + 1;
          break;
        }
        if (std::string_view("bBzZG").find(p[i + 1]) != std::string_view::npos) traits.looks_ahead = true;
        if (std::string_view("bBAG").find(p[i + 1]) != std::string_view::npos) traits.looks_behind = true;
        if (p[i + 1] == 'K') traits.match_reset = true;
        ++i;
        break;
      case '[': {
        size_t end = i + 1;
        if (end < p.size() && p[end] == '^') ++end;
        if (end < p.size() && p[end] == ']') ++end;
        while (end < p.size() && p[end] != ']') {
          if (p[end] == '\\') ++end;
          if (p.substr(end).starts_with("[:")) {
            const size_t close = p.find(":]", end + 2);
            if (close != std::string_view::npos) end = close + 1;
          }
          ++end;
        }
        i = end;
        break;
      }
      case '$': traits.looks_ahead = true; break;
      case '^': traits.looks_behind = true; break;
      case '(':
        if (rest.starts_with("(*")) traits.verbs = true;
        if (rest.starts_with("(?C")) traits.callouts = true;
        if (rest.starts_with("(?=") || rest.starts_with("(?!") || rest.starts_with("(?>") || rest.starts_with("(?(")) {
          traits.looks_ahead = true;
        }
        if (rest.starts_with("(?<=") || rest.starts_with("(?<!")) traits.looks_behind = true;
        break;
      case '+':
        if (after_quantifier) traits.looks_ahead = true;
        quantifier = true;
        break;
      case '*':
      case '?':
      case '}': quantifier = true; break;
      default: break;
    }
  }
  return traits;
}

}  // namespace mptap::rules
