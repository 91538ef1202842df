// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/read/report.h"

#include <algorithm>
#include <ctime>

#include <fmt/format.h>

#include "event/eve.h"

namespace mptap::read {
namespace {

std::string plural(uint64_t n, std::string_view one, std::string_view many = {}) {
  return fmt::format("{} {}", cli::grouped(n),
                     n == 1         ? std::string(one)
                     : many.empty() ? fmt::format("{}s", one)
                                    : std::string(many));
}

std::string list_of(const std::vector<uint32_t>& ids) {
  std::string out;
  for (size_t i = 0; i < ids.size(); ++i) out += fmt::format("{}{}", i == 0 ? "" : i + 1 == ids.size() ? " and " : ", ", ids[i]);
  return out;
}

std::string alert_title(const event::Alert& a, const cli::Palette& p) {
  return fmt::format("{}ALERT{} {}:{}:{} {}{}{}", p.red, p.reset, a.gid, a.sid, a.rev, p.bold, cli::printable(a.signature),
                     p.reset);
}

std::string alert_place(const event::Alert& a, const cli::Palette& p) {
  // Not on bytes: a finding about the connection.
  if (a.gid != 1 && a.match_size == 0) return fmt::format("on subflow {}", list_of(a.subflows));
  std::string text = fmt::format("{}, bytes {} to {}", a.to_client ? "to client" : "to server", a.stream_offset,
                                 a.stream_offset + std::max<uint64_t>(a.match_size, 1) - 1);
  if (a.mptcp && !a.subflows.empty())
    text += fmt::format(", on {} {}", a.subflows.size() == 1 ? "subflow" : "subflows", list_of(a.subflows));
  if (a.cross_subflow) text += fmt::format("  {}CROSS-SUBFLOW{}: no single subflow carries it", p.reverse, p.reset);
  if (a.candidate) text += "  (in the other reading of an ambiguous place, not in the delivered stream)";
  return text;
}

std::string time_of_day(uint64_t ns) {
  const time_t seconds = static_cast<time_t>(ns / 1'000'000'000);
  tm t{};
  gmtime_r(&seconds, &t);
  return fmt::format("{:02}:{:02}:{:02}.{:06}", t.tm_hour, t.tm_min, t.tm_sec, ns / 1000 % 1'000'000);
}

}  // namespace

void JsonReport::on_record(const event::ConnectionRecord& record) {
  last_ns_ = std::max(last_ns_, record.end_ns);
  event::append_eve(out_.buffer(), record);
  out_.write({});
}

void JsonReport::on_alert(const event::Alert& alert) {
  ++alerts_;
  event::append_eve(out_.buffer(), alert);
  out_.write({});
}

void JsonReport::on_anomaly(const event::Anomaly& anomaly) {
  event::append_eve(out_.buffer(), anomaly);
  out_.write({});
}

void JsonReport::finish(const worker::EngineCounters& c, const InputSummary& input) {
  if (!stats_) return;
  event::Stats stats;
  stats.timestamp_ns = last_ns_;
  auto& n = stats.counters;
  n = {{"frames", c.frames},
       {"bytes", c.bytes},
       {"inspected", c.inspected},
       {"span_copies", c.span_copies},
       {"ignored_no_flow", c.ignored_no_flow},
       {"ignored_plain_tcp", c.ignored_plain_tcp},
       {"dropped_subflow_limit", c.dropped_subflow_limit},
       {"dropped_connection_limit", c.dropped_connection_limit},
       {"link_type_unsupported", input.left_out},
       {"connections", c.connections},
       {"subflows", c.subflows},
       {"joins_verified", c.joins_verified},
       {"joins_failed", c.joins_failed},
       {"alerts", c.alerts},
       {"alerts_suppressed", c.alerts_suppressed},
       {"anomalies", c.anomalies},
       {"delivered_bytes", c.delivered_bytes}};
  for (size_t i = 0; i < c.decode.size(); ++i)
    n.emplace_back(fmt::format("decode_{}", packet::reason_name(static_cast<packet::Reason>(i))), c.decode[i]);
  for (size_t i = 0; i < worker::kLimits; ++i)
    n.emplace_back(fmt::format("limit_{}", worker::limit_name(static_cast<worker::Limit>(i))), c.limits[i]);
  n.emplace_back("emergencies", c.emergencies);
  n.emplace_back("emergency_closed", c.emergency_closed);
  n.emplace_back("evicted_half_open", c.evicted_half_open);
  event::append_eve(out_.buffer(), stats);
  out_.write({});
}

TextReport::TextReport(cli::Output& out, const Options& options)
    : Report(out), options_(options), palette_(options.terminal.color), table_(options.terminal) {}

void TextReport::on_alert(const event::Alert& a) {
  ++alerts_;
  if (a.cross_subflow) ++cross_;
  Running& r = running_[a.head.serial];
  ++r.alert_count;
  if (options_.live) {
    out_.write(fmt::format("{}  {}\n       {}; connection {}, {} -> {}\n", time_of_day(a.head.timestamp_ns),
                           alert_title(a, palette_), alert_place(a, palette_), a.head.serial, a.head.src.to_string(),
                           a.head.dst.to_string()));
  } else {
    r.alerts.push_back("       " + alert_title(a, palette_));
    r.alerts.push_back("             " + alert_place(a, palette_));
  }
}

void TextReport::on_anomaly(const event::Anomaly& a) {
  ++anomalies_[static_cast<size_t>(a.type)];
  ++running_[a.head.serial].anomalies;
}

void TextReport::on_record(const event::ConnectionRecord& record) {
  Row row = make_row(record, palette_);
  if (const auto it = running_.find(record.head.serial); it != running_.end()) {
    row.alerts = it->second.alert_count;
    row.anomalies = it->second.anomalies;
    for (std::string& line : it->second.alerts) row.details.push_back(std::move(line));
    running_.erase(it);
  }
  ++(record.mptcp ? mptcp_ : tcp_);
  if (record.mptcp) subflows_ += record.subflows.size();
  rows_.push_back(std::move(row));
  if (options_.live || rows_.size() >= options_.max_rows) print_rows();
}

void TextReport::print_rows() {
  std::sort(rows_.begin(), rows_.end(), [](const Row& a, const Row& b) { return a.serial < b.serial; });
  table_.print(rows_, out_.buffer());
  out_.write({});
  rows_.clear();
}

void TextReport::finish(const worker::EngineCounters& counters, const InputSummary& input) {
  print_rows();
  if (options_.summary) print_summary(counters, input);
}

void TextReport::print_summary(const worker::EngineCounters& counters, const InputSummary& input) {
  std::string text = mptcp_ + tcp_ > 0 ? "\n" : "";
  text += fmt::format("{}: {} MPTCP with {}, {} TCP; {}", plural(mptcp_ + tcp_, "connection"), cli::grouped(mptcp_),
                      plural(subflows_, "subflow"), cli::grouped(tcp_), plural(input.packets, "packet"));
  if (input.filtered > 0) text += fmt::format("; {} left out by --filter", plural(input.filtered, "connection"));
  text += '\n';
  if (alerts_ > 0) {
    text += fmt::format("{}{}{}{}", palette_.red, plural(alerts_, "alert"), palette_.reset,
                        cross_ > 0 ? fmt::format(", {} of them across subflows", cli::grouped(cross_)) : "");
    text += counters.alerts_suppressed > 0
                ? fmt::format("; {} more of the same rules in the same streams\n", cli::grouped(counters.alerts_suppressed))
                : "\n";
  }
  if (std::any_of(anomalies_.begin(), anomalies_.end(), [](uint64_t n) { return n > 0; })) {
    text += "odd (--json gives each with its place):\n";
    for (const event::AnomalyInfo& info : event::kAnomalies) {
      if (const uint64_t n = anomalies_[static_cast<size_t>(info.type)])
        text += fmt::format("{:>10}  {}: {}\n", cli::grouped(n), info.name, info.help);
    }
  }
  text += not_inspected(counters, input);
  for (const std::string& port : input.ports) text += port + "\n";
  out_.write(text);
}

std::string not_inspected(const worker::EngineCounters& c, const InputSummary& input) {
  std::vector<std::pair<std::string, uint64_t>> reasons;
  for (size_t i = 0; i < c.decode.size(); ++i) {
    if (static_cast<packet::Reason>(i) != packet::Reason::kTcp)
      reasons.emplace_back(packet::reason_name(static_cast<packet::Reason>(i)), c.decode[i]);
  }
  reasons.emplace_back("of no connection and beginning none", c.ignored_no_flow);
  reasons.emplace_back("plain TCP (--no-tcp)", c.ignored_plain_tcp);
  reasons.emplace_back("the tap's second copy of a packet", c.span_copies);
  reasons.emplace_back("beyond --max-subflows", c.dropped_subflow_limit);
  reasons.emplace_back("beyond --max-connections", c.dropped_connection_limit);
  reasons.emplace_back("of interfaces whose link type is not supported", input.left_out);
  std::erase_if(reasons, [](const auto& r) { return r.second == 0; });
  if (reasons.empty()) return {};
  std::string text = "packets not inspected:\n";
  for (const auto& [why, n] : reasons) text += fmt::format("{:>10}  {}\n", cli::grouped(n), why);
  return text;
}

std::string checksum_hint(const worker::EngineCounters& c) {
  const uint64_t bad = c.decode[static_cast<size_t>(packet::Reason::kTcpBadChecksum)];
  const uint64_t good = c.decode[static_cast<size_t>(packet::Reason::kTcp)];
  if (bad == 0 || bad * 20 < bad + good) return {};
  return fmt::format(
      "{} of {} TCP packets have a wrong checksum and were left out, as their receiver does; if this was captured on a "
      "sending host with checksum offload, --no-checksum accepts them",
      cli::grouped(bad), cli::grouped(bad + good));
}

}  // namespace mptap::read
