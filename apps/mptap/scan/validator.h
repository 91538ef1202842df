// SPDX-License-Identifier: Apache-2.0
// What a probe carries that only its target can send back: source port and sequence number are a keyed hash of the target, in
// the manner of ZMap, so that an answer is checked without remembering the probe.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include "packet/address.h"

namespace mptap::scan {

// The order is that of the source ports.
enum class Kind : uint8_t {
  kV1,      // SYN with MP_CAPABLE of version 1
  kV0,      // of version 0, which carries a key
  kJoin,    // SYN with MP_JOIN and a token that nobody has
  kPlain,   // SYN without MPTCP
  kTrace,   // kV1's SYN with a small TTL
  kVerify,  // kV1 or kV0 that becomes a connection
  kCookie,  // a plain SYN with kV1's ports and another sequence number
};
inline constexpr unsigned kPortKinds = 6;  // kCookie shares kV1's
const char* kind_name(Kind kind);

struct PortRange {
  uint16_t first = 61000, last = 65535;  // above Linux's ephemeral ports
  bool contains(uint16_t port) const { return port >= first && port <= last; }
};

struct Secret {
  uint16_t source_port = 0;
  uint32_t seq = 0;
  uint64_t key = 0;    // MP_CAPABLE's
  uint32_t token = 0;  // MP_JOIN's
  uint32_t nonce = 0;
};

inline constexpr uint32_t kCookieStep = 0x00010001;  // between the sequence numbers of kV1 and kCookie

class Validator {
 public:
  using Key = std::array<uint8_t, 16>;
  // The range must hold a port for each kind: at least kPortKinds ports.
  Validator(const Key& key, PortRange ports);
  ~Validator();
  Validator(const Validator&) = delete;
  Validator& operator=(const Validator&) = delete;

  Secret of(Kind kind, const packet::Endpoint& target) const;

  // The kind of probe that a segment from `target` to one of our ports answers, by port and acknowledgement number. A trace or a
  // verifying connection counts further: those are recognised by `slack` numbers from the first.
  std::optional<Kind> answered(const packet::Endpoint& target, uint16_t our_port, uint32_t ack) const;
  // The same for a segment of ours that an ICMP error quotes.
  std::optional<Kind> quoted(const packet::Endpoint& target, uint16_t our_port, uint32_t seq) const;

  static constexpr uint32_t kSlack = 64;

 private:
  struct Cipher;
  std::unique_ptr<Cipher> cipher_;
  PortRange ports_;
  uint16_t per_kind_;
};

}  // namespace mptap::scan
