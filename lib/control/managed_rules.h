// SPDX-License-Identifier: Apache-2.0
// The file of rules that the control plane writes: one rule a line, replaced as a whole and atomically (a new file, synced,
// renamed).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "control/appliance.h"
#include "rules/options.h"

namespace mptap::control {

struct RuleKey {
  uint32_t gid = 1, sid = 0;
  bool operator==(const RuleKey&) const = default;
};

// "rules/1-1000001"
std::string rule_name(const RuleKey& key);
Result<RuleKey> parse_rule_name(const std::string& name);

// The one rule that a text is; the error says what is wrong with it.
Result<RuleKey> judge_rule(const std::string& text, const rules::RuleOptions& options);

// One thread at a time.
class ManagedRules {
 public:
  ManagedRules(std::string path, rules::RuleOptions options) : path_(std::move(path)), options_(std::move(options)) {}

  struct Line {
    RuleKey key;
    std::string text;
  };
  // A file that is not there has no rules.
  Result<std::vector<Line>> read() const;
  Result<void> write(const std::vector<Line>& lines) const;

 private:
  const std::string path_;
  const rules::RuleOptions options_;
};

}  // namespace mptap::control
