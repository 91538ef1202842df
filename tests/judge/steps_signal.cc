// SPDX-License-Identifier: Apache-2.0
// Steps about subflows and the connection as a whole.
#include "player.h"
#include "traffic/keys.h"
#include "traffic/options.h"

namespace mptap::judge {

namespace option = test::option;

void Player::join(const Step& s) {
  // The kernel takes joins where it listens.
  if (scenario_.setup.peer_serves || peer_.paths.size() >= 5) return;
  const int form = s.piece % 8;
  const int number = peer_.join(form == 6 ? 1 : form == 7 ? 2 : 0, form != 5);
  if (form == 4) {
    // The fourth ACK and then data.
    peer_.send(number, peer_.packet(number, 1));
  }
}

void Player::add_addr(const Step& s) {
  if (peer_.paths.size() >= 4 || peer_.fell_back() || path(0).dead()) return;
  const packet::IpAddress address = world_.new_peer(scenario_.setup.v6);
  const auto id = static_cast<uint8_t>(peer_.paths.size());
  option::AddAddr a;
  a.id = id;
  a.address = address;
  a.mac = test::add_addr_mac(peer_.my_key(), peer_.other_key(), id, address, 0);
  const bool wrong = s.piece % 8 == 7;
  if (wrong) a.mac.back() ^= 1;
  Packet out = peer_.packet(0, path(0).next, false);
  out.options = option::add_addr(a);
  peer_.send(0, std::move(out));
  if (!wrong) peer_.await_join(s.piece % 8 == 6 ? 1 : 0);
}

void Player::remove_addr(const Step& s) {
  const int number = path_of(s);
  const int about = s.place % static_cast<int>(peer_.paths.size());
  if (path(number).dead() || !path(number).established) return;
  Packet out = peer_.packet(number, path(number).next, false);
  out.options = option::remove_addr({static_cast<uint8_t>(about)});
  peer_.send(number, std::move(out));
  pause();
}

void Player::fast_close(const Step& s) {
  const int number = path_of(s);
  Path& p = path(number);
  if (p.dead() || !p.established) return;
  peer_.probe();
  uint64_t key = peer_.other_key();
  uint32_t ahead = 0;
  switch (s.piece % 4) {
    case 1: key ^= 1; break;
    case 2: ahead = 1000 + s.place % 20000; break;
    case 3: ahead = p.window + 100'000; break;
    default: break;
  }
  Packet out = peer_.packet(number, p.acked + ahead, false);
  out.options = option::fast_close(key);
  peer_.send(number, std::move(out));
  pause();
}

void Player::signal(const Step& s, const Bytes& more) {
  const int number = path_of(s);
  Path& p = path(number);
  if (p.dead() || !p.established) return;
  Packet out = peer_.packet(number, p.next, false);
  out.options = more.empty() && !peer_.fell_back() ? peer_.data_ack(!(s.flags & kNarrowAck)) : more;
  peer_.send(number, std::move(out));
}

}  // namespace mptap::judge
