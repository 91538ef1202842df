// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/rules/command.h"

#include <memory>

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "rules/ruleset.h"

namespace mptap::rules {
namespace {

constexpr const char* kFooter =
    R"(Reads rules in Suricata's syntax as `mptap read --rules` does, and says which are loaded, which are left out and why, and
the share that is loadable.

Rules see the bytes of a connection, whatever paths they took: actions alert, drop, reject (reported as alerts) and pass;
protocols tcp and ip; keywords content nocase offset depth distance within startswith endswith pcre flow msg sid rev gid
classtype metadata reference priority fast_pattern threshold target rawbytes. offset, depth and startswith count from the
first byte of the stream; endswith holds where the stream ends.

Variables are Suricata's defaults, except that HOME_NET also holds fc00::/7 and that EXTERNAL_NET is any. --var sets them
or others.

  mptap rules check local.rules
  mptap rules check --var HOME_NET=[192.0.2.0/24,2001:db8::/32] --var HTTP_PORTS=[80,8080] *.rules
  mptap rules check --json emerging.rules | jq .by_reason
  mptap rules check --strict-rules local.rules && echo all of them are loaded

Exit code: 0 the files were read; 1 with --strict-rules: a rule was left out; 2 wrong call, a wrong variable or
classification file; 3 a file cannot be read.)";

struct Options {
  std::vector<std::string> files, variables;
  RuleOptions rules;
  bool strict = false, json = false;
};

int complain(int code, const std::string& text) {
  fmt::print(stderr, "mptap rules check: {}\n", text);
  return code;
}

int check(Options o) {
  for (const std::string& text : o.variables) {
    const size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos || equals + 1 == text.size())
      return complain(cli::kWrongCall, fmt::format("--var needs NAME=VALUE, not \"{}\"", text));
    const size_t name = text.front() == '$' ? 1 : 0;
    o.rules.variables[text.substr(name, equals - name)] = text.substr(equals + 1);
  }
  const auto loaded = load_ruleset(o.files, o.rules);
  if (!loaded) {
    const bool options = loaded.error().kind == LoadError::Kind::kOptions;
    return complain(options ? cli::kWrongCall : cli::kFailed, loaded.error().message);
  }
  const RuleReport& report = loaded->report;
  fmt::print("{}", o.json ? report.to_json() + "\n" : report.to_text());
  return o.strict && !report.left_out.empty() ? cli::kNo : cli::kDone;
}

}  // namespace

void add_command(CLI::App& app, cli::Action& action) {
  auto* rules = app.add_subcommand("rules", "What becomes of rule files");
  rules->require_subcommand(1);
  auto* command = rules->add_subcommand("check", "Say which rules are loaded, which are not, and why");
  command->footer(kFooter);
  auto o = std::make_shared<Options>();
  command->add_option("FILE", o->files, "Rule files")->required();
  command->add_flag("--strict-rules", o->strict, "Exit code 1 when a rule is left out");
  command->add_option("--var", o->variables, "Set an address or port variable, NAME=VALUE; may be given often")
      ->take_all()
      ->expected(1);
  command->add_option("--classification", o->rules.classification_file,
                      "A classification.config that adds to the built-in class types");
  command->add_flag("--json", o->json, "Print the report as JSON");
  command->callback([&action, o] { action = [o] { return check(*o); }; });
}

}  // namespace mptap::rules
