// SPDX-License-Identifier: Apache-2.0
// The one table of mptap.toml's keys: validation, --help-config and the shipped file are made from it.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "config/config.h"

namespace mptap::config {

// Where a key's value lives in a Config; the alternative is the key's type.
using Field =
    std::variant<bool& (*)(Config&), uint64_t& (*)(Config&), std::string& (*)(Config&), std::vector<std::string>& (*)(Config&),
                 std::vector<uint64_t>& (*)(Config&), std::map<std::string, std::string>& (*)(Config&)>;

struct Key {
  const char* section;  // "" for the top
  const char* name;
  Field field;
  const char* unit;       // "" where there is none
  uint64_t min, max;      // of numbers; of a list's numbers
  const char* choices;    // of texts, separated by blanks; "" for any
  const char* help;       // sentences; wrapped where printed
};

struct Section {
  const char* name;
  const char* help;
};

std::span<const Section> sections();
std::span<const Key> keys();

}  // namespace mptap::config
