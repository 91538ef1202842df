// SPDX-License-Identifier: Apache-2.0
// Where captures come from: mapped files and pipes, and what of them is in memory.
#include "port/capture_source.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <deque>
#include <fstream>
#include <thread>

#include "capture_files.h"
#include "port/capture_reader.h"

namespace mptap::port {
namespace {

using packet::Frame;
using test::Bytes;
using test::TemporaryDirectory;

constexpr uint32_t kMicro = 0xa1b2c3d4, kNano = 0xa1b23c4d;

std::string data(const Frame& f) {
  return {reinterpret_cast<const char*>(f.data), f.captured};
}

ReadStatus read_to_end(CaptureReader& r) {
  Frame f;
  while (r.next(f)) {
  }
  return r.status();
}

// Packet i of a long capture: its size and bytes follow from i.
std::string long_packet(uint32_t i) {
  return std::string(60 + i * 37 % 1400, static_cast<char>('a' + i % 26));
}

Bytes long_capture(uint32_t packets) {
  Bytes b;
  b.pcap_header(kNano);
  for (uint32_t i = 0; i < packets; ++i) b.pcap_packet(i, 0, long_packet(i));
  return b;
}

size_t resident_file_pages() {
  std::ifstream statm("/proc/self/statm");
  size_t size, resident, shared;
  statm >> size >> resident >> shared;
  return shared;
}

// Somebody cuts the file short while it is read: an error, not the program's end.
TEST(CaptureSource, AFileThatShrinksWhileItIsRead) {
  for (const bool already_in_the_window : {true, false}) {
    const TemporaryDirectory directory;
    const Bytes b = long_capture(12'000);
    const std::string path = directory.file("shrinks.pcap", b);
    auto r = CaptureReader::open(path, {.keep_bytes = 1 << 20, .step_bytes = already_in_the_window ? 16u << 20 : 1u << 20});
    ASSERT_TRUE(r) << r.error();
    std::array<Frame, 64> burst;
    ASSERT_EQ(r->next_burst(burst), burst.size());
    const Frame last = burst[63];
    ASSERT_EQ(::truncate(path.c_str(), 4096), 0);
    // What was given out before stays readable, as zeros where its page is gone.
    EXPECT_EQ(std::count(last.data, last.data + last.captured, 0), last.captured);
    uint64_t more = 0;
    while (const size_t n = r->next_burst(burst)) more += n;
    EXPECT_EQ(more, 0u);
    EXPECT_EQ(r->status().end, ReadEnd::kFailed);
    EXPECT_EQ(r->status().message, path + ": was cut short by somebody else while it was read, behind packet 64");
    EXPECT_EQ(r->packets(), 64u);
  }
}

TEST(CaptureSource, AFileIsReadWithoutKeepingItAllInMemory) {
  constexpr uint32_t kPackets = 40'000;
  const TemporaryDirectory directory;
  const Bytes b = long_capture(kPackets);
  const std::string path = directory.file("long.pcap", b);
  auto r = CaptureReader::open(path, {.keep_bytes = 1 << 20, .step_bytes = 1 << 20});
  ASSERT_TRUE(r) << r.error();
  EXPECT_EQ(r->size(), b.out.size());
  const size_t before = resident_file_pages();
  size_t most = 0;
  uint32_t seen = 0;
  uint64_t position = 0;
  Frame f;
  while (r->next(f)) {
    ASSERT_EQ(data(f), long_packet(seen));
    ++seen;
    EXPECT_GT(r->position(), position);
    position = r->position();
    if (seen % 1000 == 0) most = std::max(most, resident_file_pages());
  }
  EXPECT_EQ(seen, kPackets);
  EXPECT_EQ(r->status().end, ReadEnd::kComplete);
  EXPECT_EQ(r->position(), b.out.size());
  const size_t megabytes = (most - std::min(most, before)) * 4096 >> 20;
  EXPECT_LE(megabytes, 6u) << "of " << (b.out.size() >> 20);
}

TEST(CaptureSource, APipeIsReadThroughABoundedBufferThatKeepsTheLastFrames) {
  constexpr uint32_t kPackets = 24'000;
  constexpr size_t kKeep = 8 << 20;
  const Bytes b = long_capture(kPackets);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  std::thread feeder([&] {
    for (size_t at = 0; at < b.out.size();) {
      const ssize_t n = ::write(ends[1], b.out.data() + at, std::min<size_t>(b.out.size() - at, 7777));
      if (n <= 0) break;
      at += static_cast<size_t>(n);
    }
    ::close(ends[1]);
  });
  auto r = CaptureReader::open("/dev/fd/" + std::to_string(ends[0]), {.keep_bytes = kKeep});
  ::close(ends[0]);
  ASSERT_TRUE(r) << r.error();
  EXPECT_EQ(r->size(), std::nullopt);
  std::deque<std::pair<Frame, uint64_t>> kept;  // with the position behind each
  uint32_t seen = 0, checked = 0;
  Frame burst[16];
  bool right = true;
  while (const size_t n = r->next_burst(burst)) {
    for (size_t i = 0; i < n; ++i) kept.push_back({burst[i], r->position()});
    seen += static_cast<uint32_t>(n);
    while (kept.front().second + kKeep < r->position() + 2 * 16 * 1500) kept.pop_front();
    if (seen < checked + 4000) continue;
    checked = seen;
    for (const auto& [f, at] : kept) right = right && data(f) == long_packet(static_cast<uint32_t>(f.number - 1));
  }
  feeder.join();
  EXPECT_TRUE(right);
  EXPECT_EQ(seen, kPackets);
  EXPECT_EQ(r->status().end, ReadEnd::kComplete);
  EXPECT_EQ(r->position(), b.out.size());
}

TEST(CaptureSource, ABurstFromAPipeDoesNotWaitForMoreThanItHas) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const Bytes b = Bytes().pcap_header(kMicro).pcap_packet(1, 0, "first").pcap_packet(2, 0, "second").u32(3).u32(0);
  ASSERT_EQ(::write(ends[1], b.out.data(), b.out.size()), static_cast<ssize_t>(b.out.size()));
  auto r = CaptureReader::open("/dev/fd/" + std::to_string(ends[0]));
  ::close(ends[0]);
  ASSERT_TRUE(r) << r.error();
  Frame burst[16];
  EXPECT_EQ(r->next_burst(burst), 2u);  // would wait for ever if it wanted the third
  ::close(ends[1]);
  EXPECT_EQ(r->next_burst(burst), 0u);
  EXPECT_EQ(r->status().end, ReadEnd::kTruncated);
}

TEST(CaptureSource, AFileAndAPipeCutShortSayTheSame) {
  const TemporaryDirectory directory;
  Bytes b = Bytes().pcap_header(kMicro).pcap_packet(1, 0, "first").pcap_packet(2, 0, "").pcap_packet(3, 0, "the third");
  b.out.resize(b.out.size() - 3);
  auto file = CaptureReader::open(directory.file("cut.pcap", b));
  ASSERT_TRUE(file);
  const ReadStatus of_file = read_to_end(*file);
  EXPECT_EQ(of_file.end, ReadEnd::kTruncated);
  EXPECT_EQ(of_file.packets, 2u);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_GT(::write(ends[1], b.out.data(), b.out.size()), 0);
  ::close(ends[1]);
  auto pipe = CaptureReader::open("/dev/fd/" + std::to_string(ends[0]));
  ::close(ends[0]);
  ASSERT_TRUE(pipe);
  const ReadStatus of_pipe = read_to_end(*pipe);
  EXPECT_EQ(of_pipe.end, ReadEnd::kTruncated);
  EXPECT_EQ(of_pipe.offset, of_file.offset);
}

}  // namespace
}  // namespace mptap::port
