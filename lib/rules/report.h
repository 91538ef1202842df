// SPDX-License-Identifier: Apache-2.0
// What became of the rules that were read: loaded, left out and why.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace mptap::rules {

struct Problem {
  std::string file;
  uint32_t line = 0;
  uint32_t sid = 0;     // 0: not known
  std::string reason;   // what it is counted under: `keyword http.uri`, `protocol udp`, `syntax`, ...
  std::string message;  // one sentence without the place

  std::string to_string() const;  // FILE:LINE: message
};

struct RuleReport {
  size_t loaded = 0;
  std::vector<Problem> left_out;  // one per rule
  std::vector<Problem> warnings;  // these rules are loaded

  size_t total() const { return loaded + left_out.size(); }
  double loadable_percent() const;  // 100 when there are no rules
  std::map<std::string, size_t> by_reason() const;

  std::string to_text() const;
  std::string to_json() const;
};

}  // namespace mptap::rules
