// SPDX-License-Identifier: Apache-2.0
// Small text helpers of the rule parser.
#pragma once

#include <charconv>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mptap::rules {

inline std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\f\v";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

// The whole of text as a decimal number.
template <typename T>
std::optional<T> parse_number(std::string_view text) {
  T value{};
  if (!text.empty() && text.front() == '+') text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

inline char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

std::string lower(std::string_view text);

// Splits at separator, each piece trimmed.
std::vector<std::string_view> split(std::string_view text, char separator);

// Of names the one that word most likely meant; empty when none is near.
std::string_view nearest(std::string_view word, std::span<const std::string_view> names);

// A few bytes of foreign text, safe to print: cut at 80, control characters as \xNN.
std::string shown(std::string_view text);

}  // namespace mptap::rules
