// SPDX-License-Identifier: Apache-2.0
#include "port/capture_writer.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "port/capture_reader.h"

namespace mptap::port {
namespace {

using packet::Frame;
using packet::LinkType;
using testing::HasSubstr;

Frame frame(const std::string& s, uint64_t time, LinkType link = LinkType::kEthernet) {
  const auto n = static_cast<uint32_t>(s.size());
  return {reinterpret_cast<const uint8_t*>(s.data()), n, n + 7, link, time, 0};
}

TEST(CaptureWriter, WhatIsWrittenIsReadAgain) {
  const std::string path = std::filesystem::temp_directory_path() / ("mptap-writer-" + std::to_string(::getpid()) + ".pcap");
  const std::string big(300'000, 'x');  // more than the buffer
  for (const LinkType link : {LinkType::kEthernet, LinkType::kLinuxCooked, LinkType::kLinuxCookedV2, LinkType::kRawIp,
                              LinkType::kPpp, LinkType::kNull}) {
    {
      auto w = CaptureWriter::open(path, link);
      ASSERT_TRUE(w) << w.error();
      ASSERT_TRUE(w->write(frame("one", 1'234'567'890'123'456'789, link)));
      ASSERT_TRUE(w->write(frame(big, 5, link)));
      CaptureWriter moved = std::move(*w);
      ASSERT_TRUE(moved.write(frame("", 6, link)));
    }
    auto r = CaptureReader::open(path);
    ASSERT_TRUE(r) << r.error();
    Frame f;
    ASSERT_TRUE(r->next(f));
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(f.data), f.captured), "one");
    EXPECT_EQ(f.wire, 10u);
    EXPECT_EQ(f.timestamp_ns, 1'234'567'890'123'456'789u);
    EXPECT_EQ(f.link, link);
    ASSERT_TRUE(r->next(f));
    EXPECT_EQ(f.captured, big.size());
    ASSERT_TRUE(r->next(f));
    EXPECT_EQ(f.captured, 0u);
    EXPECT_FALSE(r->next(f));
    EXPECT_EQ(r->status().end, ReadEnd::kComplete);
  }
  std::filesystem::remove(path);
}

TEST(CaptureWriter, ErrorsAreValues) {
  const auto none = CaptureWriter::open("/nonexistent/x.pcap");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error(), "/nonexistent/x.pcap: cannot be opened for writing: No such file or directory");
  const auto closed = CaptureWriter::from_fd(999);
  ASSERT_FALSE(closed);
  EXPECT_THAT(closed.error(), HasSubstr("descriptor 999: Bad file descriptor"));

  auto w = CaptureWriter::open("/dev/full");
  ASSERT_TRUE(w);
  const auto other = w->write(frame("x", 1, LinkType::kRawIp));
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error(), "/dev/full: a frame of link type 101 does not fit into a file of link type 1");
  EXPECT_TRUE(w->write(frame("x", 1)));
  const auto full = w->flush();
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error(), "/dev/full: cannot be written: No space left on device");
  EXPECT_FALSE(w->flush());
}

}  // namespace
}  // namespace mptap::port
