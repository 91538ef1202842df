// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/scan/segments.h"

#include <algorithm>

#include "mptcp/crypto.h"
#include "mptcp/write.h"
#include "packet/checksum.h"

namespace mptap::scan {
namespace {

using mptcp::OptionWriter;

void set_options(Outgoing& out, OptionWriter& writer) {
  const auto bytes = writer.finish();
  std::copy(bytes.begin(), bytes.end(), out.options.begin());
  out.options_size = static_cast<uint8_t>(bytes.size());
}

Outgoing make_ack(const Validator& validator, const packet::Endpoint& target, const Handshake& h, OptionWriter& writer) {
  const Secret secret = validator.of(Kind::kVerify, target);
  Outgoing out{
      .target = target, .source_port = secret.source_port, .seq = secret.seq + 1, .ack = h.peer_isn + 1, .flags = packet::kAck};
  set_options(out, writer);
  return out;
}

// RFC 8684, 3.3: over the DSN in 8 bytes, the SSN, the length, two zero bytes and the data, of which there is none.
uint16_t dss_checksum(uint64_t dsn, uint32_t ssn, uint16_t length) {
  std::array<uint8_t, 16> b{};
  for (size_t i = 0; i < 8; i++) b[i] = static_cast<uint8_t>(dsn >> (56 - 8 * i));
  for (size_t i = 0; i < 4; i++) b[8 + i] = static_cast<uint8_t>(ssn >> (24 - 8 * i));
  b[12] = static_cast<uint8_t>(length >> 8);
  b[13] = static_cast<uint8_t>(length & 0xff);
  return packet::checksum::finish(packet::checksum::sum(b));
}

}  // namespace

Outgoing make_syn(const Validator& validator, Kind kind, const packet::Endpoint& target, uint8_t version, uint8_t ttl) {
  const Secret secret = validator.of(kind, target);
  Outgoing out{
      .target = target, .source_port = secret.source_port, .seq = secret.seq, .flags = packet::kSyn, .ttl = ttl, .probe = kind};
  OptionWriter w;
  w.mss(target.address.is_v4() ? 1460 : 1440);
  w.sack_permitted();
  w.window_scale(7);
  const bool v0 = kind == Kind::kV0 || (kind == Kind::kVerify && version == 0);
  const bool v1 = kind == Kind::kV1 || kind == Kind::kTrace || (kind == Kind::kVerify && version == 1);
  if (v0) w.capable({.length = 12, .version = 0, .flags = mptcp::kFlagHmacSha256, .sender_key = secret.key});
  if (v1) w.capable({.length = 4, .version = 1, .flags = mptcp::kFlagHmacSha256});
  if (kind == Kind::kJoin) w.join({.length = 12, .address_id = 1, .token = secret.token, .nonce = secret.nonce});
  if (kind == Kind::kTrace) out.seq += ttl;
  set_options(out, w);
  return out;
}

Outgoing make_reset(const packet::Endpoint& target, uint16_t our_port, uint32_t seq) {
  return {.target = target, .source_port = our_port, .seq = seq, .flags = packet::kRst};
}

Outgoing make_third_ack(const Validator& validator, const packet::Endpoint& target, const Handshake& h) {
  OptionWriter w;
  w.capable({.length = 20,
             .version = h.version,
             .flags = static_cast<uint8_t>(mptcp::kFlagHmacSha256 | (h.checksum ? mptcp::kFlagChecksum : 0)),
             .sender_key = validator.of(Kind::kVerify, target).key,
             .receiver_key = h.peer_key});
  return make_ack(validator, target, h, w);
}

Outgoing make_data_fin(const Validator& validator, const packet::Endpoint& target, const Handshake& h) {
  const uint64_t own = mptcp::digest_key(h.version, validator.of(Kind::kVerify, target).key).idsn;
  mptcp::Dss dss{.has_ack = true, .ack8 = true, .has_map = true, .dsn8 = true, .data_fin = true, .has_checksum = h.checksum};
  dss.ack = mptcp::digest_key(h.version, h.peer_key).idsn + 1;
  dss.dsn = own + 1;
  dss.length = 1;
  if (h.checksum) dss.checksum = dss_checksum(dss.dsn, dss.ssn, dss.length);
  OptionWriter w;
  w.dss(dss);
  return make_ack(validator, target, h, w);
}

Outgoing make_fast_close(const Validator& validator, const packet::Endpoint& target, const Handshake& h) {
  OptionWriter w;
  w.fast_close(h.peer_key);
  return make_ack(validator, target, h, w);
}

bool proves_dss(std::span<const uint8_t> bytes, uint8_t flags, bool has_payload, const Validator& validator,
                const packet::Endpoint& target, const Handshake& h) {
  mptcp::Options options;
  mptcp::parse_options(bytes, flags, has_payload, options);
  if (!options.has(mptcp::Options::kDss)) return false;
  const uint64_t own = mptcp::digest_key(h.version, validator.of(Kind::kVerify, target).key).idsn;
  const uint64_t peer = mptcp::digest_key(h.version, h.peer_key).idsn;
  const auto matches = [](uint64_t raw, bool wide, uint64_t wanted) {
    return wide ? raw == wanted : static_cast<uint32_t>(raw) == static_cast<uint32_t>(wanted);
  };
  // Before the DATA_FIN is acknowledged, and after.
  const auto& d = options.dss;
  return (d.has_ack && (matches(d.ack, d.ack8, own + 1) || matches(d.ack, d.ack8, own + 2))) ||
         (d.has_map && matches(d.dsn, d.dsn8, peer + 1));
}

}  // namespace mptap::scan
