// SPDX-License-Identifier: Apache-2.0
// Fragments in, datagrams out, as Linux puts them together.
#include <gtest/gtest.h>
#include <rte_eal.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <string>

#include "bytes.h"
#include "packet/decode.h"

namespace mptap::packet {
namespace {

using namespace test;

constexpr uint64_t kNow = 1'000'000'000'000, kMillisecond = 1'000'000;

struct Piece {
  size_t offset, size;
  bool more;
};

Bytes fragment4(const Bytes& whole, Piece p, uint16_t id = 7, uint8_t protocol = 6) {
  const size_t n = std::min(p.size, whole.size() - p.offset);
  return ipv4(protocol, part(whole, p.offset, n),
              {.id = id, .fragment = static_cast<uint16_t>(p.offset / 8 | (p.more ? 0x2000 : 0))});
}
Bytes fragment6(const Bytes& whole, Piece p, uint32_t id = 7, uint8_t next = 6) {
  const size_t n = std::min(p.size, whole.size() - p.offset);
  return ipv6(44, Bytes{next, 0} + u16(p.offset | (p.more ? 1 : 0)) + u32(id) + part(whole, p.offset, n));
}
// In pieces of `size` bytes.
std::vector<Piece> cut(const Bytes& whole, size_t size) {
  std::vector<Piece> all;
  for (size_t at = 0; at < whole.size(); at += size)
    all.push_back({at, std::min(size, whole.size() - at), at + size < whole.size()});
  return all;
}

class FragmentTest : public testing::Test {
 protected:
  Reason decode(const Bytes& bytes, uint64_t time = kNow) {
    return decoder.decode(frame(bytes, LinkType::kRawIp, time), segment);
  }
  std::string payload() const { return {reinterpret_cast<const char*>(segment.payload), segment.payload_size}; }

  Decoder decoder{{.max_fragment_flows = 16}};
  TcpSegment segment;
  const std::string text_ = std::string(900, 'a') + std::string(700, 'b') + "end";
  const Bytes whole4 = tcp4(text(text_)), whole6 = tcp6(text(text_));
};

TEST_F(FragmentTest, EveryOrderOfThePiecesGivesTheSegment) {
  for (const bool v6 : {false, true}) {
    const Bytes& whole = v6 ? whole6 : whole4;
    const auto pieces = cut(whole, 400);
    ASSERT_EQ(pieces.size(), 5u);
    std::vector<size_t> order(pieces.size());
    std::iota(order.begin(), order.end(), 0);
    do {
      for (size_t i = 0; i < order.size(); ++i) {
        const Bytes b = v6 ? fragment6(whole, pieces[order[i]]) : fragment4(whole, pieces[order[i]]);
        ASSERT_EQ(decode(b), i + 1 == order.size() ? Reason::kTcp : Reason::kFragmentHeld);
      }
      ASSERT_EQ(payload(), text_);
      EXPECT_EQ(segment.src.port, 4660);
      EXPECT_EQ(segment.ttl, v6 ? 62 : 63);
      EXPECT_EQ(segment.v6, v6);
    } while (std::next_permutation(order.begin(), order.end()));
  }
  EXPECT_EQ(decoder.fragment_losses().discarded, 0u);
}

TEST_F(FragmentTest, CopiesAreIgnoredAsASpanPortSendsThem) {
  const auto pieces = cut(whole4, 600);
  for (const Piece& p : pieces) {
    const bool last = !p.more;
    EXPECT_EQ(decode(fragment4(whole4, p)), last ? Reason::kTcp : Reason::kFragmentHeld);
    if (last) break;
    EXPECT_EQ(decode(fragment4(whole4, p)), Reason::kFragmentHeld);
  }
  EXPECT_EQ(payload(), text_);
}

TEST_F(FragmentTest, ACopyDoesNotReplaceWhatIsThere) {
  Bytes other = whole4;
  std::fill(other.begin() + 600, other.end(), uint8_t{'X'});
  EXPECT_EQ(decode(fragment4(whole4, {0, 400, true})), Reason::kFragmentHeld);
  EXPECT_EQ(decode(fragment4(whole4, {400, 800, true})), Reason::kFragmentHeld);
  EXPECT_EQ(decode(fragment4(other, {600, 400, true})), Reason::kFragmentHeld);
  EXPECT_EQ(decode(fragment4(whole4, {1200, 4000, false})), Reason::kTcp);
  EXPECT_EQ(payload(), text_);
}

TEST_F(FragmentTest, AnOverlapDiscardsTheDatagram) {
  for (const Piece& overlap : {Piece{392, 800, true}, Piece{0, 408, true}, Piece{792, 16, true}, Piece{392, 4000, false}}) {
    Decoder fresh;
    decoder = std::move(fresh);
    EXPECT_EQ(decode(fragment4(whole4, {0, 400, true})), Reason::kFragmentHeld);
    EXPECT_EQ(decode(fragment4(whole4, {800, 400, true})), Reason::kFragmentHeld);
    EXPECT_EQ(decode(fragment4(whole4, overlap)), Reason::kFragmentBad) << overlap.offset;
    EXPECT_EQ(decoder.fragment_losses().discarded, 1u);
    // What was there is gone; the same id begins anew.
    EXPECT_EQ(decode(fragment4(whole4, {400, 400, true})), Reason::kFragmentHeld);
    EXPECT_EQ(decode(fragment4(whole4, {1200, 4000, false})), Reason::kFragmentHeld);
    EXPECT_EQ(decode(fragment4(whole4, {0, 400, true})), Reason::kFragmentHeld);
    EXPECT_EQ(decode(fragment4(whole4, {800, 400, true})), Reason::kTcp);
    EXPECT_EQ(payload(), text_);
  }
}

TEST_F(FragmentTest, TwoEndsOrBytesBehindTheEndDiscardTheDatagram) {
  EXPECT_EQ(decode(fragment4(whole4, {800, 80, false})), Reason::kFragmentHeld);
  EXPECT_EQ(decode(fragment4(whole4, {960, 80, true})), Reason::kFragmentBad);
  EXPECT_EQ(decode(fragment4(whole4, {800, 80, false})), Reason::kFragmentHeld);
  EXPECT_EQ(decode(fragment4(whole4, {960, 80, false})), Reason::kFragmentBad);
  EXPECT_EQ(decode(fragment4(whole4, {960, 80, true})), Reason::kFragmentHeld);
  EXPECT_EQ(decode(fragment4(whole4, {800, 80, false})), Reason::kFragmentBad);
}

TEST_F(FragmentTest, MalformedPieces) {
  EXPECT_EQ(decode(fragment6(whole6, {0, 401, true})), Reason::kFragmentBad);
  EXPECT_EQ(decode(ipv4(6, {}, {.fragment = 0x2000})), Reason::kFragmentBad);
  EXPECT_EQ(decode(ipv4(6, Bytes(100, 0), {.fragment = 0x1fff})), Reason::kFragmentBad);  // would end behind 65535
  EXPECT_EQ(decode(ipv6(44, Bytes{6, 0, 0xff, 0xf8, 0, 0, 0, 1} + Bytes(100, 0))), Reason::kFragmentBad);
  // IPv4: Linux cuts a piece that is not the last to a multiple of 8.
  EXPECT_EQ(decode(fragment4(whole4, {0, 405, true})), Reason::kFragmentHeld);
  EXPECT_EQ(decode(fragment4(whole4, {400, 4000, false})), Reason::kTcp);
  EXPECT_EQ(payload(), text_);
  // Cut by the capture: nothing to put together.
  const Bytes b = fragment4(whole4, {0, 400, true});
  Frame f = frame(b, LinkType::kRawIp);
  f.captured -= 1;
  EXPECT_EQ(decoder.decode(f, segment), Reason::kIpTruncated);
  // A fragment inside a reassembled packet.
  const Bytes nested = Bytes{6, 0, 0, 1, 0, 0, 0, 9} + whole6;
  EXPECT_EQ(decode(fragment6(nested, {0, 800, true}, 7, 44)), Reason::kFragmentHeld);
  EXPECT_EQ(decode(fragment6(nested, {800, 4000, false}, 7, 44)), Reason::kIpv6BadExtension);
}

TEST_F(FragmentTest, DatagramsAreKeptApart) {
  const Bytes other = tcp4(text(std::string(1600, 'o')));
  EXPECT_EQ(decode(fragment4(whole4, {0, 800, true}, 1)), Reason::kFragmentHeld);
  EXPECT_EQ(decode(fragment4(other, {0, 800, true}, 2)), Reason::kFragmentHeld);
  EXPECT_EQ(decode(fragment4(other, {0, 800, true}, 1, 17)), Reason::kFragmentHeld);  // UDP with the same id
  Bytes swapped = fragment4(other, {800, 4000, false}, 1);
  std::swap_ranges(swapped.begin() + 12, swapped.begin() + 16, swapped.begin() + 16);
  EXPECT_EQ(decode(swapped), Reason::kFragmentHeld);
  EXPECT_EQ(decode(fragment4(other, {800, 4000, false}, 2)), Reason::kTcp);
  EXPECT_EQ(payload(), std::string(1600, 'o'));
  EXPECT_EQ(decode(fragment4(whole4, {800, 4000, false}, 1)), Reason::kTcp);
  EXPECT_EQ(payload(), text_);
}

TEST_F(FragmentTest, ChecksumsAreVerifiedAlsoWhereTheNicIsTrusted) {
  Bytes bad = whole4;
  bad[700] ^= 1;
  decoder.trust_checksums(true);
  EXPECT_EQ(decode(fragment4(bad, {0, 800, true})), Reason::kFragmentHeld);
  EXPECT_EQ(decode(fragment4(bad, {800, 4000, false})), Reason::kTcpBadChecksum);
}

TEST_F(FragmentTest, PiecesLargerThanAPacketBuffer) {
  const std::string long_text(30'000, 'z');
  const Bytes whole = tcp4(text(long_text));
  EXPECT_EQ(decode(fragment4(whole, {16'000, 30'000, false})), Reason::kFragmentHeld);
  EXPECT_EQ(decode(fragment4(whole, {0, 16'000, true})), Reason::kTcp);
  EXPECT_EQ(payload(), long_text);
}

TEST_F(FragmentTest, FragmentedTunnelsAndTunnelledFragments) {
  const Bytes vxlan = udp(4789, Bytes{8, 0, 0, 0, 0, 0, 1, 0} + ethernet(0x0800, ipv4(6, whole4)));
  EXPECT_EQ(decode(fragment4(vxlan, {0, 1400, true}, 7, 17)), Reason::kFragmentHeld);
  EXPECT_EQ(decode(fragment4(vxlan, {1400, 4000, false}, 7, 17)), Reason::kTcp);
  EXPECT_EQ(payload(), text_);
  EXPECT_EQ(segment.tunnel_depth, 1);
  EXPECT_EQ(decode(ipv4(4, fragment4(whole4, {0, 800, true}))), Reason::kFragmentHeld);
  EXPECT_EQ(decode(fragment4(whole4, {800, 4000, false})), Reason::kFragmentHeld);  // outside the tunnel: another datagram
  EXPECT_EQ(decode(ipv4(4, fragment4(whole4, {800, 4000, false}))), Reason::kTcp);
  EXPECT_EQ(payload(), text_);
}

TEST_F(FragmentTest, Ipv6ExtensionsBehindTheFragmentHeader) {
  const Bytes whole = Bytes{6, 0, 1, 4, 0, 0, 0, 0} + whole6;
  EXPECT_EQ(decode(fragment6(whole, {800, 4000, false}, 7, 60)), Reason::kFragmentHeld);
  EXPECT_EQ(decode(fragment6(whole, {0, 800, true}, 7, 60)), Reason::kTcp);
  EXPECT_EQ(payload(), text_);
}

TEST_F(FragmentTest, PacketTimeEndsTheWait) {
  EXPECT_EQ(decode(fragment4(whole4, {0, 800, true})), Reason::kFragmentHeld);
  EXPECT_EQ(decode(fragment4(whole4, {800, 4000, false}), kNow + 30'000 * kMillisecond), Reason::kTcp);  // just in time
  EXPECT_EQ(decode(fragment4(whole4, {0, 800, true})), Reason::kFragmentHeld);
  EXPECT_EQ(decode(fragment4(whole4, {800, 4000, false}), kNow + 30'001 * kMillisecond), Reason::kFragmentHeld);
  EXPECT_EQ(decoder.fragment_losses().timed_out, 1u);
  EXPECT_EQ(decode(fragment4(whole4, {0, 800, true}), kNow + 30'002 * kMillisecond), Reason::kTcp);
  EXPECT_EQ(payload(), text_);
}

// The library holds a first piece, a last one and six between.
TEST_F(FragmentTest, ManyPiecesAreDropped) {
  const auto pieces = cut(whole4, 160);
  ASSERT_GT(pieces.size(), 9u);
  for (size_t i = 0; i < 7; ++i) EXPECT_EQ(decode(fragment4(whole4, pieces[i], 1)), Reason::kFragmentHeld);
  EXPECT_EQ(decode(fragment4(whole4, pieces[7], 1)), Reason::kFragmentDropped);
  EXPECT_EQ(decoder.fragment_losses().discarded, 1u);

  EXPECT_EQ(decode(fragment4(whole4, pieces.back(), 2)), Reason::kFragmentHeld);
  for (size_t i = 0; i < 7; ++i) EXPECT_EQ(decode(fragment4(whole4, pieces[i], 2)), Reason::kFragmentHeld);
  EXPECT_EQ(decode(fragment4(whole4, pieces[8], 2)), Reason::kFragmentDropped);
  EXPECT_EQ(decoder.fragment_losses().discarded, 2u);

  ASSERT_EQ(cut(whole4, 208).size(), 8u);
  for (const Piece& p : cut(whole4, 208))
    EXPECT_EQ(decode(fragment4(whole4, p, 3)), p.more ? Reason::kFragmentHeld : Reason::kTcp);
  EXPECT_EQ(payload(), text_);
}

TEST_F(FragmentTest, WhenTheTableIsFullTheOldestDatagramGoes) {
  for (uint16_t id = 0; id < 17; ++id) EXPECT_EQ(decode(fragment4(whole4, {0, 800, true}, id), kNow + id), Reason::kFragmentHeld);
  EXPECT_EQ(decoder.fragment_losses().evicted, 1u);
  for (uint16_t id = 1; id < 17; ++id) {
    EXPECT_EQ(decode(fragment4(whole4, {800, 4000, false}, id), kNow + 20), Reason::kTcp) << id;
    EXPECT_EQ(payload(), text_);
  }
  EXPECT_EQ(decode(fragment4(whole4, {800, 4000, false}, 0), kNow + 20), Reason::kFragmentHeld);
}

// A flood of pieces that never become a datagram neither uses up the buffers nor stops what comes after it.
TEST_F(FragmentTest, AFloodLeavesRoom) {
  const Bytes big(40'000, 'f');
  for (uint32_t i = 0; i < 20'000; ++i) {
    const size_t offset = i * 8 % 20'000;
    const Bytes b =
        i % 3 == 0 ? fragment6(big, {offset, 8 * (1 + i % 2000), i % 5 != 0}, i % 64)
                   : fragment4(big, {offset, 8 * (1 + i % 900), i % 7 != 0}, static_cast<uint16_t>(i % 50), i % 2 == 0 ? 6 : 47);
    decode(b, kNow + i * kMillisecond);
  }
  const uint64_t later = kNow + 20'001 * kMillisecond;
  EXPECT_EQ(decode(fragment4(whole4, {0, 800, true}, 999), later), Reason::kFragmentHeld);
  EXPECT_EQ(decode(fragment4(whole4, {800, 4000, false}, 999), later), Reason::kTcp);
  EXPECT_EQ(payload(), text_);
}

}  // namespace
}  // namespace mptap::packet

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  std::string prefix = "--file-prefix=fragment_test" + std::to_string(::getpid());
  std::string arguments[] = {"fragment_test",  "--no-huge",     "--no-pci", "-m", "64",
                             "--no-telemetry", "--log-level=3", "-l",       "0",  prefix};
  char* eal[std::size(arguments)];
  std::transform(std::begin(arguments), std::end(arguments), eal, [](std::string& s) { return s.data(); });
  if (rte_eal_init(static_cast<int>(std::size(eal)), eal) < 0) return 1;
  const int result = RUN_ALL_TESTS();
  rte_eal_cleanup();
  return result;
}
