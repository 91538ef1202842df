// SPDX-License-Identifier: Apache-2.0
// One MPTCP connection as one plain TCP connection: the first subflow's addresses, ports and initial sequence numbers, the bytes
// that mptap delivers in the order in which it delivers them, acknowledgements as DATA_ACKs acknowledge, the end as it was.
// Stream offsets are those of stream/stream.h; directions 0: sent by the client, 1: by the server. Touched by the connection's
// owner only. Times are the packets' and must not go back.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "egress/outlet.h"
#include "packet/address.h"
#include "packet/build.h"

namespace mptap::egress {

class Session {
 public:
  // seen: the tap saw the SYN that opened the connection, so that its handshake is not a made one.
  Session(Outlet& outlet, const packet::Endpoint& client, const packet::Endpoint& server, bool seen);

  // The initial sequence number of a side, and the MSS that it announced (0: none), as soon as they are known.
  void know_isn(int side, uint32_t isn);
  void know_mss(int side, uint16_t mss);
  // The handshake as far as it was seen. What is left out before data comes is made up.
  void syn(uint64_t now);
  void syn_ack(uint64_t now);
  void establish(uint64_t now);
  bool established() const { return stage_ == Stage::kEstablished; }

  void data(int direction, uint64_t offset, std::span<const uint8_t> bytes, uint64_t now);
  void hole(int direction, uint64_t offset, uint64_t size, uint64_t now);
  // All bytes of the direction before offset are acknowledged; one more than all of them: the FIN, too.
  void acknowledged(int direction, uint64_t offset);
  // The packet is over: sends the acknowledgements that no segment has carried.
  void settle(uint64_t now);
  // The stream of the direction is `offset` bytes long.
  void fin(int direction, uint64_t offset, uint64_t now);
  void rst(int side, uint64_t now);
  // The connection is over; a side that has closed gets all of its data acknowledged.
  void finish(uint64_t now);

  bool fin_sent(int direction) const { return sides_[direction].fin; }
  bool reset() const { return reset_; }
  bool cut() const { return cut_; }
  // True once: a handshake was made up because the tap did not see it.
  bool take_made_handshake();

 private:
  enum class Stage : uint8_t { kNew, kSyn, kSynAck, kEstablished };
  // What a side sends. Numbers are relative to its ISN and 64 bits wide: 0 is the SYN, 1 the first byte.
  struct Side {
    packet::Endpoint endpoint;
    bool isn_known = false, placed = false, acks_seen = false, fin = false;
    uint16_t mss = 0;
    uint16_t ip_id = 0;
    uint32_t isn = 0;
    uint64_t next = 0;
    uint64_t base = 0;        // the offset of number 1, once placed
    uint64_t clipped = 0;     // by which holes have been shortened
    uint64_t ack_offset = 0;  // of this side's bytes: acknowledged by the other
    uint64_t ack_sent = 0;    // the other side's number up to which this side has acknowledged

    uint64_t number(uint64_t offset) const {
      const uint64_t n = placed && offset > base ? offset - base + 1 : 1;
      return n > clipped ? n - clipped : 1;
    }
    uint64_t end_offset() const { return base + clipped + next - 1; }
  };

  bool send(int side, uint8_t flags, std::span<const uint8_t> payload, uint64_t now);
  void send_bytes(int side, std::span<const uint8_t> bytes, uint64_t now);
  void make_handshake(uint64_t now);
  void place(Side& s, uint64_t offset);
  uint64_t acknowledgeable(int side) const;
  uint32_t segment_size() const;

  Outlet& outlet_;
  std::array<Side, 2> sides_;
  Stage stage_ = Stage::kNew;
  bool seen_, made_ = false, made_taken_ = false, reset_ = false, cut_ = false;
};

}  // namespace mptap::egress
