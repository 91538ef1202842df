// SPDX-License-Identifier: Apache-2.0
#include "packet/checksum.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <random>
#include <utility>
#include <vector>

namespace mptap::packet::checksum {
namespace {

// RFC 1071 section 1, word by word, in network order.
uint16_t naive(std::span<const uint8_t> bytes) {
  uint32_t s = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    s += i % 2 == 0 ? uint32_t{bytes[i]} << 8 : bytes[i];
    s = (s & 0xffff) + (s >> 16);
  }
  return static_cast<uint16_t>(s);
}

// 0x0000 and 0xffff are the same number in ones' complement; a sum of nothing but zeros is 0 in both.
uint16_t folded(std::span<const uint8_t> bytes) {
  return to_host(fold(sum(bytes)));
}

TEST(Checksum, EqualsTheNaiveSumForEveryLengthAndAlignment) {
  std::mt19937 random(1);
  std::vector<uint8_t> bytes(2100);
  for (auto& b : bytes) b = static_cast<uint8_t>(random());
  for (size_t offset = 0; offset < 33; ++offset) {
    for (size_t n = 0; n <= 1600; ++n) {
      const std::span part(bytes.data() + offset, n);
      ASSERT_EQ(folded(part), naive(part)) << "offset " << offset << " length " << n;
    }
  }
}

TEST(Checksum, ExtremeBytesDoNotOverflowTheLanes) {
  for (const uint8_t value : std::initializer_list<uint8_t>{0x00, 0xff, 0x80, 0x7f}) {
    for (const size_t n : {size_t{65535}, size_t{32} << 14, (size_t{32} << 14) + 1, (size_t{32} << 14) + 30, size_t{3} << 20}) {
      const std::vector<uint8_t> bytes(n, value);
      EXPECT_EQ(folded(bytes), naive(bytes)) << int{value} << " x " << n;
      EXPECT_LT(sum(bytes), uint64_t{1} << 33);
    }
  }
}

TEST(Checksum, PartsAddUpAlsoAtOddOffsets) {
  std::mt19937 random(2);
  std::vector<uint8_t> bytes(777);
  for (auto& b : bytes) b = static_cast<uint8_t>(random());
  const std::span whole(bytes);
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    const uint64_t tail = sum(whole.subspan(cut));
    EXPECT_EQ(fold(sum(whole.first(cut)) + (cut % 2 != 0 ? at_odd_offset(tail) : tail)), fold(sum(whole))) << cut;
  }
}

TEST(Checksum, Ipv4HeaderOfRfc1071Kind) {
  // A well-known example: the field must be b861.
  std::vector<uint8_t> header{0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
                              0x00, 0x00, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};
  EXPECT_EQ(to_host(ipv4_header(header)), 0xb861);
  store(&header[10], ipv4_header(header));
  EXPECT_EQ(header[10], 0xb8);
  EXPECT_TRUE(verifies(sum(header)));
  header[15] ^= 1;
  EXPECT_FALSE(verifies(sum(header)));
}

TEST(Checksum, TcpOfBothFamilies) {
  for (const auto& [from, to] : {std::pair{"10.0.0.1", "10.0.0.2"}, std::pair{"fd00::1", "2001:db8::ff"}}) {
    const auto src = *IpAddress::parse(from), dst = *IpAddress::parse(to);
    std::vector<uint8_t> segment(20 + 7, 0x5a);
    segment[16] = segment[17] = 0;
    // The pseudo-header spelled out.
    std::vector<uint8_t> all;
    const size_t size = src.is_v4() ? 4 : 16;
    all.insert(all.end(), src.bytes.end() - size, src.bytes.end());
    all.insert(all.end(), dst.bytes.end() - size, dst.bytes.end());
    if (src.is_v4()) {
      all.insert(all.end(), {0, 6, 0, 27});
    } else {
      all.insert(all.end(), {0, 0, 0, 27, 0, 0, 0, 6});
    }
    all.insert(all.end(), segment.begin(), segment.end());
    EXPECT_EQ(to_host(tcp(src, dst, segment)), static_cast<uint16_t>(~naive(all)));
    store(&segment[16], tcp(src, dst, segment));
    EXPECT_TRUE(verifies(pseudo(src, dst, 6, 27) + sum(segment)));
  }
}

}  // namespace
}  // namespace mptap::packet::checksum
