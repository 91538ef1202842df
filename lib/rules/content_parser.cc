// SPDX-License-Identifier: Apache-2.0
// The keywords that say what to find: content with its modifiers, and pcre.
#include <fmt/format.h>

#include "rules/keyword_handlers.h"
#include "rules/pcre.h"
#include "rules/text.h"

namespace mptap::rules {

namespace {

using Status = tl::expected<void, Fault>;

tl::unexpected<Fault> wrong(std::string message) {
  return tl::unexpected(syntax(std::move(message)));
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = to_lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Takes a leading `!` off value.
bool take_negation(std::string_view& value) {
  if (value.empty() || value.front() != '!') return false;
  value = trim(value.substr(1));
  return true;
}

Status check_room(std::string_view keyword, const RuleBuilder& b) {
  if (b.rule.elements.size() < b.context.options.max_elements) return {};
  return tl::unexpected(Fault{
      "limit", fmt::format("more than {} contents and pcres in one rule at \"{}\"", b.context.options.max_elements, keyword)});
}

Status check_content(const Content& c, uint32_t window) {
  const std::string name = shown(c.bytes);
  if (c.startswith && (c.relative || c.offset != 0 || c.depth)) {
    return wrong(fmt::format("startswith of \"{}\" goes with none of offset, depth, distance and within", name));
  }
  if (c.relative && (c.offset != 0 || c.depth)) {
    return wrong(
        fmt::format("\"{}\" has places in the stream (offset, depth) and relative ones (distance, within): use one kind", name));
  }
  if (c.depth && *c.depth < c.bytes.size()) {
    return wrong(fmt::format("depth {} is less than the {} bytes of \"{}\"", *c.depth, c.bytes.size(), name));
  }
  if (c.within && *c.within < c.bytes.size()) {
    return wrong(fmt::format("within {} is less than the {} bytes of \"{}\"", *c.within, c.bytes.size(), name));
  }
  if (static_cast<uint32_t>(std::abs(c.distance)) > window || c.within.value_or(0) > window) {
    return tl::unexpected(Fault{
        "limit", fmt::format("distance or within of \"{}\" reaches over more than the {} bytes that are kept", name, window)});
  }
  if (c.negated && c.endswith) {
    return tl::unexpected(Fault{"negated endswith", "unsupported: endswith on a negated content"});
  }
  return {};
}

}  // namespace

tl::expected<std::string, Fault> parse_content_bytes(std::string_view text) {
  std::string out;
  bool hex = false;
  int high = -1;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '|') {
      if (high >= 0) return wrong(fmt::format("odd number of hex digits in content \"{}\"", shown(text)));
      hex = !hex;
    } else if (hex) {
      const int digit = hex_digit(c);
      if (digit < 0 && c != ' ')
        return wrong(fmt::format("\"{}\" is not a hex digit in content \"{}\"", shown(text.substr(i, 1)), shown(text)));
      if (digit < 0) {
        if (high >= 0) return wrong(fmt::format("odd number of hex digits in content \"{}\"", shown(text)));
      } else if (high < 0) {
        high = digit;
      } else {
        out += static_cast<char>(high << 4 | digit);
        high = -1;
      }
    } else if (c == '\\') {
      if (++i >= text.size() || std::string_view("\";\\:|").find(text[i]) == std::string_view::npos) {
        return wrong(fmt::format(
            "unknown escape in content \"{}\": only \\\" \\; \\\\ \\: are escapes, write other bytes as |5c|", shown(text)));
      }
      out += text[i];
    } else if (c == '"') {
      return wrong(fmt::format("a quote in content \"{}\" must be written \\\"", shown(text)));
    } else {
      out += c;
    }
  }
  if (hex) return wrong(fmt::format("`|` without its partner in content \"{}\"", shown(text)));
  if (out.empty()) return wrong("empty content");
  return out;
}

Status parse_content_keyword(std::string_view value, RuleBuilder& b) {
  if (const Status room = check_room("content", b); !room) return room;
  Content content;
  content.negated = take_negation(value);
  const auto text = unquote(value);
  if (!text) return wrong("\"content\" needs a value in double quotes");
  auto bytes = parse_content_bytes(*text);
  if (!bytes) return tl::unexpected(bytes.error());
  if (bytes->size() > b.context.options.max_content_bytes) {
    return tl::unexpected(Fault{"limit", fmt::format("content of {} bytes, at most {} are supported", bytes->size(),
                                                     b.context.options.max_content_bytes)});
  }
  content.bytes = std::move(*bytes);
  b.rule.elements.emplace_back(std::move(content));
  return {};
}

Status parse_pcre_keyword(std::string_view value, RuleBuilder& b) {
  if (const Status room = check_room("pcre", b); !room) return room;
  Pcre pcre;
  pcre.negated = take_negation(value);
  const auto text = unquote(value);
  const size_t close = text ? text->rfind('/') : std::string_view::npos;
  if (!text || text->empty() || text->front() != '/' || close == 0)
    return wrong("\"pcre\" needs a value of the form \"/pattern/flags\"");
  pcre.pattern = std::string(text->substr(1, close - 1));
  pcre.flags = std::string(text->substr(close + 1));
  std::string plain;  // what PCRE2 has to know
  for (const char flag : pcre.flags) {
    if (flag == 'R') {
      pcre.relative = true;
    } else if (std::string_view("ismxAEG").find(flag) != std::string_view::npos) {
      plain += flag;
    } else if (flag == 'O' || flag == 'B') {
      // O lifts a match limit that here always holds; B asks for raw bytes, which is all there is.
    } else if (std::string_view("UIPHDMCSYVWQ").find(flag) != std::string_view::npos) {
      return tl::unexpected(
          Fault{fmt::format("pcre flag {}", flag),
                fmt::format("unsupported pcre flag \"{}\": it looks into HTTP, rules here see the stream", flag)});
    } else {
      return wrong(fmt::format("unknown pcre flag \"{}\"", shown(std::string_view(&flag, 1))));
    }
  }
  if (pcre.pattern.empty()) return wrong("empty pcre");
  auto code = PcreCode::compile(pcre.pattern, plain, b.context.options.pcre_match_limit);
  if (!code) return tl::unexpected(Fault{"pcre", fmt::format("pcre \"{}\": {}", shown(*text), code.error())});
  pcre.code = std::move(*code);
  b.rule.elements.emplace_back(std::move(pcre));
  return {};
}

Status finish_elements(RuleBuilder& b) {
  bool after_pcre = false;  // the last positive element so far is a pcre
  size_t positive = 0, fast_patterns = 0;
  for (Element& element : b.rule.elements) {
    bool relative, negated;
    if (auto* content = std::get_if<Content>(&element)) {
      if (const Status ok = check_content(*content, b.context.options.confirm_window); !ok) return ok;
      if (content->nocase) content->bytes = lower(content->bytes);
      if (content->startswith) content->depth = static_cast<uint32_t>(content->bytes.size());
      fast_patterns += content->fast_pattern;
      relative = content->relative;
      negated = content->negated;
    } else {
      relative = std::get<Pcre>(element).relative;
      negated = std::get<Pcre>(element).negated;
    }
    if (relative && after_pcre) {
      return tl::unexpected(Fault{"relative to pcre", "unsupported: a content or pcre relative to the match of a pcre"});
    }
    if (!negated) {
      ++positive;
      after_pcre = std::holds_alternative<Pcre>(element);
    }
  }
  if (fast_patterns > 1) return wrong("\"fast_pattern\" is given for two contents");
  if (positive == 0 && !b.rule.elements.empty()) {
    return tl::unexpected(Fault{"only negated", "unsupported: every content and pcre of the rule is negated"});
  }
  return {};
}

}  // namespace mptap::rules
