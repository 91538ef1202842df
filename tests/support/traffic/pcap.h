// SPDX-License-Identifier: Apache-2.0
// Classic pcap files, written and read in the plainest way.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "traffic/conversation.h"

namespace mptap::test {

struct FileFrame {
  uint64_t ns = 0;
  Bytes bytes;
  uint32_t wire = 0;  // size before the snap length cut it
};

// Ethernet, nanoseconds. Throws std::runtime_error when the file cannot be written.
void write_pcap(const std::string& path, const std::vector<Sent>& wire);

// Throws std::runtime_error for what is no pcap file; stops at a packet that was cut. link: the file's link type.
std::vector<FileFrame> read_pcap(const std::string& path, uint32_t& link);

}  // namespace mptap::test
