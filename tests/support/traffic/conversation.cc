// SPDX-License-Identifier: Apache-2.0
#include "traffic/conversation.h"

#include <algorithm>
#include <stdexcept>

namespace mptap::test {

using packet::Endpoint;
using packet::IpAddress;
using packet::kAck;
using packet::kFin;
using packet::kPsh;
using packet::kRst;
using packet::kSyn;

void Ranges::add(uint64_t start, uint64_t end) {
  if (start >= end) return;
  auto it = ranges_.upper_bound(start);
  if (it != ranges_.begin() && std::prev(it)->second >= start) --it;
  while (it != ranges_.end() && it->first <= end) {
    start = std::min(start, it->first);
    end = std::max(end, it->second);
    it = ranges_.erase(it);
  }
  ranges_[start] = end;
}

uint64_t Ranges::edge(uint64_t from) const {
  const auto it = ranges_.upper_bound(from);
  if (it == ranges_.begin()) return from;
  return std::max(from, std::prev(it)->second);
}

Conversation::Conversation(Config config)
    : now_ns(config.start_ns),
      config_(std::move(config)),
      numbers_{numbers_of_key(config_.version, config_.client_key), numbers_of_key(config_.version, config_.server_key)} {
  add_subflow(kToServer);
}

int Conversation::add_subflow(Direction opener) {
  const auto index = static_cast<uint8_t>(subflows_.size());
  const auto net = static_cast<uint8_t>(config_.network + index);
  Subflow s;
  if (config_.v6) {
    const std::array<uint8_t, 16> client{0xfd, 1, 0, 0, 0, 0, 0, net, 0, 0, 0, 0, 0, 0, 0, 1};
    auto server = client;
    server[15] = 2;
    s.client = {IpAddress::v6(client.data()), 0};
    s.server = {IpAddress::v6(server.data()), 0};
  } else {
    const std::array<uint8_t, 4> client{10, 1, net, 1}, server{10, 1, net, 2};
    s.client = {IpAddress::v4(client.data()), 0};
    s.server = {IpAddress::v4(server.data()), 0};
  }
  s.client.port = static_cast<uint16_t>(config_.client_port + index);
  s.server.port = config_.server_port;
  s.opener = opener;
  if (opener == kToClient) std::swap(s.client.port, s.server.port);
  s.half[kToServer].isn = config_.client_isn + index * 0x01010101u;
  s.half[kToClient].isn = config_.server_isn + index * 0x02020202u;
  s.nonce[kToServer] = 0xc0000000u + index;
  s.nonce[kToClient] = 0x50000000u + index;
  s.address_id = index;
  subflows_.push_back(s);
  return index;
}

uint64_t Conversation::dsn_of(Direction d, uint64_t offset) const {
  return numbers_[d].idsn + 1 + offset;
}
uint32_t Conversation::next_ssn(int subflow, Direction d) const {
  const Half& h = subflows_[subflow].half[d];
  return h.next - h.fast_open;
}
uint32_t Conversation::seq_of_ssn(int subflow, Direction d, uint32_t ssn) const {
  const Half& h = subflows_[subflow].half[d];
  return h.isn + h.fast_open + ssn;
}

Packet Conversation::packet(int subflow, Direction d) const {
  const Subflow& s = subflows_[subflow];
  const Half& mine = s.half[d];
  const Half& other = s.half[opposite(d)];
  Packet p;
  p.head.src = d == kToServer ? s.client : s.server;
  p.head.dst = d == kToServer ? s.server : s.client;
  p.head.src_mac = d == kToServer ? packet::MacAddress{2, 0, 0, 0, 0, 1} : packet::MacAddress{2, 0, 0, 0, 0, 2};
  p.head.dst_mac = d == kToServer ? packet::MacAddress{2, 0, 0, 0, 0, 2} : packet::MacAddress{2, 0, 0, 0, 0, 1};
  for (const packet::VlanTag& tag : config_.vlan) p.head.vlan[p.head.vlan_count++] = tag;
  p.head.ip_id = mine.ip_id;
  p.head.seq = mine.isn + mine.next;
  p.head.ack = other.isn + static_cast<uint32_t>(other.arrived.edge(1));
  p.head.flags = kAck;
  p.head.window = config_.window;
  if (config_.timestamps) {
    // Faster than a kernel's clock, so that no two packets of a host look the same.
    const auto ticks = static_cast<uint32_t>(now_ns / 100'000);
    p.head.timestamps = packet::TcpTimestamps{ticks + 1000 * d, ticks + 1000 * opposite(d)};
  }
  return p;
}

void Conversation::send(int subflow, Direction d, Packet p, Fate fate) {
  Subflow& s = subflows_[subflow];
  Half& h = s.half[d];
  p.head.options = p.options;
  p.head.payload = p.payload;
  const auto size = packet::frame_size(p.head);
  if (!size) throw std::logic_error(std::string("no such frame: ") + packet::build_error_text(size.error()));
  Bytes frame(*size);
  (void)packet::build_frame(p.head, frame);
  ++h.ip_id;
  now_ns += config_.step_ns;
  if (fate == Fate::kNormal || fate == Fate::kHostLost) wire.push_back({now_ns, subflow, d, std::move(frame)});

  const bool syn = (p.head.flags & kSyn) != 0;
  const uint32_t start = p.head.seq - h.isn + (syn ? 1 : 0);
  const uint32_t end = start + static_cast<uint32_t>(p.payload.size()) + ((p.head.flags & kFin) != 0 ? 1 : 0);
  // What lies before the ISN or far ahead was made to be dropped.
  const bool sane = start < h.next + (1u << 22);
  if (sane && (fate == Fate::kNormal || fate == Fate::kTapLost)) {
    if (end > start && end > h.next) h.next = end;
    h.arrived.add(start, end);
    settle(s, d);
  }
}

// Data-level arrival follows the subflow's own order.
void Conversation::settle(Subflow& s, Direction d) {
  Half& h = s.half[d];
  const auto edge = static_cast<uint32_t>(h.arrived.edge(1)) - h.fast_open;
  for (const Mapped& m : h.waiting) {
    if (m.ssn < edge && m.due <= edge) data_arrived_[d].add(m.offset, m.offset + std::min(m.length, edge - m.ssn));
  }
  std::erase_if(h.waiting, [edge](const Mapped& m) { return m.ssn + m.length <= edge && m.due <= edge; });
}

uint64_t Conversation::data_ack_now(Direction d) const {
  const Direction other = opposite(d);
  const uint64_t edge = data_arrived_[other].edge(0);
  return dsn_of(other, edge + (fin_at_[other] && *fin_at_[other] <= edge ? 1 : 0));
}

void Conversation::data(int subflow, Direction d, uint64_t offset, const Bytes& bytes, const DataSpec& spec) {
  Subflow& s = subflows_[subflow];
  Packet p = packet(subflow, d);
  const uint32_t ssn = spec.ssn.value_or(next_ssn(subflow, d));
  p.head.seq = seq_of_ssn(subflow, d, ssn);
  p.head.flags = kAck | kPsh;
  p.payload = bytes;
  const uint32_t map_ssn = spec.map_ssn.value_or(ssn);
  const uint64_t map_offset = spec.map_offset.value_or(offset);
  const auto map_size = static_cast<uint16_t>(spec.map_length.value_or(static_cast<uint16_t>(bytes.size())));
  const auto length = static_cast<uint16_t>(map_size + (spec.fin ? 1 : 0));
  std::optional<uint16_t> checksum;
  if (spec.checksum.value_or(checksums())) {
    checksum = static_cast<uint16_t>(
        option::dss_checksum(dsn_of(d, map_offset), map_ssn, length, spec.map_bytes.value_or(bytes)) + spec.checksum_error);
  }
  if (spec.in_capable) {
    const uint8_t flags = 0x01 | (checksums() ? 0x80 : 0);
    append(p.options, option::capable({config_.version, flags, key(d), key(opposite(d)), length, checksum}));
  } else if (spec.map || spec.data_ack) {
    option::Dss dss;
    if (spec.data_ack) dss.ack = data_ack_now(d);
    dss.ack8 = spec.ack8;
    if (spec.map) {
      dss.dsn = dsn_of(d, map_offset);
      dss.dsn8 = spec.dsn8;
      dss.ssn = map_ssn;
      dss.length = length;
      dss.fin = spec.fin;
      dss.checksum = checksum;
    }
    append(p.options, option::dss(dss));
  }
  if (spec.change) spec.change(p);

  data_end_[d] = std::max(data_end_[d], offset + bytes.size());
  if (spec.fin && !fin_at_[d]) fin_at_[d] = map_offset + map_size;
  if (spec.fate == Fate::kNormal || spec.fate == Fate::kTapLost) {
    // Under DSS checksums a host acknowledges no byte of a mapping before it has verified all of them.
    const uint32_t due = checksums() ? map_ssn + map_size : 0;
    s.half[d].waiting.push_back({ssn, offset, static_cast<uint32_t>(bytes.size()), due});
  }
  send(subflow, d, std::move(p), spec.fate);
}

void Conversation::ack(int subflow, Direction d, const AckSpec& spec) {
  Packet p = packet(subflow, d);
  if (spec.tcp_ack) p.head.ack = subflows_[subflow].half[opposite(d)].isn + *spec.tcp_ack;
  if (spec.with_dss) {
    option::Dss dss;
    dss.ack = spec.data_ack ? dsn_of(opposite(d), *spec.data_ack) : data_ack_now(d);
    dss.ack8 = spec.ack8;
    if (spec.fin) {
      if (!fin_at_[d]) fin_at_[d] = spec.fin_offset.value_or(data_end_[d]);
      dss.fin = true;
      dss.dsn = dsn_of(d, spec.fin_offset.value_or(*fin_at_[d]));
      dss.dsn8 = spec.dsn8;
      dss.length = 1;
      if (checksums()) dss.checksum = option::dss_checksum(*dss.dsn, 0, 1, {});
    }
    append(p.options, option::dss(dss));
  }
  if (spec.change) spec.change(p);
  send(subflow, d, std::move(p), spec.fate);
}

void Conversation::plain_data(int subflow, Direction d, const Bytes& bytes, const Change& change, Fate fate) {
  Packet p = packet(subflow, d);
  p.head.flags = kAck | kPsh;
  p.payload = bytes;
  if (change) change(p);
  send(subflow, d, std::move(p), fate);
}

void Conversation::data_fin(int subflow, Direction d) {
  AckSpec spec;
  spec.fin = true;
  ack(subflow, d, spec);
}

void Conversation::fin(int subflow, Direction d, const Change& change) {
  Packet p = packet(subflow, d);
  p.head.flags = kFin | kAck;
  if (change) change(p);
  send(subflow, d, std::move(p));
}

void Conversation::rst(int subflow, Direction d, const Change& change) {
  Packet p = packet(subflow, d);
  p.head.flags = kRst | kAck;
  p.head.timestamps.reset();
  if (change) change(p);
  send(subflow, d, std::move(p));
}

void Conversation::fast_close(int subflow, Direction d, const Change& change) {
  Packet p = packet(subflow, d);
  append(p.options, option::fast_close(key(opposite(d))));
  if (change) change(p);
  send(subflow, d, std::move(p));
}

void Conversation::close() {
  data_fin(0, kToServer);
  ack(0, kToClient);
  data_fin(0, kToClient);
  ack(0, kToServer);
  for (int s = 0; s < subflows(); ++s) {
    fin(s, kToServer);
    fin(s, kToClient);
    Packet last = packet(s, kToServer);
    send(s, kToServer, std::move(last));
  }
}

void Conversation::span_copy(uint64_t after_ns) {
  Sent copy = wire.back();
  copy.ns += after_ns;
  const size_t ip = 14 + 4 * config_.vlan.size();
  if (config_.v6) {
    --copy.frame[ip + 7];
  } else {
    // A router's step: TTL one less, the header checksum one more in its high byte (RFC 1141).
    --copy.frame[ip + 8];
    auto sum = static_cast<uint32_t>(number_at(&copy.frame[ip + 10], 2)) + 0x100;
    sum = (sum & 0xffff) + (sum >> 16);
    copy.frame[ip + 10] = static_cast<uint8_t>(sum >> 8);
    copy.frame[ip + 11] = static_cast<uint8_t>(sum);
  }
  wire.push_back(std::move(copy));
}

void retime(std::vector<Sent>& wire) {
  std::vector<uint64_t> times;
  for (const Sent& s : wire) times.push_back(s.ns);
  std::sort(times.begin(), times.end());
  for (size_t i = 0; i < wire.size(); ++i) wire[i].ns = times[i];
}

}  // namespace mptap::test
