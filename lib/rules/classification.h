// SPDX-License-Identifier: Apache-2.0
// Class types: short name -> description and priority. Built in: the table that Suricata ships.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

namespace mptap::rules {

struct Classification {
  std::string description;
  uint32_t priority = 3;
};

using Classifications = std::map<std::string, Classification, std::less<>>;

const Classifications& default_classifications();

// Adds the lines `config classification: name,description,priority` of text; the error names file and line.
tl::expected<void, std::string> add_classifications(std::string_view text, const std::string& file, Classifications& out);

}  // namespace mptap::rules
