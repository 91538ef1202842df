// SPDX-License-Identifier: Apache-2.0
// Option bytes in, fields out: every subtype, every legal length, and what is wrong by one.
#include "mptcp/option.h"

#include <gtest/gtest.h>

#include <vector>

#include "mptcp/write.h"

namespace mptap::mptcp {
namespace {

constexpr uint8_t kSyn = 0x02, kAck = 0x10;
using Bytes = std::vector<uint8_t>;

Options parse(const Bytes& b, uint8_t flags = kAck, bool payload = false) {
  Options o;
  parse_options(b, flags, payload, o);
  return o;
}

Bytes capable(uint8_t length, uint8_t version) {
  Bytes b(length);
  b[0] = 30;
  b[1] = length;
  b[2] = version;
  b[3] = 0x81;
  for (size_t i = 4; i < b.size(); ++i) b[i] = static_cast<uint8_t>(i);
  return b;
}

TEST(Capable, LayoutFollowsFromFlagsAndVersion) {
  EXPECT_TRUE(parse(capable(4, 1), kSyn).has(Options::kCapable));
  EXPECT_TRUE(parse(capable(12, 1), kSyn | kAck).has(Options::kCapable));
  EXPECT_TRUE(parse(capable(12, 0), kSyn).has(Options::kCapable));
  EXPECT_TRUE(parse(capable(20, 1), kAck).has(Options::kCapable));
  EXPECT_TRUE(parse(capable(20, 0), kAck).has(Options::kCapable));
  const Options o = parse(capable(22, 1), kAck, true);
  ASSERT_TRUE(o.has(Options::kCapable));
  EXPECT_EQ(o.capable.sender_key, 0x0405060708090a0bull);
  EXPECT_EQ(o.capable.receiver_key, 0x0c0d0e0f10111213ull);
  EXPECT_EQ(o.capable.data_length, 0x1415);
  ASSERT_TRUE(o.has(Options::kDss));
  EXPECT_TRUE(o.dss.from_capable);
  EXPECT_EQ(o.dss.length, 0x1415);
  EXPECT_TRUE(parse(capable(24, 1), kAck, true).dss.has_checksum);
}

TEST(Capable, OtherLengthsAreMalformedNotFatal) {
  for (const auto& [length, version, flags, payload] :
       std::vector<std::tuple<uint8_t, uint8_t, uint8_t, bool>>{{12, 1, kSyn, false},
                                                                {4, 0, kSyn, false},
                                                                {20, 1, kAck, true},
                                                                {22, 1, kAck, false},
                                                                {5, 1, kSyn, false},
                                                                {21, 0, kAck, false}}) {
    const Options o = parse(capable(length, version), flags, payload);
    EXPECT_FALSE(o.has(Options::kCapable)) << int(length);
    EXPECT_TRUE(o.has(Options::kMalformedMptcp)) << int(length);
  }
}

// The mirrored SYN/ACK of a middlebox must be visible to the handshake.
TEST(Capable, SynAckOfFourBytesIsSeen) {
  EXPECT_EQ(parse(capable(4, 1), kSyn | kAck).capable.length, 4);
}

TEST(Dss, EveryCombinationOfWidths) {
  for (int bits = 0; bits < 64; ++bits) {
    Dss d;
    d.has_ack = bits & 1;
    d.ack8 = d.has_ack && (bits & 2);
    d.has_map = bits & 4;
    d.dsn8 = d.has_map && (bits & 8);
    d.data_fin = d.has_map && (bits & 16);
    d.has_checksum = d.has_map && (bits & 32);
    if (d.has_ack) d.ack = d.ack8 ? 0x1122334455667788ull : 0x55667788;
    if (d.has_map) {
      d.dsn = d.dsn8 ? 0x99aabbccddeeff00ull : 0xddeeff00;
      d.ssn = 77;
      d.length = 1400;
      if (d.has_checksum) d.checksum = 0x1234;
    }
    OptionWriter w;
    ASSERT_TRUE(w.timestamps(1, 2));
    ASSERT_TRUE(w.dss(d));
    const auto list = w.finish();
    const Options o = parse({list.begin(), list.end()});
    ASSERT_TRUE(o.has(Options::kDss)) << bits;
    EXPECT_TRUE(o.dss == d) << bits;
    EXPECT_EQ(o.tsval, 1u);
  }
}

TEST(Dss, IllegalLengthIsToldApart) {
  Bytes b{30, 11, 0x20, 0x04, 0, 0, 0, 1, 0, 0, 0};
  const Options o = parse(b);
  EXPECT_FALSE(o.has(Options::kDss));
  EXPECT_TRUE(o.has(Options::kBadDss));
}

TEST(Dss, OfTwoTheLastCountsAndTheFirstIsKept) {
  const Bytes b{30, 14, 0x20, 0x04, 0, 0, 0, 1, 0, 0, 0, 5, 0, 10, 30, 14, 0x20, 0x04, 0, 0, 0, 99, 0, 0, 0, 5, 0, 10};
  const Options o = parse(b);
  ASSERT_TRUE(o.has(Options::kSeveralDss));
  EXPECT_EQ(o.dss.dsn, 99u);
  EXPECT_EQ(o.first_dss.dsn, 1u);
}

TEST(Join, ThreeFormsByFlags) {
  Bytes syn{30, 12, 0x11, 7, 1, 2, 3, 4, 5, 6, 7, 8};
  const Options o = parse(syn, kSyn);
  ASSERT_TRUE(o.has(Options::kJoin));
  EXPECT_EQ(o.join.token, 0x01020304u);
  EXPECT_EQ(o.join.nonce, 0x05060708u);
  EXPECT_EQ(o.join.address_id, 7);
  EXPECT_TRUE(o.join.backup);
  EXPECT_FALSE(parse(syn, kAck).has(Options::kJoin));
  Bytes synack(16, 9);
  synack[0] = 30, synack[1] = 16, synack[2] = 0x10;
  EXPECT_EQ(parse(synack, kSyn | kAck).join.nonce, 0x09090909u);
  Bytes ack(24, 8);
  ack[0] = 30, ack[1] = 24, ack[2] = 0x10;
  EXPECT_EQ(parse(ack, kAck).join.hmac[19], 8);
}

TEST(AddAddr, BothVersionsBothFamilies) {
  for (const auto& [length, nibble, v6, port, hmac] :
       std::vector<std::tuple<uint8_t, uint8_t, bool, bool, bool>>{{8, 1, false, false, false},
                                                                   {10, 1, false, true, false},
                                                                   {16, 0, false, false, true},
                                                                   {18, 0, false, true, true},
                                                                   {20, 1, true, false, false},
                                                                   {22, 1, true, true, false},
                                                                   {28, 0, true, false, true},
                                                                   {30, 0, true, true, true},
                                                                   {8, 4, false, false, false},
                                                                   {10, 4, false, true, false},
                                                                   {20, 6, true, false, false},
                                                                   {22, 6, true, true, false}}) {
    Bytes b(length, 1);
    b[0] = 30;
    b[1] = length;
    b[2] = static_cast<uint8_t>(0x30 | nibble);
    b[3] = 5;
    const Options o = parse(b);
    ASSERT_TRUE(o.has(Options::kAddAddr)) << int(length) << " " << int(nibble);
    EXPECT_EQ(o.add_addr.address.is_v4(), !v6);
    EXPECT_EQ(o.add_addr.has_port, port);
    EXPECT_EQ(o.add_addr.has_hmac, hmac);
    EXPECT_EQ(o.add_addr.port, port ? 0x0101 : 0);
  }
  Bytes unsigned_advertisement(8, 1);
  unsigned_advertisement[0] = 30, unsigned_advertisement[1] = 8, unsigned_advertisement[2] = 0x30;
  EXPECT_TRUE(parse(unsigned_advertisement).has(Options::kMalformedMptcp));
}

TEST(Signals, RemoveAddrPrioFailFastCloseTcpRst) {
  const Options r = parse({30, 5, 0x40, 3, 4});
  ASSERT_TRUE(r.has(Options::kRemoveAddr));
  EXPECT_EQ(r.remove_addr.count, 2);
  EXPECT_EQ(r.remove_addr.ids[1], 4);
  EXPECT_TRUE(parse({30, 3, 0x51}).prio.backup);
  EXPECT_EQ(parse({30, 4, 0x51, 9}).prio.address_id, 9);
  EXPECT_EQ(parse({30, 12, 0x60, 0, 0, 0, 0, 0, 0, 0, 1, 0}).fail_dsn, 256u);
  EXPECT_EQ(parse({30, 12, 0x70, 0, 1, 2, 3, 4, 5, 6, 7, 8}).fast_close_key, 0x0102030405060708u);
  const Options t = parse({30, 4, 0x81, 6});
  EXPECT_TRUE(t.tcp_rst.transient);
  EXPECT_STREQ(reset_reason_name(t.tcp_rst.reason), "middlebox_interference");
}

TEST(List, StopsAtEndAndNeverRunsOver) {
  EXPECT_FALSE(parse({0, 30, 4, 0x81, 6}).has(Options::kAnyMptcp));
  EXPECT_TRUE(parse({30}).has(Options::kMalformedTcp));
  EXPECT_TRUE(parse({30, 0}).has(Options::kMalformedTcp));
  EXPECT_TRUE(parse({30, 40, 0x20}).has(Options::kMalformedTcp));
  EXPECT_TRUE(parse({30, 4, 0xf0, 0}).has(Options::kUnknownSubtype));
  EXPECT_TRUE(parse({30, 2}).has(Options::kMalformedMptcp));
  EXPECT_TRUE(parse({19, 18, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}).has(Options::kMd5OrAo));
}

TEST(Writer, RefusesWhatDoesNotFit) {
  OptionWriter w;
  EXPECT_TRUE(w.timestamps(1, 2));
  Dss d;
  d.has_ack = d.ack8 = d.has_map = d.dsn8 = d.has_checksum = true;
  EXPECT_TRUE(w.dss(d));
  EXPECT_FALSE(w.fast_close(1));
  EXPECT_EQ(w.finish().size() % 4, 0u);
}

}  // namespace
}  // namespace mptap::mptcp
