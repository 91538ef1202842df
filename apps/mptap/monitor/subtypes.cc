// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/monitor/subtypes.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace mptap::monitor {
namespace {

constexpr const char* kNames[] = {"capable", "join", "dss", "add_addr", "remove_addr", "prio", "fail", "fastclose", "tcprst"};

std::string simple(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (text.starts_with("mp_")) text.erase(0, 3);
  text.erase(std::remove_if(text.begin(), text.end(), [](char c) { return c == '_' || c == '-'; }), text.end());
  return text;
}

}  // namespace

std::string subtype_name(unsigned subtype) {
  return subtype < std::size(kNames) ? kNames[subtype] : fmt::format("subtype_{}", subtype);
}

tl::expected<Subtypes, std::string> parse_subtypes(const std::vector<std::string>& names) {
  Subtypes set;
  if (names.empty()) set.set();
  for (const auto& name : names) {
    unsigned number = 16;
    const auto [end, bad] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (bad != std::errc{} || end != name.data() + name.size()) {
      number = 16;
      for (unsigned i = 0; i < std::size(kNames); i++)
        if (simple(kNames[i]) == simple(name)) number = i;
    }
    if (number > 15)
      return tl::unexpected(
          fmt::format("--subtype \"{}\": wanted is a number 0 to 15 or one of {}", name, fmt::join(kNames, ", ")));
    set.set(number);
  }
  return set;
}

}  // namespace mptap::monitor
