// SPDX-License-Identifier: Apache-2.0
// What the detector remembers of one connection; it fills it, its owner keeps it. Of fixed size but for one number per subflow.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "detect/rate.h"

namespace mptap::detect {

struct Watch {
  // Joins and the networks that they use.
  Rate joins, new_networks;
  uint64_t joins_told_ns = 0, networks_told_ns = 0;
  std::array<uint64_t, 16> networks{};  // hashes; the oldest gives way
  uint32_t networks_seen = 0;
  bool subflows_told = false;

  // Announced addresses, by direction and address id: 0 never, 1 removed, else a hash of address and port.
  Rate address_changes;
  uint64_t addresses_told_ns = 0;
  std::array<std::array<uint8_t, 256>, 2> announced{};

  // Traffic since the last judgement, and what each subflow had carried at the last look.
  uint64_t on_backup = 0, on_regular = 0;
  bool regular_open = true;
  bool backup_told = false;
  std::vector<uint64_t> carried;

  bool visibility_told = false;
  uint64_t critical_told = 0;  // a bit per network, modulo 64
};

}  // namespace mptap::detect
