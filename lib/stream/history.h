// SPDX-License-Identifier: Apache-2.0
// The delivered bytes of one direction that are still at hand: gathered into chunks before they are scanned, then kept for
// a while, so that later copies can be compared, matches confirmed and shown with context. Beside the bytes, who brought
// them: which subflow, which subflow sequence number, which packet; repeats included.
// Offsets are those of the delivered stream's numbering: bytes in holes count, so that offsets stay true after a hole.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "stream/block_pool.h"

namespace mptap::stream {

// Who brought a range of the stream.
struct Carrier {
  uint32_t subflow = 0;
  uint64_t ssn = 0;     // subflow sequence number of the range's first byte
  uint64_t number = 0;  // packet number
  uint64_t timestamp_ns = 0;
};

struct Piece {
  uint64_t offset = 0;
  uint32_t size = 0;
  bool repeat = false;  // the bytes were there already
  Carrier carrier;
};

class History {
 public:
  explicit History(BlockPool& pool) : pool_(&pool) {}
  History(const History&) = delete;
  History& operator=(const History&) = delete;
  ~History() { clear(); }

  // Bytes that continue the stream; offset is the end of what was appended before, or lies behind a hole.
  void append(uint64_t offset, std::span<const uint8_t> bytes, const Carrier& carrier);
  // A copy of bytes that are there already.
  void note_repeat(uint64_t offset, uint32_t size, const Carrier& carrier);

  // Calls f(offset, span) for each contiguous run of kept bytes in [from, to).
  template <class F>
  void visit(uint64_t from, uint64_t to, F&& f) const {
    for (const Chunk& c : chunks_) {
      if (c.offset + c.size <= from) continue;
      if (c.offset >= to) break;
      const uint64_t a = from > c.offset ? from : c.offset;
      const uint64_t b = to < c.offset + c.size ? to : c.offset + c.size;
      f(a, std::span<const uint8_t>(c.block + (a - c.offset), b - a));
    }
  }
  size_t copy(uint64_t offset, std::span<uint8_t> out) const;
  uint64_t oldest() const { return chunks_.empty() ? end_ : chunks_.front().offset; }
  uint64_t end() const { return end_; }
  bool empty() const { return chunks_.empty(); }

  // Drops whole chunks that lie before keep_from.
  void trim(uint64_t keep_from);
  void clear();
  uint64_t memory() const { return memory_; }

  std::span<const Piece> pieces() const { return {pieces_.data() + head_, pieces_.size() - head_}; }

 private:
  struct Chunk {
    uint64_t offset = 0;
    uint8_t* block = nullptr;
    uint32_t size = 0, capacity = 0;
  };
  static constexpr uint32_t kFirstChunk = 2048, kChunk = 16384;
  static constexpr size_t kMaxPieces = 8192;

  BlockPool* pool_;
  void drop_pieces(size_t n);

  std::vector<Chunk> chunks_;
  std::vector<Piece> pieces_;
  size_t head_ = 0;  // pieces before it are dropped
  uint64_t end_ = 0;
  uint64_t memory_ = 0;
};

}  // namespace mptap::stream
