// SPDX-License-Identifier: Apache-2.0
// The naive judge: a list of frames in capture order -> what the applications read, by the contract of the connection record.
// Offline and slow on purpose: the whole capture is at hand, every byte's copies are written down one by one. It knows
// handshakes, joins, mappings, overlaps, holes, DATA_FIN and resets; not the attacks whose answer is a host's own choice
// (fallback in mid-connection, windows, PAWS): those cases have hand-written expectations.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "reference/dissect.h"
#include "reference/overlap.h"
#include "traffic/pcap.h"

namespace mptap::test {

struct JudgedStream {
  Bytes bytes;  // delivered, in order, holes left out
  uint64_t missing = 0, missing_tap = 0, duplicate = 0, conflicting = 0, pending = 0;
  bool assumed = false;
  bool operator==(const JudgedStream&) const = default;
};

struct JudgedSubflow {
  Host client, server;
  bool by_server = false, backup = false;
  uint8_t address_id = 0;
  std::string join;  // initial, verified, failed, unverified
  std::array<uint64_t, 2> bytes{};
  bool operator==(const JudgedSubflow&) const = default;
};

struct Judged {
  bool mptcp = false;
  int version = 1;
  bool checksum = false;
  std::optional<uint32_t> token_client, token_server;
  std::string end;  // open, data_fin, fast_close, reset; for plain TCP: open, fin, reset
  std::vector<JudgedSubflow> subflows;
  std::array<JudgedStream, 2> stream;
  std::optional<double> visibility;  // not rounded
  uint64_t span_duplicates = 0;
};

// In the order of the connections' first packets.
std::vector<Judged> judge(const std::vector<TcpPacket>& packets, Policy policy = Policy::kLinux);
std::vector<Judged> judge(const std::vector<Sent>& wire, Policy policy = Policy::kLinux);

std::string sha256_hex(const Bytes& bytes);

}  // namespace mptap::test
