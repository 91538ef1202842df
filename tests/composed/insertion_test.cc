// SPDX-License-Identifier: Apache-2.0
// Insertion tricks of plain TCP: a forged segment "X" that the host drops, then the true one "R". The stream has R.
#include "base.h"

namespace mptap::test {
namespace {

ConversationConfig without_timestamps() {
  ConversationConfig config;
  config.timestamps = false;
  return config;
}

struct Trick {
  const char* name;
  const char* anomaly;  // empty: none, counted by the decoder
  bool timestamps;
  Change change;
};

const std::vector<Trick> kTricks{
    {"PawsOldTimestamp", "tcp_paws", true, [](Packet& p) { p.head.timestamps->tsval -= 100000; }},
    {"NoAckFlag", "tcp_no_ack_flag", true,
     [](Packet& p) {
       p.head.flags = packet::kPsh;
       p.head.ack = 0;
     }},
    {"AckFarAhead", "tcp_bad_ack", true, [](Packet& p) { p.head.ack += 1000000; }},
    {"AckFarBehind", "tcp_bad_ack", true, [](Packet& p) { p.head.ack -= 0x20000000; }},
    {"WrongChecksum", "", true, [](Packet& p) { p.head.tcp_checksum_error = 1; }},
    {"WrongIpChecksum", "", true, [](Packet& p) { p.head.ip_checksum_error = 1; }},
    {"LowTtl", "tcp_ttl_jump", true, [](Packet& p) { p.head.ttl = 3; }},
    {"Md5", "tcp_unexpected_md5", false, [](Packet& p) { append(p.options, option::md5(Bytes(16, 7))); }},
    {"AuthenticationOption", "tcp_unexpected_md5", false,
     [](Packet& p) { append(p.options, option::authentication(Bytes(14, 7))); }},
};

class InsertionTricks : public testing::TestWithParam<Trick> {};

TEST_P(InsertionTricks, PutsNothingIntoTheStream) {
  const Trick& trick = GetParam();
  for (const bool joined : {false, true}) {
    ConversationConfig config;
    config.timestamps = trick.timestamps;
    Conversation c = established(config, 1);
    const int sf = joined ? 1 : 0;
    c.now_ns += 100'000'000;
    c.data(sf, kToServer, 4, run('b', 4));
    c.ack(sf, kToClient);
    const uint32_t ssn = c.next_ssn(sf, kToServer);
    c.data(sf, kToServer, 8, run('X', 6), {.ssn = ssn, .data_ack = false, .fate = Fate::kHostLost, .change = trick.change});
    c.data(sf, kToServer, 8, run('R', 6), {.ssn = ssn});
    c.ack(sf, kToClient);
    go_on(c, 14, sf);
    const Outcome o = drive(c);
    EXPECT_EQ(o.delivered(kToServer), "a*4 b*4 R*6 T*6");
    EXPECT_EQ(o.record().stream[0].missing_bytes, 0u);
    if (*trick.anomaly != '\0') {
      EXPECT_ANOMALY(o, trick.anomaly);
    }
  }
}

// The forged segment lies ahead: what fills the hole must not bring it along.
TEST_P(InsertionTricks, NotAheadOfAHoleEither) {
  const Trick& trick = GetParam();
  ConversationConfig config;
  config.timestamps = trick.timestamps;
  Conversation c = established(config);
  c.now_ns += 100'000'000;
  c.data(0, kToServer, 10, run('X', 6), {.ssn = 11, .data_ack = false, .fate = Fate::kHostLost, .change = trick.change});
  c.data(0, kToServer, 10, run('R', 6), {.ssn = 11});
  c.data(0, kToServer, 4, run('b', 6), {.ssn = 5});
  c.ack(0, kToClient);
  go_on(c, 16);
  EXPECT_EQ(drive(c).delivered(kToServer), "a*4 b*6 R*6 T*6");
}

// A SPAN port that delivers the forged segment twice makes it no truer.
TEST_P(InsertionTricks, NorDoesTheTapsSecondCopyOfIt) {
  const Trick& trick = GetParam();
  ConversationConfig config;
  config.timestamps = trick.timestamps;
  Conversation c = established(config);
  c.now_ns += 100'000'000;
  c.data(0, kToServer, 4, run('X', 6), {.ssn = 5, .data_ack = false, .fate = Fate::kHostLost, .change = trick.change});
  c.span_copy();
  c.data(0, kToServer, 4, run('R', 6), {.ssn = 5});
  c.ack(0, kToClient);
  go_on(c, 10);
  EXPECT_EQ(drive(c).delivered(kToServer), "a*4 R*6 T*6");
}

INSTANTIATE_TEST_SUITE_P(All, InsertionTricks, testing::ValuesIn(kTricks), [](const auto& trick) { return trick.param.name; });

TEST(Insertion, WrongChecksumsAreCounted) {
  Conversation c = established();
  c.data(0, kToServer, 4, run('X', 6), {.fate = Fate::kHostLost, .change = [](Packet& p) { p.head.tcp_checksum_error = 1; }});
  const Outcome o = drive(c);
  EXPECT_EQ(o.counters.decode[static_cast<size_t>(packet::Reason::kTcpBadChecksum)], 1u);
  DriveOptions offload;
  offload.config.decode.verify_tcp_checksum = false;
  EXPECT_EQ(drive(c, offload).counters.decode[static_cast<size_t>(packet::Reason::kTcpBadChecksum)], 0u);
}

TEST(Insertion, SequenceOutsideTheWindow) {
  Conversation c = established();
  // 8 MiB is the window; this lies 16 MiB ahead and claims stream bytes that are due.
  c.data(0, kToServer, 4, run('X', 6), {.ssn = 5 + 0x1000000, .fate = Fate::kHostLost});
  Conversation d = established();
  d.data(0, kToServer, 4, run('R', 6));
  d.ack(0, kToClient);
  std::vector<Sent> wire = c.wire;
  for (size_t i = c.wire.size() - 1; i < d.wire.size(); ++i) {
    wire.push_back(d.wire[i]);
    wire.back().ns += 1'000'000;
  }
  const Outcome o = drive(wire);
  EXPECT_EQ(o.delivered(kToServer), "a*4 R*6");
  EXPECT_ANOMALY(o, "tcp_out_of_window");
}

TEST(Insertion, SequenceBeforeTheIsn) {
  Conversation c = established();
  c.data(0, kToServer, 4, run('X', 6), {.ssn = 5, .fate = Fate::kHostLost, .change = [](Packet& p) { p.head.seq -= 100000; }});
  c.data(0, kToServer, 4, run('R', 6), {.ssn = 5});
  c.ack(0, kToClient);
  EXPECT_EQ(drive(c).delivered(kToServer), "a*4 R*6");
}

TEST(Insertion, RstThatMisses) {
  for (const Direction d : {kToServer, kToClient}) {
    for (const uint32_t off : {uint32_t{100}, uint32_t{0} - 1, uint32_t{0x20000000}}) {
      Conversation c = established();
      c.rst(0, d, [&](Packet& p) { p.head.seq += off; });
      go_on(c, 4);
      const Outcome o = drive(c);
      EXPECT_EQ(o.delivered(kToServer), "a*4 T*6");
      EXPECT_EQ(o.record().end, event::End::kOpen);
      EXPECT_ANOMALY(o, "tcp_rst_out_of_place");
    }
  }
}

TEST(Insertion, SynOnAnEstablishedSubflow) {
  Conversation c = established();
  c.plain_data(0, kToServer, {}, [](Packet& p) { p.head.flags = packet::kSyn; });
  go_on(c, 4);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 T*6");
  EXPECT_ANOMALY(o, "tcp_syn_in_established");
}

TEST(Insertion, DataBehindTheFin) {
  Conversation c = established(1);
  c.fin(1, kToServer);
  c.ack(1, kToClient);
  c.data(1, kToServer, 4, run('X', 6), {.fate = Fate::kHostLost});
  go_on(c, 4);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 T*6");
  EXPECT_ANOMALY(o, "data_after_fin");
}

TEST(Insertion, DataBehindAReset) {
  Conversation c = established(1);
  c.rst(1, kToServer);
  c.data(1, kToServer, 4, run('X', 6), {.fate = Fate::kHostLost});
  go_on(c, 4);
  EXPECT_EQ(drive(c).delivered(kToServer), "a*4 T*6");
}

TEST(Insertion, UrgentDataIsInLine) {
  Conversation c = established();
  c.data(0, kToServer, 4, run('U', 6), {.change = [](Packet& p) {
           p.head.flags |= packet::kUrg;
           p.head.urgent = 3;
         }});
  c.ack(0, kToClient);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 U*6");
  EXPECT_ANOMALY(o, "urgent_data");
}

TEST(Insertion, OptionsThatFitNoLayoutAreCounted) {
  Conversation c = established();
  c.ack(0, kToServer, {.with_dss = false, .change = [](Packet& p) { p.options = {30, 5, 0x40 | 0x10 * 3, 1, 2}; }});
  c.ack(0, kToServer, {.with_dss = false, .change = [](Packet& p) { p.options = {30, 4, 0xf0, 1}; }});
  go_on(c, 4);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 T*6");
  EXPECT_ANOMALY(o, "malformed_option");
  EXPECT_ANOMALY(o, "unknown_subtype");
}

TEST(Insertion, PawsNeedsTimestampsFromTheHandshake) {
  // Old-looking data in a connection that never used timestamps is simply data.
  Conversation c = established(without_timestamps());
  c.data(0, kToServer, 4, run('R', 6), {.data_ack = false, .change = [](Packet& p) {
                                          p.head.timestamps = packet::TcpTimestamps{1, 1};
                                        }});
  c.ack(0, kToClient);
  EXPECT_EQ(drive(c).delivered(kToServer), "a*4 R*6");
}

}  // namespace
}  // namespace mptap::test
