// SPDX-License-Identifier: Apache-2.0
// One direction of one connection, at data level: what arrives in any order over any number of subflows becomes the byte
// stream that the application reads. Offsets count from the stream's first byte (DSN = IDSN + 1); the owner of the
// connection expands DSNs before they come here. No packets, no sockets, no clock of its own: times are the packets'.
// Touched only by the worker that owns the connection.
//
// When is a byte delivered? At once where all bytes before it were; behind a hole only after a DATA_ACK has passed the hole
// and a grace time is over (the missing bytes may come by another port), or when the capture ends.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "stream/history.h"
#include "stream/overlap_queue.h"

namespace mptap::stream {

struct StreamConfig {
  OverlapPolicy policy = OverlapPolicy::kLinux;
  uint64_t hold_bytes = 32u << 20;        // memory for bytes ahead of the edge
  uint64_t hole_grace_ns = 500'000'000;   // from the DATA_ACK that passes a hole to the hole's end
  uint32_t history_bytes = 64u << 10;     // delivered bytes kept at hand
  bool report_progress = false;           // StreamListener::on_delivered and on_acknowledged
};

enum class Finding : uint8_t {
  kDataAfterFin,      // numbers: offset, size
  kFinChanged,        // the DATA_FIN that counts, the other one
  kFinBeforeEdge,     // the DATA_FIN, the edge
  kOutOfWindow,       // offset, size
  kHoldLimit,         // offset, size; the bytes were dropped
  kLateFill,          // offset, size: bytes of a hole that was given up
};

// Told what is rare. Offsets are absolute, see history.h.
class StreamListener {
 public:
  virtual ~StreamListener() = default;
  // A hole was given up; the stream goes on at offset + size. What was delivered before is to be scanned first.
  virtual void on_gap(int direction, uint64_t offset, uint64_t size, uint64_t tap_bytes) = 0;
  // The copies of [offset, offset + size) differ: the delivered one was brought by `kept`, bytes by `other`.
  virtual void on_conflict(int direction, uint64_t offset, std::span<const uint8_t> bytes, uint64_t first_difference,
                           uint64_t differing, const Carrier& kept, const Carrier& other) = 0;
  virtual void on_finding(int direction, Finding finding, uint64_t a, uint64_t b, const Carrier& carrier) = 0;
  // Only with report_progress: bytes have become the stream's next ones; the receiver has acknowledged all before offset.
  virtual void on_delivered(int direction, uint64_t offset, std::span<const uint8_t> bytes) = 0;
  virtual void on_acknowledged(int direction, uint64_t offset) = 0;
  // Bytes of a given-up hole: scanned by themselves.
  virtual void on_late_fill(int direction, uint64_t offset, std::span<const uint8_t> bytes, const Carrier& carrier) = 0;
};

struct InsertFlags {
  bool doubtful = false;   // the host's TCP probably dropped it
  bool span_copy = false;  // the tap delivered the same packet twice
  // With doubtful: the host would take it, but its subflow has a hole below it. Where no acknowledgement passes it, it is
// pending.
  bool above_hole = false;
};

struct HeldMeta {
  Carrier carrier;
  bool span_copy = false, above_hole = false;
};

class Stream {
 public:
  static constexpr uint64_t kNone = std::numeric_limits<uint64_t>::max();

  Stream(int direction, const StreamConfig& config, BlockPool& pool, Account& account, StreamListener& listener);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // The IDSN is not known: the first offsets seen are held for the grace time, the least of them starts the stream.
  void float_start();
  // The stream starts here. Later data before it counts as seen before.
  void anchor(uint64_t offset);
  bool anchored() const { return anchored_; }

  void insert(uint64_t offset, std::span<const uint8_t> bytes, const Carrier& carrier, InsertFlags flags);
  // A copy that the host's TCP drops, because it had these bytes: compared, counted, never delivered.
  void compare_copy(uint64_t offset, std::span<const uint8_t> bytes, const Carrier& carrier, bool span_copy);
  // A copy whose bytes are known to be equal to what is there (or not at hand): counted only.
  void count_duplicate(uint64_t offset, uint64_t size, const Carrier& carrier, bool span_copy);
  void acknowledge(uint64_t offset, uint64_t now);
  void allow(uint64_t window_edge) { window_edge_ = window_edge > window_edge_ ? window_edge : window_edge_; }
  // Bytes that the receiver has taken wait behind a hole that is the receiver's as well, not only the tap's.
  bool waits_for_sender() const {
    return anchored_ && !queue_.empty() && !queue_.first().doubtful && tap_losses_.empty() && tap_unplaced_ == 0;
  }
  // DATA_FIN: the stream is `offset` bytes long.
  void finish_at(uint64_t offset, const Carrier& carrier);
  // A subflow's own numbers show that the tap missed these bytes.
  void lost_by_tap(uint64_t from, uint64_t to);
  void lost_by_tap_somewhere(uint64_t bytes) { tap_unplaced_ += bytes; }
  // Where bytes of lost_by_tap_somewhere() belong has become known.
  void place_tap_loss(uint64_t from, uint64_t to);
  // TCP alone (plain or after fallback): the subflow's numbers have decided already, no DATA_ACK will come.
  void skip_to(uint64_t offset);

  // Time passes: gives up holes that are due. Cheap when nothing waits.
  void tick(uint64_t now);
  bool waiting() const { return !queue_.empty() || !anchored_; }
  // The capture or the connection is over. acks_seen: packets of the acknowledging direction were captured at all.
  // sender_closed: every subflow was ended by the sender's FIN, which a host sends when its DATA_FIN was acknowledged.
  void close(bool acks_seen, bool sender_closed);

  // Delivered since the last call: f(offset, span), then history is trimmed to its size.
  template <class F>
  void take_fresh(F&& f) {
    if (flushed_ < history_.end()) history_.visit(flushed_, history_.end(), f);
    flushed_ = history_.end();
    if (history_.memory() > config_.history_bytes && edge_ > config_.history_bytes) history_.trim(edge_ - config_.history_bytes);
  }
  bool has_fresh() const { return flushed_ < history_.end(); }
  void drop_history();

  uint64_t edge() const { return edge_; }  // the next offset to be delivered
  uint64_t start() const { return start_; }
  uint64_t flushed() const { return flushed_; }  // what take_fresh() gives next begins here
  uint64_t fin() const { return fin_; }    // kNone: not seen
  bool finished() const { return fin_ != kNone && edge_ >= fin_; }
  uint64_t acknowledged() const { return data_ack_; }
  const History& history() const { return history_; }
  History& history() { return history_; }
  uint64_t held_memory() const { return queue_.memory(); }
  uint64_t held_bytes() const { return queue_.held_bytes(); }

  struct Totals {
    uint64_t delivered = 0, missing = 0, missing_tap = 0, duplicate = 0, conflicting = 0, pending = 0;
    bool assumed = false;
  };
  const Totals& totals() const { return totals_; }

 private:
  void deliver(uint64_t offset, std::span<const uint8_t> bytes, const Carrier& carrier);
  void drain();
  bool resolve(uint64_t acknowledged, bool assume);
  void give_up(uint64_t until);
  void repeat(uint64_t offset, std::span<const uint8_t> bytes, const Carrier& carrier, InsertFlags flags);
  void compare(const History& history, uint64_t offset, std::span<const uint8_t> bytes, const Carrier& carrier);
  void count_pending(History& pending);
  void report_losers(uint64_t edge, const History* pending = nullptr);
  uint64_t new_conflicts(uint64_t from, uint64_t to);

  int direction_;
  bool anchored_ = true, closed_ = false;
  const StreamConfig& config_;
  BlockPool& pool_;
  Account& account_;
  StreamListener& listener_;
  uint64_t edge_ = 0, start_ = 0, flushed_ = 0;
  uint64_t fin_ = kNone;
  uint64_t data_ack_ = 0, settled_ack_ = 0, pending_ack_ = 0, ack_slot_ns_ = 0;
  uint64_t window_edge_ = 0;
  uint64_t float_since_ns_ = 0;
  uint64_t tap_unplaced_ = 0;
  OverlapQueue<HeldMeta> queue_;
  History history_;
  using Ranges = std::vector<std::pair<uint64_t, uint64_t>>;
  Ranges tap_losses_;  // what the tap missed, not yet passed by the edge
  Ranges gaps_;        // given-up holes, the last ones
  Ranges conflicts_;   // counted already
  Totals totals_;
};

}  // namespace mptap::stream
