// SPDX-License-Identifier: Apache-2.0
#include "port/capture_reader.h"

#include <fmt/format.h>

#include "port/link_type.h"

namespace mptap::port {

namespace {

constexpr uint32_t kMicroseconds = 0xa1b2c3d4, kNanoseconds = 0xa1b23c4d, kSection = 0x0a0d0d0a;

uint32_t as_written(const uint8_t* p) {
  uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// What a file that is no capture begins with, and what to do about it.
std::string not_a_capture(const uint8_t* p, size_t n) {
  std::string bytes;
  for (size_t i = 0; i < n; ++i) bytes += fmt::format("{}{:02x}", i == 0 ? "" : " ", p[i]);
  std::string hint;
  if (n >= 2 && p[0] == 0x1f && p[1] == 0x8b) hint = "; it looks like gzip: decompress it first, for instance with zcat";
  if (n >= 4 && as_written(p) == 0xfd2fb528) hint = "; it looks like zstd: decompress it first, for instance with zstdcat";
  return fmt::format(
      "is no capture file: it begins with {}, a pcap file with a1 b2 c3 d4 or a1 b2 3c 4d in either byte order, a "
      "pcapng file with 0a 0d 0d 0a{}",
      bytes, hint);
}

}  // namespace

tl::expected<CaptureReader, std::string> CaptureReader::open(const std::string& path, const ReaderOptions& options) {
  auto source = open_source(path, options);
  if (!source) return tl::unexpected(std::move(source.error()));
  return start(CaptureReader(std::move(*source), path == "-" ? "standard input" : path));
}

tl::expected<CaptureReader, std::string> CaptureReader::open_memory(std::span<const uint8_t> bytes, std::string name) {
  return start(CaptureReader(memory_source(bytes), std::move(name)));
}

tl::expected<CaptureReader, std::string> CaptureReader::start(CaptureReader reader) {
  const auto fail = [&](std::string_view what) { return tl::unexpected(fmt::format("{}: {}", reader.name_, what)); };
  if (!reader.source_->fill(reader.window_, 4)) {
    if (reader.source_->error() != 0) return fail(fmt::format("cannot be read: {}", std::strerror(reader.source_->error())));
    if (reader.window_.size() == 0) return fail("is empty; a capture file in pcap or pcapng format is needed");
    return fail(not_a_capture(reader.window_.cursor, reader.window_.size()));
  }
  const uint32_t magic = as_written(reader.window_.cursor);
  std::optional<std::string> error;
  if (magic == kSection) {
    error = reader.read_pcapng_header();
  } else if (magic == kMicroseconds || magic == kNanoseconds || __builtin_bswap32(magic) == kMicroseconds ||
             __builtin_bswap32(magic) == kNanoseconds) {
    error = reader.read_pcap_header();
  } else {
    error = not_a_capture(reader.window_.cursor, 4);
  }
  if (error) return fail(*error);
  return reader;
}

std::optional<std::string> CaptureReader::read_pcap_header() {
  const uint32_t magic = as_written(window_.cursor);
  swapped_ = magic != kMicroseconds && magic != kNanoseconds;
  fraction_ns_ = u32(window_.cursor) == kNanoseconds ? 1 : 1000;
  if (!source_->fill(window_, kPcapHeader)) {
    return fmt::format("ends inside its header: {} of {} bytes are there", window_.size(), kPcapHeader);
  }
  const uint16_t major = u16(window_.cursor + 4), minor = u16(window_.cursor + 6);
  if (major != 2) return fmt::format("is a pcap file of version {}.{}; version 2 can be read", major, minor);
  // The upper bits may tell the length of a frame check sequence; what lies behind the IP packet is not looked at anyway.
  const uint32_t number = u32(window_.cursor + 20) & 0x03ff'ffff;
  const auto link = link_type_from_file(number);
  if (!link) return unsupported_link_type(number);
  link_ = *link;
  window_.cursor += kPcapHeader;
  return std::nullopt;
}

bool CaptureReader::next_slow(packet::Frame& out) {
  if (status_.end != ReadEnd::kOpen) return false;
  return pcapng_ ? next_pcapng(out) : next_pcap(out);
}

bool CaptureReader::next_pcap(packet::Frame& out) {
  if (!source_->fill(window_, kPcapRecord)) return end_of_source(kPcapRecord);
  const uint32_t captured = u32(window_.cursor + 8);
  if (captured > kMaxPacket) {
    corrupt(
        fmt::format("packet {} claims {} bytes, more than the {} that a packet can have", packets_ + 1, captured, kMaxPacket));
    return false;
  }
  if (!source_->fill(window_, kPcapRecord + captured)) return end_of_source(kPcapRecord + captured);
  return next_pcap_fast(out);
}

size_t CaptureReader::next_burst(std::span<packet::Frame> out) {
  const uint64_t before = packets_;
  const size_t n = read_burst(out);
  if (!source_->shrunk()) return n;
  // Any of these may lie where zeros stand now.
  if (status_.end != ReadEnd::kFailed) {
    packets_ = before;
    finish(ReadEnd::kFailed,
           fmt::format("{}: was cut short by somebody else while it was read, behind packet {}", name_, before));
  }
  return 0;
}

size_t CaptureReader::read_burst(std::span<packet::Frame> out) {
  size_t n = 0;
  if (pcapng_) {
    while (n < out.size() && status_.end == ReadEnd::kOpen) {
      const Step did = step(out[n]);
      if (did == Step::kPacket) {
        ++n;
      } else if (did == Step::kMore) {
        if (n != 0 || !next_slow(out[0])) return n;
        n = 1;
      }
    }
    return n;
  }
  while (n < out.size() && (next_pcap_fast(out[n]) || (n == 0 && next_slow(out[n])))) ++n;
  return n;
}

bool CaptureReader::finish(ReadEnd end, std::string message) {
  status_ = {end, std::move(message), record_offset(), packets_};
  if (left_out_ != 0) {
    status_.message += fmt::format("{}{}: {} packets were left out: {}", status_.message.empty() ? "" : "; ", name_, left_out_,
                                   unsupported_link_type(left_out_link_));
  }
  return false;
}

// The source has less than the `needed` bytes that the next record takes up.
bool CaptureReader::end_of_source(size_t needed) {
  if (source_->error() != 0) {
    return finish(ReadEnd::kFailed, fmt::format("{}: reading failed behind packet {}, at byte {}: {}", name_, packets_,
                                                source_->end_offset(), std::strerror(source_->error())));
  }
  if (window_.size() == 0 && skip_ == 0 && trailer_ == 0) return finish(ReadEnd::kComplete, {});
  return finish(ReadEnd::kTruncated,
                fmt::format("{}: is cut short at byte {}, behind packet {}: the next record has {} bytes, {} are there", name_,
                            source_->end_offset(), packets_, needed, window_.size()));
}

CaptureReader::Step CaptureReader::corrupt(const std::string& what) {
  finish(ReadEnd::kCorrupt,
         fmt::format("{}: is damaged at byte {}, behind packet {}: {}", name_, record_offset(), packets_, what));
  return Step::kEnd;
}

}  // namespace mptap::port
