// SPDX-License-Identifier: Apache-2.0
// Bytes -> a connection as a program of segments -> the engine and the naive reference must agree on every number and byte.
// Input: one byte of rules and policy, three of the plan, eight per step.
#include <cstdio>
#include <cstdlib>

#include "drive/drive.h"
#include "traffic/program.h"

using namespace mptap::test;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4) return 0;
  const auto policy = static_cast<Policy>(data[0] & 3);
  const bool losses = (data[0] & 4) != 0;
  const Rules rules{.conflicts = !losses && (data[0] & 8) != 0, .losses = losses};
  const Plan plan = plan_from(data + 1);
  const std::vector<Step> steps = steps_from(data + 4, std::min<size_t>(size - 4, 8 * 64));
  const Conversation c = play(plan, steps, rules);
  DriveOptions options = with_policy(policy);
  options.burst = 1 + (data[0] >> 4);
  const std::string wrong = differences(drive(c, options), judge(c.wire, policy));
  if (wrong.empty()) return 0;
  std::fprintf(stderr, "policy %d conflicts %d losses %d\n%s", static_cast<int>(policy), rules.conflicts, rules.losses,
               wrong.c_str());
  std::abort();
}
