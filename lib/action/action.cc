// SPDX-License-Identifier: Apache-2.0
#include "action/action.h"

namespace mptap::action {

const char* kind_name(Kind kind) {
  switch (kind) {
    case Kind::kKill: return "kill";
    case Kind::kTarpit: return "tarpit";
    case Kind::kRelease: return "release";
    case Kind::kRecall: return "recall";
  }
  return "unknown";
}

std::optional<Kind> kind_by_name(std::string_view name) {
  for (const Kind kind : {Kind::kKill, Kind::kTarpit, Kind::kRelease, Kind::kRecall})
    if (name == kind_name(kind)) return kind;
  return std::nullopt;
}

const char* verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPending: return "PENDING";
    case Verdict::kConfirmed: return "CONFIRMED";
    case Verdict::kNotEffective: return "NOT_EFFECTIVE";
    case Verdict::kUnverifiable: return "UNVERIFIABLE";
  }
  return "UNKNOWN";
}

const char* refusal_name(Refusal why) {
  switch (why) {
    case Refusal::kNotFound: return "NOT_FOUND";
    case Refusal::kClosed: return "CLOSED";
    case Refusal::kNoInjectPort: return "NO_INJECT_PORT";
    case Refusal::kNeverAct: return "NEVER_ACT";
    case Refusal::kNotInline: return "NOT_INLINE";
    case Refusal::kNotHeld: return "NOT_HELD";
    case Refusal::kBusy: return "BUSY";
    case Refusal::kNothingToDo: return "NOTHING_TO_DO";
    case Refusal::kRateLimited: return "RATE_LIMITED";
  }
  return "UNKNOWN";
}

}  // namespace mptap::action
