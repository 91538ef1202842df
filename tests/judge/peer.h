// SPDX-License-Identifier: Apache-2.0
// The raw end of a connection with the kernel's MPTCP (v1): fills in what every packet must bear (numbers, ACKs, keys, HMACs) and
// keeps what went over the wire, both ways, in order. It reacts to nothing by itself: what is sent is the caller's choice, and
// every packet can be changed before it goes.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "mptcp/option.h"
#include "packet/decode.h"
#include "scenario.h"
#include "traffic/conversation.h"
#include "world.h"

namespace mptap::judge {

using test::Packet;
using Change = std::function<void(Packet&)>;

// One subflow. SSNs are relative: 1 is the first byte behind the SYN (and behind Fast Open data).
struct Path {
  packet::Endpoint mine, other;
  bool mine_opened = true;
  uint32_t isn = 0, other_isn = 0;
  uint32_t fast_open = 0;
  uint32_t next = 1;  // SSN of the next byte that goes
  uint32_t acked = 1;  // SSN up to which the kernel has acknowledged
  uint32_t seen = 0;  // the kernel's next sequence number
  uint32_t other_tsval = 0;
  uint32_t window = 0;  // the kernel's, scaled
  uint8_t other_scale = 0;
  uint16_t ip_id = 1;
  uint32_t nonce = 0, other_nonce = 0;
  uint8_t id = 0;
  bool joined = false, bad_join = false;
  bool established = false;
  bool kernel_reset = false, peer_reset = false;  // RSTs seen and sent
  bool kernel_fin = false, peer_fin = false;

  bool dead() const { return kernel_reset || peer_reset; }
};

class Peer {
 public:
  Peer(World& world, App& app, const Setup& setup);

  // The first subflow, as the set-up says. False: the kernel did not answer as a host that speaks MPTCP does.
  bool open();

  // A further subflow that the peer opens. bad: 0 right, 1 wrong HMAC, 2 unknown token. answer: the third ACK is sent.
  int join(uint8_t bad, bool answer = true);
  void answer_join(int path);
  // Waits for a join that the kernel opens (after ADD_ADDR); its number, or -1.
  int await_join(uint8_t bad);

  Packet packet(int path, uint32_t ssn, bool with_ack = true);  // an ACK as it should be now
  void send(int path, Packet packet);
  // Looks at what the kernel has sent, lets the application read.
  void poll();
  // Makes the kernel acknowledge what it has, on every subflow that lives.
  void probe();
  void finish();  // the orderly end, after the application has seen the stream's

  uint64_t dsn(int64_t offset) const { return mine_.idsn + 1 + static_cast<uint64_t>(offset); }
  test::Bytes data_ack(bool wide) const;
  uint64_t data_ack_number() const { return theirs_.idsn + 1 + kernel_data_ + (kernel_fin_ ? 1 : 0); }
  const test::KeyNumbers& mine() const { return mine_; }
  uint64_t my_key() const { return my_key_; }
  uint64_t other_key() const { return other_key_; }
  bool checksums() const { return checksums_; }
  bool fell_back() const { return fell_back_; }  // the kernel's packets bear no DSS any more
  uint64_t kernel_data() const { return kernel_data_; }
  test::Direction direction() const { return setup_.peer_serves ? test::kToClient : test::kToServer; }

  std::vector<Path> paths;
  std::vector<test::Sent> wire;
  test::Bytes fast_open_bytes;

 private:
  void record(int path, test::Direction d, const Bytes& frame);
  int path_of(const packet::TcpSegment& s) const;
  void on_kernel(const packet::TcpSegment& s, const mptcp::Options& o, int path, const Bytes& frame);
  int kernel_join(const packet::TcpSegment& s, const mptcp::Options& o);
  void open_as_client();
  void open_as_server();
  test::Bytes syn_options() const;

  World& world_;
  App& app_;
  const Setup& setup_;
  packet::Decoder decoder_;
  mptcp::Options options_;
  uint64_t my_key_ = 0, other_key_ = 0;
  test::KeyNumbers mine_, theirs_;
  bool checksums_ = false, fell_back_ = false, kernel_fin_ = false, capable_ = false;
  uint64_t kernel_data_ = 0;
  uint32_t tsval_ = 1000;
  uint64_t now_ns_ = 1'700'000'000'000'000'000;
  std::optional<packet::TcpSegment> syn_;  // the last SYN of the kernel, without its pointers
  mptcp::Options syn_options_;
};

}  // namespace mptap::judge
