// SPDX-License-Identifier: Apache-2.0
// Writes MPTCP options into a TCP option list: for frames that mptap sends itself.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "mptcp/option.h"

namespace mptap::mptcp {

// Appends options one by one; finish() pads with NOPs to a multiple of four. What does not fit in 40 bytes is refused.
class OptionWriter {
 public:
  bool timestamps(uint32_t tsval, uint32_t tsecr);
  bool mss(uint16_t value);
  bool window_scale(uint8_t shift);
  bool sack_permitted();
  bool capable(const Capable& option);  // by its length
  bool join(const Join& option);        // by its length
  bool dss(const Dss& option);
  bool remove_addr(uint8_t address_id);
  bool fast_close(uint64_t receiver_key);
  bool tcp_rst(bool transient, uint8_t reason);

  std::span<const uint8_t> finish();

 private:
  uint8_t* claim(uint8_t size);
  std::array<uint8_t, 40> bytes_{};
  uint8_t size_ = 0;
};

}  // namespace mptap::mptcp
