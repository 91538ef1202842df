// SPDX-License-Identifier: Apache-2.0
// One TCP 4-tuple: what the receiving hosts' TCP would accept, in order. Sequence numbers become 64-bit SSNs relative to the
// ISN (RFC 8684 section 3.3.1: the SYN is 0, the first byte 1); overlaps are decided by the policy; segments that the host
// would drop (PAWS, window, ACK range, TTL) are held as doubtful and lose against any other copy.
// Owned by the worker that RSS brings the 4-tuple to.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "mptcp/option.h"
#include "packet/decode.h"
#include "stream/overlap_queue.h"
#include "subflow/unit.h"

namespace mptap::subflow {

struct TcpConfig {
  stream::OverlapPolicy policy = stream::OverlapPolicy::kLinux;
  uint64_t hold_bytes = 4u << 20;        // per direction of a subflow
  uint64_t loss_grace_ns = 200'000'000;  // from the ACK that passes a hole to its end
  uint64_t span_window_ns = 5'000'000;   // equal packets within it are copies of one
  uint64_t syn_reuse_ns = 60'000'000'000;  // a SYN on a connection that has been silent for so long is a new one
};

struct SegmentMeta {
  mptcp::Dss dss;
  bool has_dss = false;
  bool span_copy = false;
  Doubt doubt = Doubt::kNone;
  uint64_t timestamp_ns = 0, number = 0;
  uint64_t ack = 0;  // with Doubt::kBadAck: what it acknowledges, relative
};

// One direction: the sender's bytes on their way to the receiver.
struct Half {
  bool syn_seen = false;
  bool isn_known = false;
  bool timestamps = false;
  bool md5 = false;
  bool fin_delivered = false;
  uint8_t window_scale = 0;  // that this side announced for its own window
  bool window_scale_seen = false;
  uint8_t ttl = 0;
  bool after_loss = false;
  bool above_hole = false;   // see Unit
  bool acks_seen = false;    // the other side's ACKs are in the capture
  bool seen = false;         // a packet of this direction is in the capture
  uint32_t isn = 0;
  uint32_t fast_open = 0;    // bytes that the SYN carried and the SYN/ACK took: SSNs start behind them
  uint32_t ts_recent = 0;
  uint64_t next = 1;         // the next sequence number in order, relative to isn
  uint64_t highest = 1;      // end of the furthest segment seen
  uint64_t low_ttl_to = 0;   // the same of segments whose TTL may have been too low
  uint32_t max_window = 0;   // the largest that this side announced, scaled
  uint64_t fin_at = ~0ull;
  uint64_t acked = 0;        // by the other side
  uint64_t window_edge = 0;  // the other side's ACK + window, the furthest
  uint64_t settled_ack = 0, pending_ack = 0, ack_slot_ns = 0;
  // The other side acknowledged bytes that were never seen (claim->ack, relative to isn): either the tap lost them or it is
  // forged. It takes effect after the grace time unless that side's next ACK lies below it.
  std::unique_ptr<Unit> claim;
  bool claimed = false;
  uint64_t claimed_fin = ~0ull;  // a FIN on a packet of this side whose ACK is such a claim
  uint64_t lost_to = 0;  // the bytes behind the last ones seen are told as lost up to here
  stream::OverlapQueue<SegmentMeta> queue;
  struct Print {
    uint32_t hash = 0, time_us = 0;
  };
  std::array<Print, 4> prints{};
  uint8_t print_at = 0;
  // The SYN's payload until the SYN/ACK says whether it was taken.
  uint8_t* syn_data = nullptr;
  uint32_t syn_data_size = 0;

  int64_t distance(uint32_t seq) const;  // from the ISN, negative below it
  uint64_t relative(uint32_t seq) const;  // the same, at least 0
};

enum class Phase : uint8_t { kSynSent, kSynReceived, kEstablished, kClosed };

class Subflow {
 public:
  Subflow(const TcpConfig& config, stream::BlockPool& pool) : config_(config), pool_(pool) {}
  ~Subflow();
  // What waits here is charged to the connection that it belongs to; nullptr before that ends.
  void set_account(stream::Account* account);
  Subflow(const Subflow&) = delete;
  Subflow& operator=(const Subflow&) = delete;

  // direction: 0 where the initiator sends. Appends to out; bytes there are valid until out.clear() and the next packet.
  void advance(const packet::TcpSegment& segment, const mptcp::Options& options, int direction, Outbox& out);
  // True where a SYN of direction 0 begins another connection on the same ports.
  bool is_new_connection(const packet::TcpSegment& syn) const;
  // Gives up holes that have been acknowledged long enough.
  void tick(uint64_t now, Outbox& out);
  bool waiting() const { return !half[0].queue.empty() || !half[1].queue.empty() || half[0].claimed || half[1].claimed; }
  // The capture is over: whatever waits goes out, behind kTapLoss units for the holes.
  void close(Outbox& out);

  std::array<Half, 2> half;
  Phase phase = Phase::kSynSent;
  bool rst_pending = false;  // a RST out of place, and nothing since
  uint64_t last_ns = 0;

 private:
  void on_syn(const packet::TcpSegment& s, const mptcp::Options& o, int d, Outbox& out);
  void on_rst(const packet::TcpSegment& s, const mptcp::Options& o, int d, Outbox& out);
  void on_ack(const packet::TcpSegment& s, int d, Outbox& out);
  bool is_copy(const packet::TcpSegment& s, const mptcp::Options& o, Half& h) const;
  bool scaled() const { return half[0].window_scale_seen && half[1].window_scale_seen; }
  Doubt doubt(const packet::TcpSegment& s, const mptcp::Options& o, int d, uint64_t start, uint64_t end, Outbox& out);
  void on_payload(std::span<const uint8_t> payload, uint64_t start, int d, Unit& unit, Outbox& out);
  void drain(int d, Outbox& out);
  using Held = stream::OverlapQueue<SegmentMeta>::Held;
  void emit_held(int d, uint64_t start, const Held& held, Outbox& out);
  void take_doubtful(int d, Outbox& out);
  void report_losers(int d, uint64_t edge, Outbox& out);
  void settle(int d, uint64_t acknowledged, bool at_end, Outbox& out);
  void check_fin(int d, uint64_t ts, uint64_t number, Outbox& out);
  void claim(const Unit& signal, uint64_t acked);
  void answer_claim(int d, uint64_t acked, Outbox& out);
  void accept_claim(int d, Outbox& out);
  void believe_claim(int d);
  void tell_lost_tail(int d, Outbox& out);

  const TcpConfig& config_;
  stream::BlockPool& pool_;
  stream::Account* account_ = nullptr;
};

}  // namespace mptap::subflow
