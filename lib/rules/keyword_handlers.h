// SPDX-License-Identifier: Apache-2.0
// The keywords that mptap understands: one row each, one function each.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "rules/fault.h"
#include "rules/rule.h"
#include "rules/rule_parser.h"

namespace mptap::rules {

struct RuleBuilder {
  Rule rule;
  const ParseContext& context;
  std::vector<Fault>& warnings;
  bool priority_given = false;

  // The content that a modifier speaks of: the last one; null without any.
  Content* last_content();
};

struct Keyword {
  enum class Value { kNone, kOptional, kRequired };
  std::string_view name;
  Value value;
  bool once;  // a second time in one rule is a mistake
  tl::expected<void, Fault> (*parse)(std::string_view value, RuleBuilder& builder);
};

std::span<const Keyword> keywords();  // at most 64

// What can be judged only when the whole rule is known.
tl::expected<void, Fault> finish_rule(RuleBuilder& builder);

tl::expected<void, Fault> parse_content_keyword(std::string_view value, RuleBuilder& builder);
tl::expected<void, Fault> parse_pcre_keyword(std::string_view value, RuleBuilder& builder);
tl::expected<void, Fault> finish_elements(RuleBuilder& builder);

// The text between the quotes; nullopt when value is not quoted.
std::optional<std::string_view> unquote(std::string_view value);

}  // namespace mptap::rules
