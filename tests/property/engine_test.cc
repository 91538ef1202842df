// SPDX-License-Identifier: Apache-2.0
// The engine and the naive reference say the same of random connections: 1 to 8 subflows, both versions, both widths of numbers,
// segments split, merged, overlapping, repeated, reordered within and between subflows, lost by the tap, copied by it.
// RC_PARAMS="max_success=20000 max_size=200" makes it thorough; a failure prints the least program that shows it.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "drive/drive.h"
#include "generate.h"

namespace mptap::test {
namespace {

DriveOptions in_bursts_of(size_t n, Policy policy = Policy::kLinux) {
  DriveOptions options = with_policy(policy);
  options.burst = 1 + n % 64;
  return options;
}

void agree(const std::vector<Sent>& wire, const DriveOptions& options, Policy policy = Policy::kLinux) {
  const std::string d = differences(drive(wire, options), judge(wire, policy));
  if (!d.empty()) RC_FAIL(d);
}

TEST(EngineProperty, AgreesInCaptureOrder) {
  EXPECT_TRUE(rc::check([](const Plan& plan, const std::vector<Step>& steps, uint8_t burst) {
    agree(play(plan, steps, {}).wire, in_bursts_of(burst));
  }));
}

TEST(EngineProperty, DoesNotDependOnTheOrderOfSubflows) {
  EXPECT_TRUE(rc::check([](const Plan& plan, const std::vector<Step>& steps, const std::vector<uint16_t>& order) {
    Conversation c = play(plan, steps, {});
    shuffle_between_subflows(c.wire, order, 3);
    agree(c.wire, in_bursts_of(order.size()));
  }));
}

TEST(EngineProperty, DoesNotDependOnWhenTheHandshakeIsSeen) {
  EXPECT_TRUE(rc::check([](const Plan& plan, const std::vector<Step>& steps, const std::vector<uint16_t>& order) {
    Conversation c = play(plan, steps, {});
    shuffle_between_subflows(c.wire, order, 0);
    agree(c.wire, in_bursts_of(order.size()));
  }));
}

TEST(EngineProperty, AgreesUnderEveryPolicyWhereCopiesDiffer) {
  for (const Policy policy : {Policy::kLinux, Policy::kFirst, Policy::kBsd, Policy::kLast}) {
    SCOPED_TRACE(static_cast<int>(policy));
    EXPECT_TRUE(rc::check([policy](const Plan& plan, const std::vector<Step>& steps, uint8_t burst) {
      agree(play(plan, steps, {.conflicts = true}).wire, in_bursts_of(burst, policy), policy);
    }));
  }
}

TEST(EngineProperty, AgreesOnWhatTheTapLost) {
  EXPECT_TRUE(rc::check([](const Plan& plan, const std::vector<Step>& steps, uint8_t burst) {
    agree(play(plan, steps, {.losses = true}).wire, in_bursts_of(burst));
  }));
}

// A path that the tap does not see at all, a capture that ends early. Where a DATA_ACK covers one number more than all bytes seen
// and no DATA_FIN was, both say the same: it is a byte, unless the sender has ended each subflow with a FIN.
TEST(EngineProperty, AgreesOnPartsOfACapture) {
  EXPECT_TRUE(rc::check([](const Plan& plan, const std::vector<Step>& steps, uint8_t unseen, uint16_t cut) {
    Conversation c = play(plan, steps, {.mapped = true});
    const int hidden = unseen % c.subflows();
    if (hidden > 0) std::erase_if(c.wire, [hidden](const Sent& s) { return s.subflow == hidden; });
    const size_t least = std::min<size_t>(c.wire.size(), 5);
    c.wire.resize(std::max(least, c.wire.size() - cut % c.wire.size()));
    agree(c.wire, in_bursts_of(unseen));
  }));
}

}  // namespace
}  // namespace mptap::test
