// SPDX-License-Identifier: Apache-2.0
#include "rules/keyword_handlers.h"

#include <fmt/format.h>

#include "rules/text.h"

namespace mptap::rules {

namespace {

using Status = tl::expected<void, Fault>;
using Value = Keyword::Value;

tl::unexpected<Fault> wrong(std::string message) {
  return tl::unexpected(syntax(std::move(message)));
}

// \" \; \\ and \: are what they escape; any other backslash stands for itself.
std::string unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && std::string_view("\";\\:").find(text[i + 1]) != std::string_view::npos) ++i;
    out += text[i];
  }
  return out;
}

template <typename T>
tl::expected<T, Fault> number(std::string_view keyword, std::string_view value, T min, T max) {
  if (const auto n = parse_number<T>(value); n && *n >= min && *n <= max) return *n;
  return wrong(fmt::format("\"{}\" needs a number from {} to {}, not \"{}\"", keyword, min, max, shown(value)));
}

Status parse_msg(std::string_view value, RuleBuilder& b) {
  const auto text = unquote(value);
  if (!text) return wrong("\"msg\" needs a value in double quotes");
  b.rule.msg = unescape(*text);
  return {};
}

Status parse_sid(std::string_view value, RuleBuilder& b) {
  const auto n = number<uint32_t>("sid", value, 1, UINT32_MAX);
  if (!n) return tl::unexpected(n.error());
  b.rule.sid = *n;
  return {};
}

Status parse_rev(std::string_view value, RuleBuilder& b) {
  const auto n = number<uint32_t>("rev", value, 0, UINT32_MAX);
  if (!n) return tl::unexpected(n.error());
  b.rule.rev = *n;
  return {};
}

Status parse_gid(std::string_view value, RuleBuilder& b) {
  const auto n = number<uint32_t>("gid", value, 0, UINT32_MAX);
  if (!n) return tl::unexpected(n.error());
  b.rule.gid = *n;
  return {};
}

Status parse_priority(std::string_view value, RuleBuilder& b) {
  const auto n = number<uint32_t>("priority", value, 1, 255);
  if (!n) return tl::unexpected(n.error());
  b.rule.priority = *n;
  b.priority_given = true;
  return {};
}

Status parse_classtype(std::string_view value, RuleBuilder& b) {
  b.rule.classtype = std::string(value);
  if (b.context.classifications.contains(value)) return {};
  std::vector<std::string_view> names;
  for (const auto& [name, entry] : b.context.classifications) names.push_back(name);
  const std::string_view near = nearest(value, names);
  b.warnings.push_back({"classtype", fmt::format("unknown classtype \"{}\"{}; the rule has priority 3", shown(value),
                                                 near.empty() ? "" : fmt::format(", did you mean \"{}\"?", near))});
  return {};
}

Status parse_metadata(std::string_view value, RuleBuilder& b) {
  for (const std::string_view item : split(value, ',')) {
    if (item.empty()) continue;
    const size_t space = item.find_first_of(" \t");
    b.rule.metadata.emplace_back(item.substr(0, space),
                                 space == std::string_view::npos ? std::string_view{} : trim(item.substr(space)));
  }
  return {};
}

Status parse_reference(std::string_view value, RuleBuilder& b) {
  const size_t comma = value.find(',');
  if (comma == std::string_view::npos || trim(value.substr(comma + 1)).empty()) {
    return wrong(fmt::format("\"reference\" needs SYSTEM,ID, not \"{}\"", shown(value)));
  }
  b.rule.references.emplace_back(trim(value.substr(0, comma)), unescape(trim(value.substr(comma + 1))));
  return {};
}

Status parse_target(std::string_view value, RuleBuilder& b) {
  if (value != "src_ip" && value != "dest_ip") {
    return wrong(fmt::format("\"target\" is src_ip or dest_ip, not \"{}\"", shown(value)));
  }
  b.rule.target = std::string(value);
  return {};
}

Status parse_flow(std::string_view value, RuleBuilder& b) {
  for (const std::string_view item : split(value, ',')) {
    const std::string word = lower(item);
    // A stream is established by its nature, and all that is seen of it is a stream.
    if (word == "established" || word == "stateless" || word == "only_stream" || word == "no_stream" || word == "no_frag")
      continue;
    FlowDirection direction = FlowDirection::kBoth;
    if (word == "to_server" || word == "from_client") direction = FlowDirection::kToServer;
    if (word == "to_client" || word == "from_server") direction = FlowDirection::kToClient;
    if (direction != FlowDirection::kBoth) {
      if (b.rule.flow != FlowDirection::kBoth && b.rule.flow != direction) return wrong("\"flow\" names both directions");
      b.rule.flow = direction;
    } else if (word == "not_established" || word == "only_frag") {
      return tl::unexpected(
          Fault{"flow " + word, fmt::format("unsupported flow option \"{}\": it can never hold for a stream", word)});
    } else {
      static constexpr std::string_view kNames[] = {"established", "stateless",   "to_server", "to_client", "from_client",
                                                    "from_server", "only_stream", "no_stream", "no_frag"};
      const std::string_view near = nearest(word, kNames);
      return wrong(fmt::format("unknown flow option \"{}\"{}", shown(item),
                               near.empty() ? "" : fmt::format(", did you mean \"{}\"?", near)));
    }
  }
  return {};
}

Status parse_threshold(std::string_view value, RuleBuilder& b) {
  Threshold t;
  unsigned given = 0;
  for (const std::string_view item : split(value, ',')) {
    const size_t space = item.find_first_of(" \t");
    const std::string_view key = item.substr(0, space);
    const std::string_view word = space == std::string_view::npos ? std::string_view{} : trim(item.substr(space));
    if (key == "type") {
      given |= 1;
      if (word == "limit")
        t.type = Threshold::Type::kLimit;
      else if (word == "threshold")
        t.type = Threshold::Type::kThreshold;
      else if (word == "both")
        t.type = Threshold::Type::kBoth;
      else
        return wrong(fmt::format("threshold type is limit, threshold or both, not \"{}\"", shown(word)));
    } else if (key == "track") {
      given |= 2;
      if (word == "by_src")
        t.track = Threshold::Track::kBySrc;
      else if (word == "by_dst")
        t.track = Threshold::Track::kByDst;
      else if (word == "by_rule")
        t.track = Threshold::Track::kByRule;
      else if (word == "by_flow")
        t.track = Threshold::Track::kByFlow;
      else
        return wrong(fmt::format("threshold track is by_src, by_dst, by_rule or by_flow, not \"{}\"", shown(word)));
    } else if (key == "count" || key == "seconds") {
      given |= key == "count" ? 4u : 8u;
      const auto n = number<uint32_t>("threshold " + std::string(key), word, 1, UINT32_MAX);
      if (!n) return tl::unexpected(n.error());
      (key == "count" ? t.count : t.seconds) = *n;
    } else {
      return wrong(fmt::format("unknown threshold option \"{}\"", shown(key)));
    }
  }
  if (given != 15) return wrong("\"threshold\" needs type, track, count and seconds");
  b.rule.threshold = t;
  return {};
}

Status with_content(std::string_view keyword, RuleBuilder& b, Status (*apply)(Content&, std::string_view),
                    std::string_view value) {
  Content* content = b.last_content();
  if (content == nullptr) return wrong(fmt::format("\"{}\" needs a content before it", keyword));
  return apply(*content, value);
}

// byte_extract's variables are the usual reason for a word where a number belongs.
template <typename T>
tl::expected<T, Fault> place(std::string_view keyword, std::string_view value, T min, T max) {
  if (!value.empty() && value.find_first_not_of("+-0123456789") != std::string_view::npos) {
    return tl::unexpected(Fault{
        "variable " + std::string(keyword),
        fmt::format("\"{}\" needs a number, not \"{}\": variables of byte_extract are not supported", keyword, shown(value))});
  }
  return number<T>(keyword, value, min, max);
}

Status parse_nocase(std::string_view value, RuleBuilder& b) {
  return with_content(
      "nocase", b,
      [](Content& c, std::string_view) -> Status {
        c.nocase = true;
        return {};
      },
      value);
}

Status parse_offset(std::string_view value, RuleBuilder& b) {
  return with_content(
      "offset", b,
      [](Content& c, std::string_view v) -> Status {
        const auto n = place<uint32_t>("offset", v, 0, UINT32_MAX / 2);
        if (!n) return tl::unexpected(n.error());
        c.offset = *n;
        return {};
      },
      value);
}

Status parse_depth(std::string_view value, RuleBuilder& b) {
  return with_content(
      "depth", b,
      [](Content& c, std::string_view v) -> Status {
        const auto n = place<uint32_t>("depth", v, 1, UINT32_MAX / 2);
        if (!n) return tl::unexpected(n.error());
        c.depth = *n;
        return {};
      },
      value);
}

Status parse_distance(std::string_view value, RuleBuilder& b) {
  return with_content(
      "distance", b,
      [](Content& c, std::string_view v) -> Status {
        const auto n = place<int32_t>("distance", v, -1048576, 1048576);
        if (!n) return tl::unexpected(n.error());
        c.distance = *n;
        c.relative = true;
        return {};
      },
      value);
}

Status parse_within(std::string_view value, RuleBuilder& b) {
  return with_content(
      "within", b,
      [](Content& c, std::string_view v) -> Status {
        const auto n = place<uint32_t>("within", v, 1, 1048576);
        if (!n) return tl::unexpected(n.error());
        c.within = *n;
        c.relative = true;
        return {};
      },
      value);
}

Status parse_startswith(std::string_view value, RuleBuilder& b) {
  return with_content(
      "startswith", b,
      [](Content& c, std::string_view) -> Status {
        c.startswith = true;
        return {};
      },
      value);
}

Status parse_endswith(std::string_view value, RuleBuilder& b) {
  return with_content(
      "endswith", b,
      [](Content& c, std::string_view) -> Status {
        c.endswith = true;
        return {};
      },
      value);
}

// `only` and `offset,length` are hints for other engines: the whole content is what is searched here.
Status parse_fast_pattern(std::string_view value, RuleBuilder& b) {
  const size_t comma = value.find(',');
  const bool chop = comma != std::string_view::npos && parse_number<uint32_t>(trim(value.substr(0, comma))) &&
                    parse_number<uint32_t>(trim(value.substr(comma + 1)));
  if (!value.empty() && value != "only" && !chop) {
    return wrong(fmt::format("\"fast_pattern\" takes nothing, only or OFFSET,LENGTH, not \"{}\"", shown(value)));
  }
  return with_content(
      "fast_pattern", b,
      [](Content& c, std::string_view) -> Status {
        c.fast_pattern = true;
        return {};
      },
      value);
}

Status parse_rawbytes(std::string_view value, RuleBuilder& b) {
  return with_content(
      "rawbytes", b, [](Content&, std::string_view) -> Status { return {}; }, value);
}

constexpr Keyword kKeywords[] = {
    {"msg", Value::kRequired, true, parse_msg},
    {"sid", Value::kRequired, true, parse_sid},
    {"rev", Value::kRequired, true, parse_rev},
    {"gid", Value::kRequired, true, parse_gid},
    {"classtype", Value::kRequired, true, parse_classtype},
    {"priority", Value::kRequired, true, parse_priority},
    {"reference", Value::kRequired, false, parse_reference},
    {"metadata", Value::kRequired, false, parse_metadata},
    {"target", Value::kRequired, true, parse_target},
    {"flow", Value::kRequired, true, parse_flow},
    {"threshold", Value::kRequired, true, parse_threshold},
    {"content", Value::kRequired, false, parse_content_keyword},
    {"nocase", Value::kNone, false, parse_nocase},
    {"offset", Value::kRequired, false, parse_offset},
    {"depth", Value::kRequired, false, parse_depth},
    {"distance", Value::kRequired, false, parse_distance},
    {"within", Value::kRequired, false, parse_within},
    {"startswith", Value::kNone, false, parse_startswith},
    {"endswith", Value::kNone, false, parse_endswith},
    {"fast_pattern", Value::kOptional, false, parse_fast_pattern},
    {"rawbytes", Value::kNone, false, parse_rawbytes},
    {"pcre", Value::kRequired, false, parse_pcre_keyword},
};
static_assert(std::size(kKeywords) <= 64);

}  // namespace

std::span<const Keyword> keywords() {
  return kKeywords;
}

Content* RuleBuilder::last_content() {
  for (auto it = rule.elements.rbegin(); it != rule.elements.rend(); ++it) {
    if (auto* content = std::get_if<Content>(&*it)) return content;
  }
  return nullptr;
}

std::optional<std::string_view> unquote(std::string_view value) {
  if (value.size() < 2 || value.front() != '"' || value.back() != '"') return std::nullopt;
  return value.substr(1, value.size() - 2);
}

Status finish_rule(RuleBuilder& b) {
  if (b.rule.sid == 0) return tl::unexpected(Fault{"no sid", "the rule has no sid: every rule needs sid:NUMBER;"});
  if (const auto it = b.context.classifications.find(b.rule.classtype); it != b.context.classifications.end()) {
    b.rule.category = it->second.description;
    if (!b.priority_given) b.rule.priority = it->second.priority;
  }
  return finish_elements(b);
}

}  // namespace mptap::rules
