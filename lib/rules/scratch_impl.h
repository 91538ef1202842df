// SPDX-License-Identifier: Apache-2.0
// Inside of Scratch: what one worker keeps between chunks so that scanning allocates nothing in the steady state.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "rules/confirm.h"
#include "rules/pcre.h"
#include "rules/ruleset.h"
#include "rules/scratch.h"

struct hs_scratch;
struct hs_stream;

namespace mptap::rules {

// One rule's part in what Hyperscan reported for one chunk.
struct Trigger {
  const Ruleset::User* user;
  uint64_t from;         // kExact: where the match begins
  uint64_t first, last;  // ends: the first and the last one, or one only
};

struct Scratch::Impl {
  Impl() = default;
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  bool ready(const Ruleset& ruleset) const { return ruleset.id() == last_ready || slow_ready(ruleset); }
  bool slow_ready(const Ruleset& ruleset) const;
  tl::expected<void, std::string> prepare(const Ruleset& ruleset);
  // A stream of ruleset's database at its beginning, for readings that are not part of any stream; null: out of memory.
  hs_stream* spare_stream(const std::shared_ptr<const Ruleset>& ruleset);

  hs_scratch* hs = nullptr;
  std::vector<uint64_t> ready_ids;
  mutable uint64_t last_ready = 0;

  std::shared_ptr<const Ruleset> spare_ruleset;
  hs_stream* spare = nullptr;

  PcreScratch pcre;
  Confirmer confirmer;
  Stats stats;
  std::vector<uint8_t> buffer;
  std::vector<Trigger> triggers;
  std::vector<MatchSpan> spans;
  // Per rule: its place in triggers, valid where the epoch is the current one.
  struct Mark {
    uint32_t epoch = 0, at = 0;
  };
  std::vector<Mark> marks;
  uint32_t epoch = 0;
};

}  // namespace mptap::rules
