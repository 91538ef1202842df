// SPDX-License-Identifier: Apache-2.0
// What a card wants of the machine, in plain words, and the steps that bring it about.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "apps/mptap/nic/families.h"
#include "apps/mptap/nic/machine.h"

namespace mptap::nic {

// A value that is written into a file of /sys, or a program that is run.
struct Step {
  std::string path, value;
  std::vector<std::string> argv = {};
  std::string shell() const;  // the same for a terminal
};

struct Finding {
  enum class Kind { kGood, kFix, kByHand, kStop } kind = Kind::kGood;  // kByHand: no step can do it; kStop: nothing must be done
  std::string text;
  std::vector<Step> steps = {};
};

std::vector<Finding> judge(const Machine& machine, const Nic& nic, const Family& family, uint64_t memory_mb);

// One after the other; the error is the first that failed. Below another root than "/" only files are written.
tl::expected<void, std::string> perform(const Machine& machine, const std::vector<Step>& steps);

}  // namespace mptap::nic
