// SPDX-License-Identifier: Apache-2.0
// What tests/judge found: places where the kernel decided otherwise than the engine did.
#include "base.h"

namespace mptap::test {
namespace {

TEST(Kernel, ADoubtfulCopyThatWasAcknowledgedFirstStays) {
  Conversation c = established();
  c.data(0, kToServer, 4, run('b', 4), {.change = [](Packet& p) { p.head.ttl = 1; }});
  c.ack(0, kToClient);
  // Linux's keep-alives have no byte; others repeat one, and need not repeat the right one.
  c.data(0, kToServer, 7, run('x', 1), {.ssn = 8, .map = false});
  c.ack(0, kToClient);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 b*4");
  EXPECT_ANOMALY(o, "subflow_conflict");
}

TEST(Kernel, RefusesToFallBackWhileDataWaitsBehindAHole) {
  Conversation c = established();
  c.data(0, kToServer, 8, run('c', 4));
  c.plain_data(0, kToServer, run('d', 4));
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4");
  EXPECT_FALSE(o.record().fallback);
}

TEST(Kernel, IgnoresFastCloseOnceItSpeaksTcp) {
  Conversation c = established();
  c.plain_data(0, kToServer, run('b', 4));
  c.ack(0, kToClient, {.with_dss = false});
  c.fast_close(0, kToServer);
  const Outcome o = drive(c);
  EXPECT_TRUE(o.record().fallback);
  EXPECT_NE(o.record().end, event::End::kFastClose);
  EXPECT_EQ(o.delivered(kToServer), "a*4 b*4");
}

TEST(Kernel, TheNumberOfAFinIsNoByte) {
  Conversation c = established();
  c.data(0, kToServer, 4, run('b', 1), {.fate = Fate::kHostLost, .change = [](Packet& p) { p.head.ack += 1'000'000; }});
  c.fin(0, kToServer);
  c.ack(0, kToClient);
  EXPECT_EQ(drive(c).delivered(kToServer), "a*4");
}

}  // namespace
}  // namespace mptap::test
