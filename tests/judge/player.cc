// SPDX-License-Identifier: Apache-2.0
#include "player.h"

#include <algorithm>

#include "traffic/options.h"

namespace mptap::judge {

namespace option = test::option;
using test::append;

Verdict play(World& world, const Scenario& scenario) {
  return Player(world, scenario).run();
}

Player::Player(World& world, const Scenario& scenario) : world_(world), scenario_(scenario), peer_(world, app_, scenario.setup) {}

Verdict Player::run() {
  if (peer_.open()) {
    for (const Step& s : scenario_.steps) {
      ++number_;
      step(s);
    }
    peer_.probe();
  }
  Verdict v;
  v.direction = peer_.direction();
  v.read = app_.got;
  v.end = app_.end;
  v.error = app_.error;
  v.paths_dead = std::all_of(peer_.paths.begin(), peer_.paths.end(), [](const Path& p) { return p.dead() || p.bad_join; });
  if (app_.end == App::End::kEof) peer_.finish();
  v.wire = peer_.wire;
  app_.kill();
  peer_.poll();
  return v;
}

int Player::path_of(const Step& s) const {
  return s.path % static_cast<int>(peer_.paths.size());
}

Bytes Player::stream_bytes(int64_t offset, size_t size, bool other) const {
  Bytes out(size);
  for (size_t i = 0; i < size; ++i) {
    const auto at = static_cast<uint64_t>(offset + static_cast<int64_t>(i));
    out[i] = other ? static_cast<uint8_t>('A' + (number_ + at) % 26) : static_cast<uint8_t>('a' + (at + at / 26 * 7) % 26);
  }
  return out;
}

Bytes Player::mapping(const Step& s, int64_t offset, uint32_t ssn, const Bytes& bytes, size_t length, bool fin) {
  option::Dss dss;
  if (!(s.flags & kNoAck)) dss.ack = peer_.data_ack_number();
  dss.ack8 = !(s.flags & kNarrowAck);
  dss.dsn = peer_.dsn(offset);
  dss.dsn8 = !(s.flags & kNarrow);
  dss.ssn = ssn;
  dss.length = static_cast<uint16_t>(length + (fin ? 1 : 0));
  dss.fin = fin;
  if (peer_.checksums()) dss.checksum = option::dss_checksum(*dss.dsn, ssn, dss.length, bytes);
  return option::dss(dss);
}

// One mapping over one or more segments.
std::vector<Player::Piece> Player::cut(const Step& s, int path, uint32_t ssn, int64_t offset, const Bytes& bytes, bool fin) {
  const Bytes map = mapping(s, offset, ssn, bytes, bytes.size(), fin);
  sent_.push_back({path, ssn, offset, bytes});
  const size_t count = 1 + s.piece % 4;
  const size_t least = std::max<size_t>(1, (bytes.size() + count - 1) / count);
  std::vector<Piece> out;
  for (size_t at = 0; at < bytes.size();) {
    const size_t n = std::min({least, bytes.size() - at, size_t{1400}});
    Piece p;
    p.path = path;
    p.ssn = ssn + static_cast<uint32_t>(at);
    p.bytes.assign(bytes.begin() + static_cast<ptrdiff_t>(at), bytes.begin() + static_cast<ptrdiff_t>(at + n));
    p.options = out.empty() || !(s.flags & kOneOption) ? map : peer_.data_ack(true);
    out.push_back(std::move(p));
    at += n;
  }
  return out;
}

void Player::send(Piece piece, const Change& change) {
  Path& p = path(piece.path);
  if (p.dead() || !p.established) return;
  if (std::find(stripped_.begin(), stripped_.end(), piece.path) != stripped_.end()) piece.options.clear();
  Packet out = peer_.packet(piece.path, piece.ssn, false);
  out.payload = std::move(piece.bytes);
  out.head.flags |= packet::kPsh;
  out.options = std::move(piece.options);
  if (change) change(out);
  peer_.send(piece.path, std::move(out));
  // A DATA_FIN takes effect in a kernel worker.
  if (fin_sent_ && app_.end == App::End::kOpen) pause();
}

void Player::send_all(const Step& s, std::vector<Piece> pieces, const Change& change) {
  if (s.flags & kReversed) std::reverse(pieces.begin(), pieces.end());
  for (Piece& p : pieces) send(std::move(p), change);
}

void Player::send_new(const Step& s, int64_t offset, const Bytes& bytes, const Change& change) {
  const int number = path_of(s);
  const uint32_t ssn = path(number).next;
  path(number).next += static_cast<uint32_t>(bytes.size());
  const Opening opening = scenario_.setup.opening;
  if (first_ && number == 0 && (opening == Opening::kDataInCapable || opening == Opening::kThirdAckLost) && !(s.flags & kHalf)) {
    // The third ACK's keys once more, with the first bytes.
    first_ = false;
    Bytes head(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(std::min<size_t>(bytes.size(), 1400)));
    path(0).next = ssn + static_cast<uint32_t>(head.size());
    sent_.push_back({0, ssn, offset, head});
    if (offset == 0) next_ = static_cast<int64_t>(head.size());
    return send({0, ssn, head, capable(head)}, change);
  }
  first_ = false;
  send_all(s, cut(s, number, ssn, offset, bytes), change);
}

// MP_CAPABLE with data: a mapping of the stream's first bytes.
Bytes Player::capable(const Bytes& bytes) {
  option::Capable c{1,
                    static_cast<uint8_t>(peer_.checksums() ? 0x81 : 0x01),
                    peer_.my_key(),
                    peer_.other_key(),
                    static_cast<uint16_t>(bytes.size()),
                    {}};
  if (peer_.checksums()) c.checksum = option::dss_checksum(peer_.dsn(0), 1, static_cast<uint16_t>(bytes.size()), bytes);
  return option::capable(c);
}

void Player::pause() {
  for (int i = 0; i < 3; ++i) {
    world_.wait(10);
    peer_.poll();
  }
}

void Player::step(const Step& s) {
  switch (s.kind) {
    case Kind::kData: return data(s);
    case Kind::kReserve: return reserve(s);
    case Kind::kFill: return fill(s);
    case Kind::kOverlap: return overlap(s);
    case Kind::kContinue: return go_on(s);
    case Kind::kMapLate: return map_late(s);
    case Kind::kMapAhead: return map_ahead(s);
    case Kind::kInfinite: return infinite(s);
    case Kind::kTwoDss: return two_dss(s);
    case Kind::kBadLength: return bad_length(s);
    case Kind::kCapableAgain: return capable_again(s);
    case Kind::kDsnOutOfWindow: return dsn_out_of_window(s);
    case Kind::kDataFin: return data_fin(s);
    case Kind::kBadChecksum: return bad_checksum(s);
    case Kind::kDelay: return delay(s);
    case Kind::kUndelay: return undelay(s);
    case Kind::kTcpOverlap: return tcp_overlap(s);
    case Kind::kRetransmit: return retransmit(s);
    case Kind::kStrip: {
      const auto it = std::find(stripped_.begin(), stripped_.end(), path_of(s));
      if (it == stripped_.end()) {
        stripped_.push_back(path_of(s));
      } else {
        stripped_.erase(it);
      }
      return;
    }
    case Kind::kUrgent:
      // The kernel throws an urgent byte away that the checksum still waits for when the next one comes: a subflow with a hole.
      if (peer_.checksums()) return data(s);
      return data(s, [](Packet& p) {
        p.head.flags |= packet::kUrg;
        p.head.urgent = 1;
      });
    case Kind::kLowTtl: return data(s, [](Packet& p) { p.head.ttl = 1; });
    case Kind::kPaws:
      return dropped(s, [](Packet& p) {
        if (p.head.timestamps)
          p.head.timestamps->tsval -= 100'000;
        else
          p.head.tcp_checksum_error = 0x1111;
      });
    case Kind::kNoAckFlag: return dropped(s, [](Packet& p) { p.head.flags = packet::kPsh; });
    case Kind::kBadAck: return dropped(s, [&s](Packet& p) { p.head.ack += (s.flags & kHalf) ? 100'000 : -50'000'000; });
    case Kind::kOutOfWindow: {
      const uint32_t far = path(path_of(s)).window + 100'000;
      return dropped(s, [&s, far](Packet& p) { p.head.seq += (s.flags & kHalf) ? far : -100'000; });
    }
    case Kind::kBadTcpChecksum: return dropped(s, [](Packet& p) { p.head.tcp_checksum_error = 0x1111; });
    case Kind::kMd5: return dropped(s, [](Packet& p) { p.options = option::md5(Bytes(16, 7)); });
    case Kind::kRstMiss: return rst(s, true);
    case Kind::kJoin: return join(s);
    case Kind::kAddAddr: return add_addr(s);
    case Kind::kRemoveAddr: return remove_addr(s);
    case Kind::kPrio: return signal(s, option::prio((s.flags & kHalf) != 0));
    case Kind::kFail: return signal(s, option::fail(peer_.dsn((s.flags & kHalf) ? next_ : s.place)));
    case Kind::kRst: return rst(s, false);
    case Kind::kFin: return fin(s);
    case Kind::kFastClose: return fast_close(s);
    case Kind::kAck: return signal(s, {});
    case Kind::kWrite:
      app_.write(stream_bytes(0, 1 + s.size % 3000, true));
      peer_.poll();
      if (!(s.flags & kHalf)) signal(s, {});
      return;
    case Kind::kCount: return;
  }
}

}  // namespace mptap::judge
