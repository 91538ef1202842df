// SPDX-License-Identifier: Apache-2.0
#include "port/capture_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <memory>

#include "capture_files.h"

namespace mptap::port {
namespace {

using packet::Frame;
using packet::LinkType;
using test::Bytes;
using test::TemporaryDirectory;
using testing::AllOf;
using testing::HasSubstr;

constexpr uint32_t kMicro = 0xa1b2c3d4, kNano = 0xa1b23c4d;

std::string data(const Frame& f) {
  return {reinterpret_cast<const char*>(f.data), f.captured};
}

// The bytes live as long as the tests do.
CaptureReader reader(const Bytes& b) {
  static std::deque<Bytes> kept;
  auto r = CaptureReader::open_memory(kept.emplace_back(b).out, "x.pcap");
  if (!r) throw std::runtime_error(r.error());
  return std::move(*r);
}
std::string open_error(const Bytes& b) {
  const auto r = CaptureReader::open_memory(b.out, "x.pcap");
  return r ? "opened" : r.error();
}
ReadStatus read_all(CaptureReader& r) {
  Frame f;
  while (r.next(f)) {
  }
  EXPECT_FALSE(r.next(f));  // the end stays the end
  return r.status();
}

TEST(CaptureReader, PcapInBothByteOrdersAndResolutions) {
  for (const bool swapped : {false, true}) {
    for (const uint32_t magic : {kMicro, kNano}) {
      auto r = reader(Bytes(swapped).pcap_header(magic, 113).pcap_packet(10, 5, "one").pcap_packet(11, 999, "second", 2000));
      Frame f;
      ASSERT_TRUE(r.next(f));
      EXPECT_EQ(data(f), "one");
      EXPECT_EQ(f.wire, 3u);
      EXPECT_EQ(f.timestamp_ns, 10'000'000'000 + (magic == kNano ? 5 : 5000));
      EXPECT_EQ(f.number, 1u);
      EXPECT_EQ(f.link, LinkType::kLinuxCooked);
      EXPECT_EQ(r.position(), 24u + 16 + 3);
      ASSERT_TRUE(r.next(f));
      EXPECT_EQ(data(f), "second");
      EXPECT_EQ(f.wire, 2000u);
      EXPECT_EQ(f.number, 2u);
      EXPECT_FALSE(r.next(f));
      EXPECT_EQ(r.status().end, ReadEnd::kComplete);
      EXPECT_EQ(r.status().message, "");
      EXPECT_EQ(r.status().packets, 2u);
      EXPECT_EQ(r.size(), r.position());
    }
  }
}

TEST(CaptureReader, LinkTypes) {
  const std::pair<uint32_t, LinkType> known[] = {{0, LinkType::kNull},
                                                 {1, LinkType::kEthernet},
                                                 {9, LinkType::kPpp},
                                                 {101, LinkType::kRawIp},
                                                 {108, LinkType::kNull},
                                                 {113, LinkType::kLinuxCooked},
                                                 {228, LinkType::kRawIp},
                                                 {229, LinkType::kRawIp},
                                                 {276, LinkType::kLinuxCookedV2},
                                                 {0x14000001, LinkType::kEthernet}};  // with a frame check sequence of 4 bytes
  for (const auto& [number, link] : known) {
    auto r = reader(Bytes().pcap_header(kMicro, number).pcap_packet(0, 0, "x"));
    Frame f;
    ASSERT_TRUE(r.next(f));
    EXPECT_EQ(f.link, link) << number;
  }
  EXPECT_THAT(open_error(Bytes().pcap_header(kMicro, 127)),
              AllOf(HasSubstr("x.pcap: link type 127 (802.11 with radiotap) is not supported"), HasSubstr("Ethernet (1)")));
}

TEST(CaptureReader, PcapngInBothByteOrders) {
  for (const bool swapped : {false, true}) {
    Bytes b(swapped);
    b.section().interface(1).interface(276, b.resolution(9)).block(4, b.body().text("names"));
    b.enhanced(0, 1'000'001, "one").enhanced(1, 7'000'000'003, "three", 1500).simple("four").obsolete(0, 2'000'000, "fifth");
    b.block(5, b.body().u64(1));
    auto r = reader(b);
    Frame f;
    ASSERT_TRUE(r.next(f));
    EXPECT_EQ(data(f), "one");
    EXPECT_EQ(f.timestamp_ns, 1'000'001'000u);
    EXPECT_EQ(f.link, LinkType::kEthernet);
    EXPECT_EQ(f.number, 1u);
    ASSERT_TRUE(r.next(f));
    EXPECT_EQ(data(f), "three");
    EXPECT_EQ(f.wire, 1500u);
    EXPECT_EQ(f.timestamp_ns, 7'000'000'003u);
    EXPECT_EQ(f.link, LinkType::kLinuxCookedV2);
    ASSERT_TRUE(r.next(f));
    EXPECT_EQ(data(f), "four");
    EXPECT_EQ(f.timestamp_ns, 7'000'000'003u);  // has none of its own
    ASSERT_TRUE(r.next(f));
    EXPECT_EQ(data(f), "fifth");
    EXPECT_EQ(f.timestamp_ns, 2'000'000'000u);
    EXPECT_EQ(f.number, 4u);
    EXPECT_FALSE(r.next(f));
    EXPECT_EQ(r.status().end, ReadEnd::kComplete);
  }
}

TEST(CaptureReader, PcapngSectionsHaveTheirOwnByteOrderAndInterfaces) {
  Bytes little(false), big(true);
  little.section().interface(1).enhanced(0, 1, "a");
  big.section().interface(101).enhanced(0, 2, "b");
  little.append(big).append(Bytes(false).section().interface(113).enhanced(0, 3, "c"));
  auto r = reader(little);
  Frame f[4];
  ASSERT_EQ(r.next_burst(f), 3u);
  EXPECT_EQ(data(f[0]) + data(f[1]) + data(f[2]), "abc");
  EXPECT_EQ(f[0].link, LinkType::kEthernet);
  EXPECT_EQ(f[1].link, LinkType::kRawIp);
  EXPECT_EQ(f[2].link, LinkType::kLinuxCooked);
  EXPECT_EQ(f[2].timestamp_ns, 3000u);
}

TEST(CaptureReader, PcapngTimeResolutions) {
  struct Case {
    uint8_t code;
    uint64_t units, nanoseconds;
  };
  const Case cases[] = {{6, 1'234'567, 1'234'567'000},
                        {0, 12, 12'000'000'000},
                        {3, 12'345, 12'345'000'000},
                        {9, 77, 77},
                        {12, 5'000'999, 5'000},
                        {0x80, 3, 3'000'000'000},
                        {0x80 | 10, 1536, 1'500'000'000},
                        {0x80 | 32, 0x1'8000'0000, 1'500'000'000},
                        {0x80 | 40, (uint64_t{1} << 40) + (uint64_t{1} << 38), 1'250'000'000}};
  for (const Case& c : cases) {
    Bytes b;
    auto r = reader(b.section().interface(1, b.resolution(c.code)).enhanced(0, c.units, "x"));
    Frame f;
    ASSERT_TRUE(r.next(f));
    EXPECT_EQ(f.timestamp_ns, c.nanoseconds) << int{c.code};
  }
  for (const bool swapped : {false, true}) {
    Bytes b(swapped);
    auto r = reader(b.section()
                        .interface(1, b.time_offset(100))
                        .interface(1, b.time_offset(-1))
                        .enhanced(0, 5, "x")
                        .enhanced(1, 2'000'000, "y"));
    Frame f;
    ASSERT_TRUE(r.next(f));
    EXPECT_EQ(f.timestamp_ns, 100'000'005'000u);
    ASSERT_TRUE(r.next(f));
    EXPECT_EQ(f.timestamp_ns, 1'000'000'000u);
  }
}

TEST(CaptureReader, SimplePacketsEndAtTheSnapLength) {
  Bytes b;
  auto r = reader(b.section().interface(1, Bytes(), 4).simple("abcd", 100));
  Frame f;
  ASSERT_TRUE(r.next(f));
  EXPECT_EQ(data(f), "abcd");
  EXPECT_EQ(f.wire, 100u);
}

TEST(CaptureReader, PacketsOfUnsupportedInterfacesAreLeftOutAndSaid) {
  Bytes b;
  auto r = reader(b.section().interface(1).interface(220).enhanced(0, 1, "a").enhanced(1, 2, "usb").enhanced(0, 3, "b"));
  Frame f[4];
  ASSERT_EQ(r.next_burst(f), 2u);
  EXPECT_EQ(data(f[1]), "b");
  EXPECT_EQ(f[1].number, 2u);
  EXPECT_EQ(r.next_burst(f), 0u);
  EXPECT_EQ(r.left_out(), 1u);
  EXPECT_EQ(r.status().end, ReadEnd::kComplete);
  EXPECT_THAT(r.status().message, HasSubstr("x.pcap: 1 packets were left out: link type 220 (USB) is not supported"));
  EXPECT_THAT(open_error(Bytes().section().interface(220).enhanced(0, 2, "usb")), HasSubstr("x.pcap: link type 220 (USB)"));
}

Bytes sample_pcap() {
  return Bytes().pcap_header(kMicro).pcap_packet(1, 0, "first").pcap_packet(2, 0, "").pcap_packet(3, 0, "the third");
}
Bytes sample_pcapng() {
  Bytes b;
  return b.section()
      .interface(1, b.resolution(9))
      .enhanced(0, 1, "first")
      .block(0x0bad, b.body().text("custom block"))
      .simple("second")
      .obsolete(0, 3, "3rd")
      .section()
      .interface(113)
      .enhanced(0, 1, "4");
}

// Reads `bytes` from a block of exactly their size.
struct Outcome {
  bool opened;
  std::string said;
  std::vector<std::string> packets;
  ReadStatus status;
};
Outcome read_exactly(std::span<const uint8_t> bytes) {
  const std::unique_ptr<uint8_t[]> exact(new uint8_t[bytes.size()]);
  std::memcpy(exact.get(), bytes.data(), bytes.size());
  auto r = CaptureReader::open_memory({exact.get(), bytes.size()}, "x.pcap");
  if (!r) return {false, r.error(), {}, {}};
  Outcome o{true, "", {}, {}};
  Frame f;
  while (r->next(f)) o.packets.push_back(data(f));
  o.status = r->status();
  o.said = o.status.message;
  return o;
}

TEST(CaptureReader, CutShortAtEveryByte) {
  for (const Bytes& b : {sample_pcap(), sample_pcapng()}) {
    const std::span whole(b.out);
    const Outcome all = read_exactly(whole);
    ASSERT_EQ(all.status.end, ReadEnd::kComplete);
    size_t complete = 0, last = 0;
    for (size_t n = 0; n < whole.size(); ++n) {
      SCOPED_TRACE(n);
      const Outcome o = read_exactly(whole.first(n));
      if (!o.opened) {
        EXPECT_LT(n, 28u);
        EXPECT_TRUE(o.said.starts_with("x.pcap: ")) << o.said;
        continue;
      }
      // What is read is the beginning of what the whole file has, and grows with it.
      ASSERT_LE(o.packets.size(), all.packets.size());
      EXPECT_TRUE(std::equal(o.packets.begin(), o.packets.end(), all.packets.begin()));
      EXPECT_GE(o.packets.size(), last);
      last = o.packets.size();
      EXPECT_EQ(o.status.packets, o.packets.size());
      if (o.status.end == ReadEnd::kComplete) {
        ++complete;
        EXPECT_EQ(o.status.offset, n);
      } else {
        EXPECT_EQ(o.status.end, ReadEnd::kTruncated);
        EXPECT_LT(o.status.offset, n);
        EXPECT_THAT(o.said, HasSubstr("x.pcap: is cut short at byte " + std::to_string(n) + ", behind packet " +
                                      std::to_string(o.packets.size())));
      }
    }
    EXPECT_EQ(complete, b.out[0] == 0x0a ? 8u : 3u);  // at the ends of blocks and records
  }
}

TEST(CaptureReader, EveryFlippedByteIsSurvived) {
  for (const Bytes& b : {sample_pcap(), sample_pcapng()}) {
    for (size_t at = 0; at < b.out.size(); ++at) {
      for (const uint8_t flip : std::initializer_list<uint8_t>{0x01, 0x80, 0xff}) {
        auto bytes = b.out;
        bytes[at] ^= flip;
        const Outcome o = read_exactly(bytes);
        EXPECT_TRUE(!o.opened || o.status.end != ReadEnd::kOpen);
      }
    }
  }
}

TEST(CaptureReader, DamageIsToldWithItsPlace) {
  {
    auto r = reader(Bytes().pcap_header(kMicro).pcap_packet(1, 0, "first").u32(2).u32(0).u32(0xfffffff0).u32(60).text("rest"));
    const ReadStatus s = read_all(r);
    EXPECT_EQ(s.end, ReadEnd::kCorrupt);
    EXPECT_EQ(s.packets, 1u);
    EXPECT_EQ(s.offset, 45u);
    EXPECT_EQ(s.message,
              "x.pcap: is damaged at byte 45, behind packet 1: packet 2 claims 4294967280 bytes, more than the 1048576 that a "
              "packet can have");
  }
  const auto damaged = [](const Bytes& tail) {
    Bytes b;
    auto r = reader(b.section().interface(1).enhanced(0, 1, "a").append(tail));
    const ReadStatus s = read_all(r);
    EXPECT_EQ(s.end, ReadEnd::kCorrupt);
    EXPECT_EQ(s.packets, 1u);
    return s.message;
  };
  EXPECT_THAT(damaged(Bytes().u32(6).u32(8).u32(8)), HasSubstr("a block of type 6 claims 8 bytes"));
  EXPECT_THAT(damaged(Bytes().u32(6).u32(33).u32(8)), HasSubstr("claims 33 bytes; a block has at least 12, and a multiple of 4"));
  EXPECT_THAT(damaged(Bytes().u32(6).u32(0x7ffffffc).u32(8)), HasSubstr("claims 2147483644 bytes"));
  EXPECT_THAT(damaged(Bytes().u32(77).u32(16).u32(0).u32(20)), HasSubstr("begins with length 16 and ends with 20"));
  EXPECT_THAT(damaged(Bytes().u32(3).u32(16).u32(0).u32(20)), HasSubstr("begins with length 16 and ends with 20"));
  EXPECT_THAT(damaged(Bytes().enhanced(5, 1, "x")), HasSubstr("packet 2 names interface 5; 1 are described"));
  EXPECT_THAT(damaged(Bytes().block(6, Bytes().u32(0).u64(0).u32(100).u32(100).text("x"))),
              HasSubstr("claims 100 bytes in a block with room for 4"));
  EXPECT_THAT(damaged(Bytes().block(6, Bytes().u32(0))), HasSubstr("a packet block of 16 bytes"));
  EXPECT_THAT(damaged(Bytes().block(1, Bytes().u32(0))), HasSubstr("an interface description of 16 bytes"));
  EXPECT_THAT(damaged(Bytes().u32(0x0a0d0d0a).u32(28).u32(0).u64(0).u32(0).u32(28)), HasSubstr("without the byte-order magic"));
}

TEST(CaptureReader, WhatIsNoCaptureIsRefusedInOneSentence) {
  EXPECT_EQ(open_error(Bytes()), "x.pcap: is empty; a capture file in pcap or pcapng format is needed");
  EXPECT_THAT(open_error(Bytes().text("\x7f"
                                      "ELF....")),
              HasSubstr("x.pcap: is no capture file: it begins with 7f 45 4c 46, a pcap file with"));
  EXPECT_THAT(open_error(Bytes().text("ab")), HasSubstr("it begins with 61 62"));
  EXPECT_THAT(open_error(Bytes().text("\x1f\x8b\x08\x08")), HasSubstr("zcat"));
  EXPECT_THAT(open_error(Bytes().text("\x28\xb5\x2f\xfd")), HasSubstr("zstdcat"));
  EXPECT_EQ(open_error(Bytes().u32(kMicro).u16(2)), "x.pcap: ends inside its header: 6 of 24 bytes are there");
  EXPECT_THAT(open_error(Bytes().u32(kMicro).u16(3).u16(0).u32(0).u32(0).u32(0).u32(1)),
              HasSubstr("version 3.0; version 2 can be read"));
  EXPECT_THAT(open_error(Bytes().u32(0x0a0d0d0a).u32(28)), HasSubstr("ends inside its header"));
  EXPECT_THAT(open_error(Bytes().block(0x0a0d0d0a, Bytes().u32(0x1a2b3c4d).u16(2).u16(0).u64(0))),
              HasSubstr("pcapng version 2.0"));

  const TemporaryDirectory directory;
  const auto missing = CaptureReader::open(directory.path() + "/none.pcap");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error(), directory.path() + "/none.pcap: cannot be opened: No such file or directory");
  const auto is_directory = CaptureReader::open(directory.path());
  ASSERT_FALSE(is_directory);
  EXPECT_EQ(is_directory.error(), directory.path() + ": is a directory; name a capture file in pcap or pcapng format");
  const auto empty = CaptureReader::open(directory.file("empty", Bytes()));
  ASSERT_FALSE(empty);
  EXPECT_THAT(empty.error(), HasSubstr("is empty"));
}

}  // namespace
}  // namespace mptap::port
