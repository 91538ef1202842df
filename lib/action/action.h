// SPDX-License-Identifier: Apache-2.0
// What can be done to a connection, and what became of it, as plain values: the words that control plane and workers share. A
// request is for the worker that owns the connection; its answer is an error or an outcome, kPending first, later the final one.
// An outcome says what happened on the wire, not that a packet was sent.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "packet/address.h"

namespace mptap::action {

enum class Kind : uint8_t {
  kKill,  // MP_FASTCLOSE to both ends, RST where no key is known or the connection is plain TCP (RFC 8684 section 3.5)
  kTarpit,  // window 0 towards the chosen end, on all subflows, until released
  kRelease,  // undoes a tarpit
  kRecall,  // REMOVE_ADDR for the addresses that no seen subflow uses (section 3.4.2): traffic comes back to the seen paths
};
const char* kind_name(Kind);  // "kill"
std::optional<Kind> kind_by_name(std::string_view name);

// Whose sending a tarpit stops.
enum class End : uint8_t { kBoth, kClient, kServer };

struct Options {
  uint64_t timeout_ns = 3'000'000'000;  // after which what was seen is judged, 100 ms to 60 s
  End held = End::kBoth;  // kTarpit
  bool free_protected = false;  // kTarpit with one end held, in line: the other end is closed, the box answers for it
  bool dry_run = false;  // judge and answer, send nothing: the outcome is kPending with no frames
};

struct Request {
  Kind kind = Kind::kKill;
  std::string connection_id;  // 16 hex digits, as in the events
  std::string origin;  // who asks: "policy NAME", "rule SID", "call"; goes into the events
  Options options;
};

enum class Verdict : uint8_t {
  kPending,
  kConfirmed,  // seen on the wire
  kNotEffective,  // seen: it goes on
  kUnverifiable,  // what would show it is not visible here
};
const char* verdict_name(Verdict);  // "CONFIRMED"

struct SubflowOutcome {
  uint32_t id = 0;  // as in the connection's record
  packet::Endpoint client, server;
  std::array<uint32_t, 2> frames{};  // sent; 0 towards the server, 1 towards the client
  std::array<bool, 2> reset_by{};  // a genuine RST of 0 the client, 1 the server was seen since
  std::array<uint64_t, 2> bytes{};  // payload seen since, 0 to the server, 1 to the client
  std::string seen;  // plain words: "reset by the server", "still flowing: 120 kB to the client"
};

struct Outcome {
  Kind kind = Kind::kKill;
  std::string connection_id, origin;
  Verdict verdict = Verdict::kPending;
  uint64_t started_ns = 0;  // since the epoch; the request reached the worker
  uint64_t sent_ns = 0;  // the first frame went into the TX queue; 0: none yet
  uint64_t ended_ns = 0;  // of the evidence; 0: pending
  std::string method;  // "fast_close", "rst", "window", "remove_addr"
  std::string seen;  // plain words: what was seen
  std::string advice;  // what to do instead; empty where there is nothing better
  uint64_t frames = 0;  // sent in all
  double rate_before = 0, rate_after = 0;  // kTarpit: payload bytes a second of the held end or ends
  std::optional<double> visibility_before, visibility_after;  // kRecall: 0 to 1
  std::vector<SubflowOutcome> subflows;
};

// Why a request was refused; nothing was done.
enum class Refusal : uint8_t {
  kNotFound,  // no such connection on this worker
  kClosed,  // it has ended already
  kNoInjectPort,  // a tap without inject_port
  kNeverAct,  // subject: the entry's name
  kNotInline,  // only in line can do that
  kNotHeld,  // kRelease: there is no tarpit
  kBusy,  // the same action runs
  kNothingToDo,  // kRecall: every known address is used by a seen subflow
  kRateLimited,  // automatic actions only; subject: "rate" or "breaker"
};
const char* refusal_name(Refusal);  // "NO_INJECT_PORT": UPPER_SNAKE, for ErrorInfo.reason

struct Error {
  Refusal why = Refusal::kNotFound;
  std::string subject;
  std::string message;  // one sentence: what is wrong and what would be right
};

}  // namespace mptap::action
