// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/scan/report.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "mptcp/option.h"

namespace mptap::scan {
namespace {

using json = nlohmann::ordered_json;

std::string grouped(uint64_t n) {
  const std::string digits = std::to_string(n);
  std::string text;
  for (size_t i = 0; i < digits.size(); i++) {
    if (i && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string counts(const Progress& p) {
  std::string text;
  for (unsigned v = 0; v < kVerdicts; v++)
    if (p.verdicts[v])
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", grouped(p.verdicts[v]), verdict_name(static_cast<Verdict>(v)));
  return text;
}

}  // namespace

std::string table_head() {
  return fmt::format("{:<44} {:<9} {:>8}  {}\n", "TARGET", "VERDICT", "RTT", "WHY");
}

std::string table_row(const Result& r) {
  const double ms = static_cast<double>(r.evidence.rtt_ns) / 1e6;
  return fmt::format("{:<44} {:<9} {:>8}  {}\n", r.target.to_string(), verdict_name(r.verdict),
                     r.evidence.rtt_ns ? fmt::format("{:.1f}ms", ms) : "-", r.reason);
}

std::string json_row(const Result& r) {
  const Evidence& e = r.evidence;
  json evidence;
  const auto add = [&](const char* name, Seen seen) {
    if (seen != Seen::kNotAsked) evidence[name] = seen_name(seen);
  };
  add("capable_v1", e.v1);
  add("capable_v0", e.v0);
  add("join", e.join);
  add("plain_syn", e.plain);
  if (e.join_reason) evidence["join_reset_reason"] = mptcp::reset_reason_name(*e.join_reason);
  if (e.syn_cookies) evidence["syn_cookies"] = *e.syn_cookies;
  if (e.nops) evidence["longest_nop_run"] = e.nops;
  if (e.hops) evidence["hops"] = *e.hops;
  if (!e.intact_at.empty()) evidence["option_intact_at"] = e.intact_at;
  if (!e.stripped_at.empty()) evidence["option_gone_at"] = e.stripped_at;
  if (!e.icmp.empty()) evidence["network"] = e.icmp;
  if (e.proof != Proof::kNotAsked) evidence["verify"] = proof_name(e.proof);
  if (e.rtt_ns) evidence["rtt_ms"] = static_cast<double>(e.rtt_ns / 1000) / 1000;
  const json j{{"type", "result"},      {"address", r.target.address.to_string()},
               {"port", r.target.port}, {"verdict", verdict_name(r.verdict)},
               {"reason", r.reason},    {"evidence", evidence.is_null() ? json::object() : evidence}};
  return j.dump() + "\n";
}

std::string table_summary(const Summary& s) {
  const auto& p = s.progress;
  return fmt::format("{} of {} targets{}: {}. {} packets in {:.1f} s{}.\n", grouped(p.finished), grouped(p.total),
                     s.interrupted ? ", stopped" : "", p.finished ? counts(p) : "none finished", grouped(s.frames), s.seconds,
                     p.late ? fmt::format("; {} answers came late or twice", grouped(p.late)) : "");
}

std::string json_summary(const Summary& s) {
  json verdicts;
  for (unsigned v = 0; v < kVerdicts; v++) verdicts[verdict_name(static_cast<Verdict>(v))] = s.progress.verdicts[v];
  const json j{{"type", "summary"},
               {"targets", s.progress.total},
               {"finished", s.progress.finished},
               {"verdicts", verdicts},
               {"packets", s.frames},
               {"seconds", s.seconds},
               {"late", s.progress.late},
               {"complete", s.progress.complete()}};
  return j.dump() + "\n";
}

std::string progress_line(const Progress& p, uint64_t frames, double recent_rate, uint32_t rate) {
  const double each = p.finished ? std::max(1.0, static_cast<double>(frames) / static_cast<double>(p.finished)) : 1.0;
  const auto left = static_cast<uint64_t>(static_cast<double>(p.total - p.finished) * each / rate + 0.5);
  const double percent = p.total ? 100.0 * static_cast<double>(p.finished) / static_cast<double>(p.total) : 100.0;
  return fmt::format("{:5.1f} %  {} of {} targets  {:.0f}/s  {}:{:02}:{:02} left  {}", percent, grouped(p.finished),
                     grouped(p.total), recent_rate, left / 3600, left / 60 % 60, left % 60, counts(p));
}

}  // namespace mptap::scan
