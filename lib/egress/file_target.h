// SPDX-License-Identifier: Apache-2.0
// pcap files with nanoseconds: one, or a folder of which the oldest go.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include <tl/expected.hpp>

#include "egress/target.h"
#include "port/capture_writer.h"

namespace mptap::egress {

// One file, replaced. After an error every further frame is lost.
class FileTarget final : public Target {
 public:
  static tl::expected<std::unique_ptr<FileTarget>, std::string> open(const std::string& path);
  bool put(const packet::Frame& frame) override;
  void flush() override;

 private:
  explicit FileTarget(port::CaptureWriter writer) : writer_(std::move(writer)) {}
  port::CaptureWriter writer_;
};

struct Rotation {
  std::string directory;
  uint64_t bytes = 100u << 20;  // a file ends before it is larger
  uint64_t seconds = 0;         // on the frames' time; 0: by size alone
  uint64_t files = 10;          // kept, those of earlier runs included
};

// DIRECTORY/egress-TIME-NUMBER.pcap, TIME being that of the file's first frame in UTC; the names sort by age. When a file cannot
// be written its frames are lost and counted, and the next frame tries a new one, once a second.
class RotatingTarget final : public Target {
 public:
  // Makes the directory where it is not there.
  static tl::expected<std::unique_ptr<RotatingTarget>, std::string> open(const Rotation& rotation);
  bool put(const packet::Frame& frame) override;
  void flush() override;

 private:
  explicit RotatingTarget(const Rotation& rotation) : rotation_(rotation) {}
  bool begin(uint64_t ns);
  void fail(const std::string& why, uint64_t ns);

  const Rotation rotation_;
  std::deque<std::string> kept_;  // oldest first
  std::unique_ptr<port::CaptureWriter> writer_;
  uint64_t size_ = 0, began_ns_ = 0, retry_ns_ = 0, number_ = 0;
};

}  // namespace mptap::egress
