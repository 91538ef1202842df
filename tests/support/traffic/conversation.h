// SPDX-License-Identifier: Apache-2.0
// Composes one MPTCP connection packet by packet, as a tap would see it. Both hosts are simulated as far as it takes to fill in
// what a packet must bear: sequence numbers, ACKs, DATA_ACKs, keys, HMACs, checksums. Everything can be overridden: a test
// says only what is special about its case.
//
//   Conversation c({.version = 1});
//   c.handshake();
//   const int second = c.join();
//   c.data(0, kToServer, 0, text("evil "));
//   c.data(second, kToServer, 5, text("stuff"));
//   c.ack(0, kToClient);
//   c.close();
//   for (const Sent& s : c.wire) ...
//
// Stream offsets count from the first byte in the DSN space (DSN = IDSN + 1); Fast Open bytes lie before it. SSNs are relative,
// 1 is the first byte after the handshake (and after Fast Open bytes).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "packet/build.h"
#include "traffic/bytes.h"
#include "traffic/keys.h"
#include "traffic/options.h"

namespace mptap::test {

enum Direction : uint8_t { kToServer = 0, kToClient = 1 };
inline Direction opposite(Direction d) {
  return d == kToServer ? kToClient : kToServer;
}

// A frame on the tap.
struct Sent {
  uint64_t ns = 0;
  int subflow = 0;
  Direction direction = kToServer;
  Bytes frame;
};

// What becomes of a packet.
enum class Fate : uint8_t {
  kNormal,    // the tap sees it, the host takes it
  kTapLost,   // the host takes it, the tap does not see it
  kHostLost,  // the tap sees it, the host never gets it or drops it
  kLost,
};

struct Packet {
  packet::FrameSpec head;  // its spans are set by Conversation::send
  Bytes options, payload;
};
using Change = std::function<void(Packet&)>;

// Which numbers have arrived: a plain set of ranges.
class Ranges {
 public:
  void add(uint64_t start, uint64_t end);
  uint64_t edge(uint64_t from) const;  // the first number at or after `from` that is not in
 private:
  std::map<uint64_t, uint64_t> ranges_;
};

struct ConversationConfig {
  int version = 1;
  bool v6 = false;
  uint64_t client_key = 0x1122334455667788, server_key = 0x99aabbccddeeff00;
  bool client_wants_checksum = false, server_wants_checksum = false;
  bool timestamps = true;
  uint8_t window_scale = 7;
  uint16_t window = 0xffff;  // unscaled
  uint32_t client_isn = 1000, server_isn = 500000;
  uint16_t client_port = 40000, server_port = 5001;
  uint8_t network = 1;  // third octet of the first subflow's addresses
  uint64_t start_ns = 1'700'000'000'000'000'000, step_ns = 100'000;
  std::vector<packet::VlanTag> vlan;
};

struct JoinSpec {
  bool by_server = false;
  std::optional<uint8_t> address_id;  // of the SYN's sender; else the subflow's number
  bool backup = false;
  std::optional<uint32_t> token;
  Change change_syn, change_syn_ack, change_ack;
  bool break_syn_ack_mac = false, break_ack_mac = false;
  std::optional<packet::Endpoint> client, server;
};

struct DataSpec {
  std::optional<uint32_t> ssn;  // else the next unsent
  // The mapping in this segment's DSS: by default it covers exactly the payload.
  bool map = true;
  std::optional<uint32_t> map_ssn;
  std::optional<uint64_t> map_offset;
  std::optional<uint16_t> map_length;
  std::optional<Bytes> map_bytes;  // for the checksum of a mapping longer than this segment
  bool dsn8 = true;
  bool data_ack = true, ack8 = true;
  bool fin = false;  // DATA_FIN behind the mapping
  std::optional<bool> checksum;
  uint16_t checksum_error = 0;
  bool in_capable = false;  // the mapping goes as MP_CAPABLE with data (v1)
  Fate fate = Fate::kNormal;
  Change change;
};

struct AckSpec {
  std::optional<uint64_t> data_ack;  // a stream offset; else what has arrived
  bool with_dss = true, ack8 = true;
  std::optional<uint32_t> tcp_ack;  // relative
  bool fin = false;                 // with a DATA_FIN at the end of what was sent
  std::optional<uint64_t> fin_offset;
  bool dsn8 = true;
  Fate fate = Fate::kNormal;
  Change change;
};

class Conversation {
 public:
  using Config = ConversationConfig;
  explicit Conversation(Config config = {});

  std::vector<Sent> wire;  // what the tap saw
  uint64_t now_ns;

  // --- the first subflow
  void handshake();  // all three
  void syn(const Change& change = {}, const Bytes& fast_open = {});
  void syn_ack(const Change& change = {});
  void third_ack(const Change& change = {}, Fate fate = Fate::kNormal);

  // --- further subflows; each returns the subflow's number
  int join(const JoinSpec& spec = {});  // all four packets
  int join_syn(const JoinSpec& spec = {});
  void join_syn_ack(int subflow);
  void join_ack(int subflow, Fate fate = Fate::kNormal);

  // --- data
  void data(int subflow, Direction d, uint64_t offset, const Bytes& bytes, const DataSpec& spec = {});
  void ack(int subflow, Direction d, const AckSpec& spec = {});
  void plain_data(int subflow, Direction d, const Bytes& bytes, const Change& change = {}, Fate fate = Fate::kNormal);

  // --- ends
  void data_fin(int subflow, Direction d);
  void fin(int subflow, Direction d, const Change& change = {});
  void rst(int subflow, Direction d, const Change& change = {});
  void fast_close(int subflow, Direction d, const Change& change = {});  // sent in direction d, with the receiver's key
  void close();  // DATA_FIN both ways, acknowledged, then FIN both ways on every subflow

  // --- the raw way
  Packet packet(int subflow, Direction d) const;  // a pure ACK as the host would send it now, without MPTCP options
  void send(int subflow, Direction d, Packet packet, Fate fate = Fate::kNormal);
  void span_copy(uint64_t after_ns = 2000);  // the last frame once more, as a SPAN port does: TTL one less

  // --- numbers
  int subflows() const { return static_cast<int>(subflows_.size()); }
  uint64_t dsn_of(Direction d, uint64_t offset) const;
  KeyNumbers numbers(Direction sender) const { return numbers_[sender]; }
  uint64_t key(Direction sender) const { return sender == kToServer ? config_.client_key : config_.server_key; }
  uint32_t next_ssn(int subflow, Direction d) const;
  uint32_t seq_of_ssn(int subflow, Direction d, uint32_t ssn) const;
  uint64_t arrived(Direction d) const { return data_arrived_[d].edge(0); }  // stream bytes, contiguous
  uint64_t sent_end(Direction d) const { return data_end_[d]; }
  bool checksums() const { return config_.client_wants_checksum || config_.server_wants_checksum; }
  void set_data_arrived(Direction d, uint64_t start, uint64_t end) { data_arrived_[d].add(start, end); }
  const Config& config() const { return config_; }

 private:
  struct Mapped {
    uint32_t ssn;
    uint64_t offset;
    uint32_t length;
    uint32_t due;  // the SSN up to which the subflow must have come
  };
  struct Half {  // what goes in one direction of a subflow
    uint32_t isn = 0;
    uint32_t fast_open = 0;  // bytes in the SYN
    uint32_t next = 1;       // relative sequence number, counted with the SYN and Fast Open bytes
    Ranges arrived;
    std::vector<Mapped> waiting;  // mapped bytes that the subflow has not yet delivered in order
    uint16_t ip_id = 1;
  };
  struct Subflow {
    packet::Endpoint client, server;
    Direction opener = kToServer;  // direction of its SYN
    uint32_t nonce[2] = {0, 0};    // by direction of the sender
    JoinSpec join;
    uint8_t address_id = 0;
    std::array<Half, 2> half;
  };
  void settle(Subflow& s, Direction d);
  int add_subflow(Direction opener);
  Bytes handshake_options() const;
  uint64_t data_ack_now(Direction d) const;

  Config config_;
  std::array<KeyNumbers, 2> numbers_;
  std::vector<Subflow> subflows_;
  std::array<Ranges, 2> data_arrived_;
  std::array<uint64_t, 2> data_end_{0, 0};
  std::array<std::optional<uint64_t>, 2> fin_at_;
};

// Moves frames to other places in time: the times stay, sorted, the frames change places.
void retime(std::vector<Sent>& wire);

}  // namespace mptap::test
