// SPDX-License-Identifier: Apache-2.0
// The segments that a scan sends, option lists included.
#pragma once

#include "apps/mptap/scan/engine.h"

namespace mptap::scan {

// The SYN of a probe. `version` matters for kVerify, `ttl` for kTrace, whose sequence number tells it.
Outgoing make_syn(const Validator& validator, Kind kind, const packet::Endpoint& target, uint8_t version = 1, uint8_t ttl = 64);

Outgoing make_reset(const packet::Endpoint& target, uint16_t our_port, uint32_t seq);

// What a connection made to verify needs to know.
struct Handshake {
  uint8_t version = 1;
  uint64_t peer_key = 0;
  uint32_t peer_isn = 0;
  bool checksum = false;  // the peer asked for DSS checksums
};
// The third ACK, with both keys; then an ACK whose DSS holds a DATA_FIN: no byte of data, and the host must acknowledge it.
Outgoing make_third_ack(const Validator& validator, const packet::Endpoint& target, const Handshake& handshake);
Outgoing make_data_fin(const Validator& validator, const packet::Endpoint& target, const Handshake& handshake);
// MP_FASTCLOSE: a RST alone would leave the host with a connection without paths for a minute.
Outgoing make_fast_close(const Validator& validator, const packet::Endpoint& target, const Handshake& handshake);

// Whether these options are the work of a host that knows both keys: a DATA_ACK or DSN counted from them.
bool proves_dss(std::span<const uint8_t> options, uint8_t flags, bool has_payload, const Validator& validator,
                const packet::Endpoint& target, const Handshake& handshake);

}  // namespace mptap::scan
