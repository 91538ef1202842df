// SPDX-License-Identifier: Apache-2.0
#include "egress/outlet.h"

#include <cstring>
#include <thread>

#include "egress/ethernet.h"

namespace mptap::egress {

uint8_t* Outlet::room(uint32_t size) {
  uint8_t* room = queue_.reserve(size);
  if (config_.when_full == WhenFull::kDropConnection) return room;
  while (room == nullptr) {
    std::this_thread::yield();
    room = queue_.reserve(size);
  }
  return room;
}

bool Outlet::send(const packet::FrameSpec& spec, uint64_t now_ns) {
  const auto size = packet::frame_size(spec);
  if (!size) return false;
  uint8_t* out = room(*size);
  if (out == nullptr || !packet::build_frame(spec, {out, *size})) return false;
  queue_.commit(*size, *size, stamp(now_ns));
  ++counts.frames;
  counts.bytes += *size;
  return true;
}

bool Outlet::pass(const packet::Frame& frame) {
  const auto header = ethernet_header(frame);
  if (!header) return true;  // nothing that Ethernet can carry
  const uint32_t size = header->size + frame.captured - header->replaces;
  uint8_t* out = room(size);
  if (out == nullptr) return false;
  std::memcpy(out, header->bytes.data(), header->size);
  std::memcpy(out + header->size, frame.data + header->replaces, frame.captured - header->replaces);
  queue_.commit(size, size + (frame.wire > frame.captured ? frame.wire - frame.captured : 0), stamp(frame.timestamp_ns));
  ++counts.frames;
  ++counts.passed;
  counts.bytes += size;
  return true;
}

}  // namespace mptap::egress
