// SPDX-License-Identifier: Apache-2.0
// The TCP options of one segment, MPTCP's above all: RFC 8684 (v1) section 3, RFC 6824 (v0) section 3.
// Parsing checks each length as the Linux kernel does; what fits no legal layout is counted and skipped, never fatal.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "packet/address.h"

namespace mptap::mptcp {

inline constexpr uint8_t kOptionKind = 30;

enum class Subtype : uint8_t {
  kCapable = 0,
  kJoin = 1,
  kDss = 2,
  kAddAddr = 3,
  kRemoveAddr = 4,
  kPrio = 5,
  kFail = 6,
  kFastClose = 7,
  kTcpRst = 8,
};

// MP_CAPABLE flags (section 3.1).
inline constexpr uint8_t kFlagChecksum = 0x80;      // A
inline constexpr uint8_t kFlagExtensibility = 0x40;  // B
inline constexpr uint8_t kFlagDenyJoinId0 = 0x20;    // C, v1
inline constexpr uint8_t kFlagHmacSha256 = 0x01;     // H; v0: HMAC-SHA1

// All numbers in host order.
struct Capable {
  uint8_t length = 0;  // v1: 4, 12, 20, 22, 24; v0: 12, 20; the layout follows from it
  uint8_t version = 0;
  uint8_t flags = 0;
  uint64_t sender_key = 0;    // length >= 12
  uint64_t receiver_key = 0;  // length >= 20
  uint16_t data_length = 0;   // length >= 22
  uint16_t checksum = 0;      // length == 24, network order as on the wire
};

struct Join {
  uint8_t length = 0;  // 12: SYN, 16: SYN/ACK, 24: third ACK
  bool backup = false;
  uint8_t address_id = 0;
  uint32_t token = 0;              // SYN: of the receiver's key
  uint32_t nonce = 0;              // SYN and SYN/ACK
  std::array<uint8_t, 20> hmac{};  // SYN/ACK: the leftmost 8; third ACK: 20
};

struct Dss {
  bool has_ack = false, ack8 = false;
  bool has_map = false, dsn8 = false;
  bool data_fin = false, has_checksum = false;
  bool from_capable = false;  // the mapping that an MP_CAPABLE with data stands for: SSN 1, DSN = IDSN + 1, not in dsn
  uint16_t length = 0;        // data-level length, with DATA_FIN's one; 0 is an infinite mapping
  uint16_t checksum = 0;      // network order as on the wire
  uint32_t ssn = 0;           // relative to the subflow's ISN, 1 is the first byte
  uint64_t ack = 0;           // raw: the low 32 bits where !ack8
  uint64_t dsn = 0;           // raw: the low 32 bits where !dsn8

  bool operator==(const Dss&) const = default;
};

struct AddAddr {
  uint8_t address_id = 0;
  bool echo = false, v0 = false, has_port = false, has_hmac = false;
  packet::IpAddress address;
  uint16_t port = 0;
  uint64_t hmac = 0;  // the rightmost 64 bits of the HMAC (v1)
};

struct RemoveAddr {
  uint8_t count = 0;
  std::array<uint8_t, 17> ids{};
};

struct Prio {
  bool backup = false;
  bool has_address_id = false;  // v0, length 4
  uint8_t address_id = 0;
};

struct TcpRst {
  bool transient = false;
  uint8_t reason = 0;
};
const char* reset_reason_name(uint8_t reason);  // section 3.6, snake_case

// What one segment carries. A field is set only where its bit in `present` is.
struct Options {
  enum : uint32_t {
    kCapable = 1u << 0,
    kJoin = 1u << 1,
    kDss = 1u << 2,
    kAddAddr = 1u << 3,
    kRemoveAddr = 1u << 4,
    kPrio = 1u << 5,
    kFail = 1u << 6,
    kFastClose = 1u << 7,
    kTcpRst = 1u << 8,
    kAnyMptcp = 0x1ff,
    kTimestamps = 1u << 16,
    kWindowScale = 1u << 17,
    kMss = 1u << 18,
    kSackPermitted = 1u << 19,
    kMd5OrAo = 1u << 20,
    kFastOpen = 1u << 21,
    // findings
    kMalformedMptcp = 1u << 24,   // an MPTCP option of illegal length or content, skipped
    kUnknownSubtype = 1u << 25,
    kBadDss = 1u << 26,           // a DSS of illegal length
    kSeveralDss = 1u << 27,       // more than one DSS: dss is the last (as Linux), first_dss the first
    kMalformedTcp = 1u << 28,     // the list runs past its end
  };
  uint32_t present = 0;
  uint8_t window_scale = 0;
  uint16_t mss = 0;
  uint32_t tsval = 0, tsecr = 0;
  Dss dss;
  Dss first_dss;
  Capable capable;
  Join join;
  AddAddr add_addr;
  RemoveAddr remove_addr;
  Prio prio;
  TcpRst tcp_rst;
  uint64_t fail_dsn = 0;        // MP_FAIL
  uint64_t fast_close_key = 0;  // MP_FASTCLOSE: the receiver's

  bool has(uint32_t bits) const { return (present & bits) != 0; }
};

// bytes: the TCP option list. tcp_flags and has_payload choose between the layouts of MP_CAPABLE.
// The common lists (timestamps alone, timestamps and DSS) take a short way.
void parse_options(std::span<const uint8_t> bytes, uint8_t tcp_flags, bool has_payload, Options& out);

}  // namespace mptap::mptcp
