// SPDX-License-Identifier: Apache-2.0
#include "control/event_record.h"

namespace mptap::control {
namespace {

using nlohmann::json;

bool holds(const json& value, const Comparison& c) {
  if (value.is_boolean()) return c.test(value.get<bool>());
  if (value.is_number()) return c.test(value.get<double>());
  if (!value.is_string()) return false;
  const std::string_view text = value.get_ref<const std::string&>();
  if (c.prefix && (c.op == Operator::kHas || c.op == Operator::kEqual)) {
    if (const auto address = packet::IpAddress::parse(text)) return c.test(*address);
  }
  return c.test(text);
}

bool any_of(const json& value, std::string_view path, const Comparison& c) {
  if (value.is_array()) {
    for (const json& item : value)
      if (any_of(item, path, c)) return true;
    return false;
  }
  if (path.empty()) return holds(value, c);
  if (!value.is_object()) return false;
  const size_t dot = path.find('.');
  const auto found = value.find(path.substr(0, dot));
  return found != value.end() && any_of(*found, dot == std::string_view::npos ? "" : path.substr(dot + 1), c);
}

}  // namespace

std::string EventRecord::type() const {
  const auto found = json_.is_object() ? json_.find("event_type") : json_.end();
  return found != json_.end() && found->is_string() ? found->get<std::string>() : "";
}

bool EventRecord::any(const Comparison& comparison) const {
  return any_of(json_, comparison.field, comparison);
}

}  // namespace mptap::control
