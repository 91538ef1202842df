// SPDX-License-Identifier: Apache-2.0
// Writes pcap files with nanoseconds. One link type per file. Buffered; not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "packet/frame.h"

namespace mptap::port {

class CaptureWriter {
 public:
  // Replaces the file. The error is a sentence that names the path.
  static tl::expected<CaptureWriter, std::string> open(const std::string& path,
                                                       packet::LinkType link = packet::LinkType::kEthernet);
  // Takes the descriptor over and closes it.
  static tl::expected<CaptureWriter, std::string> from_fd(int fd, packet::LinkType link = packet::LinkType::kEthernet);

  ~CaptureWriter();  // flushes; call flush() to learn whether that worked
  CaptureWriter(CaptureWriter&&) noexcept;
  CaptureWriter& operator=(CaptureWriter&&) noexcept;

  // The frame must have the file's link type. After an error nothing more is written, and every call gives that error.
  tl::expected<void, std::string> write(const packet::Frame& frame);
  tl::expected<void, std::string> flush();

 private:
  CaptureWriter(int fd, std::string name, packet::LinkType link);
  void put32(uint32_t v);
  void close();

  int fd_ = -1;
  std::string name_;
  packet::LinkType link_;
  std::vector<uint8_t> buffer_;
  std::string error_;
};

}  // namespace mptap::port
