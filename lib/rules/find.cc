// SPDX-License-Identifier: Apache-2.0
#include "rules/find.h"

#include <cstring>

#include "rules/text.h"

namespace mptap::rules {

namespace {

bool equal_nocase(const uint8_t* bytes, const std::string& folded) {
  for (size_t i = 0; i < folded.size(); ++i) {
    if (to_lower(static_cast<char>(bytes[i])) != folded[i]) return false;
  }
  return true;
}

size_t find_byte(std::span<const uint8_t> bytes, size_t from, char byte) {
  if (from >= bytes.size()) return kNotFound;
  const void* at = std::memchr(bytes.data() + from, byte, bytes.size() - from);
  return at == nullptr ? kNotFound : static_cast<size_t>(static_cast<const uint8_t*>(at) - bytes.data());
}

// Two memchr in step: the next place of the first letter in either case.
size_t find_nocase(const std::string& folded, std::span<const uint8_t> bytes, size_t from) {
  const char low = folded[0];
  const char high = low >= 'a' && low <= 'z' ? static_cast<char>(low - 32) : low;
  const std::span<const uint8_t> starts = bytes.first(bytes.size() - folded.size() + 1);
  size_t next_low = find_byte(starts, from, low);
  size_t next_high = high == low ? kNotFound : find_byte(starts, from, high);
  while (true) {
    const size_t at = std::min(next_low, next_high);
    if (at == kNotFound || equal_nocase(bytes.data() + at, folded)) return at;
    (at == next_low ? next_low : next_high) = find_byte(starts, at + 1, at == next_low ? low : high);
  }
}

}  // namespace

size_t find(const Content& content, std::span<const uint8_t> bytes, size_t from) {
  const std::string& what = content.bytes;
  if (bytes.size() < what.size() || from > bytes.size() - what.size()) return kNotFound;
  if (content.nocase) return find_nocase(what, bytes, from);
  const void* at = memmem(bytes.data() + from, bytes.size() - from, what.data(), what.size());
  return at == nullptr ? kNotFound : static_cast<size_t>(static_cast<const uint8_t*>(at) - bytes.data());
}

}  // namespace mptap::rules
