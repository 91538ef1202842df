// SPDX-License-Identifier: Apache-2.0
// Working memory of one worker, shared by all of its scanners. Not for two threads at once.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <tl/expected.hpp>

namespace mptap::rules {

class Ruleset;

class Scratch {
 public:
  // What happened while scanning, since this object was made.
  struct Stats {
    uint64_t confirmed = 0;      // candidates that were looked at in the history
    uint64_t pcre_limit = 0;     // pcre calls that ran into the match limit or were one too many: taken as no match
    uint64_t work_limit = 0;     // confirmations given up, so many places were there to try: taken as no match
    uint64_t dropped = 0;        // candidates whose bytes were gone from the history before they could be decided
    uint64_t engine_errors = 0;  // Hyperscan refused: out of memory. The stream is not scanned any further
  };

  Scratch();
  ~Scratch();
  Scratch(Scratch&&) noexcept;
  Scratch& operator=(Scratch&&) noexcept;

  // Grows for a ruleset. Call it off the data path, once per ruleset, before this worker's first scan with it: either on the
  // worker, or on a fresh Scratch that is prepared elsewhere for every ruleset in use and then handed to the worker. A scan
  // with a ruleset that was not prepared prepares it then and there.
  tl::expected<void, std::string> prepare(const Ruleset& ruleset);

  const Stats& stats() const;

  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace mptap::rules
