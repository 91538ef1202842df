// SPDX-License-Identifier: Apache-2.0
// A subflow as the owner of its connection knows it: who it is, whether its join holds, and how its bytes map to the stream.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "event/record.h"
#include "mptcp/option.h"
#include "packet/address.h"
#include "stream/account.h"

namespace mptap::connection {

// The receiving host's view of one direction of a subflow (Linux: struct mptcp_subflow_context's map_* and get_mapping_status()).
// Offsets are stream offsets: DSN - IDSN - 1, behind Fast Open bytes.
struct MapState {
  bool valid = false;
  bool infinite = false;  // plain TCP from here on
  bool checksum = false;
  bool data_fin = false;
  bool lost = false;  // the tap lost bytes that may have borne the mapping
  bool broken = false;  // the host reset this subflow: nothing more of it counts
  uint16_t checksum_value = 0;
  uint32_t length = 0;  // without DATA_FIN's one
  uint64_t ssn = 0, offset = 0, dsn = 0;

  // A mapping that was used, for copies that come later. Neighbours with the same difference are one.
  struct Past {
    uint64_t ssn = 0, end = 0, offset = 0;
  };
  std::vector<Past> past;

  // Bytes that TCP went on without. Should they come all the same, they have not been delivered yet.
  std::vector<std::pair<uint64_t, uint64_t>> gone;

  // Where no SYN was seen, SSNs count from the first byte seen; `shift` more is what mappings count. It is known once a mapping
  // shows its first byte: until then what comes waits in `unplaced`, and is of the mapping `first`.
  bool aligned = true;
  uint64_t shift = 0;
  mptcp::Dss first;

  // The last loss that no mapping has placed yet.
  uint64_t loss_from = 0, loss_to = 0;

  // Bytes whose mapping is not verified (checksum) or not known yet.
  struct Waiting {
    explicit Waiting(stream::Account& account) : charge(account) {}

    // The segments that brought them, one behind the other: the host hands them on one by one.
    struct Segment {
      uint32_t size = 0;
      bool doubtful = false, above_hole = false;
      uint64_t timestamp_ns = 0, number = 0;
    };
    stream::Charge charge;
    std::vector<uint8_t> bytes;
    std::vector<Segment> segments;
    uint64_t ssn = 0;  // of bytes[0]
    bool incomplete = false;  // a part was lost by the tap
  };
  std::unique_ptr<Waiting> unverified, unmapped, unplaced;

  // Another mapping that the packet of this number bore (two DSS options).
  uint64_t other_number = 0;
  mptcp::Dss other;
};

struct Member {
  uint32_t id = 0;
  packet::Endpoint client, server;  // the client's side of it, whoever opened it
  bool reversed = false;  // opened by the server
  event::Join join = event::Join::kInitial;
  uint8_t address_id = 0;
  bool backup = false;
  bool confirmed = false;  // the responder has answered the complete handshake
  bool has_syn = false, has_synack = false, has_third_ack = false;
  bool reset = false;
  bool early_data_told = false;
  uint8_t valid_checksums = 0;
  uint32_t nonce_initiator = 0, nonce_responder = 0;
  std::array<uint8_t, 8> responder_hmac{};
  std::array<uint8_t, 20> initiator_hmac{};
  std::array<bool, 2> fin{};  // by stream direction
  std::array<uint64_t, 2> bytes{}, packets{};
  uint8_t reset_reason = 0;
  bool reset_reason_seen = false;
  uint64_t start_ns = 0, last_ns = 0;
  uint64_t end_ns = 0;  // of its last FIN or of its RST
  std::array<MapState, 2> map;  // by stream direction

  bool closed() const { return reset || (fin[0] && fin[1]) || join == event::Join::kFailed; }
};

}  // namespace mptap::connection
