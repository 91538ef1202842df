// SPDX-License-Identifier: Apache-2.0
// A line of EVE JSON as a filter sees it: a dotted name leads to a value, through each item of the lists on its way.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "control/filter.h"

namespace mptap::control {

class EventRecord final : public Record {
 public:
  explicit EventRecord(const std::string& line) : json_(nlohmann::json::parse(line, nullptr, false)) {}
  std::string type() const;  // event_type; empty: there is none
  // A text is an address where the comparison's value is an address or a prefix and ":" or "=" is asked.
  bool any(const Comparison& comparison) const override;

 private:
  nlohmann::json json_;
};

}  // namespace mptap::control
