// SPDX-License-Identifier: Apache-2.0
// An immutable compiled snapshot of rules: one Hyperscan database in streaming mode that holds one pattern per rule (its
// fast pattern), each different pattern once, and per rule the plan to confirm what it finds. Shared by all workers through
// shared_ptr; a reload compiles a new one off the data path, and scanners keep theirs until they end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rules/header_index.h"
#include "rules/load.h"
#include "rules/options.h"
#include "rules/program.h"
#include "rules/report.h"
#include "rules/rule.h"

struct hs_database;

namespace mptap::rules {

class Ruleset {
 public:
  // report: gets the rules that only turn out here to be impossible to compile, and the final count of loaded ones.
  // The error says what no single rule is to blame for: out of memory, an engine that this CPU cannot run.
  static tl::expected<std::shared_ptr<const Ruleset>, std::string> compile(std::vector<Rule> rules, const RuleOptions& options,
                                                                           RuleReport* report = nullptr);
  ~Ruleset();
  Ruleset(const Ruleset&) = delete;
  Ruleset& operator=(const Ruleset&) = delete;

  const std::vector<Rule>& rules() const { return rules_; }
  size_t patterns() const { return patterns_.size(); }
  // Heap bytes of one scanner once it has seen a byte.
  size_t stream_size() const;
  size_t database_size() const;
  // So many bytes before the newest one the History of a scanner must be able to give back; with fewer, matches that span
  // more are missed, and which of them depends on how the stream was cut. 0 when all rules are single contents.
  size_t lookback() const { return lookback_; }
  uint64_t id() const { return id_; }  // no two rulesets of a process share one

  // For the scanner. A pattern's users are the rules whose fast pattern it is.
  struct User {
    uint64_t min_start, max_end;  // stream offsets between which the pattern must lie
    uint32_t rule, group, size;
    enum class Kind : uint8_t {
      kSimple,   // the numbers decide
      kConfirm,  // arms the rule: its program looks at the bytes
      kExact,    // a pcre that Hyperscan matches exactly and with its start
    } kind;
  };
  struct Pattern {
    uint32_t first_user, users;
  };
  std::span<const User> users(uint32_t pattern) const {
    return {users_.data() + patterns_[pattern].first_user, patterns_[pattern].users};
  }
  const Program& program(uint32_t rule) const { return programs_[rule]; }
  const HeaderIndex& headers() const { return headers_; }
  // Rules without content: they hit once per stream, at its first byte.
  std::span<const User> header_only() const { return header_only_; }
  const hs_database* database() const { return database_; }  // null: no patterns
  bool at_end() const { return at_end_; }                    // some pcre may match at the end of a stream only

 private:
  Ruleset() = default;

  std::vector<Rule> rules_;
  std::vector<Program> programs_;  // one per rule
  std::vector<User> users_;
  std::vector<Pattern> patterns_;
  std::vector<User> header_only_;
  HeaderIndex headers_;
  hs_database* database_ = nullptr;
  size_t stream_state_ = 0;
  size_t lookback_ = 0;
  uint64_t id_ = 0;
  bool at_end_ = false;
};

struct LoadedRuleset {
  std::shared_ptr<const Ruleset> ruleset;
  RuleReport report;
};

// Files -> compiled rules, the whole way.
tl::expected<LoadedRuleset, LoadError> load_ruleset(std::span<const std::string> files, const RuleOptions& options);

}  // namespace mptap::rules
