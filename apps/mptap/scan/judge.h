// SPDX-License-Identifier: Apache-2.0
// From answers to a verdict: which probe comes next for one target, and what its answers prove. No packets and no clock here.
//
//   MP_CAPABLE v1 ──SYN/ACK with a key────────────────────> cookie, join, [verify]   v1
//        │ ├──SYN/ACK without, or mirrored──> MP_CAPABLE v0 ─> cookie, join, [trace]   v0, mirrored, stripped, tcp_only
//        │ └──ICMP unreachable────────────────────────────> filtered
//        └──RST, or silence──> a SYN without MPTCP ───────> closed, filtered
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "apps/mptap/scan/validator.h"
#include "packet/decode.h"

namespace mptap::scan {

enum class Verdict : uint8_t { kV1, kV0, kMirrored, kStripped, kTcpOnly, kClosed, kFiltered };
inline constexpr unsigned kVerdicts = 7;
const char* verdict_name(Verdict);

// What came back for one probe.
enum class Seen : uint8_t { kNotAsked, kSilent, kPlain, kMptcp, kMirrored, kReset, kUnreachable };
const char* seen_name(Seen);

struct Reply {
  Seen seen = Seen::kSilent;  // kPlain, kMptcp and kMirrored are SYN/ACKs
  uint32_t isn = 0;  // SYN/ACK
  uint8_t version = 0;  // kMptcp
  uint8_t flags = 0;  // kMptcp: MP_CAPABLE's
  uint64_t key = 0;  // kMptcp: the host's
  uint8_t nops = 0;  // SYN/ACK: the longest run of NOPs
  uint8_t ttl = 0;
  std::optional<uint8_t> reset_reason;  // RST with MP_TCPRST
  std::string icmp;  // kUnreachable: in words
};

// Reads a SYN/ACK or RST that answers a probe of that kind; nullopt for any other segment.
std::optional<Reply> read_reply(const packet::TcpSegment& segment, Kind kind, const Secret& secret);

// A connection made on purpose: what the host did with data-level signalling.
enum class Proof : uint8_t { kNotAsked, kSilent, kDataAck, kNoDss, kReset };
const char* proof_name(Proof);

struct Policy {
  bool plain = true;  // ask silent and closed targets without MPTCP
  bool trace = true;  // look for where the option is lost
  bool verify = false;
};

struct Evidence {
  Seen v1 = Seen::kNotAsked, v0 = Seen::kNotAsked, join = Seen::kNotAsked, plain = Seen::kNotAsked;
  std::optional<uint8_t> join_reason;
  std::optional<bool> syn_cookies;
  uint8_t nops = 0;  // in the SYN/ACK that answered MP_CAPABLE
  std::optional<uint8_t> hops;  // routers on the way back, by TTL
  std::string stripped_at;  // a router behind the place where the option was lost
  std::string intact_at;  // the last router that still saw it
  std::string icmp;
  Proof proof = Proof::kNotAsked;
  uint64_t rtt_ns = 0;  // of the first answer
};

class Judge {
 public:
  explicit Judge(const Policy& policy) : policy_(policy) {}

  // The kind of probe to send and to wait for; nullopt: the verdict stands.
  std::optional<Kind> asks() const { return asks_; }
  void take(const Reply& reply);  // to the probe asked for; silence is a reply
  // kTrace: a router quotes our SYN. `intact`: the option is there. Any number of them, silence ends it.
  void take_quote(uint8_t ttl, const std::string& router, bool intact);
  void take_proof(Proof proof);  // kVerify
  // The target cannot be reached at all.
  void give_up(const std::string& why);

  Verdict verdict() const;
  std::string reason() const;  // one sentence
  const Evidence& evidence() const { return e_; }
  Evidence& evidence() { return e_; }
  uint8_t version() const { return v1() ? 1 : 0; }

 private:
  bool v1() const { return e_.v1 == Seen::kMptcp; }
  bool v0() const { return !v1() && e_.v0 == Seen::kMptcp; }
  bool capable() const { return v1() || v0(); }
  bool open() const { return capable() || answered(e_.v1) || answered(e_.v0); }
  static bool answered(Seen s) { return s == Seen::kPlain || s == Seen::kMptcp || s == Seen::kMirrored; }
  bool mirrored() const { return !capable() && (e_.v1 == Seen::kMirrored || e_.v0 == Seen::kMirrored); }
  void after_join();

  Policy policy_;
  Evidence e_;
  std::optional<Kind> asks_ = Kind::kV1;
  uint32_t first_isn_ = 0;
  uint8_t stripped_ttl_ = 255, intact_ttl_ = 0;
};

}  // namespace mptap::scan
