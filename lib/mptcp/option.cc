// SPDX-License-Identifier: Apache-2.0
#include "mptcp/option.h"

#include <algorithm>

#include "mptcp/wire.h"

namespace mptap::mptcp {
namespace {

constexpr uint8_t kSyn = 0x02, kAck = 0x10;

bool parse_capable(const uint8_t* p, uint8_t length, uint8_t flags, bool has_payload, Options& out) {
  const uint8_t version = p[2] & 0x0f;
  const bool syn = (flags & kSyn) != 0, ack = (flags & kAck) != 0;
  bool legal = false;
  if (version == 0) {
    legal = syn ? length == 12 : length == 20;
  } else if (syn) {
    legal = ack ? length == 12 : length == 4;
    // A SYN/ACK of 4 bytes is what a middlebox that mirrors options makes of the SYN's; the handshake wants to see it.
    if (ack && length == 4) legal = true;
  } else {
    legal = has_payload ? length == 22 || length == 24 : length == 20;
  }
  if (!legal) return false;
  Capable& c = out.capable;
  c = Capable{};
  c.length = length;
  c.version = version;
  c.flags = p[3];
  if (length >= 12) c.sender_key = load64(p + 4);
  if (length >= 20) c.receiver_key = load64(p + 12);
  if (length >= 22) c.data_length = load16(p + 20);
  if (length == 24) std::memcpy(&c.checksum, p + 22, 2);
  out.present |= Options::kCapable;
  if (length >= 22) {
    // Section 3.1: semantically equal to a DSS.
    out.dss = Dss{};
    out.dss.has_map = true;
    out.dss.from_capable = true;
    out.dss.dsn8 = true;
    out.dss.length = c.data_length;
    out.dss.ssn = 1;
    out.dss.has_checksum = length == 24;
    out.dss.checksum = c.checksum;
    out.present |= Options::kDss;
  }
  return true;
}

bool parse_join(const uint8_t* p, uint8_t length, uint8_t flags, Options& out) {
  const bool syn = (flags & kSyn) != 0, ack = (flags & kAck) != 0;
  if (length != (syn ? (ack ? 16 : 12) : 24)) return false;
  Join& j = out.join;
  j.length = length;
  j.backup = syn && (p[2] & 0x01) != 0;
  j.address_id = syn ? p[3] : 0;
  if (length == 12) {
    j.token = load32(p + 4);
    j.nonce = load32(p + 8);
  } else if (length == 16) {
    std::memcpy(j.hmac.data(), p + 4, 8);
    j.nonce = load32(p + 12);
  } else {
    std::memcpy(j.hmac.data(), p + 4, 20);
  }
  out.present |= Options::kJoin;
  return true;
}

inline bool parse_dss(const uint8_t* p, uint8_t length, Options& out) {
  if (length < 4) return false;
  const uint8_t f = p[3];
  constexpr auto kLengths = [] {
    std::array<uint8_t, 16> lengths{};
    for (uint8_t i = 0; i < 16; ++i)
      lengths[i] = static_cast<uint8_t>(4 + (i & 1 ? (i & 2 ? 8 : 4) : 0) + (i & 4 ? (i & 8 ? 14 : 10) : 0));
    return lengths;
  }();
  const uint8_t want = kLengths[f & 0x0f];
  // Linux takes two surplus bytes after an option without a mapping too; they mean nothing there.
  if (length != want && length != want + 2) return false;
  if (out.present & Options::kDss) {
    if (!(out.present & Options::kSeveralDss)) out.first_dss = out.dss;
    out.present |= Options::kSeveralDss;
  }
  Dss& d = out.dss;
  const bool map = (f & 0x04) != 0;
  d.has_ack = (f & 0x01) != 0;
  d.ack8 = (f & 0x02) != 0;
  d.has_map = map;
  d.dsn8 = map && (f & 0x08) != 0;
  d.data_fin = map && (f & 0x10) != 0;
  d.has_checksum = map && length == want + 2;
  d.from_capable = false;
  d.checksum = 0;
  const uint8_t* q = p + 4;
  uint64_t ack = 0;
  if (f & 0x01) {
    ack = f & 0x02 ? load64(q) : load32(q);
    q += f & 0x02 ? 8 : 4;
  }
  d.ack = ack;
  if (map) {
    d.dsn = f & 0x08 ? load64(q) : load32(q);
    q += f & 0x08 ? 8 : 4;
    d.ssn = load32(q);
    d.length = load16(q + 4);
    if (d.has_checksum) std::memcpy(&d.checksum, q + 6, 2);
  } else {
    d.dsn = 0;
    d.ssn = 0;
    d.length = 0;
  }
  out.present |= Options::kDss;
  return true;
}

bool parse_add_addr(const uint8_t* p, uint8_t length, Options& out) {
  AddAddr& a = out.add_addr;
  AddAddr r;
  const uint8_t low = p[2] & 0x0f;
  r.v0 = low == 4 || low == 6;
  bool v6 = false;
  if (r.v0) {
    v6 = low == 6;
    const uint8_t base = v6 ? 20 : 8;
    if (length != base && length != base + 2) return false;
    r.has_port = length == base + 2;
  } else {
    r.echo = (low & 0x01) != 0;
    switch (length) {
      case 8:
      case 10:
      case 16:
      case 18: break;
      case 20:
      case 22:
      case 28:
      case 30: v6 = true; break;
      default: return false;
    }
    const uint8_t base = v6 ? 20 : 8;
    r.has_port = length == base + 2 || length == base + 10;
    r.has_hmac = length >= base + 8;
    if (r.has_hmac == r.echo) return false;  // 3.4.1: the echo bears no HMAC, the advertisement must
  }
  r.address_id = p[3];
  r.address = v6 ? packet::IpAddress::v6(p + 4) : packet::IpAddress::v4(p + 4);
  const uint8_t* q = p + (v6 ? 20 : 8);
  if (r.has_port) {
    r.port = load16(q);
    q += 2;
  }
  if (r.has_hmac) r.hmac = load64(q);
  a = r;
  out.present |= Options::kAddAddr;
  return true;
}

bool parse_mptcp(const uint8_t* p, uint8_t length, uint8_t flags, bool has_payload, Options& out) {
  if (length < 3) return false;
  const uint8_t subtype = p[2] >> 4;
  switch (static_cast<Subtype>(subtype)) {
    case Subtype::kCapable: return length >= 4 && parse_capable(p, length, flags, has_payload, out);
    case Subtype::kJoin: return length >= 12 && parse_join(p, length, flags, out);
    case Subtype::kDss:
      if (parse_dss(p, length, out)) return true;
      out.present |= Options::kBadDss;
      return false;
    case Subtype::kAddAddr: return length >= 8 && parse_add_addr(p, length, out);
    case Subtype::kRemoveAddr:
      if (length < 4 || length > 3 + 17) return false;
      out.remove_addr.count = static_cast<uint8_t>(length - 3);
      std::copy_n(p + 3, length - 3, out.remove_addr.ids.begin());
      out.present |= Options::kRemoveAddr;
      return true;
    case Subtype::kPrio:
      if (length != 3 && length != 4) return false;
      out.prio = {(p[2] & 0x01) != 0, length == 4, length == 4 ? p[3] : uint8_t{0}};
      out.present |= Options::kPrio;
      return true;
    case Subtype::kFail:
      if (length != 12) return false;
      out.fail_dsn = load64(p + 4);
      out.present |= Options::kFail;
      return true;
    case Subtype::kFastClose:
      if (length != 12) return false;
      out.fast_close_key = load64(p + 4);
      out.present |= Options::kFastClose;
      return true;
    case Subtype::kTcpRst:
      if (length != 4) return false;
      out.tcp_rst = {(p[2] & 0x01) != 0, p[3]};
      out.present |= Options::kTcpRst;
      return true;
  }
  out.present |= Options::kUnknownSubtype;
  return true;
}

}  // namespace

void parse_options(std::span<const uint8_t> bytes, uint8_t tcp_flags, bool has_payload, Options& out) {
  out.present = 0;
  const uint8_t* p = bytes.data();
  const uint8_t* end = p + bytes.size();
  // NOP NOP timestamps first, as nearly every stack sends them.
  if (bytes.size() >= 12 && load32(p) == 0x0101080a) {
    out.tsval = load32(p + 4);
    out.tsecr = load32(p + 8);
    out.present = Options::kTimestamps;
    p += 12;
  }
  // Then a DSS, alone or padded at its end.
  if (end - p >= 4 && p[0] == kOptionKind && p[1] <= end - p && p[2] >> 4 == static_cast<uint8_t>(Subtype::kDss) &&
      parse_dss(p, p[1], out)) {
    p += p[1];
  }
  while (p < end) {
    const uint8_t kind = *p;
    if (kind == 0) return;
    if (kind == 1) {
      ++p;
      continue;
    }
    if (end - p < 2 || p[1] < 2 || p[1] > end - p) {
      out.present |= Options::kMalformedTcp;
      return;
    }
    const uint8_t length = p[1];
    switch (kind) {
      case 2:
        if (length == 4) {
          out.mss = load16(p + 2);
          out.present |= Options::kMss;
        }
        break;
      case 3:
        if (length == 3) {
          out.window_scale = std::min<uint8_t>(p[2], 14);
          out.present |= Options::kWindowScale;
        }
        break;
      case 4:
        if (length == 2) out.present |= Options::kSackPermitted;
        break;
      case 8:
        if (length == 10) {
          out.tsval = load32(p + 2);
          out.tsecr = load32(p + 6);
          out.present |= Options::kTimestamps;
        }
        break;
      case 19:
      case 29: out.present |= Options::kMd5OrAo; break;
      case 34: out.present |= Options::kFastOpen; break;
      case kOptionKind:
        if (!parse_mptcp(p, length, tcp_flags, has_payload, out)) out.present |= Options::kMalformedMptcp;
        break;
      default: break;
    }
    p += length;
  }
}

const char* reset_reason_name(uint8_t reason) {
  switch (reason) {
    case 0: return "unspecified";
    case 1: return "mptcp_specific";
    case 2: return "lack_of_resources";
    case 3: return "administratively_prohibited";
    case 4: return "too_much_outstanding_data";
    case 5: return "unacceptable_performance";
    case 6: return "middlebox_interference";
    default: return "unknown";
  }
}

}  // namespace mptap::mptcp
