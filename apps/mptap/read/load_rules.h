// SPDX-License-Identifier: Apache-2.0
// --rules, --var and --strict-rules: files on the command line -> a ruleset.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rules/ruleset.h"

namespace CLI {
class App;
}

namespace mptap::read {

struct RuleFiles {
  std::vector<std::string> files, variables;  // variables: NAME=VALUE
  bool strict = false;
};

void add_rule_options(CLI::App& sub, RuleFiles& rules);

struct RuleFailure {
  std::string message;
  int code;  // the command's exit code
};

// No files: no rules, which is no error. Rules that are left out are told, the first ones each with its place.
tl::expected<std::shared_ptr<const rules::Ruleset>, RuleFailure> load(const RuleFiles& rules,
                                                                      const std::function<void(const std::string&)>& tell);

}  // namespace mptap::read
