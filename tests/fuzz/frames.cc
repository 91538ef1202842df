// SPDX-License-Identifier: Apache-2.0
// Any bytes as frames of any link type, several in a row so that fragments meet: no read outside a frame, and what is called a
// TCP segment lies where it must.
//
// Input: one byte of configuration; then per frame one byte for link type and kind of cut, two of length (big-endian), the frame.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "packet/decode.h"
#include "port/eal.h"

using namespace mptap::packet;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void check(const TcpSegment& s, const Frame& f) {
  require(s.options_size <= 40 && s.options_size % 4 == 0);
  require(s.payload == s.options + s.options_size);
  require(s.tunnel_depth <= 4);
  require(s.src.address.is_v4() || s.v6);
  // Every byte that is claimed is there: in the frame, or in the decoder's buffer for datagrams.
  unsigned sum = 0;
  for (const uint8_t b : s.option_bytes()) sum += b;
  for (const uint8_t b : s.payload_bytes()) sum += b;
  volatile unsigned used = sum;
  static_cast<void>(used);
  if (s.payload >= f.data && s.payload <= f.data + f.captured) require(s.payload + s.payload_size <= f.data + f.captured);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static auto eal = mptap::port::Eal::start({.memory_mb = 64});
  require(eal.has_value());
  // Starting a decoder's fragment table is slow: they live on, and a step in time makes them forget.
  static Decoder decoders[] = {
      Decoder({.max_fragment_flows = 16}),
      Decoder({.verify_ip_checksum = false, .verify_tcp_checksum = false, .max_fragment_flows = 16}),
      Decoder({.verify_ip_checksum = false, .verify_tcp_checksum = false, .max_fragment_flows = 2, .fragment_timeout_ms = 1}),
      Decoder({.verify_ip_checksum = false, .giant_frames = false, .max_fragment_flows = 16}),
  };
  static uint64_t now = 0;
  now += uint64_t{3600} * 1'000'000'000;
  if (size == 0) return 0;
  Decoder& decoder = decoders[*data % 4];
  const uint8_t* const end = data + size;
  uint64_t number = 0;
  for (++data; end - data >= 3;) {
    const unsigned kind = data[0];
    const auto length = std::min<size_t>(static_cast<size_t>(data[1]) << 8 | data[2], static_cast<size_t>(end - data - 3));
    data += 3;
    const std::unique_ptr<uint8_t[]> exact(new uint8_t[length]);
    std::memcpy(exact.get(), data, length);
    data += length;
    Frame f{exact.get(), static_cast<uint32_t>(length), static_cast<uint32_t>(length), static_cast<LinkType>(kind % 7), now,
            ++number};
    if ((kind & 0x40) != 0) f.wire += 1000;
    if ((kind & 0x80) != 0) f.wire += 70'000;
    now += 1000;
    TcpSegment s;
    const Reason reason = decoder.decode(f, s);
    require(reason < Reason::kCount);
    if (reason == Reason::kTcp || reason == Reason::kSnapped) check(s, f);
  }
  return 0;
}
