// SPDX-License-Identifier: Apache-2.0
// Steps at data level: which bytes of the stream go under which mapping.
#include <algorithm>

#include "player.h"
#include "traffic/options.h"

namespace mptap::judge {

namespace option = test::option;
using test::append;

void Player::data(const Step& s, const Change& change) {
  const int64_t offset = next_;
  const Bytes bytes = stream_bytes(offset, 1 + s.size % 3000, false);
  next_ += static_cast<int64_t>(bytes.size());
  send_new(s, offset, bytes, change);
}

void Player::reserve(const Step& s) {
  const int64_t size = 1 + s.size % 400;
  holes_.emplace_back(next_, next_ + size);
  next_ += size;
}

void Player::fill(const Step& s) {
  if (holes_.empty()) return;
  auto& hole = holes_[s.place % holes_.size()];
  auto [from, to] = hole;
  if (s.flags & kHalf) to = from + (to - from + 1) / 2;
  hole.first = to;
  if (hole.first >= hole.second) holes_.erase(holes_.begin() + s.place % static_cast<ptrdiff_t>(holes_.size()));
  if (s.flags & kQuarter) {
    from = std::max<int64_t>(0, from - s.piece % 20);
    to += s.piece / 20 % 20;
  }
  send_new(s, from, stream_bytes(from, static_cast<size_t>(to - from), (s.flags & kOther) != 0));
  next_ = std::max(next_, to);
}

void Player::overlap(const Step& s) {
  int64_t from = next_ - s.place % 60;
  if (!holes_.empty() && (s.flags & kHalf)) {
    const auto& hole = holes_[s.place % holes_.size()];
    from = hole.first - 20 + s.place / 7 % (hole.second - hole.first + 40);
  }
  // Bytes before the stream's first one are dropped.
  if (!(s.flags & kQuarter)) from = std::max<int64_t>(0, from);
  const size_t size = 1 + s.size % 60;
  send_new(s, from, stream_bytes(from, size, (s.flags & kOther) != 0));
  next_ = std::max(next_, from + static_cast<int64_t>(size));
}

void Player::go_on(const Step& s) {
  const int number = path_of(s);
  Path& p = path(number);
  const size_t first = 1 + s.size % 200, second = 1 + s.piece % 200;
  const Bytes all = stream_bytes(next_, first + second, false);
  // The mapping covers both, or fewer or more than both.
  const size_t length = (s.flags & kHalf)      ? std::max<size_t>(1, first + second - s.place % (second + 1))
                        : (s.flags & kQuarter) ? first + second + 10
                                               : first + second;
  const Bytes map = mapping(s, next_, p.next, all, length, false);
  sent_.push_back({number, p.next, next_, all});
  const Bytes a(all.begin(), all.begin() + static_cast<ptrdiff_t>(first)),
      b(all.begin() + static_cast<ptrdiff_t>(first), all.end());
  std::vector<Piece> pieces{{number, p.next, a, map}, {number, p.next + static_cast<uint32_t>(first), b, peer_.data_ack(true)}};
  p.next += static_cast<uint32_t>(all.size());
  next_ += static_cast<int64_t>(all.size());
  first_ = first_ && number != 0;
  send_all(s, std::move(pieces));
}

void Player::map_late(const Step& s) {
  const int number = path_of(s);
  Path& p = path(number);
  const Bytes all = stream_bytes(next_, 2 + s.size % 200, false);
  const size_t half = all.size() / 2;
  const Bytes map = mapping(s, next_, p.next, all, all.size(), false);
  sent_.push_back({number, p.next, next_, all});
  const uint32_t ssn = p.next;
  p.next += static_cast<uint32_t>(all.size());
  next_ += static_cast<int64_t>(all.size());
  first_ = first_ && number != 0;
  if (s.flags & kHalf) {
    send({number, ssn, all, peer_.data_ack(true)});
    send({number, p.next, {}, map});  // on a pure ACK
  } else {
    send({number, ssn, Bytes(all.begin(), all.begin() + static_cast<ptrdiff_t>(half)), peer_.data_ack(true)});
    send({number, ssn + static_cast<uint32_t>(half), Bytes(all.begin() + static_cast<ptrdiff_t>(half), all.end()), map});
  }
}

void Player::map_ahead(const Step& s) {
  const int number = path_of(s);
  Path& p = path(number);
  const Bytes bytes = stream_bytes(next_, 1 + s.size % 200, false);
  const uint32_t ahead = 1 + s.place % 20;
  const uint32_t named = (s.flags & kHalf) ? p.next - ahead : p.next + ahead;
  const Bytes map = mapping(s, next_, named, bytes, bytes.size(), false);
  const uint32_t ssn = p.next;
  p.next += static_cast<uint32_t>(bytes.size());
  next_ += static_cast<int64_t>(bytes.size());
  send({number, ssn, bytes, map});
}

void Player::infinite(const Step& s) {
  const int number = path_of(s);
  Path& p = path(number);
  const Bytes bytes = stream_bytes(next_, 1 + s.size % 200, false);
  const Bytes map = mapping(s, next_, p.next, {}, 0, false);
  const uint32_t ssn = p.next;
  p.next += static_cast<uint32_t>(bytes.size());
  next_ += static_cast<int64_t>(bytes.size());
  send({number, ssn, bytes, map});
}

void Player::two_dss(const Step& s) {
  const int number = path_of(s);
  Path& p = path(number);
  const Bytes bytes = stream_bytes(next_, 1 + s.size % 200, false);
  Step narrow = s;
  narrow.flags = kNarrow | kNoAck;
  const int64_t other = next_ + ((s.flags & kHalf) ? s.place % 30 : -(s.place % 30));
  Bytes first = mapping(narrow, other, p.next, bytes, bytes.size(), false);
  const Bytes second = mapping(narrow, next_, p.next, bytes, bytes.size(), false);
  append(first, second);
  if (first.size() > (scenario_.setup.timestamps ? 28u : 40u)) first = second;
  const uint32_t ssn = p.next;
  p.next += static_cast<uint32_t>(bytes.size());
  next_ += static_cast<int64_t>(bytes.size());
  send({number, ssn, bytes, first});
}

void Player::bad_length(const Step& s) {
  const int number = path_of(s);
  Path& p = path(number);
  const Bytes bytes = stream_bytes(next_, 1 + s.size % 200, false);
  Bytes map = mapping(s, next_, p.next, bytes, bytes.size(), false);
  if (map.size() < 28 && (s.flags & kHalf)) {
    map.push_back(0);
  } else {
    map.pop_back();
  }
  map[1] = static_cast<uint8_t>(map.size());
  const uint32_t ssn = p.next;
  p.next += static_cast<uint32_t>(bytes.size());
  next_ += static_cast<int64_t>(bytes.size());
  send({number, ssn, bytes, map});
}

void Player::capable_again(const Step& s) {
  const int number = path_of(s);
  Path& p = path(number);
  const Bytes bytes = stream_bytes(next_, 1 + s.size % 200, false);
  const uint32_t ssn = p.next;
  p.next += static_cast<uint32_t>(bytes.size());
  next_ += static_cast<int64_t>(bytes.size());
  send({number, ssn, bytes, capable(bytes)});
}

void Player::dsn_out_of_window(const Step& s) {
  const int64_t far = (s.flags & kHalf) ? -1 - s.place % 100'000 : next_ + (s.place < 100 ? 100'000'000 : 200'000 + s.place);
  Step wide = s;
  send_new(wide, far, stream_bytes(far, 1 + s.size % 200, true));
}

void Player::data_fin(const Step& s) {
  const int number = path_of(s);
  Path& p = path(number);
  int64_t at = next_;
  fin_sent_ = true;
  switch (s.piece % 4) {
    case 1: {  // with data
      const Bytes bytes = stream_bytes(next_, 1 + s.size % 200, false);
      const uint32_t ssn = p.next;
      p.next += static_cast<uint32_t>(bytes.size());
      next_ += static_cast<int64_t>(bytes.size());
      Step whole = s;
      whole.piece = 0;
      return send_all(s, cut(whole, number, ssn, next_ - static_cast<int64_t>(bytes.size()), bytes, true));
    }
    case 2: at = std::max<int64_t>(0, next_ - s.place % 30); break;
    case 3: at = next_ + s.place % 30; break;
    default: break;
  }
  send({number, p.next, {}, mapping(s, at, 0, {}, 0, true)});
}

void Player::bad_checksum(const Step& s) {
  const int number = path_of(s);
  Path& p = path(number);
  const Bytes bytes = stream_bytes(next_, 1 + s.size % 200, false);
  const uint32_t ssn = p.next;
  option::Dss dss;
  dss.ack = peer_.data_ack_number();
  dss.ack8 = false;
  dss.dsn = peer_.dsn(next_);
  dss.ssn = ssn;
  dss.length = static_cast<uint16_t>(bytes.size());
  const bool present = peer_.checksums() != ((s.flags & kHalf) != 0);
  if (present) {
    dss.checksum = option::dss_checksum(*dss.dsn, ssn, dss.length, bytes);
    if (!(s.flags & kHalf)) *dss.checksum = static_cast<uint16_t>(*dss.checksum + 0x1111);
  }
  p.next += static_cast<uint32_t>(bytes.size());
  next_ += static_cast<int64_t>(bytes.size());
  send({number, ssn, bytes, option::dss(dss)});
}

}  // namespace mptap::judge
