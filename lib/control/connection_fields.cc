// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "control/appliance.h"

namespace mptap::control {
namespace {

constexpr Field field(std::string_view name, FieldType type, ConnectionField id, std::string_view choices = {}) {
  return {name, type, static_cast<uint16_t>(id), choices};
}

using F = ConnectionField;
constexpr Field kFields[] = {
    field("id", FieldType::kText, F::kId),
    field("state", FieldType::kText, F::kState, "handshake established closing closed"),
    field("mptcp", FieldType::kBool, F::kMptcp),
    field("version", FieldType::kNumber, F::kVersion),
    field("fallback", FieldType::kBool, F::kFallback),
    field("address", FieldType::kAddress, F::kAddress),
    field("port", FieldType::kNumber, F::kPort),
    field("client.address", FieldType::kAddress, F::kClientAddress),
    field("client.port", FieldType::kNumber, F::kClientPort),
    field("server.address", FieldType::kAddress, F::kServerAddress),
    field("server.port", FieldType::kNumber, F::kServerPort),
    field("token", FieldType::kText, F::kToken),
    field("subflows", FieldType::kNumber, F::kSubflows),
    field("packets", FieldType::kNumber, F::kPackets),
    field("alerts", FieldType::kNumber, F::kAlerts),
    field("anomalies", FieldType::kNumber, F::kAnomalies),
    field("visibility", FieldType::kNumber, F::kVisibility),
    field("bytes", FieldType::kNumber, F::kBytes),
    field("missing_bytes", FieldType::kNumber, F::kMissingBytes),
    field("age_s", FieldType::kNumber, F::kAge),
    field("idle_s", FieldType::kNumber, F::kIdle),
    field("worker", FieldType::kNumber, F::kWorker),
};

constexpr std::pair<std::string_view, Order> kOrders[] = {
    {"start_time", Order::kStartTime}, {"update_time", Order::kUpdateTime},     {"packets", Order::kPackets},
    {"alerts", Order::kAlerts},        {"anomalies", Order::kAnomalies},        {"subflows", Order::kSubflows},
    {"bytes", Order::kBytes},          {"missing_bytes", Order::kMissingBytes},
};

}  // namespace

std::span<const Field> connection_fields() {
  return kFields;
}

Result<OrderBy> parse_order(const std::string& text) {
  if (text.empty()) return OrderBy{};
  const size_t blank = text.find(' ');
  const std::string_view name = std::string_view(text).substr(0, blank);
  const std::string_view rest = blank == std::string::npos ? "" : std::string_view(text).substr(blank + 1);
  for (const auto& [known, order] : kOrders)
    if (known == name && (rest.empty() || rest == "asc" || rest == "desc")) return OrderBy{order, rest == "desc"};
  std::string names;
  for (const auto& [known, order] : kOrders) names += fmt::format("{}{}", names.empty() ? "" : ", ", known);
  return tl::unexpected(
      Error{Code::kInvalidArgument, "ORDER_BY_INVALID",
            fmt::format("order_by is \"{}\"; it must be one of {}, and may end in \" desc\"", text.substr(0, 64), names)});
}

}  // namespace mptap::control
