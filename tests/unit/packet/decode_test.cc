// SPDX-License-Identifier: Apache-2.0
// Packets in, result out: every header form, every reason.
#include "packet/decode.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <string>

#include "bytes.h"

namespace mptap::packet {
namespace {

using namespace test;

Reason decode(const Bytes& bytes, LinkType link = LinkType::kRawIp, const DecodeConfig& config = {}) {
  Decoder decoder(config);
  TcpSegment out;
  return decoder.decode(frame(bytes, link), out);
}

std::string payload(const TcpSegment& s) {
  return {reinterpret_cast<const char*>(s.payload), s.payload_size};
}

TEST(Decode, EveryHeaderFormGivesTheSameSegment) {
  Decoder decoder;
  for (const Sample& sample : samples()) {
    SCOPED_TRACE(sample.name);
    TcpSegment s;
    Frame f = frame(sample.bytes, sample.link, 123);
    f.number = 77;
    ASSERT_EQ(decoder.decode(f, s), Reason::kTcp);
    EXPECT_EQ(s.src.to_string(), sample.v6 ? "[fd00::1]:4660" : "10.0.0.1:4660");
    EXPECT_EQ(s.dst.to_string(), sample.v6 ? "[2001:db8::2]:80" : "10.0.0.2:80");
    EXPECT_EQ(s.v6, sample.v6);
    EXPECT_EQ(s.seq, 0x01020304u);
    EXPECT_EQ(s.ack, 0x05060708u);
    EXPECT_EQ(s.flags, kPsh | kAck);
    EXPECT_EQ(s.window, 512);
    EXPECT_EQ(s.ttl, sample.v6 ? 62 : 63);
    EXPECT_EQ(s.dscp_ecn, 0xb8);
    EXPECT_EQ(s.ip_id, sample.v6 ? 0 : 7);
    EXPECT_EQ(s.timestamp_ns, 123u);
    EXPECT_EQ(s.number, 77u);
    EXPECT_EQ(s.tunnel_depth, sample.tunnel_depth);
    EXPECT_EQ(s.vlan_count, sample.vlan_count);
    EXPECT_EQ(Bytes(s.option_bytes().begin(), s.option_bytes().end()), kTimestamps);
    EXPECT_EQ(payload(s), "payload");
    EXPECT_NE(s.tcp_checksum, 0);
  }
}

TEST(Decode, VlanIdsComeOutermostFirst) {
  Decoder decoder;
  TcpSegment s;
  const Bytes b = ethernet(0x88a8, tag(5, 0x8100, tag(6, 0x8100, tag(7, 0x0800, ipv4(6, tcp4())))));
  ASSERT_EQ(decoder.decode(frame(b), s), Reason::kTcp);
  EXPECT_EQ(s.vlan_count, 3);
  EXPECT_EQ(s.vlan[0], 5);
  EXPECT_EQ(s.vlan[1], 6);
  const Bytes plain = ethernet(0x0800, ipv4(6, tcp4()));
  ASSERT_EQ(decoder.decode(frame(plain), s), Reason::kTcp);
  EXPECT_EQ(s.vlan_count, 0);
  EXPECT_EQ(s.vlan[0], 0);
  EXPECT_EQ(s.vlan[1], 0);
}

// Cut off by the wire: never a good segment. Cut off by the capture: the same until the TCP header is whole, then snapped.
TEST(Decode, EveryCutOfEverySampleIsTold) {
  Decoder decoder;
  for (const Sample& sample : samples()) {
    SCOPED_TRACE(sample.name);
    const size_t headers = sample.bytes.size() - 7;
    for (size_t n = 0; n < sample.bytes.size(); ++n) {
      SCOPED_TRACE(n);
      // A block of its own, so that a sanitizer sees a read past its end.
      const std::unique_ptr<uint8_t[]> exact(new uint8_t[n]);
      std::memcpy(exact.get(), sample.bytes.data(), n);
      Frame f = frame(sample.bytes, sample.link);
      f.data = exact.get();
      f.captured = static_cast<uint32_t>(n);
      TcpSegment s;
      const Reason snapped = decoder.decode(f, s);
      if (n >= headers) {
        EXPECT_EQ(snapped, Reason::kSnapped) << reason_name(snapped);
        EXPECT_EQ(s.payload_size, n - headers);
        EXPECT_EQ(s.options_size, kTimestamps.size());
      } else {
        EXPECT_NE(snapped, Reason::kTcp);
        EXPECT_NE(snapped, Reason::kSnapped);
        EXPECT_NE(snapped, Reason::kIpBadTotalLength);
      }
      f.wire = f.captured;
      const Reason cut = decoder.decode(f, s);
      EXPECT_NE(cut, Reason::kTcp);
      EXPECT_NE(cut, Reason::kSnapped);
    }
  }
}

TEST(Decode, EthernetPaddingIsNoPayload) {
  const Bytes b = ethernet(0x0800, ipv4(6, tcp(Bytes{}, kSrc4, kDst4, {}))) + Bytes(6, 0xee);
  ASSERT_EQ(b.size(), 60u);
  Decoder decoder;
  TcpSegment s;
  ASSERT_EQ(decoder.decode(frame(b), s), Reason::kTcp);
  EXPECT_EQ(s.payload_size, 0u);
  EXPECT_EQ(s.options_size, 0);
  const Bytes b6 = ethernet(0x86dd, ipv6(6, tcp6(text("x")))) + Bytes(6, 0xee);
  ASSERT_EQ(decoder.decode(frame(b6), s), Reason::kTcp);
  EXPECT_EQ(payload(s), "x");
}

TEST(Decode, OtherTrafficIsNotMalformed) {
  EXPECT_EQ(decode(ethernet(0x0806, Bytes(28, 0)), LinkType::kEthernet), Reason::kNotIp);
  EXPECT_EQ(decode(ethernet(38, Bytes(38, 0x42)), LinkType::kEthernet), Reason::kNotIp);  // 802.3 with a length: spanning tree
  EXPECT_EQ(decode(ethernet(0x8864, Bytes{0x11, 0, 0, 9, 0, 10, 0xc0, 0x21} + Bytes(8, 0)), LinkType::kEthernet), Reason::kNotIp);
  EXPECT_EQ(decode(ethernet(0x8864, Bytes{0x11, 0xa7, 0, 9, 0, 0}), LinkType::kEthernet), Reason::kNotIp);
  EXPECT_EQ(decode(ethernet(0x8847, Bytes{0, 1, 1, 64, 0x10, 0, 0, 0}), LinkType::kEthernet), Reason::kNotIp);
  EXPECT_EQ(decode(Bytes{7, 0, 0, 0} + ipv4(6, tcp4()), LinkType::kNull), Reason::kNotIp);
  EXPECT_EQ(decode(ipv4(1, Bytes(8, 0))), Reason::kNotTcp);
  EXPECT_EQ(decode(ipv4(17, udp(53, Bytes(20, 0)))), Reason::kNotTcp);
  EXPECT_EQ(decode(ipv6(58, Bytes(8, 0))), Reason::kNotTcp);
  EXPECT_EQ(decode(ipv6(59, {})), Reason::kNotTcp);
  EXPECT_EQ(decode(ipv6(50, Bytes(40, 0))), Reason::kNotTcp);
  EXPECT_EQ(decode(ipv4(47, Bytes{0, 1, 0x88, 0x0b} + Bytes(20, 0))), Reason::kNotTcp);  // PPTP
  EXPECT_EQ(decode(ipv4(47, Bytes{0, 0, 0, 0})), Reason::kNotIp);                        // keepalive
  EXPECT_EQ(decode(ipv4(17, udp(4789, Bytes(60, 0)))), Reason::kNotTcp);                 // no VXLAN: the VNI flag is off
  EXPECT_EQ(decode(ipv4(17, udp(6081, Bytes{0, 0x80, 0x65, 0x58, 0, 0, 1, 0}))), Reason::kNotTcp);  // Geneve control
}

TEST(Decode, TunnelsCanBeSwitchedOff) {
  for (const Sample& sample : samples()) {
    SCOPED_TRACE(sample.name);
    const std::string name = sample.name;
    DecodeConfig config;
    bool matters = true;
    if (name.starts_with("gre")) {
      config.gre = false;
    } else if (name.starts_with("erspan")) {
      config.erspan = false;
    } else if (name.starts_with("vxlan")) {
      config.vxlan = false;
    } else if (name.starts_with("geneve")) {
      config.geneve = false;
    } else if (name.find("_in_ip") != name.npos) {
      config.ip_in_ip = false;
    } else {
      matters = false;
      config.gre = config.erspan = config.vxlan = config.geneve = config.ip_in_ip = sample.tunnel_depth > 1;
    }
    EXPECT_EQ(decode(sample.bytes, sample.link, config), matters ? Reason::kNotTcp : Reason::kTcp);
  }
}

TEST(Decode, TunnelPortsAreConfigurable) {
  const Bytes inner = ethernet(0x0800, ipv4(6, tcp4()));
  const Bytes vxlan = ipv4(17, udp(8472, Bytes{8, 0, 0, 0, 0, 0, 1, 0} + inner));
  EXPECT_EQ(decode(vxlan), Reason::kNotTcp);
  EXPECT_EQ(decode(vxlan, LinkType::kRawIp, {.vxlan_port = 8472}), Reason::kTcp);
  const Bytes geneve = ipv4(17, udp(7000, Bytes{0, 0, 0x65, 0x58, 0, 0, 1, 0} + inner));
  EXPECT_EQ(decode(geneve), Reason::kNotTcp);
  EXPECT_EQ(decode(geneve, LinkType::kRawIp, {.geneve_port = 7000}), Reason::kTcp);
}

TEST(Decode, TunnelDepthIsLimited) {
  Bytes b = ipv4(6, tcp4());
  for (int i = 0; i < 4; ++i) b = ipv4(4, b);
  EXPECT_EQ(decode(b), Reason::kTcp);
  EXPECT_EQ(decode(ipv4(4, b)), Reason::kTunnelTooDeep);
  EXPECT_EQ(decode(b, LinkType::kRawIp, {.max_tunnel_depth = 3}), Reason::kTunnelTooDeep);
  EXPECT_EQ(decode(b, LinkType::kRawIp, {.max_tunnel_depth = 0}), Reason::kTunnelTooDeep);
}

TEST(Decode, TruncatedHeadersAreToldByLayer) {
  EXPECT_EQ(decode(Bytes(13, 0), LinkType::kEthernet), Reason::kLinkTruncated);
  EXPECT_EQ(decode(Bytes(15, 0), LinkType::kLinuxCooked), Reason::kLinkTruncated);
  EXPECT_EQ(decode(Bytes(19, 0), LinkType::kLinuxCookedV2), Reason::kLinkTruncated);
  EXPECT_EQ(decode(Bytes{0}, LinkType::kPpp), Reason::kLinkTruncated);
  EXPECT_EQ(decode(Bytes{2, 0, 0}, LinkType::kNull), Reason::kLinkTruncated);
  EXPECT_EQ(decode(Bytes(60, 0), static_cast<LinkType>(99)), Reason::kLinkUnsupported);
  EXPECT_EQ(decode(ethernet(0x8100, {0, 5, 8}), LinkType::kEthernet), Reason::kVlanTruncated);
  EXPECT_EQ(decode(ethernet(0x8847, {0, 1, 0, 64, 0, 1}), LinkType::kEthernet), Reason::kMplsTruncated);
  EXPECT_EQ(decode(ethernet(0x8847, {0, 1, 1, 64}), LinkType::kEthernet), Reason::kMplsTruncated);
  EXPECT_EQ(decode({}), Reason::kIpTruncated);
  EXPECT_EQ(decode(part(ipv4(6, tcp4()), 0, 19)), Reason::kIpTruncated);
  EXPECT_EQ(decode(part(ipv6(6, tcp6()), 0, 39)), Reason::kIpTruncated);
  EXPECT_EQ(decode(ipv4(47, {0x20, 0, 8, 0, 1})), Reason::kTunnelTruncated);
  EXPECT_EQ(decode(ipv4(47, {0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 1})), Reason::kTunnelTruncated);
  EXPECT_EQ(decode(ipv4(17, udp(4789, {8, 0, 0}))), Reason::kTunnelTruncated);
  EXPECT_EQ(decode(ipv4(17, udp(6081, {1, 0, 0x65, 0x58, 0, 0, 1, 0}))), Reason::kTunnelTruncated);
  EXPECT_EQ(decode(ipv4(6, Bytes(19, 0))), Reason::kTcpTruncated);
}

TEST(Decode, BadIpHeaders) {
  const Bytes good = ipv4(6, tcp4());
  EXPECT_EQ(decode(Bytes{0x55} + part(good, 1, good.size() - 1)), Reason::kIpBadVersion);
  EXPECT_EQ(decode(ethernet(0x0800, ipv6(6, tcp6())), LinkType::kEthernet), Reason::kIpBadVersion);
  EXPECT_EQ(decode(ethernet(0x86dd, good), LinkType::kEthernet), Reason::kIpBadVersion);
  Bytes b = good;
  b[0] = 0x44;
  EXPECT_EQ(decode(b), Reason::kIpBadHeaderLength);
  for (const size_t total : {size_t{0}, size_t{19}, good.size() + 1, size_t{65535}}) {
    b = good;
    put16(b, 2, total);
    fix_ip4(b);
    EXPECT_EQ(decode(b), Reason::kIpBadTotalLength) << total;
  }
  for (size_t i = 1; i < 20; ++i) {
    if (i == 2 || i == 3) continue;
    b = good;
    b[i] ^= 0x04;
    EXPECT_EQ(decode(b), Reason::kIpBadChecksum) << i;
  }
  b = good;
  b[1] ^= 0x04;
  EXPECT_EQ(decode(b, LinkType::kRawIp, {.verify_ip_checksum = false}), Reason::kTcp);
  for (const Bytes& options : {Bytes{7, 1, 0, 0}, Bytes{7, 5, 0, 0}, Bytes{1, 1, 1, 7}, Bytes{7, 0, 0, 0}}) {
    EXPECT_EQ(decode(ipv4(6, tcp4(), {.options = options})), Reason::kIpBadHeaderLength);
  }
  Bytes v6 = ipv6(6, tcp6());
  put16(v6, 4, v6.size() - 39);
  EXPECT_EQ(decode(v6), Reason::kIpBadTotalLength);
}

TEST(Decode, BadIpv6Extensions) {
  const Bytes t = tcp6();
  EXPECT_EQ(decode(ipv6(60, Bytes{0, 0, 1, 4, 0, 0, 0, 0} + Bytes{6, 0, 1, 4, 0, 0, 0, 0} + t)),
            Reason::kIpv6BadExtension);  // late hop-by-hop
  EXPECT_EQ(decode(ipv6(60, {6, 0, 1, 4})), Reason::kIpv6BadExtension);
  EXPECT_EQ(decode(ipv6(60, {6, 1, 1, 4, 0, 0, 0, 0})), Reason::kIpv6BadExtension);
  EXPECT_EQ(decode(ipv6(0, {6, 0, 1})), Reason::kIpv6BadExtension);
  EXPECT_EQ(decode(ipv6(0, {6, 9, 1, 4, 0, 0, 0, 0})), Reason::kIpv6BadExtension);
  EXPECT_EQ(decode(ipv6(0, Bytes{6, 0, 1, 9, 0, 0, 0, 0} + t)), Reason::kIpv6BadExtension);  // option longer than its header
  EXPECT_EQ(decode(ipv6(60, Bytes{6, 0, 0x5e, 4, 0, 0, 0, 0} + t)), Reason::kIpv6BadExtension);  // unknown, "discard"
  EXPECT_EQ(decode(ipv6(60, Bytes{6, 0, 0x1e, 4, 0, 0, 0, 0} + t)), Reason::kTcp);  // unknown, "skip"
}

TEST(Decode, RoutingHeaderNamesTheFinalDestination) {
  const Bytes final{0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9};
  const Bytes t = tcp(text("payload"), kSrc6, final);
  Decoder decoder;
  for (const uint8_t type : Bytes{0, 4}) {
    const Bytes b = ipv6(43, Bytes{6, 2, type, 1, 0, 0, 0, 0} + final + t);
    TcpSegment s;
    ASSERT_EQ(decoder.decode(frame(b, LinkType::kRawIp), s), Reason::kTcp) << int{type};
    EXPECT_EQ(s.dst.to_string(), "[fd00::9]:80");
  }
  EXPECT_EQ(decode(ipv6(43, Bytes{6, 2, 0, 0, 0, 0, 0, 0} + final + tcp6())), Reason::kTcp);  // has arrived
}

TEST(Decode, BadTcpHeaders) {
  for (const uint8_t words : Bytes{0, 4, 10, 15}) {
    Bytes t = tcp4();
    t[12] = static_cast<uint8_t>(words << 4);
    EXPECT_EQ(decode(ipv4(6, t)), Reason::kTcpBadHeaderLength) << int{words};
  }
}

TEST(Decode, WrongTcpChecksumIsNotTakenUnlessSwitchedOff) {
  for (const bool v6 : {false, true}) {
    const Bytes good = v6 ? tcp6() : tcp4();
    for (size_t i = 0; i < good.size(); ++i) {
      if (i == 12) continue;
      Bytes t = good;
      t[i] ^= 0x40;
      const Bytes b = v6 ? ipv6(6, t) : ipv4(6, t);
      EXPECT_EQ(decode(b), Reason::kTcpBadChecksum) << i;
      EXPECT_EQ(decode(b, LinkType::kRawIp, {.verify_tcp_checksum = false}), Reason::kTcp);
    }
  }
  // The pseudo-header counts: another address, right IP checksum.
  Bytes b = ipv4(6, tcp4());
  b[15] ^= 8;
  fix_ip4(b);
  EXPECT_EQ(decode(b), Reason::kTcpBadChecksum);
}

TEST(Decode, TrustInTheNicEndsAtTheTunnel) {
  Bytes t = tcp4();
  t[16] ^= 1;
  const Bytes plain = ipv4(6, t), tunnelled = ipv4(4, plain);
  Decoder decoder;
  decoder.trust_checksums(true);
  TcpSegment s;
  EXPECT_EQ(decoder.decode(frame(plain, LinkType::kRawIp), s), Reason::kTcp);
  EXPECT_EQ(decoder.decode(frame(tunnelled, LinkType::kRawIp), s), Reason::kTcpBadChecksum);
  decoder.trust_checksums(false);
  EXPECT_EQ(decoder.decode(frame(plain, LinkType::kRawIp), s), Reason::kTcpBadChecksum);
}

TEST(Decode, GiantFramesTakeTheLengthOfTheFrame) {
  const Bytes big(70000, 'x');
  const DecodeConfig off{.giant_frames = false};
  Decoder decoder;
  TcpSegment s;

  Bytes v4 = ipv4(6, tcp4(big));
  put16(v4, 2, 0);
  fix_ip4(v4);
  ASSERT_EQ(decoder.decode(frame(v4, LinkType::kRawIp), s), Reason::kTcp);
  EXPECT_EQ(s.payload_size, big.size());
  EXPECT_EQ(decode(v4, LinkType::kRawIp, off), Reason::kIpBadTotalLength);

  Bytes v6 = ipv6(6, tcp6(big));
  put16(v6, 4, 0);
  ASSERT_EQ(decoder.decode(frame(v6, LinkType::kRawIp), s), Reason::kTcp);
  EXPECT_EQ(s.payload_size, big.size());
  EXPECT_NE(decode(v6, LinkType::kRawIp, off), Reason::kTcp);

  const Bytes t = tcp6(big);
  Bytes jumbo = ipv6(0, Bytes{6, 0, 0xc2, 4} + u32(static_cast<uint32_t>(8 + t.size())) + t) + Bytes(4, 0);
  put16(jumbo, 4, 0);
  ASSERT_EQ(decoder.decode(frame(jumbo, LinkType::kRawIp), s), Reason::kTcp);
  EXPECT_EQ(s.payload_size, big.size());
  jumbo[44] = 1;  // longer than the frame
  EXPECT_EQ(decode(jumbo), Reason::kIpBadTotalLength);
}

TEST(Decode, WithoutAnEalFragmentsAreDropped) {
  const Bytes t = tcp4(Bytes(64, 'x'));
  EXPECT_EQ(decode(ipv4(6, part(t, 0, 48), {.fragment = 0x2000})), Reason::kFragmentDropped);
  EXPECT_EQ(decode(ipv4(1, Bytes(48, 0), {.fragment = 0x2000})), Reason::kNotTcp);
}

TEST(Decode, EveryReasonHasAStableName) {
  std::set<std::string> names;
  for (unsigned i = 0; i < static_cast<unsigned>(Reason::kCount); ++i) {
    const std::string name = reason_name(static_cast<Reason>(i));
    EXPECT_NE(name, "unknown") << i;
    EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_"), name.npos) << name;
    EXPECT_TRUE(names.insert(name).second) << name;
  }
  EXPECT_STREQ(reason_name(Reason::kTcpBadChecksum), "tcp_bad_checksum");
}

}  // namespace
}  // namespace mptap::packet
