// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/scan/judge.h"

#include <algorithm>

#include <fmt/format.h>

#include "mptcp/option.h"

namespace mptap::scan {
namespace {

// Hosts pad single options to four bytes; a run this long is what a stripper leaves of MP_CAPABLE.
constexpr uint8_t kStrippedNops = 4;

// Hosts send with 64, 128 or 255.
uint8_t hops_of(uint8_t ttl) {
  return static_cast<uint8_t>((ttl <= 64 ? 64 : ttl <= 128 ? 128 : 255) - ttl);
}

uint64_t load64(const uint8_t* p) {
  uint64_t v = 0;
  for (int i = 0; i < 8; i++) v = v << 8 | p[i];
  return v;
}

// The first MPTCP option as it stands on the wire, and the longest run of NOPs before the end of the list.
struct Walk {
  std::span<const uint8_t> mptcp;
  uint8_t nops = 0;
};
Walk walk(std::span<const uint8_t> options) {
  Walk w;
  uint8_t run = 0;
  for (size_t i = 0; i < options.size();) {
    if (options[i] == 0) break;
    run = options[i] == 1 ? static_cast<uint8_t>(run + 1) : uint8_t{0};
    w.nops = std::max(w.nops, run);
    if (options[i] == 1) {
      i++;
      continue;
    }
    if (i + 1 >= options.size() || options[i + 1] < 2 || i + options[i + 1] > options.size()) break;
    if (options[i] == mptcp::kOptionKind && options[i + 1] >= 3 && w.mptcp.empty()) w.mptcp = options.subspan(i, options[i + 1]);
    i += options[i + 1];
  }
  return w;
}

// Judged by what we sent: v1's SYN has no key, so that an answer with our four bytes is an echo; v0's has one.
void read_capable(std::span<const uint8_t> option, Kind kind, const Secret& secret, Reply& reply) {
  if (option.empty()) return;
  const uint8_t subtype = option[2] >> 4;
  const uint8_t asked = kind == Kind::kJoin ? 1 : 0;
  if (kind == Kind::kPlain || kind == Kind::kCookie || subtype != asked) return;  // not asked for: no proof of anything
  if (kind == Kind::kJoin) {
    reply.seen = option.size() == 12 ? Seen::kMirrored : option.size() == 16 ? Seen::kMptcp : Seen::kPlain;
    return;
  }
  if (option.size() != 12) {
    reply.seen = Seen::kMirrored;
    return;
  }
  reply.version = option[2] & 0x0f;
  reply.flags = option[3];
  reply.key = load64(&option[4]);
  reply.seen = reply.key == secret.key ? Seen::kMirrored : Seen::kMptcp;
}

}  // namespace

const char* verdict_name(Verdict v) {
  static constexpr const char* kNames[] = {"v1", "v0", "mirrored", "stripped", "tcp_only", "closed", "filtered"};
  return kNames[static_cast<size_t>(v)];
}

const char* seen_name(Seen s) {
  static constexpr const char* kNames[] = {"not_asked", "silent", "plain", "mptcp", "mirrored", "reset", "unreachable"};
  return kNames[static_cast<size_t>(s)];
}

const char* proof_name(Proof p) {
  static constexpr const char* kNames[] = {"not_asked", "silent", "data_ack", "no_dss", "reset"};
  return kNames[static_cast<size_t>(p)];
}

std::optional<Reply> read_reply(const packet::TcpSegment& segment, Kind kind, const Secret& secret) {
  const uint8_t flags = segment.flags & (packet::kSyn | packet::kAck | packet::kRst | packet::kFin);
  Reply reply;
  reply.ttl = segment.ttl;
  const Walk options = walk(segment.option_bytes());
  if (flags & packet::kRst) {
    reply.seen = Seen::kReset;
    if (options.mptcp.size() == 4 && options.mptcp[2] >> 4 == static_cast<uint8_t>(mptcp::Subtype::kTcpRst))
      reply.reset_reason = options.mptcp[3];
    return reply;
  }
  if (flags != (packet::kSyn | packet::kAck)) return std::nullopt;
  reply.seen = Seen::kPlain;
  reply.isn = segment.seq;
  reply.nops = options.nops;
  read_capable(options.mptcp, kind, secret, reply);
  return reply;
}

void Judge::take(const Reply& reply) {
  if (!asks_) return;
  const Seen seen = reply.seen;
  const bool syn_ack = answered(seen);
  if (syn_ack && !e_.hops) e_.hops = hops_of(reply.ttl);
  if (!reply.icmp.empty()) e_.icmp = reply.icmp;
  switch (*asks_) {
    case Kind::kV1:
      // A host that knows version 0 only may say so in its answer to version 1: asked again in its own terms.
      e_.v1 = seen == Seen::kMptcp && reply.version == 0 ? Seen::kPlain : seen;
      e_.nops = reply.nops;
      first_isn_ = reply.isn;
      if (seen == Seen::kUnreachable)
        asks_.reset();
      else if (!syn_ack)
        asks_ = policy_.plain ? std::optional(Kind::kPlain) : std::nullopt;
      else
        asks_ = v1() ? Kind::kCookie : Kind::kV0;
      break;
    case Kind::kV0:
      e_.v0 = seen == Seen::kMptcp && reply.version != 0 ? Seen::kPlain : seen;
      e_.nops = std::max(e_.nops, reply.nops);
      asks_ = Kind::kCookie;
      break;
    case Kind::kCookie:
      // Linux computes a cookie from the SYN's sequence number by addition; an ISN kept in memory, or drawn, moves otherwise.
      if (syn_ack) e_.syn_cookies = reply.isn - first_isn_ == kCookieStep;
      asks_ = Kind::kJoin;
      break;
    case Kind::kJoin:
      e_.join = seen;
      e_.join_reason = reply.reset_reason;
      after_join();
      break;
    case Kind::kPlain:
      e_.plain = seen;
      asks_.reset();
      break;
    case Kind::kTrace:  // silence, or the target itself: the routers have said what they say
    case Kind::kVerify: asks_.reset(); break;
  }
}

void Judge::after_join() {
  asks_.reset();
  if (capable()) {
    if (policy_.verify) asks_ = Kind::kVerify;
  } else if (policy_.trace && !mirrored() && verdict() == Verdict::kTcpOnly && e_.hops.value_or(0) > 0) {
    asks_ = Kind::kTrace;
  }
}

void Judge::take_quote(uint8_t ttl, const std::string& router, bool intact) {
  if (asks_ != Kind::kTrace) return;
  if (intact && ttl >= intact_ttl_) {
    intact_ttl_ = ttl;
    e_.intact_at = router;
  } else if (!intact && ttl <= stripped_ttl_) {
    stripped_ttl_ = ttl;
    e_.stripped_at = router;
  }
}

void Judge::take_proof(Proof proof) {
  if (asks_ != Kind::kVerify) return;
  e_.proof = proof;
  asks_.reset();
}

void Judge::give_up(const std::string& why) {
  e_.icmp = why;
  if (asks_ == Kind::kV1) e_.v1 = Seen::kUnreachable;
  asks_.reset();
}

Verdict Judge::verdict() const {
  if (capable()) {
    // A key alone can be anybody's; a connection that then was none decides against it.
    if (e_.proof == Proof::kNoDss) return e_.join == Seen::kReset ? Verdict::kStripped : Verdict::kMirrored;
    return v1() ? Verdict::kV1 : Verdict::kV0;
  }
  if (mirrored()) return Verdict::kMirrored;
  if (open()) {
    const bool stripped = e_.join == Seen::kReset || e_.nops >= kStrippedNops || !e_.stripped_at.empty();
    return stripped ? Verdict::kStripped : Verdict::kTcpOnly;
  }
  const bool refused = e_.plain == Seen::kReset || (e_.v1 == Seen::kReset && e_.plain != Seen::kPlain);
  return refused ? Verdict::kClosed : Verdict::kFiltered;
}

std::string Judge::reason() const {
  switch (verdict()) {
    case Verdict::kV1:
    case Verdict::kV0: {
      std::string text = "answers with a key of its own";
      if (e_.join == Seen::kReset)
        text += e_.join_reason
                    ? fmt::format(", resets a join with an unknown token ({})", mptcp::reset_reason_name(*e_.join_reason))
                    : std::string(", resets a join with an unknown token");
      else if (e_.join == Seen::kPlain)
        text += ", but takes a join for plain TCP: joins are stripped on the way";
      else if (e_.join == Seen::kSilent)
        text += ", leaves a join unanswered";
      if (e_.proof == Proof::kDataAck) text += ", acknowledges data by DSS";
      if (e_.proof == Proof::kReset) text += "; reset the connection made to verify";
      if (e_.proof == Proof::kSilent) text += "; silent on the connection made to verify";
      return text;
    }
    case Verdict::kMirrored:
      if (e_.proof == Proof::kNoDss)
        return "answers with a key, but then speaks plain TCP: something on the way answers the option";
      return e_.v0 == Seen::kMirrored ? "gives our own key back: something on the way mirrors options"
                                      : "gives our option back, without a key: something on the way mirrors options";
    case Verdict::kStripped:
      if (!e_.stripped_at.empty())
        return fmt::format("the option is lost between {} and {}", e_.intact_at.empty() ? "here" : e_.intact_at, e_.stripped_at);
      if (e_.proof == Proof::kNoDss) return "answers with a key, but later options are taken out on the way";
      if (e_.nops >= kStrippedNops) return fmt::format("the answer bears {} NOPs where an option was", e_.nops);
      return e_.join_reason ? "answers without the option, yet resets a join as an MPTCP host does"
                            : "answers without the option, yet resets a join: its answers are stripped, or joins rejected";
    case Verdict::kTcpOnly:
      return e_.syn_cookies.value_or(false) ? "plain TCP, by SYN cookies: perhaps of a proxy before the host" : "plain TCP";
    case Verdict::kClosed: return e_.v1 == Seen::kSilent ? "refuses a plain SYN, leaves one with MPTCP unanswered" : "refuses";
    case Verdict::kFiltered: break;
  }
  if (e_.plain == Seen::kPlain)
    return e_.v1 == Seen::kReset ? "open to plain TCP; SYNs with MPTCP are rejected"
                                 : "open to plain TCP; SYNs with MPTCP are dropped";
  return e_.icmp.empty() ? "no answer" : e_.icmp;
}

}  // namespace mptap::scan
