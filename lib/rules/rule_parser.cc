// SPDX-License-Identifier: Apache-2.0
#include "rules/rule_parser.h"

#include <optional>
#include <utility>

#include <fmt/format.h>

#include "rules/keyword_handlers.h"
#include "rules/keywords.h"
#include "rules/text.h"

namespace mptap::rules {

namespace {

using Status = tl::expected<void, Fault>;

struct Option {
  std::string_view name, value;
  bool has_value = false;
};

// A quoted value is whole when it ends in a quote that no backslash escapes.
bool quotes_closed(std::string_view value) {
  value = trim(value);
  if (!value.empty() && value.front() == '!') value = trim(value.substr(1));
  if (value.empty() || value.front() != '"') return true;
  if (value.size() < 2 || value.back() != '"') return false;
  size_t backslashes = 0;
  while (backslashes + 2 < value.size() && value[value.size() - 2 - backslashes] == '\\') ++backslashes;
  return backslashes % 2 == 0;
}

// Takes the next option off text: up to a `;` that is neither escaped nor inside of quotes.
tl::expected<Option, Fault> next_option(std::string_view& text) {
  const size_t name_end = text.find_first_of(":;");
  if (name_end == std::string_view::npos) {
    return tl::unexpected(syntax(fmt::format("\"{}\" does not end in `;`", shown(trim(text)))));
  }
  Option option{trim(text.substr(0, name_end)), {}, text[name_end] == ':'};
  if (!option.has_value) {
    text.remove_prefix(name_end + 1);
    return option;
  }
  const std::string_view rest = text.substr(name_end + 1);
  for (size_t i = 0; i < rest.size(); ++i) {
    if (rest[i] == '\\') {
      ++i;
    } else if (rest[i] == ';' && quotes_closed(rest.substr(0, i))) {
      option.value = trim(rest.substr(0, i));
      text = rest.substr(i + 1);
      return option;
    }
  }
  const std::string_view value = trim(rest);
  if (!quotes_closed(value))
    return tl::unexpected(syntax(fmt::format("the value of \"{}\" has no closing quote", shown(option.name))));
  return tl::unexpected(syntax(fmt::format("\"{}\" does not end in `;`", shown(option.name))));
}

Fault unknown_keyword(std::string_view name) {
  if (name.empty()) return syntax("an option has no name");
  if (const size_t space = name.find_first_of(" \t"); space != std::string_view::npos) {
    return syntax(
        fmt::format("\"{}\" is not a keyword: a `;` is missing after \"{}\"", shown(name), shown(name.substr(0, space))));
  }
  const std::string key = lower(name);
  for (const std::string_view known : unsupported_keywords()) {
    if (known == key) return {"keyword " + key, fmt::format("unsupported keyword \"{}\"", shown(name))};
  }
  std::vector<std::string_view> names;
  for (const Keyword& keyword : keywords()) names.push_back(keyword.name);
  std::string_view near = nearest(key, names);
  if (near.empty()) near = nearest(key, unsupported_keywords());
  return {"unknown keyword",
          fmt::format("unknown keyword \"{}\"{}", shown(name), near.empty() ? "" : fmt::format(", did you mean \"{}\"?", near))};
}

const Keyword* find_keyword(std::string_view name) {
  for (const Keyword& keyword : keywords()) {
    if (keyword.name == name) return &keyword;
  }
  return nullptr;
}

Status parse_option(const Option& option, RuleBuilder& builder, uint64_t& seen) {
  const Keyword* keyword = find_keyword(lower(option.name));
  if (keyword == nullptr) return tl::unexpected(unknown_keyword(option.name));
  if (keyword->value == Keyword::Value::kRequired && option.value.empty()) {
    return tl::unexpected(syntax(fmt::format("\"{}\" needs a value", keyword->name)));
  }
  if (keyword->value == Keyword::Value::kNone && option.has_value) {
    return tl::unexpected(syntax(fmt::format("\"{}\" takes no value", keyword->name)));
  }
  const uint64_t bit = uint64_t{1} << (keyword - keywords().data());
  if (keyword->once && (seen & bit) != 0) return tl::unexpected(syntax(fmt::format("\"{}\" is given twice", keyword->name)));
  seen |= bit;
  return keyword->parse(option.value, builder);
}

// The sid of a rule whose options cannot be read in order, for the report.
uint32_t guess_sid(std::string_view text) {
  for (size_t at = text.find("sid:"); at != std::string_view::npos; at = text.find("sid:", at + 1)) {
    if (at > 0 && text[at - 1] != ' ' && text[at - 1] != ';' && text[at - 1] != '(') continue;
    const std::string_view rest = text.substr(at + 4);
    if (const auto sid = parse_number<uint32_t>(trim(rest.substr(0, rest.find(';'))))) return *sid;
  }
  return 0;
}

tl::expected<Rule, Fault> parse(std::string_view text, const ParseContext& context, std::vector<Fault>& warnings) {
  text = trim(text);
  const size_t open = text.find('(');
  if (open == std::string_view::npos) return tl::unexpected(syntax("the rule has no options: expected ( after the header"));
  if (text.back() != ')') return tl::unexpected(syntax("the rule does not end in `)`"));
  auto header = parse_header(text.substr(0, open), context.variables);
  if (!header) return tl::unexpected(header.error());
  RuleBuilder builder{Rule{}, context, warnings};
  builder.rule.action = header->first;
  builder.rule.header = std::move(header->second);
  std::string_view options = trim(text.substr(open + 1, text.size() - open - 2));
  uint64_t seen = 0;
  while (!options.empty()) {
    const auto option = next_option(options);
    if (!option) return tl::unexpected(option.error());
    if (const Status ok = parse_option(*option, builder, seen); !ok) return tl::unexpected(ok.error());
    options = trim(options);
  }
  if (const Status ok = finish_rule(builder); !ok) return tl::unexpected(ok.error());
  return std::move(builder.rule);
}

}  // namespace

ParsedRule parse_rule(std::string_view text, const ParseContext& context) {
  ParsedRule out{{}, {}, 0};
  out.rule = parse(text, context, out.warnings);
  out.sid = out.rule ? out.rule->sid : guess_sid(text);
  return out;
}

}  // namespace mptap::rules
