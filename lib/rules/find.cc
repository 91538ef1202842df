// SPDX-License-Identifier: Apache-2.0
#include "rules/find.h"

#include <bit>
#include <cstring>

#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "rules/text.h"

namespace mptap::rules {

namespace {

bool stands_at(const uint8_t* bytes, const Content& content) {
  const std::string& what = content.bytes;
  if (!content.nocase) return std::memcmp(bytes, what.data(), what.size()) == 0;
  for (size_t i = 0; i < what.size(); ++i) {
    if (to_lower(static_cast<char>(bytes[i])) != what[i]) return false;
  }
  return true;
}

char other_case(const Content& content, char c) {
  return content.nocase && c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
}

#ifdef __AVX2__

// 32 places at once: where the first and the last byte are right, in either case.
class Filter {
 public:
  explicit Filter(const Content& content) : last_(content.bytes.size() - 1) {
    const char first = content.bytes.front(), last = content.bytes.back();
    first_low_ = _mm256_set1_epi8(first);
    first_high_ = _mm256_set1_epi8(other_case(content, first));
    last_low_ = _mm256_set1_epi8(last);
    last_high_ = _mm256_set1_epi8(other_case(content, last));
  }

  uint32_t places(const uint8_t* at) const {
    const __m256i first = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
    const __m256i last = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + last_));
    const __m256i first_right = _mm256_or_si256(_mm256_cmpeq_epi8(first, first_low_), _mm256_cmpeq_epi8(first, first_high_));
    const __m256i last_right = _mm256_or_si256(_mm256_cmpeq_epi8(last, last_low_), _mm256_cmpeq_epi8(last, last_high_));
    return static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_and_si256(first_right, last_right)));
  }

 private:
  size_t last_;
  __m256i first_low_, first_high_, last_low_, last_high_;
};

constexpr size_t kBlock = 32;

#endif

}  // namespace

size_t find(const Content& content, std::span<const uint8_t> bytes, size_t from) {
  const size_t size = content.bytes.size();
  if (bytes.size() < size || from > bytes.size() - size) return kNotFound;
  const size_t places = bytes.size() - size + 1;
  size_t at = from;
#ifdef __AVX2__
  const Filter filter(content);
  for (; at + kBlock <= places; at += kBlock) {
    for (uint32_t left = filter.places(bytes.data() + at); left != 0; left &= left - 1) {
      const size_t place = at + static_cast<size_t>(std::countr_zero(left));
      if (stands_at(bytes.data() + place, content)) return place;
    }
  }
#endif
  const char low = content.bytes.front(), high = other_case(content, low);
  for (; at < places; ++at) {
    const char c = static_cast<char>(bytes[at]);
    if ((c == low || c == high) && stands_at(bytes.data() + at, content)) return at;
  }
  return kNotFound;
}

}  // namespace mptap::rules
