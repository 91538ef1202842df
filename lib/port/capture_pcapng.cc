// SPDX-License-Identifier: Apache-2.0
// The pcapng half of CaptureReader (draft-ietf-opsawg-pcapng).
#include <algorithm>

#include <fmt/format.h>

#include "port/capture_reader.h"
#include "port/link_type.h"

namespace mptap::port {

namespace {

constexpr uint32_t kSectionHeader = 0x0a0d0d0a, kInterface = 1, kPacket = 2, kSimplePacket = 3, kEnhancedPacket = 6;
constexpr uint32_t kByteOrder = 0x1a2b3c4d;
constexpr uint32_t kMinBlock = 12;
constexpr size_t kMaxInterfaces = 65536;
constexpr uint64_t kSecond = 1'000'000'000;

uint64_t power_of_ten(unsigned exponent) {
  uint64_t v = 1;
  while (exponent-- > 0) v *= 10;
  return v;
}

}  // namespace

uint64_t CaptureReader::Interface::nanoseconds(uint64_t units) const {
  uint64_t ns;
  if (shift != 0) {
    const uint64_t seconds = units >> shift, rest = units & ((uint64_t{1} << shift) - 1);
    // Below 2^-34 s a unit is less than a tenth of a nanosecond, and the product would not fit.
    const unsigned excess = shift > 34 ? shift - 34u : 0;
    ns = seconds * kSecond + ((rest >> excess) * kSecond >> (shift - excess));
  } else {
    ns = divide == 1 ? units * multiply : units / divide;
  }
  return ns + static_cast<uint64_t>(offset_seconds) * kSecond;
}

std::optional<std::string> CaptureReader::read_pcapng_header() {
  pcapng_ = true;
  // Interfaces are described before their packets: go up to the first packet, so that a file that has nothing to read says so
// now.
  for (;;) {
    if (window_.size() >= 4) {
      const uint32_t type = u32(window_.cursor);
      if (!interfaces_.empty() && type != kInterface) break;
    }
    packet::Frame none;
    const uint64_t at = position();
    switch (step(none)) {
      case Step::kMore:
        if (source_->fill(window_, needed_)) continue;
        if (at == 0) return fmt::format("ends inside its header: {} bytes are there", window_.size());
        return std::nullopt;  // next() will tell
      case Step::kEnd:
        if (at == 0) return status_.message.substr(std::min(status_.message.size(), name_.size() + 2));
        return std::nullopt;
      default: continue;
    }
  }
  if (std::none_of(interfaces_.begin(), interfaces_.end(), [](const Interface& i) { return i.link.has_value(); })) {
    return unsupported_link_type(interfaces_.front().link_number);
  }
  return std::nullopt;
}

bool CaptureReader::next_pcapng(packet::Frame& out) {
  for (;;) {
    switch (step(out)) {
      case Step::kPacket: return true;
      case Step::kOther: break;
      case Step::kMore:
        if (!source_->fill(window_, needed_)) return end_of_source(needed_);
        break;
      case Step::kEnd: return false;
    }
  }
}

CaptureReader::Step CaptureReader::more(size_t n) {
  needed_ = n;
  return Step::kMore;
}

CaptureReader::Step CaptureReader::step(packet::Frame& out) {
  if (skip_ != 0 || trailer_ != 0) return skip();
  if (window_.size() < kMinBlock) return more(kMinBlock);
  const uint8_t* block = window_.cursor;
  const bool new_section = u32(block) == kSectionHeader;  // reads the same in both byte orders
  if (new_section) {
    const uint32_t order = u32(block + 8);
    if (order == __builtin_bswap32(kByteOrder)) {
      swapped_ = !swapped_;
    } else if (order != kByteOrder) {
      return corrupt("a section header without the byte-order magic 1a2b3c4d");
    }
  }
  const uint32_t type = u32(block), size = u32(block + 4);
  if (size < kMinBlock || size % 4 != 0) {
    return corrupt(
        fmt::format("a block of type {} claims {} bytes; a block has at least {}, and a multiple of 4", type, size, kMinBlock));
  }
  const bool known = new_section || type == kInterface || type == kPacket || type == kSimplePacket || type == kEnhancedPacket;
  if (!known) {
    skipped_block_ = position();
    skip_ = size - 4;
    trailer_ = size;
    return skip();
  }
  if (size > Source::kMaxFill) {
    return corrupt(
        fmt::format("a block of type {} claims {} bytes; more than {} make no sense for it", type, size, Source::kMaxFill));
  }
  if (window_.size() < size) return more(size);
  if (u32(block + size - 4) != size) {
    return corrupt(fmt::format("a block of type {} begins with length {} and ends with {}", type, size, u32(block + size - 4)));
  }
  prefetch_up_to(block + size);
  Step did;
  if (type == kEnhancedPacket || type == kPacket || type == kSimplePacket) [[likely]] {
    did = packet_block(type, size, out);
  } else {
    did = new_section ? section(size) : interface(size);
  }
  if (did != Step::kEnd) window_.cursor = block + size;
  return did;
}

CaptureReader::Step CaptureReader::skip() {
  const size_t now = std::min<uint64_t>(skip_, window_.size());
  window_.cursor += now;
  skip_ -= now;
  if (skip_ != 0) return more(std::min<uint64_t>(skip_, Source::kMaxFill / 2));
  if (window_.size() < 4) return more(4);
  const uint32_t expected = trailer_;
  if (u32(window_.cursor) != expected) {
    return corrupt(fmt::format("a block begins with length {} and ends with {}", expected, u32(window_.cursor)));
  }
  trailer_ = 0;
  window_.cursor += 4;
  return Step::kOther;
}

CaptureReader::Step CaptureReader::section(uint32_t size) {
  if (size < 28) return corrupt(fmt::format("a section header of {} bytes; it has at least 28", size));
  const uint16_t major = u16(window_.cursor + 12), minor = u16(window_.cursor + 14);
  if (major != 1) return corrupt(fmt::format("a section of pcapng version {}.{}; version 1 can be read", major, minor));
  interfaces_.clear();
  return Step::kOther;
}

CaptureReader::Step CaptureReader::interface(uint32_t size) {
  if (size < 20) return corrupt(fmt::format("an interface description of {} bytes; it has at least 20", size));
  if (interfaces_.size() == kMaxInterfaces) return corrupt(fmt::format("more than {} interfaces in one section", kMaxInterfaces));
  const uint8_t* block = window_.cursor;
  Interface i;
  i.link_number = u16(block + 8);
  i.link = link_type_from_file(i.link_number);
  i.snap_length = u32(block + 12);
  const uint8_t* const end = block + size - 4;
  for (const uint8_t* option = block + 16; end - option >= 4;) {
    const uint16_t code = u16(option), length = u16(option + 2);
    const uint8_t* value = option + 4;
    if (code == 0 || length > end - value) break;
    constexpr uint16_t kResolution = 9, kOffset = 14;
    if (code == kResolution && length == 1) {
      const unsigned exponent = *value & 0x7f;
      if (((*value & 0x80) != 0 && exponent > 63) || ((*value & 0x80) == 0 && exponent > 28)) {
        return corrupt(fmt::format("an interface with a time resolution code of {}", *value));
      }
      i.multiply = i.divide = 1;
      i.shift = 0;
      if ((*value & 0x80) != 0) {
        i.shift = static_cast<uint8_t>(exponent);
        if (exponent == 0) i.multiply = kSecond;
      } else if (exponent <= 9) {
        i.multiply = power_of_ten(9 - exponent);
      } else {
        i.divide = power_of_ten(exponent - 9);
      }
    } else if (code == kOffset && length == 8) {
      const uint64_t first = u32(value), second = u32(value + 4);
      i.offset_seconds = static_cast<int64_t>(swapped_ ? first << 32 | second : second << 32 | first);
    }
    option = value + std::min<ptrdiff_t>((length + 3) & ~3, end - value);
  }
  interfaces_.push_back(i);
  return Step::kOther;
}

CaptureReader::Step CaptureReader::packet_block(uint32_t type, uint32_t size, packet::Frame& out) {
  const uint8_t* block = window_.cursor;
  const uint32_t header = type == kSimplePacket ? 12 : 28;
  if (size < header + 4) return corrupt(fmt::format("a packet block of {} bytes; it has at least {}", size, header + 4));
  const uint32_t room = size - header - 4;
  uint32_t id = 0, captured, wire;
  if (type == kSimplePacket) {
    wire = u32(block + 8);
    captured = std::min(wire, room);
  } else {
    id = type == kPacket ? u16(block + 8) : u32(block + 8);
    captured = u32(block + 20);
    wire = u32(block + 24);
  }
  if (id >= interfaces_.size()) {
    return corrupt(fmt::format("packet {} names interface {}; {} are described", packets_ + 1, id, interfaces_.size()));
  }
  const Interface& i = interfaces_[id];
  if (type == kSimplePacket && i.snap_length != 0) captured = std::min(captured, i.snap_length);
  if (captured > room || captured > kMaxPacket) {
    return corrupt(fmt::format("packet {} claims {} bytes in a block with room for {}", packets_ + 1, captured, room));
  }
  if (!i.link) {
    ++left_out_;
    left_out_link_ = i.link_number;
    return Step::kOther;
  }
  if (type != kSimplePacket) last_timestamp_ns_ = i.nanoseconds(uint64_t{u32(block + 12)} << 32 | u32(block + 16));
  out.data = block + header;
  out.captured = captured;
  out.wire = std::max(wire, captured);
  out.link = *i.link;
  out.timestamp_ns = last_timestamp_ns_;
  out.number = ++packets_;
  return Step::kPacket;
}

}  // namespace mptap::port
