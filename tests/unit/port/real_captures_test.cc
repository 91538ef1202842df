// SPDX-License-Identifier: Apache-2.0
// Captures of real traffic, made with all offloads off: every packet decodes, every checksum is right, and there are as many
// packets as the table beside them says.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "packet/decode.h"
#include "port/capture_reader.h"

namespace mptap::port {
namespace {

const std::filesystem::path kData = CAPTURE_DATA;

size_t segments(const std::filesystem::path& path) {
  auto reader = CaptureReader::open(path);
  if (!reader) {
    ADD_FAILURE() << reader.error();
    return 0;
  }
  packet::Decoder decoder;
  packet::TcpSegment s;
  packet::Frame f;
  size_t n = 0;
  while (reader->next(f)) {
    const packet::Reason reason = decoder.decode(f, s);
    EXPECT_EQ(reason, packet::Reason::kTcp) << path << " packet " << f.number << ": " << packet::reason_name(reason);
    ++n;
  }
  EXPECT_EQ(reader->status().end, ReadEnd::kComplete) << reader->status().message;
  EXPECT_EQ(reader->position(), std::filesystem::file_size(path));
  return n;
}

TEST(RealCaptures, AsManySegmentsAsTheTableSays) {
  std::ifstream table(kData / "GROUND_TRUTH.tsv");
  std::string line;
  std::getline(table, line);
  size_t files = 0;
  while (std::getline(table, line)) {
    std::istringstream columns(line);
    std::string name;
    size_t expected = 0;
    columns >> name >> expected;
    const auto path = kData / (name + ".pcap");
    if (!std::filesystem::exists(path)) continue;  // the large ones are not kept
    EXPECT_EQ(segments(path), expected) << name;
    ++files;
  }
  EXPECT_GE(files, 7u);
}

TEST(RealCaptures, AttacksOnTheStreamAreGoodPackets) {
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kData / "attacks")) {
    if (entry.path().extension() != ".pcap") continue;
    EXPECT_GT(segments(entry.path()), 0u);
    ++files;
  }
  EXPECT_GE(files, 20u);
}

}  // namespace
}  // namespace mptap::port
