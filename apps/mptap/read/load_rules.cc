// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/read/load_rules.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include <fmt/format.h>

#include "apps/mptap/command.h"

namespace mptap::read {
namespace {

// A public rule set leaves out thousands for keywords of other protocols.
constexpr size_t kToldAtMost = 20;

}  // namespace

void add_rule_options(CLI::App& sub, RuleFiles& r) {
  constexpr const char* kGroup = "Rules";
  sub.add_option("--rules", r.files, "rules in Suricata's syntax to search the streams with; may be repeated")
      ->allow_extra_args(false)
      ->type_name("FILE")
      ->group(kGroup);
  sub.add_flag("--strict-rules", r.strict, "a rule that cannot be loaded is an error")->group(kGroup);
  sub.add_option("--var", r.variables, "a variable for the rules, as in --var HOME_NET=10.0.0.0/8; may be repeated")
      ->allow_extra_args(false)
      ->type_name("NAME=VALUE")
      ->group(kGroup);
}

tl::expected<std::shared_ptr<const rules::Ruleset>, RuleFailure> load(const RuleFiles& r,
                                                                      const std::function<void(const std::string&)>& tell) {
  rules::RuleOptions options;
  options.strict = r.strict;
  for (const std::string& text : r.variables) {
    const size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos || equals + 1 == text.size())
      return tl::unexpected(
          RuleFailure{fmt::format("--var \"{}\": wants NAME=VALUE, as in HOME_NET=10.0.0.0/8", text), cli::kWrongCall});
    options.variables[text.substr(text[0] == '$' ? 1 : 0, equals - (text[0] == '$' ? 1 : 0))] = text.substr(equals + 1);
  }
  if (r.files.empty()) return nullptr;
  auto loaded = rules::load_ruleset(r.files, options);
  if (!loaded) {
    const bool call = loaded.error().kind == rules::LoadError::Kind::kOptions;
    return tl::unexpected(RuleFailure{loaded.error().message, call ? cli::kWrongCall : cli::kFailed});
  }
  const auto& left_out = loaded->report.left_out;
  for (size_t i = 0; i < std::min(left_out.size(), kToldAtMost); ++i) tell(left_out[i].to_string() + " (left out)");
  if (left_out.size() > kToldAtMost)
    tell(fmt::format("{} more of {} rules are left out; mptap rules check lists them all", left_out.size() - kToldAtMost,
                     loaded->report.total()));
  return loaded->ruleset;
}

}  // namespace mptap::read
