// SPDX-License-Identifier: Apache-2.0
// Reads capture files: pcap with micro- or nanoseconds, pcapng (several sections, interfaces, link types and time resolutions),
// both in either byte order; from a file, which is mapped and never copied, from standard input or another pipe, or from memory.
//
// Memory is bounded by ReaderOptions, not by the file. A Frame's bytes stay readable while the reading position is within
// ReaderOptions::keep_bytes of it; those of a file or of memory as long as the reader lives. Not thread-safe; frames may be read
// by any thread.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "packet/frame.h"
#include "port/capture_source.h"

namespace mptap::port {

enum class ReadEnd : uint8_t {
  kOpen,       // there may be more
  kComplete,   // read to the end
  kTruncated,  // the file ends in the middle of a packet
  kCorrupt,    // what follows cannot be right
  kFailed,     // the system could not read on
};

struct ReadStatus {
  ReadEnd end = ReadEnd::kOpen;
  std::string message;   // one sentence; empty for kOpen, and for kComplete unless packets were left out
  uint64_t offset = 0;   // byte of the file where the first record begins that was not read
  uint64_t packets = 0;  // read before
};

class CaptureReader {
 public:
  // A packet that claims more bytes than this is taken for damage.
  static constexpr uint32_t kMaxPacket = 1 << 20;

  // "-" is standard input. Reads the file's header; the error is one sentence that names the file and what would be right.
  static tl::expected<CaptureReader, std::string> open(const std::string& path, const ReaderOptions& options = {});
  // The bytes must outlive the reader.
  static tl::expected<CaptureReader, std::string> open_memory(std::span<const uint8_t> bytes, std::string name = "memory");

  // False at the end, whatever kind of end it is: see status(). Waits on a pipe.
  bool next(packet::Frame& out) { return next_pcap_fast(out) || next_slow(out); }

  // As many frames as are there without waiting, at least one unless it is the end.
  size_t next_burst(std::span<packet::Frame> out);

  const ReadStatus& status() const { return status_; }
  uint64_t position() const { return source_->end_offset() - window_.size(); }  // byte of the next packet
  std::optional<uint64_t> size() const { return source_->size(); }              // nullopt for a pipe
  uint64_t packets() const { return packets_; }
  // Packets of pcapng interfaces whose link type is not supported.
  uint64_t left_out() const { return left_out_; }

 private:
  static constexpr size_t kPrefetchDistance = 2048;
  static constexpr uint32_t kPcapHeader = 24, kPcapRecord = 16;

  struct Interface {
    std::optional<packet::LinkType> link;
    uint32_t link_number = 0;
    uint32_t snap_length = 0;
    // Time: a unit is `multiply` ns, or 1/`divide` ns; for a negative power of two, 2^-shift seconds.
    uint64_t multiply = 1000, divide = 1;
    uint8_t shift = 0;
    int64_t offset_seconds = 0;

    uint64_t nanoseconds(uint64_t units) const;
  };
  enum class Step : uint8_t { kPacket, kOther, kMore, kEnd };

  CaptureReader(std::unique_ptr<Source> source, std::string name) : source_(std::move(source)), name_(std::move(name)) {}

  static tl::expected<CaptureReader, std::string> start(CaptureReader reader);

  uint32_t u32(const uint8_t* p) const {
    uint32_t v;
    std::memcpy(&v, p, sizeof v);
    return swapped_ ? __builtin_bswap32(v) : v;
  }
  uint16_t u16(const uint8_t* p) const {
    uint16_t v;
    std::memcpy(&v, p, sizeof v);
    return swapped_ ? __builtin_bswap16(v) : v;
  }

  bool next_pcap_fast(packet::Frame& out) {
    const size_t there = window_.size();
    if (pcapng_ || there < kPcapRecord) [[unlikely]]
      return false;
    const uint8_t* record = window_.cursor;
    const uint32_t captured = u32(record + 8);
    if (captured > kMaxPacket || there - kPcapRecord < captured) [[unlikely]]
      return false;
    const uint32_t wire = u32(record + 12);
    const uint8_t* following = record + kPcapRecord + captured;
    prefetch_up_to(following);
    out.data = record + kPcapRecord;
    out.captured = captured;
    out.wire = wire < captured ? captured : wire;
    out.link = link_;
    out.timestamp_ns = u32(record) * uint64_t{1'000'000'000} + u32(record + 4) * uint64_t{fraction_ns_};
    out.number = ++packets_;
    window_.cursor = following;
    return true;
  }
  // Where the record after the next begins stands in memory that nobody has touched yet, and so on: without help every packet
  // waits for memory. Bytes are fetched at a fixed distance ahead instead; the work on the packets will want them anyway.
  void prefetch_up_to(const uint8_t* following) {
    // Numbers, because the distance may lead out of the file; a prefetch of nothing does no harm.
    const auto until = reinterpret_cast<uintptr_t>(following) + kPrefetchDistance;
    for (auto at = reinterpret_cast<uintptr_t>(window_.cursor) + kPrefetchDistance; at < until; at += 64) {
      __builtin_prefetch(reinterpret_cast<const void*>(at), 0, 1);
    }
  }
  size_t read_burst(std::span<packet::Frame> out);
  bool next_slow(packet::Frame& out);
  bool next_pcap(packet::Frame& out);
  bool next_pcapng(packet::Frame& out);

  // pcapng, one block at a time. kMore: needed_ bytes have to be there first.
  Step step(packet::Frame& out);
  Step more(size_t n);
  Step section(uint32_t size);
  Step interface(uint32_t size);
  Step packet_block(uint32_t type, uint32_t size, packet::Frame& out);
  Step emit(const Interface& interface, const uint8_t* data, uint32_t captured, uint32_t wire, packet::Frame& out);
  Step skip();

  std::optional<std::string> read_pcap_header();
  std::optional<std::string> read_pcapng_header();

  uint64_t record_offset() const { return skip_ != 0 || trailer_ != 0 ? skipped_block_ : position(); }
  bool finish(ReadEnd end, std::string message);
  bool end_of_source(size_t needed);
  Step corrupt(const std::string& what);

  std::unique_ptr<Source> source_;
  Window window_;
  bool pcapng_ = false;
  bool swapped_ = false;
  packet::LinkType link_ = packet::LinkType::kEthernet;  // pcap
  uint32_t fraction_ns_ = 1000;                          // pcap
  uint64_t packets_ = 0;

  std::vector<Interface> interfaces_;  // of the section
  uint64_t last_timestamp_ns_ = 0;     // simple packet blocks have none
  uint64_t skip_ = 0;                  // bytes left of a block that is not looked at, its trailer not counted
  uint32_t trailer_ = 0;               // what that trailer must say
  uint64_t skipped_block_ = 0;         // where it begins
  size_t needed_ = 0;
  uint64_t left_out_ = 0;
  uint32_t left_out_link_ = 0;

  std::string name_;
  ReadStatus status_;
};

}  // namespace mptap::port
