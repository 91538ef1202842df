// SPDX-License-Identifier: Apache-2.0
// What the tests on composed traffic share. Letters name who sent the bytes; "a*4" opens every stream.
#pragma once

#include <gtest/gtest.h>

#include "drive/drive.h"
#include "traffic/conversation.h"

namespace mptap::test {

// Handshake, four bytes, acknowledged, and so many joins.
inline Conversation established(int joins = 0, ConversationConfig config = {}) {
  Conversation c(std::move(config));
  c.handshake();
  c.data(0, kToServer, 0, run('a', 4));
  c.ack(0, kToClient);
  for (int i = 0; i < joins; ++i) c.join();
  return c;
}

inline Conversation established(ConversationConfig config, int joins = 0) {
  return established(joins, std::move(config));
}

// Goes on as if nothing had happened: "T*6" at the offset, acknowledged.
inline void go_on(Conversation& c, uint64_t offset, int subflow = 0) {
  c.data(subflow, kToServer, offset, run('T', 6));
  c.ack(subflow, kToClient);
}

// The engine and the reference say the same of all numbers and bytes.
inline void expect_agreement(const Conversation& c, Policy policy = Policy::kLinux) {
  EXPECT_EQ(differences(drive(c, with_policy(policy)), judge(c.wire, policy)), "");
}

#define EXPECT_ANOMALY(outcome, wanted) EXPECT_TRUE((outcome).has(wanted)) << "there are: " << (outcome).anomaly_names()
#define EXPECT_NO_ANOMALY(outcome) EXPECT_EQ((outcome).anomaly_names(), "")

}  // namespace mptap::test
