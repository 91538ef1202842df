// SPDX-License-Identifier: Apache-2.0
// First half of the judge: packets -> TCP flows -> which connection each belongs to, in which role.
#pragma once

#include <memory>

#include "reference/reference.h"

namespace mptap::test {

struct Flow {
  Host opener, answerer;  // of the SYN, or of the first packet where no SYN was seen
  bool syn_seen = false;
  uint32_t syn_seq = 0;
  std::vector<size_t> packets;  // indexes, SPAN copies left out
  uint64_t span_copies = 0;
  // from the handshake
  std::optional<Bytes> syn_option, syn_ack_option;  // MP_CAPABLE or MP_JOIN
  std::optional<Bytes> ack_option;                  // MP_CAPABLE of length >= 20 or MP_JOIN of 24
  bool refused = false;                             // the answerer sent a RST before anything but its SYN/ACK
};

enum class Kind : uint8_t { kPlain, kCapable, kJoin };

struct Member {
  const Flow* flow = nullptr;
  bool by_server = false;
  std::string join;
};

struct Group {
  bool mptcp = false, keys_known = false;
  int version = 1;
  bool checksum = false;
  std::array<uint64_t, 2> key{};  // client, server
  std::array<KeyNumbers, 2> numbers{};
  std::optional<uint32_t> orphan_token;
  std::vector<Member> members;
};

std::vector<Flow> flows_of(const std::vector<TcpPacket>& packets);
std::vector<Group> groups_of(const std::vector<Flow>& flows);

}  // namespace mptap::test
