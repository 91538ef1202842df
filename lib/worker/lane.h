// SPDX-License-Identifier: Apache-2.0
// The way from one worker to another: parcels go one way through a ring, empty ones come back through a second. A parcel is a
// copy of a packet's segment, options and payload, so that nothing on another core ever holds a receive buffer. Parcels are made
// when first needed, at most as many as the lane holds, and keep their memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "packet/decode.h"
#include "subflow/flow_table.h"
#include "worker/spsc_ring.h"

namespace mptap::worker {

struct Parcel {
  enum class Kind : uint8_t {
    kSegment,
    kTokenKnown,  // the connection of this token is the sender's: joins that wait are to go there
    kFlowEnded,   // the sender no longer follows the subflow with this key
  };
  Kind kind = Kind::kSegment;
  uint8_t hops = 0;    // workers that have passed it on
  bool decided = false;  // an HMAC has shown that it is the receiver's
  uint64_t order = 0;  // of the packet; 0: take it as it comes
  uint32_t token = 0;
  subflow::FlowKey key;
  packet::TcpSegment segment;  // points into bytes
  packet::Frame frame;         // into bytes, too; where the segment came with its frame
  std::vector<uint8_t> bytes;

  void load(const packet::TcpSegment& s) {
    segment = s;
    const size_t headless = size_t{s.options_size} + s.payload_size;
    const size_t size = headless + (s.frame != nullptr ? s.frame->captured : 0);
    // A rare large one (reassembled, jumbo) must not stay for ever.
    if (bytes.capacity() > kKeep && size <= kKeep) std::vector<uint8_t>().swap(bytes);
    if (bytes.size() < size) bytes.resize(size);
    if (s.options_size != 0) std::memcpy(bytes.data(), s.options, s.options_size);
    if (s.payload_size != 0) std::memcpy(bytes.data() + s.options_size, s.payload, s.payload_size);
    segment.options = bytes.data();
    segment.payload = bytes.data() + s.options_size;
    if (s.frame == nullptr) return;
    frame = *s.frame;
    frame.data = bytes.data() + headless;
    std::memcpy(bytes.data() + headless, s.frame->data, s.frame->captured);
    segment.frame = &frame;
  }

 private:
  static constexpr size_t kKeep = 4096;
};

class Lane {
 public:
  explicit Lane(size_t capacity) : there_(capacity), back_(capacity) {}

  // Sender. An empty parcel, to be filled and sent; nullptr: the lane is full.
  Parcel* acquire() {
    if (free_.empty()) {
      Parcel* returned[32];
      const size_t count = back_.pop(returned);
      free_.insert(free_.end(), returned, returned + count);
      if (count == 0) {
        if (all_.size() == there_.capacity()) return nullptr;
        all_.push_back(std::make_unique<Parcel>());
        return all_.back().get();
      }
    }
    Parcel* parcel = free_.back();
    free_.pop_back();
    return parcel;
  }
  // Never fails: there are no more parcels than slots.
  void send(Parcel* parcel) { there_.push(parcel); }

  // Receiver.
  size_t receive(std::span<Parcel*> out) { return there_.pop(out); }
  void give_back(Parcel* parcel) { back_.push(parcel); }
  // Parcels since the start.
  uint64_t sent() const { return there_.pushed(); }
  uint64_t received() const { return there_.popped(); }

  // Any thread.
  size_t depth() const { return there_.size(); }
  size_t capacity() const { return there_.capacity(); }

 private:
  SpscRing<Parcel*> there_, back_;
  std::vector<Parcel*> free_;                 // sender's
  std::vector<std::unique_ptr<Parcel>> all_;  // sender's; freed with the lane, when both threads have ended
};

}  // namespace mptap::worker
