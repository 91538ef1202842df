// SPDX-License-Identifier: Apache-2.0
// Rule files -> rules. A rule that cannot be loaded is left out and reported; it never takes others with it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "rules/options.h"
#include "rules/report.h"
#include "rules/rule.h"

namespace mptap::rules {

struct LoadedRules {
  std::vector<Rule> rules;  // in the order read; one per (gid, sid), the highest rev
  RuleReport report;
};

struct LoadError {
  enum class Kind { kUnreadable, kOptions, kStrict, kCompile } kind;
  std::string message;
};

// kUnreadable: a file cannot be read or is too large. kOptions: a variable or the classification file is wrong.
// kCompile: Hyperscan refuses the whole (only load_ruleset()). kStrict: with options.strict, the first rule that was left out.
tl::expected<LoadedRules, LoadError> load_rules(std::span<const std::string> files, const RuleOptions& options);

// The same from text; name stands for the file in messages.
tl::expected<LoadedRules, LoadError> load_rules_text(std::string_view text, const std::string& name, const RuleOptions& options);

}  // namespace mptap::rules
