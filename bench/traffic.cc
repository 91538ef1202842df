// SPDX-License-Identifier: Apache-2.0
#include "traffic.h"

#include <cstring>
#include <stdexcept>

#include "mptcp/crypto.h"
#include "mptcp/write.h"

namespace mptap::bench {

namespace {

constexpr uint64_t kGap = 1'040;  // 1,300 bytes at 10 Gbit/s
constexpr uint8_t kScale = 7;

packet::Endpoint endpoint(uint32_t network, uint32_t host, uint16_t port) {
  const std::array<uint8_t, 4> a{static_cast<uint8_t>(network), static_cast<uint8_t>(host >> 16), static_cast<uint8_t>(host >> 8),
                                 static_cast<uint8_t>(host)};
  return {packet::IpAddress::v4(a.data()), port};
}

}  // namespace

Ring::Ring() : buffers_(kFrames * kSize), payloads_(kFrames * kSize) {
  std::mt19937_64 random(7);
  for (auto& b : payloads_) b = static_cast<uint8_t>(random());
  frames_.reserve(kFrames);
}

void Ring::add(packet::FrameSpec& spec, uint32_t payload, uint64_t gap_ns) {
  const size_t at = frames_.size() * kSize;
  spec.payload = {&payloads_[at], payload};
  const auto size = packet::build_frame(spec, {&buffers_[at], kSize});
  if (!size) throw std::runtime_error(packet::build_error_text(size.error()));
  now_ += gap_ns;
  frames_.push_back({&buffers_[at], *size, *size, packet::LinkType::kEthernet, now_, ++number_});
}

MptcpTraffic::MptcpTraffic(const Shape& shape) : shape_(shape), connections_(shape.connections) {}

std::array<uint64_t, 2> MptcpTraffic::keys(uint32_t connection) {
  uint64_t x = connection + 1;
  std::array<uint64_t, 2> out;
  for (uint64_t& k : out) {
    x = (x ^ x >> 31) * 0x9e3779b97f4a7c15ull;
    k = x ^ x >> 29;
  }
  return out;
}

packet::FrameSpec MptcpTraffic::spec(uint32_t c, uint32_t s, bool to_server) {
  Subflow& f = connections_[c].subflows[s];
  packet::FrameSpec out;
  out.src = endpoint(10 + s, c >> 8, static_cast<uint16_t>(1024 + (c & 255)));
  out.dst = endpoint(20 + s, 1, 443);
  out.seq = isn(c, s, false) + f.next;
  out.ack = isn(c, s, true) + 1;
  if (!to_server) {
    std::swap(out.src, out.dst);
    std::swap(out.seq, out.ack);
  }
  out.ip_id = ++f.ip_id;
  out.timestamps = packet::TcpTimestamps{1000, 1000};
  return out;
}

bool MptcpTraffic::open(Ring& ring) {
  ring.clear();
  for (; opened_ < shape_.connections && ring.frames().size() + 5 <= Ring::kFrames; ++opened_) {
    const uint32_t c = opened_;
    const auto key = keys(c);
    for (int side = 0; side < 2; ++side) connections_[c].idsn[side] = mptcp::digest_key(1, key[side]).idsn;
    const auto send = [&](bool to_server, uint8_t flags, const mptcp::Capable* capable, const mptcp::Dss* dss, uint32_t payload) {
      packet::FrameSpec f = spec(c, 0, to_server);
      f.flags = flags;
      if (flags & packet::kSyn) --(to_server ? f.seq : f.seq);
      mptcp::OptionWriter w;
      if (flags & packet::kSyn) w.window_scale(kScale);
      if (capable) w.capable(*capable);
      if (dss) w.dss(*dss);
      const auto options = w.finish();
      f.options = options;
      ring.add(f, payload, kGap);
    };
    mptcp::Capable capable{.length = 4, .version = 1, .flags = mptcp::kFlagHmacSha256};
    send(true, packet::kSyn, &capable, nullptr, 0);
    capable.length = 12;
    capable.sender_key = key[1];
    send(false, packet::kSyn | packet::kAck, &capable, nullptr, 0);
    capable.length = 20;
    capable.sender_key = key[0];
    capable.receiver_key = key[1];
    send(true, packet::kAck, &capable, nullptr, 0);
    Connection& state = connections_[c];
    mptcp::Dss dss{.has_ack = true, .has_map = true, .dsn8 = true, .length = 100, .ssn = 1};
    dss.ack = state.idsn[1] + 1;
    dss.dsn = state.idsn[0] + 1;
    send(true, packet::kAck, nullptr, &dss, 100);
    state.subflows[0].next = 101;
    state.base = 100;
    ack(ring, c, 0, 100);
    sent_bytes += 100;
  }
  return !ring.frames().empty();
}

bool MptcpTraffic::join(Ring& ring) {
  ring.clear();
  while (joining_subflow_ < shape_.subflows && ring.frames().size() + 4 <= Ring::kFrames) {
    const uint32_t c = joining_, s = joining_subflow_;
    const auto key = keys(c);
    const uint32_t nonce[2] = {c * 3 + s, c * 5 + s};
    const auto responder = mptcp::join_hmac(1, key[1], key[0], nonce[1], nonce[0]);
    const auto initiator = mptcp::join_hmac(1, key[0], key[1], nonce[0], nonce[1]);
    const auto send = [&](bool to_server, uint8_t flags, const mptcp::Join* join) {
      packet::FrameSpec f = spec(c, s, to_server);
      f.flags = flags;
      if (flags & packet::kSyn) --f.seq;
      mptcp::OptionWriter w;
      if (flags & packet::kSyn) w.window_scale(kScale);
      if (join) w.join(*join);
      const auto options = w.finish();
      f.options = options;
      ring.add(f, 0, kGap);
    };
    mptcp::Join j{.length = 12, .address_id = static_cast<uint8_t>(s), .token = mptcp::digest_key(1, key[1]).token};
    j.nonce = nonce[0];
    send(true, packet::kSyn, &j);
    j.length = 16;
    j.nonce = nonce[1];
    j.hmac = responder;
    send(false, packet::kSyn | packet::kAck, &j);
    j.length = 24;
    j.hmac = initiator;
    send(true, packet::kAck, &j);
    send(false, packet::kAck, nullptr);
    ++joins;
    if (++joining_ == shape_.connections) {
      joining_ = 0;
      ++joining_subflow_;
    }
  }
  return !ring.frames().empty();
}

void MptcpTraffic::ack(Ring& ring, uint32_t c, uint32_t s, uint32_t edge) {
  packet::FrameSpec f = spec(c, s, false);
  mptcp::OptionWriter w;
  mptcp::Dss dss{.has_ack = true};
  dss.ack = connections_[c].idsn[0] + 1 + edge;
  w.dss(dss);
  const auto options = w.finish();
  f.options = options;
  ring.add(f, 0, kGap);
}

void MptcpTraffic::stream(Ring& ring) {
  ring.clear();
  const uint32_t size = shape_.train * shape_.payload, run = shape_.trains * size;
  const uint32_t trains = shape_.trains * shape_.subflows;
  while (ring.frames().size() + shape_.train + 1 <= Ring::kFrames) {
    const auto c = static_cast<uint32_t>(random_() % shape_.connections);
    Connection& k = connections_[c];
    if (k.train == 0) k.ordered = static_cast<double>(random_() >> 11) * 0x1p-53 < shape_.ordered;
    const uint32_t t = k.train;
    const uint32_t s = k.ordered ? t / shape_.trains : (t + 1) % shape_.subflows;
    const uint32_t half = k.ordered ? t % shape_.trains : t / shape_.subflows;
    const uint32_t offset = k.base + s * run + half * size;
    mptcp::Dss dss{.has_ack = true, .has_map = true, .dsn8 = true, .length = static_cast<uint16_t>(size)};
    dss.ssn = k.subflows[s].next;
    dss.ack = k.idsn[1] + 1;
    dss.dsn = k.idsn[0] + 1 + offset;
    for (uint32_t i = 0; i < shape_.train; ++i) {
      packet::FrameSpec f = spec(c, s, true);
      mptcp::OptionWriter w;
      w.dss(dss);
      const auto options = w.finish();
      f.options = options;
      ring.add(f, shape_.payload, kGap);
      k.subflows[s].next += shape_.payload;
      ++data_segments;
      ahead += !k.ordered && s != 0;
      sent_bytes += shape_.payload;
    }
    uint32_t edge = k.base + (t + 1) * size;
    if (!k.ordered && t + 1 < trains) edge = k.base + (t + 1) / shape_.subflows * size;
    if (++k.train == trains) {
      k.train = 0;
      k.base += trains * size;
    }
    if (static_cast<double>(random_() >> 11) * 0x1p-53 < shape_.acks) ack(ring, c, s, edge);
  }
}

packet::FrameSpec SmallTraffic::spec(uint32_t flow, bool to_server) const {
  packet::FrameSpec out;
  out.src = endpoint(10, flow >> 8, static_cast<uint16_t>(1024 + (flow & 255)));
  out.dst = endpoint(20, 1, 443);
  out.seq = 7 + flow + flows_[flow];
  out.ack = 9;
  if (!to_server) {
    std::swap(out.src, out.dst);
    std::swap(out.seq, out.ack);
  }
  return out;
}

bool SmallTraffic::open(Ring& ring) {
  ring.clear();
  for (; opened_ < flows_.size() && ring.frames().size() + 4 <= Ring::kFrames; ++opened_) {
    packet::FrameSpec f = spec(opened_, true);
    f.flags = packet::kSyn;
    --f.seq;
    ring.add(f, 0, kGap);
    f = spec(opened_, false);
    f.flags = packet::kSyn | packet::kAck;
    --f.seq;
    ring.add(f, 0, kGap);
    f = spec(opened_, true);
    ring.add(f, 0, kGap);
    f = spec(opened_, true);
    ring.add(f, 6, kGap);
    flows_[opened_] += 6;
  }
  return !ring.frames().empty();
}

void SmallTraffic::stream(Ring& ring) {
  ring.clear();
  while (!ring.full()) {
    const auto flow = static_cast<uint32_t>(random_() % flows_.size());
    packet::FrameSpec f = spec(flow, payload_ || random_() % 2);
    f.ip_id = static_cast<uint16_t>(random_() | 1);
    ring.add(f, payload_ ? 6 : 0, 67);
    if (payload_) flows_[flow] += 6;
  }
}

}  // namespace mptap::bench
