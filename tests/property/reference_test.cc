// SPDX-License-Identifier: Apache-2.0
// Before it judges: what the reference says of random connections whose contents the generator knows.
#include "reference/reference.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "generate.h"

namespace mptap::test {
namespace {

Bytes written(Direction d, uint64_t size) {
  Bytes out;
  for (uint64_t i = 0; i < size; ++i) out.push_back(stream_byte(d, i));
  return out;
}

TEST(ReferenceProperty, FindsTheWholeStreamWhateverTheOrder) {
  EXPECT_TRUE(rc::check([](const Plan& plan, const std::vector<Step>& steps, const std::vector<uint16_t>& order) {
    Conversation c = play(plan, steps, {.losses = false});
    const size_t handshakes = 3 + 4 * static_cast<size_t>(c.subflows() - 1) + 2;
    shuffle_between_subflows(c.wire, order, handshakes);
    const std::vector<Judged> all = judge(c.wire);
    RC_ASSERT(all.size() == 1u);
    RC_ASSERT(all[0].subflows.size() == static_cast<size_t>(c.subflows()));
    RC_ASSERT(all[0].version == plan.version % 2);
    RC_ASSERT(all[0].end == "data_fin");
    for (const JudgedSubflow& s : all[0].subflows) RC_ASSERT(s.join == "initial" || s.join == "verified");
    for (const Direction d : {kToServer, kToClient}) {
      RC_ASSERT(all[0].stream[d].bytes == written(d, c.sent_end(d)));
      RC_ASSERT(all[0].stream[d].missing == 0u);
      RC_ASSERT(all[0].stream[d].pending == 0u);
      RC_ASSERT(all[0].stream[d].conflicting == 0u);
    }
  }));
}

TEST(ReferenceProperty, CountsWhatTheTapLost) {
  EXPECT_TRUE(rc::check([](const Plan& plan, const std::vector<Step>& steps) {
    const Conversation c = play(plan, steps, {.losses = true});
    const std::vector<Judged> all = judge(c.wire);
    RC_ASSERT(all.size() == 1u);
    for (const Direction d : {kToServer, kToClient}) {
      const JudgedStream& s = all[0].stream[d];
      RC_ASSERT(s.bytes.size() + s.missing == c.sent_end(d));
      RC_ASSERT(s.missing_tap == s.missing);
      RC_ASSERT(s.pending == 0u);
    }
  }));
}

TEST(ReferenceProperty, DeliversAsManyBytesWhateverThePolicy) {
  EXPECT_TRUE(rc::check([](const Plan& plan, const std::vector<Step>& steps) {
    const Conversation c = play(plan, steps, {.conflicts = true});
    for (const Policy policy : {Policy::kLinux, Policy::kFirst, Policy::kBsd, Policy::kLast}) {
      const std::vector<Judged> all = judge(c.wire, policy);
      for (const Direction d : {kToServer, kToClient}) {
        RC_ASSERT(all[0].stream[d].bytes.size() == c.sent_end(d));
        uint64_t other = 0;
        for (uint64_t i = 0; i < all[0].stream[d].bytes.size(); ++i)
          other += all[0].stream[d].bytes[i] != stream_byte(d, i) ? 1 : 0;
        RC_ASSERT(other <= all[0].stream[d].conflicting);
      }
    }
  }));
}

}  // namespace
}  // namespace mptap::test
