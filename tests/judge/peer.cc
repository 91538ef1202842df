// SPDX-License-Identifier: Apache-2.0
#include "peer.h"

#include <algorithm>
#include <stdexcept>

#include "packet/build.h"
#include "traffic/keys.h"
#include "traffic/options.h"

namespace mptap::judge {

namespace option = test::option;
using mptcp::Options;
using packet::kAck;
using packet::kFin;
using packet::kRst;
using packet::kSyn;
using test::append;

namespace {

uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace

Peer::Peer(World& world, App& app, const Setup& setup) : world_(world), app_(app), setup_(setup) {
  my_key_ = mix(setup.seed);
  if (setup.wrap_dsn) my_key_ = test::key_with_idsn_low(1, 0xffffffff, 1u << 20, my_key_);
  if (setup.wrap_dsn) {
    // Close enough that a few segments reach it: among the keys found take the nearest of some.
    for (int i = 0; i < 4; ++i) {
      const uint64_t other = test::key_with_idsn_low(1, 0xffffffff, 1u << 18, mix(my_key_ + 1));
      if (static_cast<uint32_t>(test::numbers_of_key(1, other).idsn) >
          static_cast<uint32_t>(test::numbers_of_key(1, my_key_).idsn))
        my_key_ = other;
    }
  }
  mine_ = test::numbers_of_key(1, my_key_);
  Path p;
  p.mine = {world.new_peer(setup.v6), static_cast<uint16_t>(10000 + mix(setup.seed + 1) % 50000)};
  p.other = {World::kernel_address(setup.v6), kListenPort};
  p.isn = setup.wrap_seq ? 0xffffffff - static_cast<uint32_t>(mix(setup.seed + 2) % 3000)
                         : static_cast<uint32_t>(mix(setup.seed + 3));
  paths.push_back(p);
}

Bytes Peer::syn_options() const {
  Bytes out = option::mss(1400);
  if (setup_.sack) append(out, option::sack_permitted());
  append(out, Bytes{1});
  append(out, option::window_scale(7));
  return out;
}

bool Peer::open() {
  world_.want_checksums(setup_.checksum && setup_.peer_serves);
  if (setup_.peer_serves) {
    open_as_server();
  } else {
    open_as_client();
  }
  return paths[0].established && capable_;
}

void Peer::open_as_client() {
  Path& p = paths[0];
  const uint8_t flags = setup_.checksum ? 0x81 : 0x01;
  Packet syn = packet(0, 0);
  syn.head.seq = p.isn;
  syn.head.ack = 0;
  syn.head.flags = kSyn;
  syn.options = syn_options();
  append(syn.options, option::capable({1, flags, {}, {}, {}, {}}));
  if (setup_.opening == Opening::kFastOpen) {
    append(syn.options, option::fast_open({}));
    for (int i = 0; i < 5; ++i) fast_open_bytes.push_back('F');
    syn.payload = fast_open_bytes;
  }
  send(0, std::move(syn));
  if (!p.established || !capable_) return;
  if (!fast_open_bytes.empty()) {
    if (p.acked == 1 + fast_open_bytes.size()) {
      p.fast_open = static_cast<uint32_t>(fast_open_bytes.size());
      p.acked = 1;
    } else {
      fast_open_bytes.clear();
    }
  }
  if (setup_.opening == Opening::kThirdAckLost) return;
  Packet ack = packet(0, 1, false);
  if (setup_.opening == Opening::kDssOnlyThirdAck) {
    ack.options = data_ack(true);
  } else if (setup_.opening != Opening::kPlainThirdAck) {
    ack.options = option::capable({1, flags, my_key_, other_key_, {}, {}});
  }
  send(0, std::move(ack));
}

void Peer::open_as_server() {
  Path& p = paths[0];
  p.mine_opened = false;
  app_.connect(setup_.v6, p.mine);
  poll();
  if (!syn_ || !syn_options_.has(Options::kCapable)) return;
  p.other = syn_->src;
  checksums_ = setup_.checksum || (syn_options_.capable.flags & mptcp::kFlagChecksum) != 0;
  p.other_isn = syn_->seq;
  p.seen = syn_->seq + 1;
  p.other_scale = syn_options_.window_scale;
  p.other_tsval = syn_options_.tsval;
  capable_ = true;
  Packet answer = packet(0, 0);
  answer.head.seq = p.isn;
  answer.head.flags = kSyn | kAck;
  answer.options = syn_options();
  append(answer.options, option::capable({1, static_cast<uint8_t>(checksums_ ? 0x81 : 0x01), my_key_, {}, {}, {}}));
  capable_ = false;
  send(0, std::move(answer));
}

int Peer::join(uint8_t bad, bool answer) {
  const auto number = static_cast<int>(paths.size());
  Path p;
  p.mine = {world_.new_peer(setup_.v6), static_cast<uint16_t>(10000 + mix(setup_.seed + 100 + number) % 50000)};
  p.other = paths[0].other;
  p.isn = static_cast<uint32_t>(mix(setup_.seed + 200 + number));
  if (setup_.wrap_seq) p.isn = 0xffffffff - p.isn % 2000;
  p.nonce = static_cast<uint32_t>(mix(setup_.seed + 300 + number));
  p.id = static_cast<uint8_t>(number);
  p.joined = true;
  p.bad_join = bad != 0;
  paths.push_back(p);
  Packet syn = packet(number, 0);
  syn.head.seq = p.isn;
  syn.head.ack = 0;
  syn.head.flags = kSyn;
  syn.options = syn_options();
  append(syn.options, option::join_syn(false, p.id, theirs_.token + (bad == 2 ? 1 : 0), p.nonce));
  send(number, std::move(syn));
  if (answer) answer_join(number);
  return number;
}

void Peer::answer_join(int number) {
  const Path& p = paths[number];
  if (!p.established || p.dead()) return;
  Bytes mac = test::join_mac(1, my_key_, other_key_, p.nonce, p.other_nonce);
  if (p.bad_join) mac[0] ^= 0x55;
  Packet ack = packet(number, 1, false);
  ack.options = option::join_ack(mac);
  send(number, std::move(ack));
}

int Peer::kernel_join(const packet::TcpSegment& s, const Options& o) {
  const auto number = static_cast<int>(paths.size());
  Path p;
  p.mine = s.dst;
  p.other = s.src;
  p.mine_opened = false;
  p.joined = true;
  p.other_isn = s.seq;
  p.seen = s.seq + 1;
  p.other_scale = o.window_scale;
  p.other_tsval = o.tsval;
  p.other_nonce = o.join.nonce;
  p.isn = static_cast<uint32_t>(mix(setup_.seed + 200 + number));
  p.nonce = static_cast<uint32_t>(mix(setup_.seed + 300 + number));
  p.id = static_cast<uint8_t>(number);
  paths.push_back(p);
  return number;
}

int Peer::await_join(uint8_t bad) {
  const size_t before = paths.size();
  for (int i = 0; i < 50 && paths.size() == before; ++i) {
    world_.wait(20);
    poll();
  }
  if (paths.size() == before) return -1;
  const auto number = static_cast<int>(before);
  Path& p = paths[before];
  p.bad_join = bad != 0;
  Bytes mac = test::join_mac(1, my_key_, other_key_, p.nonce, p.other_nonce);
  if (bad != 0) mac[0] ^= 0x55;
  Packet answer = packet(number, 0);
  answer.head.seq = p.isn;
  answer.head.flags = kSyn | kAck;
  answer.options = syn_options();
  append(answer.options, option::join_syn_ack(false, p.id, mac, p.nonce));
  send(number, std::move(answer));
  if (paths[number].established && !paths[number].dead()) {
    // The kernel repeats its third ACK until the fourth one comes.
    send(number, packet(number, 1));
  }
  return number;
}

Bytes Peer::data_ack(bool wide) const {
  option::Dss dss;
  dss.ack = data_ack_number();
  dss.ack8 = wide;
  return option::dss(dss);
}

Packet Peer::packet(int number, uint32_t ssn, bool with_ack) {
  Path& p = paths[number];
  Packet out;
  out.head.src = p.mine;
  out.head.dst = p.other;
  out.head.ip_id = p.ip_id++;
  out.head.seq = p.isn + p.fast_open + ssn;
  out.head.ack = p.seen;
  out.head.flags = kAck;
  out.head.window = 0xffff;
  if (setup_.timestamps) out.head.timestamps = packet::TcpTimestamps{tsval_++, p.other_tsval};
  if (with_ack && capable_ && !fell_back_) out.options = data_ack(true);
  return out;
}

void Peer::record(int path, test::Direction d, const Bytes& frame) {
  now_ns_ += 1'000'000;
  wire.push_back({now_ns_, path, d, frame});
}

void Peer::send(int number, Packet p) {
  p.head.options = p.options;
  p.head.payload = p.payload;
  const auto size = packet::frame_size(p.head);
  if (!size) throw std::logic_error(std::string("no such frame: ") + packet::build_error_text(size.error()));
  Bytes frame(*size);
  (void)packet::build_frame(p.head, frame);
  record(number, direction(), frame);
  world_.inject(frame);
  poll();
}

int Peer::path_of(const packet::TcpSegment& s) const {
  for (size_t i = 0; i < paths.size(); ++i) {
    if (paths[i].mine == s.dst && (paths[i].other == s.src || (i == 0 && setup_.peer_serves && !syn_)))
      return static_cast<int>(i);
  }
  return -1;
}

void Peer::poll() {
  while (auto frame = world_.take()) {
    packet::TcpSegment s;
    packet::Frame view{frame->data(),
                       static_cast<uint32_t>(frame->size()),
                       static_cast<uint32_t>(frame->size()),
                       packet::LinkType::kEthernet,
                       now_ns_,
                       1};
    if (decoder_.decode(view, s) != packet::Reason::kTcp) continue;
    options_ = {};
    mptcp::parse_options(s.option_bytes(), s.flags, s.payload_size > 0, options_);
    int path = path_of(s);
    if (path < 0 && (s.flags & (kSyn | kAck)) == kSyn && options_.has(Options::kJoin) && options_.join.token == mine_.token) {
      path = kernel_join(s, options_);
    }
    if (path >= 0) on_kernel(s, options_, path, *frame);
  }
  if (!setup_.peer_serves && !app_.open()) app_.accept(world_.listener(setup_.v6), paths[0].mine);
  app_.drain();
}

void Peer::on_kernel(const packet::TcpSegment& s, const Options& o, int number, const Bytes& frame) {
  record(number, test::opposite(direction()), frame);
  Path& p = paths[number];
  if (o.has(Options::kTimestamps)) p.other_tsval = o.tsval;
  if (s.flags & kRst) {
    p.kernel_reset = true;
    return;
  }
  if (s.flags & kSyn) {
    if (!(s.flags & kAck)) {
      syn_ = s;
      syn_options_ = o;
      return;
    }
    p.established = true;
    p.other_isn = s.seq;
    p.seen = s.seq + 1;
    p.other_scale = o.window_scale;
    p.acked = s.ack - p.isn;
    p.window = s.window;
    if (o.has(Options::kCapable) && o.capable.length == 12) {
      capable_ = true;
      other_key_ = o.capable.sender_key;
      theirs_ = test::numbers_of_key(1, other_key_);
      checksums_ = setup_.checksum || (o.capable.flags & mptcp::kFlagChecksum) != 0;
    }
    if (o.has(Options::kJoin)) p.other_nonce = o.join.nonce;
    return;
  }
  if (!p.mine_opened) p.established = true;
  if (o.has(Options::kCapable) && o.capable.length >= 20) {
    capable_ = true;
    other_key_ = o.capable.sender_key;
    theirs_ = test::numbers_of_key(1, other_key_);
  }
  p.acked = s.ack - p.isn - p.fast_open;
  p.window = static_cast<uint32_t>(s.window) << p.other_scale;
  const uint32_t end = s.seq + s.payload_size + ((s.flags & kFin) ? 1 : 0);
  if (static_cast<int32_t>(end - p.seen) > 0) p.seen = end;
  if (s.flags & kFin) p.kernel_fin = true;
  if (o.has(Options::kDss) && o.dss.has_map) {
    const uint64_t offset = o.dss.from_capable ? 0 : o.dss.dsn - theirs_.idsn - 1;
    const uint64_t size = o.dss.length - (o.dss.data_fin ? 1 : 0);
    if (offset + size > kernel_data_ && offset <= kernel_data_) kernel_data_ = offset + size;
    if (o.dss.data_fin && offset + size == kernel_data_) kernel_fin_ = true;
  } else if (s.payload_size > 0 && number == 0 && !o.has(Options::kDss)) {
    fell_back_ = true;
  }
}

void Peer::probe() {
  for (size_t i = 0; i < paths.size(); ++i) {
    const Path& p = paths[i];
    if (!p.established || p.dead()) continue;
    Packet keep_alive = packet(static_cast<int>(i), p.acked - 1);
    keep_alive.payload = {0};
    send(static_cast<int>(i), std::move(keep_alive));
  }
}

void Peer::finish() {
  app_.shutdown();
  poll();
  // Acknowledges the kernel's DATA_FIN or FIN, and ends each subflow.
  for (size_t i = 0; i < paths.size(); ++i) {
    const Path& p = paths[i];
    if (p.established && !p.dead()) send(static_cast<int>(i), packet(static_cast<int>(i), p.next));
  }
  for (int round = 0; round < 2; ++round) {
    for (size_t i = 0; i < paths.size(); ++i) {
      Path& p = paths[i];
      if (!p.established || p.dead() || p.peer_fin) continue;
      Packet fin = packet(static_cast<int>(i), p.acked);
      fin.head.flags |= kFin;
      p.peer_fin = true;
      send(static_cast<int>(i), std::move(fin));
    }
  }
}

}  // namespace mptap::judge
