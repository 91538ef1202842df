// SPDX-License-Identifier: Apache-2.0
// Filter expressions of the control plane: a subset of Google's AIP-160.
//
//   expression = sequence { "AND" sequence }         sequence = factor { factor }, blanks between them mean AND
//   factor     = term { "OR" term }                  OR binds closer than AND, as AIP-160 has it
//   term       = [ "NOT" | "-" ] ( "(" expression ")" | field operator value )
//   operator   = "=" "!=" "<" "<=" ">" ">=" ":"
//   value      = "text" 'text' or a word up to the next blank or ")"
//
// "=" on a text takes "*" at either end of the value for anything. ":" asks a text whether it contains the value, an address
// whether it lies in the prefix, and is "=" elsewhere. A field with several values (the ports of a connection) compares true when
// one of them does; "!=" is true when none equals. A Filter is immutable: any number of threads may ask it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "packet/address.h"

namespace mptap::control {

enum class FieldType : uint8_t { kText, kNumber, kBool, kAddress, kAny };

struct Field {
  std::string_view name;
  FieldType type;
  uint16_t id;  // the asker's own
  std::string_view choices = {};  // of texts, separated by blanks; "" for any
};

enum class Operator : uint8_t { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual, kHas };

// One comparison: a field's value is tried with the function of its type. Operator::kNotEqual is asked for as kEqual.
struct Comparison {
  std::string field;
  uint16_t id = 0;
  Operator op = Operator::kEqual;
  std::string text;  // the value as written, without quotes
  bool star_before = false, star_behind = false;
  std::optional<double> number;
  std::optional<bool> boolean;
  struct Prefix {
    packet::IpAddress address;
    unsigned bits = 128;  // of the 16 bytes
  };
  std::optional<Prefix> prefix;

  bool test(double value) const;
  bool test(bool value) const;
  bool test(std::string_view value) const;
  bool test(const packet::IpAddress& value) const;
};

// What is filtered.
class Record {
 public:
  virtual ~Record() = default;
  // Whether one of the values of the comparison's field passes its test.
  virtual bool any(const Comparison& comparison) const = 0;
};

struct FilterError {
  size_t column = 1;  // of the text, from 1
  std::string message;
  std::string to_string() const;  // column N: message
};

class Filter {
 public:
  static constexpr size_t kMaxBytes = 2048, kMaxDepth = 32;

  Filter();  // everything
  ~Filter();
  Filter(Filter&&) noexcept;
  Filter& operator=(Filter&&) noexcept;

  // Fields that are not in the table are an error that names the nearest. Blank text: everything.
  static tl::expected<Filter, FilterError> parse(std::string_view text, std::span<const Field> fields);
  // Any dotted name is a field, of any type.
  static tl::expected<Filter, FilterError> parse_open(std::string_view text);

  bool matches(const Record& record) const;
  bool empty() const { return !root_; }
  // The expression with all its parentheses, for tests and messages; parses to the same filter.
  std::string to_string() const;

  struct Node;

 private:
  std::unique_ptr<const Node> root_;
};

}  // namespace mptap::control
