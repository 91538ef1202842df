// SPDX-License-Identifier: Apache-2.0
// The Internet checksum (RFC 1071): IPv4 headers, TCP with its pseudo-header, and the partial sums that the MPTCP DSS
// checksum is put together from.
//
// Byte order: words are summed as they lie in memory, and a result is stored as it is (memcpy, or store()): on the wire it is
// then in network order. to_host() gives the number that a protocol analyser prints.
//
// A partial sum is a plain uint64_t and adds with `+`. sum() returns less than 2^33, so 2^31 of them fit. A part that starts at
// an odd offset of the whole goes through at_odd_offset() first.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "packet/address.h"

namespace mptap::packet::checksum {

static_assert(std::endian::native == std::endian::little, "to_host() and the tail of sum() assume little-endian");

// Folds a partial sum to 16 bits, in memory order, not yet complemented.
inline uint16_t fold(uint64_t partial) {
  partial = (partial & 0xffffffff) + (partial >> 32);
  partial = (partial & 0xffffffff) + (partial >> 32);
  partial = (partial & 0xffff) + (partial >> 16);
  partial = (partial & 0xffff) + (partial >> 16);
  return static_cast<uint16_t>(partial);
}

// The checksum field for a partial sum over data in which that field is zero.
inline uint16_t finish(uint64_t partial) {
  return static_cast<uint16_t>(~fold(partial));
}

// True if data that includes its checksum field sums up right.
inline bool verifies(uint64_t partial) {
  return fold(partial) == 0xffff;
}

inline uint16_t to_host(uint16_t memory_order) {
  return __builtin_bswap16(memory_order);
}
inline void store(void* field, uint16_t memory_order) {
  std::memcpy(field, &memory_order, 2);
}

// The same bytes, when the first of them has an odd offset in the whole that is summed.
inline uint64_t at_odd_offset(uint64_t partial) {
  return __builtin_bswap16(fold(partial));
}

// A 16-bit field given as a number, for instance a length or a protocol in a pseudo-header.
inline uint64_t word(uint16_t host_order) {
  return __builtin_bswap16(host_order);
}

namespace detail {

template <typename T>
inline T load(const uint8_t* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// Less than 64 bytes.
inline uint64_t sum_short(const uint8_t* p, size_t n) {
  uint64_t s = 0;
  for (; n >= 8; p += 8, n -= 8) {
    const uint64_t v = load<uint64_t>(p);
    s += (v & 0xffffffff) + (v >> 32);
  }
  if (n & 4) {
    s += load<uint32_t>(p);
    p += 4;
  }
  if (n & 2) {
    s += load<uint16_t>(p);
    p += 2;
  }
  if (n & 1) s += *p;
  return (s & 0xffffffff) + (s >> 32);
}

uint64_t sum_long(const uint8_t* p, size_t n);

}  // namespace detail

// Partial sum of any number of bytes at any alignment; an odd last byte is padded with zero.
inline uint64_t sum(std::span<const uint8_t> bytes) {
  return bytes.size() < 64 ? detail::sum_short(bytes.data(), bytes.size()) : detail::sum_long(bytes.data(), bytes.size());
}

// The same of a size that is known: a header without options.
template <size_t N>
inline uint64_t sum_of(const uint8_t* p) {
  static_assert(N % 4 == 0 && N < 64);
  uint64_t s = 0;
  for (size_t i = 0; i < N; i += 4) s += detail::load<uint32_t>(p + i);
  return s;
}

// Partial sum of the pseudo-header (RFC 9293 section 3.1, RFC 8200 section 8.1): addresses, protocol, upper-layer length.
inline uint64_t pseudo_v4(const void* src4, const void* dst4, uint8_t protocol, uint32_t length) {
  return uint64_t{detail::load<uint32_t>(static_cast<const uint8_t*>(src4))} +
         detail::load<uint32_t>(static_cast<const uint8_t*>(dst4)) + word(protocol) + __builtin_bswap32(length);
}
inline uint64_t pseudo_v6(const void* src16, const void* dst16, uint8_t protocol, uint32_t length) {
  return detail::sum_short(static_cast<const uint8_t*>(src16), 16) + detail::sum_short(static_cast<const uint8_t*>(dst16), 16) +
         word(protocol) + __builtin_bswap32(length);
}
// Of the family of `src`; both must be of one family.
inline uint64_t pseudo(const IpAddress& src, const IpAddress& dst, uint8_t protocol, uint32_t length) {
  return src.is_v4() ? pseudo_v4(src.v4_bytes(), dst.v4_bytes(), protocol, length)
                     : pseudo_v6(src.bytes.data(), dst.bytes.data(), protocol, length);
}

// The value for an IPv4 header's checksum field, which must be zero in `header` (whole header, options included).
inline uint16_t ipv4_header(std::span<const uint8_t> header) {
  return finish(sum(header));
}

// The value for a TCP header's checksum field, which must be zero in `segment` (header and payload).
inline uint16_t tcp(const IpAddress& src, const IpAddress& dst, std::span<const uint8_t> segment) {
  return finish(pseudo(src, dst, 6, static_cast<uint32_t>(segment.size())) + sum(segment));
}

}  // namespace mptap::packet::checksum
