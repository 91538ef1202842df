// SPDX-License-Identifier: Apache-2.0
// What the reading of rules and the confirming of matches can be told.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace mptap::rules {

struct RuleOptions {
  // Address and port variables by name without `$`. They go over the defaults of default_variables().
  std::map<std::string, std::string> variables;
  // A classification.config whose entries go over the built-in ones; empty: none.
  std::string classification_file;
  // Any rule left out is an error.
  bool strict = false;

  // All positive contents of one match lie within this many bytes.
  uint32_t confirm_window = 64 * 1024;
  // How far after the last positive content a pcre or an unbounded negated content looks before it is decided.
  uint32_t reach = 4096;
  // PCRE2's match limit per call.
  uint32_t pcre_match_limit = 20000;

  size_t max_file_bytes = 256u << 20;
  size_t max_rules = 200000;
  size_t max_rule_bytes = 64 * 1024;
  size_t max_elements = 64;  // contents and pcres of one rule
  size_t max_content_bytes = 1024;
};

// Suricata's defaults, with two differences: HOME_NET holds fc00::/7 besides RFC 1918, and EXTERNAL_NET is any, because the
// paths of one MPTCP connection often run between private networks, where !$HOME_NET would never match.
const std::map<std::string, std::string>& default_variables();

}  // namespace mptap::rules
