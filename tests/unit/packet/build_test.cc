// SPDX-License-Identifier: Apache-2.0
#include "packet/build.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "packet/checksum.h"

namespace mptap::packet {
namespace {

Endpoint at(const char* address, uint16_t port) {
  return {*IpAddress::parse(address), port};
}

std::vector<uint8_t> built(const FrameSpec& spec) {
  std::vector<uint8_t> out(frame_size(spec).value(), 0xee);
  EXPECT_EQ(build_frame(spec, out).value(), out.size());
  return out;
}

std::string hex(const std::vector<uint8_t>& bytes) {
  std::string out;
  for (const uint8_t b : bytes) {
    out += "0123456789abcdef"[b >> 4];
    out += "0123456789abcdef"[b & 15];
  }
  return out;
}

std::span<const uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// Every byte of the headers written out by hand; the two checksums are verified apart.
TEST(Build, WritesEveryFieldWhereItBelongs) {
  FrameSpec spec;
  spec.src = at("10.0.0.1", 1000);
  spec.dst = at("10.0.0.2", 80);
  spec.seq = 0x01020304;
  spec.ack = 0x0a0b0c0d;
  spec.flags = kAck | kPsh;
  spec.window = 0x2000;
  spec.ip_id = 0x1234;
  spec.ttl = 63;
  spec.tos = 0x10;
  spec.timestamps = TcpTimestamps{0x11111111, 0x22222222};
  const std::vector<uint8_t> options{0x1e, 0x03, 0xff};
  spec.options = options;
  spec.payload = bytes_of("hi!");
  std::vector<uint8_t> frame = built(spec);
  EXPECT_TRUE(checksum::verifies(checksum::sum(std::span(frame).subspan(14, 20))));
  const auto segment = std::span(frame).subspan(34);
  EXPECT_TRUE(checksum::verifies(checksum::pseudo(spec.src.address, spec.dst.address, 6, static_cast<uint32_t>(segment.size())) +
                                 checksum::sum(segment)));
  frame[24] = frame[25] = frame[50] = frame[51] = 0;
  EXPECT_EQ(hex(frame),
            "020000000002"
            "020000000001"
            "0800"
            "4510003b12344000"
            "3f060000"
            "0a000001"
            "0a000002"
            "03e80050"
            "01020304"
            "0a0b0c0d"
            "90182000"
            "00000000"
            "0101080a1111111122222222"
            "1e03ff01"
            "686921");
}

TEST(Build, TagsAndIpv6) {
  FrameSpec spec;
  spec.src = at("fd00::1", 1);
  spec.dst = at("fd00::2", 2);
  spec.tos = 0xab;
  spec.vlan = {VlanTag{0x88a8, 100}, VlanTag{0x8100, 0x2003}};
  spec.vlan_count = 2;
  spec.flags = kSyn;
  spec.payload = bytes_of("odd");
  const std::vector<uint8_t> frame = built(spec);
  EXPECT_EQ(hex({frame.begin() + 12, frame.begin() + 30}),
            "88a8006481002003"
            "86dd"
            "6ab0000000170640");
  const auto segment = std::span(frame).subspan(22 + 40);
  ASSERT_EQ(segment.size(), 23u);
  EXPECT_TRUE(checksum::verifies(checksum::pseudo(spec.src.address, spec.dst.address, 6, 23) + checksum::sum(segment)));
}

TEST(Build, SpoilsAChecksumOnDemandOnly) {
  FrameSpec spec;
  spec.src = at("10.0.0.1", 1);
  spec.dst = at("10.0.0.2", 2);
  const std::vector<uint8_t> right = built(spec);
  spec.tcp_checksum_error = 1;
  spec.ip_checksum_error = 1;
  const std::vector<uint8_t> wrong = built(spec);
  EXPECT_FALSE(checksum::verifies(checksum::sum(std::span(wrong).subspan(14, 20))));
  EXPECT_FALSE(checksum::verifies(checksum::pseudo(spec.src.address, spec.dst.address, 6, 20) +
                                  checksum::sum(std::span(wrong).subspan(34))));
  EXPECT_TRUE(checksum::verifies(checksum::sum(std::span(right).subspan(14, 20))));
}

TEST(Build, SaysWhyAFrameCannotBe) {
  FrameSpec spec;
  spec.src = at("10.0.0.1", 1);
  spec.dst = at("fd00::2", 2);
  EXPECT_EQ(frame_size(spec).error(), BuildError::kMixedFamilies);
  spec.dst = at("10.0.0.2", 2);
  const std::vector<uint8_t> options(29, 1);
  spec.options = options;
  EXPECT_EQ(frame_size(spec).value(), 14u + 20 + 20 + 32);
  spec.timestamps = TcpTimestamps{};
  EXPECT_EQ(frame_size(spec).error(), BuildError::kOptionsTooLong);
  spec.timestamps.reset();
  const std::vector<uint8_t> payload(65535 - 20 - 20 - 32 + 1);
  spec.payload = payload;
  EXPECT_EQ(frame_size(spec).error(), BuildError::kPayloadTooLong);
  spec.payload = spec.payload.subspan(1);
  EXPECT_EQ(frame_size(spec).value(), 14u + 65535);
  std::vector<uint8_t> small(14 + 65534, 0xee);
  EXPECT_EQ(build_frame(spec, small).error(), BuildError::kBufferTooSmall);
  EXPECT_EQ(small[0], 0xee);
  spec.vlan_count = 3;
  EXPECT_EQ(frame_size(spec).error(), BuildError::kTooManyTags);
}

}  // namespace
}  // namespace mptap::packet
