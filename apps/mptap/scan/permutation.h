// SPDX-License-Identifier: Apache-2.0
// The numbers 0 to size - 1 in an order that looks random, each exactly once, without a table: a Feistel network over the
// next power of four, walked until it falls inside. Neighbours in a network are probed far apart in time; a scan that stopped
// goes on from a number alone.
#pragma once

#include <array>
#include <cstdint>

namespace mptap::scan {

class Permutation {
 public:
  Permutation(uint64_t size, uint64_t seed);  // size >= 1
  uint64_t at(uint64_t index) const;          // index < size
  uint64_t size() const { return size_; }

 private:
  uint64_t encrypt(uint64_t value) const;

  uint64_t size_;
  unsigned half_bits_;
  std::array<uint64_t, 6> keys_;
};

}  // namespace mptap::scan
