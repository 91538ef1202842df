// SPDX-License-Identifier: Apache-2.0
// Byte strings in network order, for tests.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mptap::test {

using Bytes = std::vector<uint8_t>;

inline void append(Bytes& out, const Bytes& more) {
  // Not insert(): GCC 12 at -O3 sees a write past the end in it that is none.
  for (const uint8_t byte : more) out.push_back(byte);
}
// The `size` low bytes of a number, most significant first.
inline void append_number(Bytes& out, uint64_t number, int size) {
  for (int i = size - 1; i >= 0; --i) out.push_back(static_cast<uint8_t>(number >> (8 * i)));
}
inline uint64_t number_at(const uint8_t* p, int size) {
  uint64_t n = 0;
  for (int i = 0; i < size; ++i) n = n << 8 | p[i];
  return n;
}
inline Bytes text(std::string_view s) {
  return {s.begin(), s.end()};
}
inline std::string to_text(const Bytes& b) {
  return {b.begin(), b.end()};
}
inline Bytes run(char letter, size_t n) {
  return Bytes(n, static_cast<uint8_t>(letter));
}
// "a*4 B*10" for letters that repeat: what a failed expectation prints.
inline std::string runs(const Bytes& b) {
  std::string out;
  for (size_t i = 0; i < b.size();) {
    size_t j = i;
    while (j < b.size() && b[j] == b[i]) ++j;
    if (!out.empty()) out += ' ';
    if (b[i] > 32 && b[i] < 127) {
      out += static_cast<char>(b[i]);
    } else {
      out += '#' + std::to_string(b[i]);
    }
    out += '*' + std::to_string(j - i);
    i = j;
  }
  return out;
}

}  // namespace mptap::test
