// SPDX-License-Identifier: Apache-2.0
// The tree of a filter. Internal to filter*.cc.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "control/filter.h"

namespace mptap::control {

struct Filter::Node {
  enum class Kind : uint8_t { kAnd, kOr, kNot, kComparison } kind = Kind::kComparison;
  std::vector<std::unique_ptr<const Node>> children;
  Comparison comparison;
  bool negated = false;  // "!=": none may equal
};

// Null for blank text. open: any name is a field.
tl::expected<std::unique_ptr<const Filter::Node>, FilterError> parse_filter(std::string_view text, std::span<const Field> fields,
                                                                            bool open);

}  // namespace mptap::control
