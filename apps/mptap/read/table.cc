// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/read/table.h"

#include <algorithm>
#include <ctime>

#include <fmt/format.h>

namespace mptap::read {
namespace {

using event::ConnectionRecord;

constexpr const char* kHeads[] = {"N",         "start (UTC)", "client", "server", "mptcp",  "subflows",
                                  "to server", "to client",   "seen",   "end",    "alerts", "odd"};
constexpr bool kRight[] = {true, false, false, false, false, true, true, true, true, false, true, true};
constexpr const char* kIndent = "       ";

std::string end_of(const ConnectionRecord& r) {
  switch (r.end) {
    case event::End::kDataFin: return r.mptcp && !r.fallback ? "data_fin" : "fin";
    case event::End::kFastClose: return "fast_close";
    case event::End::kReset: return "reset";
    case event::End::kTimeout: return "timeout";
    case event::End::kOpen: break;
  }
  return r.state == event::State::kHandshake ? "handshake" : "open";
}

const char* join_word(event::Join join) {
  switch (join) {
    case event::Join::kInitial: return "initial";
    case event::Join::kVerified: return "verified";
    case event::Join::kFailed: return "FAILED";
    case event::Join::kUnverified: return "unverified";
  }
  return "";
}

std::string count_or_dash(uint64_t n) {
  return n == 0 ? std::string("-") : std::to_string(n);
}

void add_subflows(const ConnectionRecord& r, const cli::Palette& p, Row& row) {
  size_t ids = 0, sources = 0, destinations = 0;
  std::array<size_t, 2> sizes{};
  for (const auto& s : r.subflows) {
    ids = std::max(ids, std::to_string(s.id).size());
    sources = std::max(sources, s.src.to_string().size());
    destinations = std::max(destinations, s.dst.to_string().size());
    for (size_t d = 0; d < 2; ++d) sizes[d] = std::max(sizes[d], cli::grouped(s.bytes[d]).size());
  }
  for (const auto& s : r.subflows) {
    std::string line = fmt::format("{}subflow {:>{}}  {:<{}} -> {:<{}}  {:<10}  to server {:>{}}  to client {:>{}}", kIndent,
                                   s.id, ids, s.src.to_string(), sources, s.dst.to_string(), destinations, join_word(s.join),
                                   cli::grouped(s.bytes[0]), sizes[0], cli::grouped(s.bytes[1]), sizes[1]);
    if (s.opened_by_server) line += "  opened by the server";
    if (s.backup) line += "  backup";
    if (!s.reset_reason.empty()) line += fmt::format("  reset: {}", s.reset_reason);
    const bool bad = s.join == event::Join::kFailed;
    row.details.push_back(fmt::format("{}{}{}", bad ? p.yellow : p.dim, line, p.reset));
  }
  row.ends_named = true;
}

void add_notes(const ConnectionRecord& r, const cli::Palette& p, Row& row) {
  constexpr const char* kTo[] = {"to server", "to client"};
  const auto note = [&](const std::string& text) {
    row.details.push_back(fmt::format("{}{}{}{}", kIndent, p.yellow, text, p.reset));
  };
  if (r.mptcp && r.fallback) note(fmt::format("fell back to TCP: {}", r.fallback_reason));
  for (size_t d = 0; d < 2; ++d) {
    const event::StreamRecord& s = r.stream[d];
    if (const uint64_t unseen = s.missing_bytes - std::min(s.missing_tap_bytes, s.missing_bytes)) {
      note(fmt::format("{}: {} bytes missing, {}", kTo[d], cli::grouped(unseen),
                       r.mptcp ? "they took a path that is not in the capture" : "they are not in the capture"));
    }
    if (s.missing_tap_bytes > 0)
      note(fmt::format("{}: {} bytes missing, lost by the tap", kTo[d], cli::grouped(s.missing_tap_bytes)));
    if (s.conflicting_bytes > 0)
      note(fmt::format("{}: {} bytes came in copies that differ", kTo[d], cli::grouped(s.conflicting_bytes)));
    if (s.pending_bytes > 0)
      note(fmt::format("{}: {} bytes behind a hole were never acknowledged, so never delivered", kTo[d],
                       cli::grouped(s.pending_bytes)));
  }
  for (size_t d = 0; d < 2; ++d) {
    if (r.stream[d].sha256) row.details.push_back(fmt::format("{}{} sha256 {}", kIndent, kTo[d], *r.stream[d].sha256));
  }
}

}  // namespace

Row make_row(const ConnectionRecord& r, const cli::Palette& palette) {
  Row row;
  row.serial = r.head.serial;
  row.start_ns = r.head.timestamp_ns;
  row.client = r.head.src.to_string();
  row.server = r.head.dst.to_string();
  row.mptcp = r.mptcp ? fmt::format("v{}{}", r.version, r.fallback ? " > tcp" : "") : "tcp";
  row.end = end_of(r);
  row.subflows = r.subflows.size();
  row.bytes = {r.stream[0].bytes, r.stream[1].bytes};
  if (r.visibility) {
    // 100 % is said only of what is complete.
    const double percent = *r.visibility * 100;
    const bool complete = r.stream[0].missing_bytes + r.stream[1].missing_bytes == 0;
    row.seen = complete ? "100%" : fmt::format("{:.1f}%", std::min(percent, 99.9));
  } else {
    row.seen = std::string("-");
  }
  row.alerts = r.alerts;
  row.anomalies = r.anomalies;
  if (r.mptcp) add_subflows(r, palette, row);
  add_notes(r, palette, row);
  return row;
}

std::string Table::time_of(const Row& row) const {
  const time_t seconds = static_cast<time_t>(row.start_ns / 1'000'000'000);
  tm t{};
  gmtime_r(&seconds, &t);
  std::string text = fmt::format("{:02}:{:02}:{:02}", t.tm_hour, t.tm_min, t.tm_sec);
  if (time_form_ < 2) text += fmt::format(".{:06}", row.start_ns / 1000 % 1'000'000);
  if (time_form_ < 1) text = fmt::format("{:04}-{:02}-{:02} {}", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, text);
  return text;
}

std::array<std::string, Table::kColumns> Table::cells(const Row& row) const {
  return {std::to_string(row.serial),
          time_of(row),
          row.client,
          row.server,
          row.mptcp,
          std::to_string(row.subflows),
          cli::grouped(row.bytes[0]),
          cli::grouped(row.bytes[1]),
          row.seen,
          row.end,
          count_or_dash(row.alerts),
          count_or_dash(row.anomalies)};
}

size_t Table::total() const {
  size_t sum = 0;
  for (size_t c = 0; c < kColumns; ++c) {
    if (!hidden_[c]) sum += widths_[c] + 2;
  }
  return sum;
}

void Table::measure(const std::vector<Row>& rows) {
  const auto widen = [&] {
    for (size_t c = 0; c < kColumns; ++c) widths_[c] = std::max(widths_[c], std::string_view(kHeads[c]).size());
    for (const Row& row : rows) {
      const auto texts = cells(row);
      for (size_t c = 0; c < kColumns; ++c) widths_[c] = std::max(widths_[c], texts[c].size());
    }
  };
  widen();
  if (begun_ || terminal_.width == 0) return;
  const auto fits = [&] { return total() <= terminal_.width; };
  while (!fits() && time_form_ < 2) {
    ++time_form_;
    widths_[kStart] = 0;
    widen();
  }
  constexpr Column kGoing[] = {kServer, kOdd, kSeen, kStart, kMptcp};
  for (const Column c : kGoing) {
    if (fits()) break;
    hidden_[c] = true;
    if (c == kServer) hidden_[kClient] = true;
  }
}

void Table::print_line(const std::array<std::string, kColumns>& texts, std::string& out) const {
  const size_t from = out.size();
  for (size_t c = 0; c < kColumns; ++c) {
    if (hidden_[c]) continue;
    out += c == 0 ? "" : "  ";
    const std::string pad(widths_[c] - std::min(widths_[c], texts[c].size()), ' ');
    out += kRight[c] ? pad + texts[c] : texts[c] + pad;
  }
  out.erase(std::max(out.find_last_not_of(' ') + 1, from));
}

void Table::print(const std::vector<Row>& rows, std::string& out) {
  measure(rows);
  if (!begun_ && !rows.empty()) {
    begun_ = true;
    out += palette_.bold;
    std::array<std::string, kColumns> heads;
    for (size_t c = 0; c < kColumns; ++c) heads[c] = std::string(kHeads[c]);
    print_line(heads, out);
    out += palette_.reset;
    out += '\n';
  }
  for (const Row& row : rows) {
    print_line(cells(row), out);
    out += '\n';
    if (hidden_[kClient] && !row.ends_named) out += fmt::format("{}{} -> {}\n", kIndent, row.client, row.server);
    for (const std::string& line : row.details) {
      out += line;
      out += '\n';
    }
  }
}

}  // namespace mptap::read
