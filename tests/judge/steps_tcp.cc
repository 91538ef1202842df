// SPDX-License-Identifier: Apache-2.0
// Steps at subflow level: sequence numbers, copies, what the kernel drops, and how subflows end.
#include <algorithm>

#include "player.h"
#include "traffic/options.h"

namespace mptap::judge {

namespace option = test::option;
using test::append;

void Player::delay(const Step& s) {
  const int number = path_of(s);
  Path& p = path(number);
  const Bytes bytes = stream_bytes(next_, 1 + s.size % 400, false);
  auto pieces = cut(s, number, p.next, next_, bytes);
  p.next += static_cast<uint32_t>(bytes.size());
  next_ += static_cast<int64_t>(bytes.size());
  first_ = first_ && number != 0;
  delayed_.push_back(pieces[s.place % pieces.size()]);
  pieces.erase(pieces.begin() + s.place % static_cast<ptrdiff_t>(pieces.size()));
  send_all(s, std::move(pieces));
}

void Player::undelay(const Step& s) {
  if (delayed_.empty()) return;
  const auto at = delayed_.begin() + s.place % static_cast<ptrdiff_t>(delayed_.size());
  Piece piece = *at;
  if ((s.flags & kHalf) && piece.bytes.size() > 1) {
    const auto half = static_cast<ptrdiff_t>(piece.bytes.size() / 2);
    piece.bytes.resize(static_cast<size_t>(half));
    at->bytes.erase(at->bytes.begin(), at->bytes.begin() + half);
    at->ssn += static_cast<uint32_t>(half);
  } else {
    delayed_.erase(at);
  }
  if (s.flags & kQuarter) {
    for (int i = s.piece % 20; i > 0; --i) piece.bytes.push_back(static_cast<uint8_t>('0' + i % 10));
  }
  if (s.flags & kOther) {
    for (uint8_t& b : piece.bytes) b = static_cast<uint8_t>('0' + number_ % 10);
  }
  send(std::move(piece));
}

// SSNs near a hole of the subflow or near its end, with other bytes, whatever was there.
void Player::tcp_overlap(const Step& s) {
  const int number = path_of(s);
  Path& p = path(number);
  const uint32_t back = s.place % 80;
  uint32_t ssn = p.next > back + 1 ? p.next - back : 1;
  for (const Piece& d : delayed_) {
    if (d.path == number && (s.flags & kQuarter)) ssn = d.ssn + s.place % 50 - std::min<uint32_t>(d.ssn - 1, 20);
  }
  Piece piece{number, ssn, Bytes(1 + s.size % 60, static_cast<uint8_t>('0' + number_ % 10)), {}};
  const Mapped* there = nullptr;
  for (const Mapped& m : sent_) {
    if (m.path == number && m.ssn <= ssn && ssn < m.ssn + m.bytes.size()) there = &m;
  }
  if (there && !(s.flags & kOther)) {
    for (size_t i = 0; i < piece.bytes.size() && ssn + i - there->ssn < there->bytes.size(); ++i)
      piece.bytes[i] = there->bytes[ssn + i - there->ssn];
  }
  if (there && (s.flags & kHalf)) {
    piece.options = mapping(s, there->offset, there->ssn, there->bytes, there->bytes.size(), false);
  } else if (s.flags & kOneOption) {
    piece.options = mapping(s, next_, ssn, piece.bytes, piece.bytes.size(), false);
  } else {
    piece.options = peer_.data_ack(true);
  }
  const uint32_t end = ssn + static_cast<uint32_t>(piece.bytes.size());
  if (static_cast<int32_t>(end - p.next) > 0) {
    next_ += end - p.next;
    p.next = end;
  }
  send(std::move(piece));
}

void Player::retransmit(const Step& s) {
  if (sent_.empty()) return;
  Mapped m = sent_[s.place % sent_.size()];
  const auto skip = static_cast<ptrdiff_t>(s.piece % m.bytes.size());
  const Mapped whole = m;
  m.bytes.erase(m.bytes.begin(), m.bytes.begin() + skip);
  m.bytes.resize(std::min<size_t>(m.bytes.size(), 1 + s.size % 1400));
  m.ssn += static_cast<uint32_t>(skip);
  m.offset += skip;
  if (s.flags & kOther) {
    for (uint8_t& b : m.bytes) b = static_cast<uint8_t>('0' + number_ % 10);
  }
  Piece piece{m.path, m.ssn, m.bytes, peer_.data_ack(true)};
  if (s.flags & kHalf) {
    // A mapping of its own: the same place, or another.
    const int64_t offset = m.offset + ((s.flags & kQuarter) ? 7 : 0);
    piece.options = mapping(s, offset, m.ssn, m.bytes, m.bytes.size(), false);
  } else if (!(s.flags & kQuarter)) {
    piece.options = mapping(s, whole.offset, whole.ssn, whole.bytes, whole.bytes.size(), false);
  }
  send(std::move(piece));
}

// Other bytes at the next place: the kernel drops the segment, and the right bytes follow later.
void Player::dropped(const Step& s, const Change& change) {
  const int number = path_of(s);
  const Bytes bytes = stream_bytes(next_, 1 + s.size % 200, true);
  send({number, path(number).next, bytes, mapping(s, next_, path(number).next, bytes, bytes.size(), false)}, change);
}

void Player::rst(const Step& s, bool miss) {
  const int number = path_of(s);
  Path& p = path(number);
  if (p.dead() || !p.established) return;
  peer_.probe();  // what the kernel has by now
  Packet out = peer_.packet(number, p.acked + (miss ? 1 + s.place % 1000 : 0), false);
  out.head.flags = packet::kRst | ((s.flags & kHalf) ? 0 : packet::kAck);
  if (s.flags & kQuarter) out.options = option::tcp_rst(false, 3);
  if (!miss) p.peer_reset = true;
  peer_.send(number, std::move(out));
  if (!miss) pause();
}

void Player::fin(const Step& s) {
  const int number = path_of(s);
  Path& p = path(number);
  if (p.dead() || !p.established || p.peer_fin) return;
  Packet out = peer_.packet(number, p.next);
  out.head.flags |= packet::kFin;
  p.peer_fin = true;
  peer_.send(number, std::move(out));
}

}  // namespace mptap::judge
