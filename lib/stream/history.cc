// SPDX-License-Identifier: Apache-2.0
#include "stream/history.h"

#include <algorithm>
#include <cstring>

namespace mptap::stream {

void History::append(uint64_t offset, std::span<const uint8_t> bytes, const Carrier& carrier) {
  if (bytes.empty()) return;
  const Piece* last = pieces_.size() == head_ ? nullptr : &pieces_.back();
  if (last && !last->repeat && last->carrier.number == carrier.number && last->carrier.subflow == carrier.subflow &&
      last->offset + last->size == offset && last->carrier.ssn + last->size == carrier.ssn) {
    pieces_.back().size += static_cast<uint32_t>(bytes.size());
  } else {
    pieces_.push_back({offset, static_cast<uint32_t>(bytes.size()), false, carrier});
    if (pieces_.size() - head_ > kMaxPieces) drop_pieces(1);
  }
  const uint8_t* p = bytes.data();
  size_t left = bytes.size();
  while (left > 0) {
    if (chunks_.empty() || chunks_.back().size == chunks_.back().capacity ||
        chunks_.back().offset + chunks_.back().size != offset) {
      const uint32_t capacity = chunks_.empty() && left <= kFirstChunk ? kFirstChunk : kChunk;
      chunks_.push_back({offset, pool_->allocate(capacity), 0, capacity});
      memory_ += BlockPool::cost(capacity);
    }
    Chunk& c = chunks_.back();
    const uint32_t n = static_cast<uint32_t>(std::min<size_t>(left, c.capacity - c.size));
    std::memcpy(c.block + c.size, p, n);
    c.size += n;
    p += n;
    left -= n;
    offset += n;
  }
  end_ = offset;
}

void History::note_repeat(uint64_t offset, uint32_t size, const Carrier& carrier) {
  pieces_.push_back({offset, size, true, carrier});
  if (pieces_.size() - head_ > kMaxPieces) drop_pieces(1);
}

size_t History::copy(uint64_t offset, std::span<uint8_t> out) const {
  size_t n = 0;
  visit(offset, offset + out.size(), [&](uint64_t at, std::span<const uint8_t> run) {
    if (at != offset + n) return;
    std::memcpy(out.data() + n, run.data(), run.size());
    n += run.size();
  });
  return n;
}

void History::drop_pieces(size_t n) {
  head_ += n;
  if (head_ < 64 || head_ * 2 < pieces_.size()) return;
  pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<ptrdiff_t>(head_));
  head_ = 0;
}

void History::trim(uint64_t keep_from) {
  size_t n = 0;
  for (; n < chunks_.size() && chunks_[n].offset + chunks_[n].size <= keep_from; ++n) {
    pool_->release(chunks_[n].block, chunks_[n].capacity);
    memory_ -= BlockPool::cost(chunks_[n].capacity);
  }
  chunks_.erase(chunks_.begin(), chunks_.begin() + static_cast<ptrdiff_t>(n));
  size_t gone = 0;
  while (head_ + gone < pieces_.size() && pieces_[head_ + gone].offset + pieces_[head_ + gone].size <= keep_from) ++gone;
  drop_pieces(gone);
}

void History::clear() {
  for (const Chunk& c : chunks_) pool_->release(c.block, c.capacity);
  chunks_ = {};
  pieces_ = {};
  head_ = 0;
  memory_ = 0;
}

}  // namespace mptap::stream
