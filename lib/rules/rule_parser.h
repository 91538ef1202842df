// SPDX-License-Identifier: Apache-2.0
// The text of one rule -> Rule.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "rules/classification.h"
#include "rules/fault.h"
#include "rules/header.h"
#include "rules/options.h"
#include "rules/rule.h"

namespace mptap::rules {

struct ParseContext {
  const RuleOptions& options;
  const Variables& variables;
  const Classifications& classifications;
};

struct ParsedRule {
  tl::expected<Rule, Fault> rule;
  std::vector<Fault> warnings;
  uint32_t sid = 0;  // as far as it could be read, also from a rule with a fault
};

ParsedRule parse_rule(std::string_view text, const ParseContext& context);

// The bytes of a content's value without its quotes: |0d 0a|, \" \; \\ and \: resolved.
tl::expected<std::string, Fault> parse_content_bytes(std::string_view text);

}  // namespace mptap::rules
