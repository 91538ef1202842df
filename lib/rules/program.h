// SPDX-License-Identifier: Apache-2.0
// A rule's contents and pcres, sorted by how they are confirmed.
//
// Positive contents form chains: a chain begins with a content that stands alone and goes on with those that are relative to
// the one before. Chains do not constrain each other. What must not be there, and pcres, are conditions: of one node of a
// chain where they are relative to it, of the whole match otherwise.
//
// A match with end E is a choice of one occurrence per node with every constraint kept, all of them within the `window`
// bytes before E and one of them ending at E. It is reported once per E, with the span of the choice that begins latest.
#pragma once

#include <cstdint>
#include <vector>

#include "rules/options.h"
#include "rules/rule.h"

namespace mptap::rules {

constexpr uint64_t kNoEnd = UINT64_MAX;

struct NegatedContent {
  const Content* content;
  uint64_t min_start = 0, max_end = kNoEnd;  // stream offsets, of one that stands alone
};

struct Node {
  const Content* content;
  uint64_t min_start = 0, max_end = kNoEnd;  // stream offsets, of a chain's first
  std::vector<const Content*> negated;       // relative to this node's end
  std::vector<const Pcre*> pcres;
  bool conditional() const { return content->endswith || !negated.empty() || !pcres.empty(); }
};

struct Chain {
  std::vector<Node> nodes;
  bool ascending = true;  // no node can end before the one before it ends
  bool conditional = false;
};

struct Program {
  std::vector<Chain> chains;
  std::vector<NegatedContent> negated;
  std::vector<const Pcre*> pcres;
  const Pcre* lead = nullptr;  // the pcre that Hyperscan looks for, in a rule without positive contents

  uint32_t window = 0;   // RuleOptions::confirm_window
  uint32_t reach = 0;    // RuleOptions::reach
  uint32_t span = 0;     // no match is longer
  uint32_t back = 0;     // bytes before the end of a match that confirming it looks at
  uint32_t forward = 0;  // bytes after it
  bool conditional = false;

  // The numbers of one content say all: what Hyperscan reports needs no look at the bytes.
  bool simple() const;
};

// Keeps pointers into rule.
Program make_program(const Rule& rule, const RuleOptions& options);

// The content that Hyperscan looks for: the one marked fast_pattern, else the longest positive; null without any.
const Node* fast_node(const Program& program);

}  // namespace mptap::rules
