// SPDX-License-Identifier: Apache-2.0
#include "event/eve.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <iterator>
#include <map>
#include <string_view>

#include "event/community_id.h"
#include "event/json_line.h"

namespace mptap::event {
namespace {

std::string_view name(Join join) {
  switch (join) {
    case Join::kInitial: return "initial";
    case Join::kVerified: return "verified";
    case Join::kFailed: return "failed";
    case Join::kUnverified: break;
  }
  return "unverified";
}

std::string_view name(End end) {
  switch (end) {
    case End::kDataFin: return "data_fin";
    case End::kFastClose: return "fast_close";
    case End::kReset: return "reset";
    case End::kTimeout: return "timeout";
    case End::kOpen: break;
  }
  return "open";
}

std::string_view name(State state) {
  switch (state) {
    case State::kHandshake: return "handshake";
    case State::kEstablished: return "established";
    case State::kClosing: return "closing";
    case State::kClosed: break;
  }
  return "closed";
}

std::string_view name(Level level) {
  switch (level) {
    case Level::kInfo: return "info";
    case Level::kWarning: return "warning";
    case Level::kError: break;
  }
  return "error";
}

// RapidJSON's buffer keeps its memory from line to line.
JsonLine& begin_line() {
  thread_local JsonLine line;
  line.begin();
  return line;
}

void put_address(JsonLine& j, std::string_view key, const packet::IpAddress& a) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (a.is_v4()) {
    inet_ntop(AF_INET, a.v4_bytes(), text.data(), text.size());
  } else {
    inet_ntop(AF_INET6, a.bytes.data(), text.data(), text.size());
  }
  j.field(key, text.data());
}

void put_endpoints(JsonLine& j, const packet::Endpoint& src, const packet::Endpoint& dst) {
  put_address(j, "src_ip", src.address);
  j.field("src_port", src.port);
  put_address(j, "dest_ip", dst.address);
  j.field("dest_port", dst.port);
}

void put_head(JsonLine& j, std::string_view event_type, const Head& head, bool to_client, const EveOptions& options) {
  j.field("timestamp", eve_timestamp(head.timestamp_ns));
  j.field("flow_id", head.flow_id & kMaxJsonInteger);
  if (head.packet_number != 0) j.field("pcap_cnt", head.packet_number);
  j.field("event_type", event_type);
  put_endpoints(j, to_client ? head.dst : head.src, to_client ? head.src : head.dst);
  j.field("proto", "TCP");
  const std::string id = community_id(head.src, head.dst, options.community_id_seed);
  if (!id.empty()) j.field("community_id", id);
}

std::string_view direction(bool to_client) {
  return to_client ? "to_client" : "to_server";
}

void put_numbers(JsonLine& j, const std::vector<std::pair<std::string, uint64_t>>& numbers) {
  for (const auto& [key, number] : numbers) j.field(key, number);
}

void put_stream(JsonLine& j, std::string_view key, const StreamRecord& s) {
  j.open(key);
  j.field("bytes", s.bytes);
  if (s.sha256) j.field("sha256", *s.sha256);
  j.field("missing_bytes", s.missing_bytes);
  j.field("missing_tap_bytes", s.missing_tap_bytes);
  j.field("duplicate_bytes", s.duplicate_bytes);
  j.field("conflicting_bytes", s.conflicting_bytes);
  j.field("pending_bytes", s.pending_bytes);
  j.field("assumed", s.assumed);
  j.close();
}

void put_subflow(JsonLine& j, const SubflowRecord& s) {
  j.open();
  j.field("id", s.id);
  put_endpoints(j, s.src, s.dst);
  j.field("address_id", s.address_id);
  j.field("backup", s.backup);
  j.field("join", name(s.join));
  j.field("opened_by", s.opened_by_server ? "server" : "client");
  j.field("bytes_toserver", s.bytes[0]);
  j.field("bytes_toclient", s.bytes[1]);
  j.field("packets_toserver", s.packets[0]);
  j.field("packets_toclient", s.packets[1]);
  if (!s.reset_reason.empty()) j.field("reset_reason", s.reset_reason);
  j.field("start", eve_timestamp(s.start_ns));
  j.field("end", eve_timestamp(s.end_ns));
  j.close();
}

void put_state(JsonLine& j, const ConnectionRecord& r) {
  j.field("connection_id", r.connection_id);
  if (r.mptcp) j.field("version", r.version);
  j.field("state", name(r.state));
  j.field("end", name(r.end));
}

void put_totals(JsonLine& j, const ConnectionRecord& r) {
  put_stream(j, "toserver", r.stream[0]);
  put_stream(j, "toclient", r.stream[1]);
  j.ratio("visibility", r.visibility);
  j.field("packets", r.packets);
  j.field("span_duplicates", r.span_duplicates);
  j.field("alerts", r.alerts);
  j.field("anomalies", r.anomalies);
}

void put_options(JsonLine& j, const ConnectionRecord& r) {
  j.open("options");
  for (size_t i = 0; i < kSubtypes; ++i) {
    if (r.options[i] != 0) j.field(kSubtypeNames[i], r.options[i]);
  }
  j.close();
}

void put_mptcp_record(JsonLine& j, const ConnectionRecord& r) {
  j.open("mptcp");
  put_state(j, r);
  j.field("event", "end");
  j.field("fallback", r.fallback);
  if (r.fallback) j.field("fallback_reason", r.fallback_reason);
  j.field("checksum", r.checksum);
  j.hex32("token_client", r.token_client);
  j.hex32("token_server", r.token_server);
  put_options(j, r);
  j.open_array("subflows");
  for (const SubflowRecord& s : r.subflows) put_subflow(j, s);
  j.close_array();
  put_totals(j, r);
  j.close();
}

// Suricata's flow object, as far as the values mean the same.
void put_flow_record(JsonLine& j, const ConnectionRecord& r) {
  std::array<uint64_t, 2> packets{};
  for (const SubflowRecord& s : r.subflows) {
    packets[0] += s.packets[0];
    packets[1] += s.packets[1];
  }
  j.open("flow");
  j.field("pkts_toserver", packets[0]);
  j.field("pkts_toclient", packets[1]);
  j.field("start", eve_timestamp(r.head.timestamp_ns));
  j.field("end", eve_timestamp(r.end_ns));
  j.field("age", r.end_ns > r.head.timestamp_ns ? (r.end_ns - r.head.timestamp_ns) / 1'000'000'000 : 0);
  j.field("alerted", r.alerts != 0);
  j.close();

  j.open("tcp");
  put_state(j, r);
  if (!r.fallback_reason.empty()) j.field("fallback_reason", r.fallback_reason);
  if (std::any_of(r.options.begin(), r.options.end(), [](uint64_t n) { return n != 0; })) put_options(j, r);
  put_totals(j, r);
  j.close();
}

void put_metadata(JsonLine& j, const std::vector<std::pair<std::string, std::string>>& metadata) {
  std::map<std::string_view, std::vector<std::string_view>> by_key;
  for (const auto& [key, text] : metadata) by_key[key].push_back(text);
  j.open("metadata");
  for (const auto& [key, texts] : by_key) {
    j.open_array(key);
    for (const std::string_view text : texts) j.value(text);
    j.close_array();
  }
  j.close();
}

void put_match(JsonLine& j, const Alert& a) {
  j.open(a.mptcp ? "mptcp" : "tcp");
  j.field("connection_id", a.connection_id);
  if (a.mptcp) j.field("version", a.version);
  j.field("stream_offset", a.stream_offset);
  j.field("match_size", a.match_size);
  j.field("payload_offset", a.payload_offset);
  if (a.mptcp) {
    j.open_array("subflows");
    for (const uint32_t id : a.subflows) j.value(id);
    j.close_array();
    j.field("cross_subflow", a.cross_subflow);
  }
  j.field("candidate", a.candidate);
  j.close();
}

void put_alert(JsonLine& j, const Alert& a) {
  j.open("alert");
  j.field("action", a.action);
  j.field("gid", a.gid);
  j.field("signature_id", a.sid);
  j.field("rev", a.rev);
  j.field("signature", a.signature);
  j.field("category", a.category);
  j.field("severity", a.severity);
  if (!a.metadata.empty()) put_metadata(j, a.metadata);
  if (!a.references.empty()) {
    j.open_array("references");
    for (const std::string& reference : a.references) j.value(reference);
    j.close_array();
  }
  put_match(j, a);
  j.close();
}

std::string printable(std::string bytes) {
  for (char& c : bytes) {
    const bool prints = (c >= 0x20 && c < 0x7f) || c == '\n' || c == '\r';
    if (!prints) c = '.';
  }
  return bytes;
}

}  // namespace

std::string eve_timestamp(uint64_t ns) {
  using namespace std::chrono;
  const auto since_epoch = microseconds(ns / 1000);
  const auto day = floor<days>(since_epoch);
  const year_month_day date{sys_days(day)};
  const hh_mm_ss time{since_epoch - day};
  return fmt::format(FMT_STRING("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}+0000"), static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), time.hours().count(),
                     time.minutes().count(), time.seconds().count(), time.subseconds().count());
}

void append_eve(std::string& out, const ConnectionRecord& record, const EveOptions& options) {
  JsonLine& j = begin_line();
  put_head(j, record.mptcp ? "mptcp" : "flow", record.head, false, options);
  j.field("end_timestamp", eve_timestamp(record.end_ns));
  if (record.mptcp) {
    put_mptcp_record(j, record);
  } else {
    put_flow_record(j, record);
  }
  j.finish(out);
}

void append_eve(std::string& out, const Alert& alert, const EveOptions& options) {
  JsonLine& j = begin_line();
  put_head(j, "alert", alert.head, alert.to_client, options);
  put_alert(j, alert);
  put_match(j, alert);
  j.field("direction", direction(alert.to_client));
  if (!alert.payload.empty()) {
    if (options.payload) j.base64("payload", alert.payload);
    if (options.payload_printable) j.field("payload_printable", printable(alert.payload));
  }
  j.finish(out);
}

void append_eve(std::string& out, const Anomaly& anomaly, const EveOptions& options) {
  JsonLine& j = begin_line();
  const std::string_view layer = anomaly.mptcp ? "mptcp" : "tcp";
  put_head(j, "anomaly", anomaly.head, anomaly.to_client.value_or(false), options);
  j.open("anomaly");
  j.field("type", layer);
  j.field("event", name(anomaly.type));
  put_numbers(j, anomaly.numbers);
  if (!anomaly.detail.empty()) j.field("detail", anomaly.detail);
  j.close();
  j.open(layer);
  j.field("connection_id", anomaly.connection_id);
  if (anomaly.subflow) j.field("subflow", *anomaly.subflow);
  j.close();
  if (anomaly.to_client) j.field("direction", direction(*anomaly.to_client));
  j.finish(out);
}

void append_eve(std::string& out, const SubflowJoined& joined, const EveOptions& options) {
  JsonLine& j = begin_line();
  put_head(j, "mptcp", joined.head, false, options);
  j.open("mptcp");
  j.field("connection_id", joined.connection_id);
  j.field("version", joined.version);
  j.field("event", joined.started ? "started" : "subflow_joined");
  j.hex32("token_client", joined.token_client);
  j.hex32("token_server", joined.token_server);
  j.open_array("subflows");
  for (const SubflowRecord& s : joined.subflows) put_subflow(j, s);
  j.close_array();
  j.close();
  j.finish(out);
}

void append_eve(std::string& out, const EngineEvent& event, const EveOptions&) {
  JsonLine& j = begin_line();
  j.field("timestamp", eve_timestamp(event.timestamp_ns));
  j.field("event_type", "engine");
  j.field("log_level", name(event.level));
  j.open("engine");
  j.field("event", event.event);
  j.field("message", event.message);
  put_numbers(j, event.numbers);
  j.close();
  j.finish(out);
}

void append_eve(std::string& out, const Stats& stats, const EveOptions&) {
  JsonLine& j = begin_line();
  j.field("timestamp", eve_timestamp(stats.timestamp_ns));
  j.field("event_type", "stats");
  j.open("stats");
  j.field("uptime", stats.uptime_s);
  j.open("counters");
  put_numbers(j, stats.counters);
  j.close();
  j.close();
  j.finish(out);
}

}  // namespace mptap::event
