// SPDX-License-Identifier: Apache-2.0
#include "control/filter.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "control/filter_node.h"

namespace mptap::control {
namespace {

template <typename T>
bool compare(Operator op, const T& a, const T& b) {
  switch (op) {
    case Operator::kLess: return a < b;
    case Operator::kLessEqual: return a <= b;
    case Operator::kGreater: return a > b;
    case Operator::kGreaterEqual: return a >= b;
    default: return a == b;
  }
}

const char* sign(Operator op) {
  static constexpr const char* kSigns[] = {"=", "!=", "<", "<=", ">", ">=", ":"};
  return kSigns[static_cast<size_t>(op)];
}

std::string quoted(const Comparison& c) {
  std::string text = "\"";
  if (c.star_before) text += '*';
  for (const char ch : c.text) {
    if (ch == '"' || ch == '\\' || ch == '*') text += '\\';
    text += ch;
  }
  if (c.star_behind) text += '*';
  return text + '"';
}

std::string print(const Filter::Node& n) {
  switch (n.kind) {
    case Filter::Node::Kind::kNot: return fmt::format("NOT {}", print(*n.children.front()));
    case Filter::Node::Kind::kComparison:
      return fmt::format("{} {} {}", n.comparison.field, sign(n.negated ? Operator::kNotEqual : n.comparison.op),
                         quoted(n.comparison));
    default: break;
  }
  std::string text = "(";
  for (size_t i = 0; i < n.children.size(); ++i) {
    if (i != 0) text += n.kind == Filter::Node::Kind::kAnd ? " AND " : " OR ";
    text += print(*n.children[i]);
  }
  return text + ")";
}

bool holds(const Filter::Node& n, const Record& record) {
  const auto child_holds = [&](const auto& child) { return holds(*child, record); };
  switch (n.kind) {
    case Filter::Node::Kind::kAnd: return std::all_of(n.children.begin(), n.children.end(), child_holds);
    case Filter::Node::Kind::kOr: return std::any_of(n.children.begin(), n.children.end(), child_holds);
    case Filter::Node::Kind::kNot: return !holds(*n.children.front(), record);
    case Filter::Node::Kind::kComparison: return record.any(n.comparison) != n.negated;
  }
  return false;
}

}  // namespace

bool Comparison::test(double value) const {
  return number && compare(op, value, *number);
}

bool Comparison::test(bool value) const {
  return boolean && value == *boolean;
}

bool Comparison::test(std::string_view value) const {
  if (op == Operator::kHas) return value.find(text) != std::string_view::npos;
  if (op != Operator::kEqual) return compare(op, value, std::string_view(text));
  if (value.size() < text.size()) return false;
  if (star_before && star_behind) return value.find(text) != std::string_view::npos;
  if (star_before) return value.ends_with(text);
  if (star_behind) return value.starts_with(text);
  return value == text;
}

bool Comparison::test(const packet::IpAddress& value) const {
  if (!prefix) return false;
  if (op != Operator::kHas && op != Operator::kEqual) return compare(op, value, prefix->address);
  const unsigned bytes = prefix->bits / 8, rest = prefix->bits % 8;
  if (std::memcmp(value.bytes.data(), prefix->address.bytes.data(), bytes) != 0) return false;
  if (rest == 0) return true;
  const auto mask = static_cast<uint8_t>(0xff << (8 - rest));
  return ((value.bytes[bytes] ^ prefix->address.bytes[bytes]) & mask) == 0;
}

std::string FilterError::to_string() const {
  return fmt::format("column {}: {}", column, message);
}

Filter::Filter() = default;
Filter::~Filter() = default;
Filter::Filter(Filter&&) noexcept = default;
Filter& Filter::operator=(Filter&&) noexcept = default;

bool Filter::matches(const Record& record) const {
  return !root_ || holds(*root_, record);
}

std::string Filter::to_string() const {
  return root_ ? print(*root_) : "";
}

tl::expected<Filter, FilterError> Filter::parse(std::string_view text, std::span<const Field> fields) {
  auto root = parse_filter(text, fields, false);
  if (!root) return tl::unexpected(root.error());
  Filter filter;
  filter.root_ = std::move(*root);
  return filter;
}

tl::expected<Filter, FilterError> Filter::parse_open(std::string_view text) {
  auto root = parse_filter(text, {}, true);
  if (!root) return tl::unexpected(root.error());
  Filter filter;
  filter.root_ = std::move(*root);
  return filter;
}

}  // namespace mptap::control
