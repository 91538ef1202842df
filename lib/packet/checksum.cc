// SPDX-License-Identifier: Apache-2.0
#include "packet/checksum.h"

#include <array>

namespace mptap::packet::checksum::detail {

#ifdef __AVX2__

namespace {

// Loading 32 bytes from offset r gives 32 - r zero bytes and then r ones: it keeps the last r bytes of a vector.
alignas(64) constexpr auto kTailMask = [] {
  std::array<uint8_t, 64> m{};
  for (size_t i = 32; i < 64; ++i) m[i] = 0xff;
  return m;
}();

// A word w is taken as the signed number w - 0x8000, so that one multiply-add sums two words into a 32-bit lane.
inline __m256i add_block(__m256i acc, __m256i block, __m256i bias, __m256i ones) {
  return _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_xor_si256(block, bias), ones));
}

inline __m256i load256(const uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

// Lanes take at most 2 * 0x8000 per block: 2^14 blocks of 32 bytes cannot overflow a signed lane.
constexpr size_t kChunk = size_t{32} << 14;

// n is even and at least 32.
uint64_t sum_chunk(const uint8_t* p, size_t n) {
  const __m256i bias = _mm256_set1_epi16(static_cast<int16_t>(0x8000));
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
  const uint8_t* const end = p + n;
  const size_t blocks = (n + 31) / 32;
  for (; end - p >= 128; p += 128) {
    a = add_block(a, load256(p), bias, ones);
    b = add_block(b, load256(p + 32), bias, ones);
    c = add_block(c, load256(p + 64), bias, ones);
    d = add_block(d, load256(p + 96), bias, ones);
  }
  for (; end - p >= 32; p += 32) a = add_block(a, load256(p), bias, ones);
  if (const auto rest = static_cast<size_t>(end - p); rest != 0) {
    const __m256i mask = load256(kTailMask.data() + rest);
    b = add_block(b, _mm256_and_si256(load256(end - 32), mask), bias, ones);
  }
  a = _mm256_add_epi32(_mm256_add_epi32(a, b), _mm256_add_epi32(c, d));
  // Each of the eight lanes has 2 * 0x8000 too little per block: taken back before the lanes are summed as unsigned.
  a = _mm256_add_epi32(a, _mm256_set1_epi32(static_cast<int32_t>(blocks << 16)));
  const __m256i low = _mm256_set1_epi64x(0xffffffff);
  a = _mm256_add_epi64(_mm256_and_si256(a, low), _mm256_srli_epi64(a, 32));
  const __m128i h = _mm_add_epi64(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  return static_cast<uint64_t>(_mm_cvtsi128_si64(h)) + static_cast<uint64_t>(_mm_extract_epi64(h, 1));
}

}  // namespace

uint64_t sum_long(const uint8_t* p, size_t n) {
  uint64_t s = (n & 1) != 0 ? p[n - 1] : 0;
  n &= ~size_t{1};
  while (n > kChunk) {
    // A last chunk shorter than a vector would have no bytes before it that belong to it.
    const size_t take = n - kChunk < 32 ? kChunk - 32 : kChunk;
    s += sum_chunk(p, take);
    p += take;
    n -= take;
  }
  s += sum_chunk(p, n);
  return (s & 0xffffffff) + (s >> 32);
}

#else

uint64_t sum_long(const uint8_t* p, size_t n) {
  uint64_t s = 0;
  for (; n >= 64; p += 64, n -= 64) {
    for (size_t i = 0; i < 64; i += 4) s += load<uint32_t>(p + i);
  }
  s = (s & 0xffffffff) + (s >> 32);
  return s + sum_short(p, n);
}

#endif

}  // namespace mptap::packet::checksum::detail
