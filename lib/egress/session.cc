// SPDX-License-Identifier: Apache-2.0
#include "egress/session.h"

#include <algorithm>

namespace mptap::egress {
namespace {

using packet::kAck;
using packet::kFin;
using packet::kPsh;
using packet::kRst;
using packet::kSyn;

// So large that no connection ever fills it: the tools behind must not see full or changing windows that the hosts did not have.
constexpr uint8_t kWindowScale = 14;
constexpr uint16_t kWindow = 65535;
// A hole that is wider is shortened, so that the numbers behind it do not look old.
constexpr uint64_t kWidestHole = uint64_t{1} << 30;
// Where the acknowledging direction is not seen, or no longer: the tools behind look at data once it is acknowledged.
constexpr uint64_t kUnseenAcks = 64u << 10, kLateAcks = 16u << 20;
constexpr uint16_t kLeastMss = 64;  // less would make many frames of one

uint32_t made_isn(const packet::Endpoint& from, const packet::Endpoint& to) {
  uint64_t h = 0xcbf29ce484222325ull;
  for (const packet::Endpoint* e : {&from, &to}) {
    for (const uint8_t b : e->address.bytes) h = (h ^ b) * 0x100000001b3ull;
    h = (h ^ e->port) * 0x100000001b3ull;
  }
  return static_cast<uint32_t>(h >> 32);
}

}  // namespace

Session::Session(Outlet& outlet, const packet::Endpoint& client, const packet::Endpoint& server, bool seen)
    : outlet_(outlet), seen_(seen) {
  sides_[0].endpoint = client;
  sides_[1].endpoint = server;
  cut_ = !outlet_.admits();
  if (cut_) {
    ++outlet_.counts.refused;
  } else {
    ++outlet_.counts.connections;
  }
}

void Session::know_isn(int side, uint32_t isn) {
  Side& s = sides_[side];
  if (s.isn_known) return;
  s.isn_known = true;
  s.isn = isn;
}

void Session::know_mss(int side, uint16_t mss) {
  if (mss != 0 && sides_[side].mss == 0) sides_[side].mss = std::max(mss, kLeastMss);
}

uint32_t Session::segment_size() const {
  const uint16_t usual = sides_[0].endpoint.address.is_v4() ? 1460 : 1440;
  uint16_t least = usual;
  for (const Side& s : sides_) {
    if (s.mss != 0) least = std::min(least, s.mss);
  }
  const bool both = sides_[0].mss != 0 && sides_[1].mss != 0;
  // Both announced more (jumbo frames): then the wire carries more.
  return both ? std::min(sides_[0].mss, sides_[1].mss) : least;
}

// The other side's number up to which `side` may acknowledge now.
uint64_t Session::acknowledgeable(int side) const {
  const Side& other = sides_[1 - side];
  return std::max(sides_[side].ack_sent, std::min(other.number(other.ack_offset), other.next));
}

bool Session::send(int side, uint8_t flags, std::span<const uint8_t> payload, uint64_t now) {
  if (cut_) return false;
  Side& s = sides_[side];
  const Side& other = sides_[1 - side];
  packet::FrameSpec f;
  if (side == 1) std::swap(f.src_mac, f.dst_mac);
  f.src = s.endpoint;
  f.dst = other.endpoint;
  f.ip_id = s.ip_id++;
  f.seq = s.isn + static_cast<uint32_t>(s.next);
  f.flags = flags;
  f.window = kWindow;
  f.payload = payload;
  uint64_t ack = s.ack_sent;
  if (flags & kAck) {
    ack = acknowledgeable(side);
    f.ack = other.isn + static_cast<uint32_t>(ack);
  }
  std::array<uint8_t, 8> options;
  if (flags & kSyn) {
    const uint16_t mss = s.mss != 0 ? s.mss : static_cast<uint16_t>(segment_size());
    options = {2, 4, static_cast<uint8_t>(mss >> 8), static_cast<uint8_t>(mss), 1, 3, 3, kWindowScale};
    f.options = options;
  }
  if (!outlet_.send(f, now)) {
    cut_ = true;
    ++outlet_.counts.cut;
    return false;
  }
  s.ack_sent = ack;
  s.next += payload.size() + ((flags & (kSyn | kFin)) ? 1 : 0);
  return true;
}

void Session::syn(uint64_t now) {
  if (stage_ != Stage::kNew || cut_) return;
  if (!sides_[0].isn_known) know_isn(0, made_isn(sides_[0].endpoint, sides_[1].endpoint));
  if (!seen_) made_ = true;
  stage_ = Stage::kSyn;
  send(0, kSyn, {}, now);
}

void Session::syn_ack(uint64_t now) {
  if (stage_ == Stage::kNew) syn(now);
  if (stage_ != Stage::kSyn || cut_) return;
  if (!sides_[1].isn_known) {
    know_isn(1, made_isn(sides_[1].endpoint, sides_[0].endpoint));
    made_ = true;
  }
  stage_ = Stage::kSynAck;
  sides_[1].ack_sent = 1;
  send(1, kSyn | kAck, {}, now);
}

void Session::establish(uint64_t now) {
  if (stage_ == Stage::kEstablished || cut_) return;
  syn_ack(now);
  if (stage_ != Stage::kSynAck) return;
  stage_ = Stage::kEstablished;
  sides_[0].ack_sent = 1;
  send(0, kAck, {}, now);
}

void Session::place(Side& s, uint64_t offset) {
  if (s.placed) return;
  s.placed = true;
  s.base = offset;
}

void Session::send_bytes(int side, std::span<const uint8_t> bytes, uint64_t now) {
  const size_t most = segment_size();
  while (!bytes.empty()) {
    const size_t n = std::min(most, bytes.size());
    if (!send(side, n == bytes.size() ? kAck | kPsh : kAck, bytes.first(n), now)) return;
    bytes = bytes.subspan(n);
  }
}

void Session::data(int d, uint64_t offset, std::span<const uint8_t> bytes, uint64_t now) {
  if (cut_) return;
  establish(now);
  Side& s = sides_[d];
  place(s, offset);
  send_bytes(d, bytes, now);
  const uint64_t acked = sides_[1 - d].ack_sent;
  if (s.next - acked > (s.acks_seen ? kLateAcks : kUnseenAcks)) {
    s.ack_offset = std::max(s.ack_offset, s.end_offset());
    settle(now);
  }
}

void Session::hole(int d, uint64_t offset, uint64_t size, uint64_t now) {
  if (cut_) return;
  establish(now);
  Side& s = sides_[d];
  place(s, offset);
  const OutletConfig& config = outlet_.config();
  if (config.fill && size <= config.fill_bytes) {
    outlet_.counts.filled_bytes += size;
    std::array<uint8_t, 4096> filler;
    filler.fill(*config.fill);
    const size_t step = std::min<size_t>(segment_size(), filler.size());
    for (uint64_t done = 0; done < size && !cut_; done += step)
      send_bytes(d, std::span(filler).first(std::min<uint64_t>(step, size - done)), now);
    return;
  }
  outlet_.counts.hole_bytes += size;
  const uint64_t width = std::min(size, kWidestHole);
  s.clipped += size - width;
  s.next += width;
}

void Session::acknowledged(int d, uint64_t offset) {
  Side& s = sides_[d];
  s.acks_seen = true;
  s.ack_offset = std::max(s.ack_offset, offset);
}

void Session::settle(uint64_t now) {
  if (stage_ != Stage::kEstablished || cut_ || reset_) return;
  for (const int side : {0, 1}) {
    if (acknowledgeable(side) > sides_[side].ack_sent) send(side, kAck, {}, now);
  }
}

void Session::fin(int d, uint64_t offset, uint64_t now) {
  Side& s = sides_[d];
  if (s.fin || reset_ || cut_) return;
  establish(now);
  place(s, offset);
  s.fin = send(d, kFin | kAck, {}, now);
}

void Session::rst(int side, uint64_t now) {
  if (reset_ || cut_) return;
  syn(now);
  reset_ = true;
  // A refused SYN is acknowledged by its RST.
  if (side == 1 && stage_ == Stage::kSyn) sides_[1].ack_sent = 1;
  const bool answers = side == 1 || stage_ != Stage::kSyn;
  send(side, answers ? kRst | kAck : kRst, {}, now);
}

void Session::finish(uint64_t now) {
  if (cut_ || reset_) return;
  for (const int side : {0, 1}) {
    Side& s = sides_[side];
    if (s.fin || !s.acks_seen) s.ack_offset = std::max(s.ack_offset, s.end_offset());
  }
  settle(now);
}

bool Session::take_made_handshake() {
  if (!made_ || made_taken_ || cut_) return false;
  made_taken_ = true;
  ++outlet_.counts.handshakes_made;
  return true;
}

}  // namespace mptap::egress
