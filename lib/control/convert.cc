// SPDX-License-Identifier: Apache-2.0
#include "control/convert.h"

#include <algorithm>

#include <fmt/format.h>
#include <google/protobuf/util/field_mask_util.h>

namespace mptap::control {
namespace {

using google::protobuf::util::FieldMaskUtil;

Error invalid(const char* reason, std::string message) {
  return {Code::kInvalidArgument, reason, std::move(message)};
}

void to_message(const packet::Endpoint& endpoint, v1::Endpoint& out) {
  out.set_address(endpoint.address.to_string());
  out.set_port(endpoint.port);
}

void to_message(const event::StreamRecord& stream, v1::StreamStats& out) {
  out.set_bytes(stream.bytes);
  out.set_missing_bytes(stream.missing_bytes);
  out.set_missing_tap_bytes(stream.missing_tap_bytes);
  out.set_conflicting_bytes(stream.conflicting_bytes);
  out.set_pending_bytes(stream.pending_bytes);
}

std::string token_text(const std::optional<uint32_t>& token) {
  return token ? fmt::format("{:08x}", *token) : "";
}

}  // namespace

void to_timestamp(uint64_t ns, google::protobuf::Timestamp& out) {
  out.set_seconds(static_cast<int64_t>(ns / 1'000'000'000));
  out.set_nanos(static_cast<int32_t>(ns % 1'000'000'000));
}

void to_message(const ConnectionInfo& info, v1::Connection& out) {
  const event::ConnectionRecord& r = info.record;
  out.set_name("connections/" + r.connection_id);
  out.set_state(static_cast<v1::Connection::State>(static_cast<int>(r.state) + 1));
  out.set_mptcp(r.mptcp);
  out.set_version(r.mptcp ? r.version : 0);
  to_message(r.head.src, *out.mutable_client());
  to_message(r.head.dst, *out.mutable_server());
  for (size_t i = 0; i < r.subflows.size(); ++i) {
    const event::SubflowRecord& s = r.subflows[i];
    v1::Subflow& m = *out.add_subflows();
    m.set_id(s.id);
    to_message(s.src, *m.mutable_client());
    to_message(s.dst, *m.mutable_server());
    m.set_join(static_cast<v1::Subflow::Join>(static_cast<int>(s.join) + 1));
    m.set_address_id(s.address_id);
    m.set_backup(s.backup);
    m.set_opened_by_server(s.opened_by_server);
    m.set_bytes_to_server(s.bytes[0]);
    m.set_bytes_to_client(s.bytes[1]);
    m.set_closed(i < info.closed.size() && info.closed[i]);
  }
  to_message(r.stream[0], *out.mutable_to_server());
  to_message(r.stream[1], *out.mutable_to_client());
  if (r.visibility) out.set_visibility(*r.visibility);
  to_timestamp(r.head.timestamp_ns, *out.mutable_start_time());
  to_timestamp(r.end_ns, *out.mutable_update_time());
  out.set_packets(r.packets);
  out.set_alerts(r.alerts);
  out.set_anomalies(r.anomalies);
  out.set_fallback(r.fallback);
  if (r.token_client || r.token_server) {
    out.add_tokens(token_text(r.token_client));
    out.add_tokens(token_text(r.token_server));
  }
  out.set_worker(info.worker);
}

void to_message(const action::Outcome& o, bool dry_run, v1::Outcome& out) {
  switch (o.verdict) {
    case action::Verdict::kConfirmed: out.set_verdict(v1::Outcome::VERDICT_CONFIRMED); break;
    case action::Verdict::kNotEffective: out.set_verdict(v1::Outcome::VERDICT_NOT_EFFECTIVE); break;
    case action::Verdict::kPending:
    case action::Verdict::kUnverifiable: out.set_verdict(v1::Outcome::VERDICT_UNVERIFIABLE);
  }
  if (dry_run) out.set_verdict(v1::Outcome::VERDICT_DRY_RUN);
  out.set_detail(o.seen);
  out.set_advice(o.advice);
  out.set_method(o.method);
  out.set_connection("connections/" + o.connection_id);
  if (o.started_ns != 0) to_timestamp(o.started_ns, *out.mutable_start_time());
  if (o.ended_ns > o.started_ns) {
    out.mutable_elapsed()->set_seconds(static_cast<int64_t>((o.ended_ns - o.started_ns) / 1'000'000'000));
    out.mutable_elapsed()->set_nanos(static_cast<int32_t>((o.ended_ns - o.started_ns) % 1'000'000'000));
  }
  out.set_frames_sent(static_cast<uint32_t>(std::min<uint64_t>(o.frames, UINT32_MAX)));
  for (const action::SubflowOutcome& s : o.subflows) {
    v1::SubflowOutcome& m = *out.add_subflows();
    m.set_id(s.id);
    m.set_frames_to_server(s.frames[0]);
    m.set_frames_to_client(s.frames[1]);
    m.set_bytes_to_server(s.bytes[0]);
    m.set_bytes_to_client(s.bytes[1]);
    m.set_seen(s.seen);
  }
}

Result<void> check_mask(const google::protobuf::FieldMask& mask) {
  for (const std::string& path : mask.paths()) {
    if (path != "*" && !FieldMaskUtil::IsValidPath<v1::Connection>(path))
      return tl::unexpected(invalid("READ_MASK_INVALID",
                                    fmt::format("read_mask names \"{}\", which is no field of Connection", path.substr(0, 64))));
  }
  return {};
}

void trim(const google::protobuf::FieldMask& mask, v1::Connection& connection) {
  if (mask.paths().empty() || std::find(mask.paths().begin(), mask.paths().end(), "*") != mask.paths().end()) return;
  FieldMaskUtil::TrimMessage(mask, &connection);
}

Result<uint64_t> duration_ns(const char* field, bool given, const google::protobuf::Duration& value, uint64_t least,
                             uint64_t most, uint64_t absent) {
  if (!given) return absent;
  const double seconds = static_cast<double>(value.seconds()) + value.nanos() / 1e9;
  if (seconds < static_cast<double>(least) / 1e9 || seconds > static_cast<double>(most) / 1e9) {
    return tl::unexpected(
        invalid("DURATION_OUT_OF_RANGE", fmt::format("{} is {} s; it must be from {} to {} s", field, seconds,
                                                     static_cast<double>(least) / 1e9, static_cast<double>(most) / 1e9)));
  }
  return static_cast<uint64_t>(value.seconds()) * 1'000'000'000 + static_cast<uint64_t>(value.nanos());
}

Result<size_t> page_size(int32_t given) {
  if (given < 0)
    return tl::unexpected(invalid("PAGE_SIZE_INVALID", fmt::format("page_size is {}; it must be from 0 to 1000", given)));
  return given == 0 ? 50 : std::min<size_t>(static_cast<size_t>(given), 1000);
}

Result<std::string> connection_id(const std::string& name) {
  constexpr std::string_view kCollection = "connections/";
  const std::string id = name.starts_with(kCollection) ? name.substr(kCollection.size()) : "";
  const auto digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  if (id.size() == 16 && std::all_of(id.begin(), id.end(), digit)) return id;
  return tl::unexpected(invalid(
      "NAME_INVALID",
      fmt::format("\"{}\" is no connection's name, which is connections/ and 16 hexadecimal digits", name.substr(0, 64))));
}

}  // namespace mptap::control
