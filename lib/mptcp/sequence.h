// SPDX-License-Identifier: Apache-2.0
// Sequence arithmetic: 32-bit numbers on the wire, 64-bit ones inside.
#pragma once

#include <cstdint>

namespace mptap::mptcp {

// RFC 1982 order for 64-bit DSNs (IDSNs are random: they wrap as well).
inline bool before64(uint64_t a, uint64_t b) {
  return static_cast<int64_t>(a - b) < 0;
}
inline bool after64(uint64_t a, uint64_t b) {
  return static_cast<int64_t>(a - b) > 0;
}
inline bool before32(uint32_t a, uint32_t b) {
  return static_cast<int32_t>(a - b) < 0;
}

// The 64-bit number nearest to base whose low 32 bits are low (section 3.3.1).
inline uint64_t expand(uint64_t base, uint32_t low) {
  return base + static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(low - static_cast<uint32_t>(base))));
}

}  // namespace mptap::mptcp
