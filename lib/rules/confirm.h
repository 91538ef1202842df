// SPDX-License-Identifier: Apache-2.0
// Confirms a rule against the bytes: which match ends are there, and what is still open because bytes to come may decide it.
//
// The answer depends on the bytes alone, never on how they were cut into chunks. Where a condition looks past what is at
// hand, the match is computed twice, with every open condition taken as kept and as broken; only when both say the same is
// the end decided. All candidates are tried in one pass over the sorted occurrences of each chain (the best beginning of a
// chain that ends in an occurrence is the maximum over a sliding window of its predecessors), so that a stream full of
// half matches costs no more than its length.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "rules/pcre.h"
#include "rules/program.h"
#include "rules/scratch.h"

namespace mptap::rules {

// What is known about the end of a run of contiguous bytes.
enum class RunEnd : uint8_t { kOpen, kGap, kStream };

// Bytes [base, base + size) of the stream, the newest last. data[-1] is readable: the byte before, 0 where it is not known;
// for base 0 there is none and it is not read.
struct View {
  const uint8_t* data = nullptr;
  uint64_t base = 0;
  size_t size = 0;
  uint64_t end() const { return base + size; }
};

struct MatchSpan {
  uint64_t from, to;
};

// One rule that its fast pattern has armed in one run of one stream.
struct Armed {
  uint32_t rule = 0;
  uint64_t decided_to = 0;          // all match ends up to here are reported or dismissed
  uint64_t until = 0;               // none is possible after it
  uint64_t last_from = kNoEnd;      // pcre alone: where the last match began; a longer one from there is not another match
  std::vector<uint64_t> reported;   // ends after decided_to that are reported already
  uint64_t seen_to = 0;             // the bytes before it were searched for every positive content;
  std::vector<uint64_t> seen;       // per content: where the last one there begins, kNoEnd: nowhere; empty: not searched yet
  std::vector<uint64_t> lead_ends;  // pcre alone: what Hyperscan found, undecided, ascending
};

class Confirmer {
 public:
  // Is any match end possible in (armed.decided_to, upto]? Asked for each chunk, and cheap: it looks at new bytes only, and
  // remembers which contents are anywhere in the window at all.
  bool possible(const Program& program, Armed& armed, const View& view, uint64_t upto) const;

  // Decides ends in (armed.decided_to, upto] as far as it can, and moves decided_to. run_start: no byte before it counts.
  void confirm(const Program& program, Armed& armed, const View& view, uint64_t run_start, RunEnd run_end, uint64_t upto,
               PcreScratch& pcre, Scratch::Stats& stats, std::vector<MatchSpan>& out);

 private:
  enum Truth : int8_t { kUnasked = -1, kNo = 0, kOpen = 1, kYes = 2 };
  // Of the choices that end a chain in an occurrence, where the one that begins latest begins; -1: there is none.
  // any: all choices; tight: those with a node that ends at the limit. [0]: open conditions taken as kept, [1]: as broken.
  struct Best {
    int64_t any[2] = {-1, -1}, tight[2] = {-1, -1};
  };
  struct Occurrence {
    uint64_t start;
    Truth truth = kUnasked;
    Best best;
  };
  using Row = std::vector<Occurrence>;

  bool find_nodes();
  void find_all(const Content& content, uint64_t lo, uint64_t hi, Row& row) const;
  void collect_ends(uint64_t after, uint64_t upto);
  void solve(const Chain& chain, std::span<Row> rows, uint64_t limit, bool tight);
  // For each of row's occurrences the best of the predecessors that node's distance and within allow.
  void best_before(const Node& node, size_t before_bytes, const Row& before, size_t before_count, const Row& row, size_t count);
  Best best_of(size_t chain, uint64_t end);
  void contents_at(uint64_t end, int64_t (&from)[2]);
  bool decide(uint64_t end, uint64_t& from);

  Truth node_truth(const Node& node, uint64_t node_end);
  Truth negated_truth(const Content& content, uint64_t lo, uint64_t hi) const;
  Truth rule_truth(uint64_t end);
  Truth pcre_truth(const Pcre& pcre, uint64_t from, bool at_from, uint64_t limit, size_t memo);
  Truth lead_truth(uint64_t end, uint64_t& from);
  uint64_t window_start(uint64_t end) const;
  std::span<const uint8_t> bytes(uint64_t lo, uint64_t hi) const { return {view_.data + (lo - view_.base), hi - lo}; }

  // The question at hand.
  const Program* program_ = nullptr;
  View view_;
  uint64_t lo_ = 0, run_start_ = 0;
  RunEnd run_end_ = RunEnd::kOpen;
  PcreScratch* pcre_ = nullptr;
  Scratch::Stats* stats_ = nullptr;
  uint64_t work_ = 0;
  uint32_t pcre_calls_ = 0;

  std::vector<std::vector<Row>> rows_;  // per chain, per node
  std::vector<Row> negated_rows_;       // per negated content of the whole match
  std::vector<MatchSpan> pcre_found_;   // per pcre of the whole match: where it matched last
  std::vector<uint64_t> ends_;
  std::vector<size_t> cursors_;  // per chain: the occurrences that end at the end in question or before
  std::vector<Best> running_;    // per chain: the best of them
  std::vector<Best> before_;
  std::vector<uint32_t> queue_;
};

}  // namespace mptap::rules
