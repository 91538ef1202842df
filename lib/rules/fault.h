// SPDX-License-Identifier: Apache-2.0
// Why a piece of a rule cannot be loaded, before file and line are known.
#pragma once

#include <string>

namespace mptap::rules {

struct Fault {
  std::string reason;   // Problem::reason
  std::string message;  // Problem::message
};

inline Fault syntax(std::string message) {
  return {"syntax", std::move(message)};
}

}  // namespace mptap::rules
