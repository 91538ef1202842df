// SPDX-License-Identifier: Apache-2.0
// One MPTCP connection, or one plain TCP connection (one subflow, an implicit mapping): its keys, its subflows, its two
// streams. Fed with the units of its subflows' TCP levels, in their order; does to them what the receiving host's MPTCP does
// (Linux 6.18: net/mptcp/options.c, subflow.c). Touched only by the worker that owns it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connection/member.h"
#include "connection/observer.h"
#include "event/record.h"
#include "stream/stream.h"
#include "subflow/unit.h"

namespace mptap::connection {

struct ConnectionConfig {
  stream::StreamConfig stream;
  uint64_t hold_bytes = 64u << 20;   // what waits of one connection, its subflows included
  uint32_t max_members = 64;         // subflows per connection, refused ones included
  uint32_t unmapped_bytes = 65536;   // per direction of a subflow, held until a mapping comes
  uint32_t undecided_bytes = 65536;  // before it is clear whether the connection is MPTCP
  uint16_t anomalies_per_type = 8;   // per connection; further ones are counted
};

enum class Mode : uint8_t {
  kUndecided,  // MP_CAPABLE was offered; not yet clear whether both took it
  kMptcp,
  kPlain,      // never was MPTCP
};

class Connection final : public stream::StreamListener {
 public:
  Connection(const ConnectionConfig& config, stream::BlockPool& pool, stream::WorkerAccount& worker, Observer& observer,
             uint64_t flow_id);
  ~Connection() override;

  // The subflow whose first packet this is opens the connection; client is the sender of its SYN.
  Member& open(const packet::Endpoint& client, const packet::Endpoint& server, uint64_t now, uint64_t number, Mode mode);
  // A join of this connection. reversed: the server sent its SYN. nullptr: too many.
  Member* join(const packet::Endpoint& client, const packet::Endpoint& server, bool reversed, const mptcp::Join& syn,
               uint64_t now);
  // A group of joins with one token, whose connection was not seen.
  void set_orphan(uint32_t token);
  // Whether a join with these HMACs can belong here: SYN/ACK of a join whose SYN bore nonce.
  bool accepts(const mptcp::Join& synack, uint32_t syn_nonce, bool reversed) const;
  std::optional<bool> reversed_for(uint32_t token) const;  // true: the token is the client's

  // direction: of the unit within its subflow (0: from the subflow's initiator).
  void on_unit(Member& member, const subflow::Unit& unit);
  void on_report(Member& member, const subflow::TcpReport& report);

  void tick(uint64_t now);
  // Time or the capture is over for this connection.
  void close(bool timed_out);

  // What the worker has found out about it: told and counted like the connection's own.
  void report(event::AnomalyType type, std::optional<uint32_t> subflow, std::initializer_list<Number> numbers,
              std::string_view detail);

  event::ConnectionRecord record() const;
  std::vector<event::SubflowRecord> member_records() const;
  event::Head head() const;

  // Read by the worker.
  uint32_t slot = 0;  // the worker's, to find its own state by
  uint64_t flow_id = 0;
  uint64_t serial = 0;  // the worker's connections in the order in which they began, from 1
  std::string id;
  uint64_t id_number = 0;  // the same as a number
  Mode mode = Mode::kUndecided;
  uint8_t version = 1;
  bool fallback = false;
  bool checksum = false;
  bool orphan = false;
  bool late = false;       // its SYN was not seen: taken for plain TCP until a DSS shows otherwise
  bool picked_up = false;  // that has happened
  bool fast_closed = false;
  bool timed_out = false;
  bool closed = false;
  std::string fallback_reason;
  std::array<bool, 2> key_known{};  // 0 client, 1 server
  std::array<uint64_t, 2> keys{};
  std::array<bool, 2> token_known{};
  std::array<uint32_t, 2> tokens{};
  stream::Account account;  // what waits, of streams and subflows; before what is charged to it
  std::vector<std::unique_ptr<Member>> members;
  std::array<std::unique_ptr<stream::Stream>, 2> streams;
  std::array<bool, 2> direction_seen{};
  uint64_t start_ns = 0, last_ns = 0, first_number = 0, last_number = 0;
  uint64_t packets = 0, span_duplicates = 0, alerts = 0, anomalies = 0;
  std::array<uint64_t, event::kSubtypes> options{};  // packets with each MPTCP option, by subtype; counted by the worker

  event::End end() const;
  event::State state() const;
  bool all_members_closed() const;
  struct Acknowledged {
    uint64_t seen = 0, missing = 0, missing_tap = 0;
  };
  Acknowledged acknowledged() const;  // bytes of both directions

 private:
  // handshake.cc
  void on_handshake(Member& m, const subflow::Unit& u);
  void on_capable(Member& m, const subflow::Unit& u);
  void on_join(Member& m, const subflow::Unit& u);
  void on_first_ack(Member& m, const subflow::Unit& u);
  void learn_key(int side, uint64_t key);
  void decide(Mode mode);
  void hold_undecided(Member& m, const subflow::Unit& u);
  void verify_join(Member& m);
  void fail_join(Member& m, event::AnomalyType why, std::string_view detail);
  void pick_up();

  // signals.cc
  void on_options(Member& m, int dir, const subflow::Unit& u);
  void check_announced(const Member& m);
  void on_add_addr(Member& m, int dir, const mptcp::AddAddr& a);
  void on_fast_close(Member& m, int dir, const subflow::Unit& u);
  void on_data_ack(int dir, const subflow::Unit& u);

  // mapping.cc
  void on_data(Member& m, int dir, const subflow::Unit& u);
  void on_repeat(Member& m, int dir, const subflow::Unit& u);
  void on_tap_loss(Member& m, int dir, const subflow::Unit& u);
  void fill_gone(Member& m, int dir, const subflow::Unit& u);
  void on_fast_open(Member& m, int dir, const subflow::Unit& u);
  void on_fin(Member& m, int dir, const subflow::Unit& u);
  struct Chunk;
  void map_chunk(Member& m, int dir, Chunk chunk, mptcp::Dss* dss);
  bool take_mapping(Member& m, int dir, const mptcp::Dss& dss, Chunk& chunk, bool& used);
  void deliver(Member& m, int dir, uint64_t offset, const Chunk& chunk);
  static bool hold(MapState::Waiting& waiting, const Chunk& chunk);  // false: no room
  template <class F>
  static void for_segments(const MapState::Waiting& waiting, F&& f);
  void remember(MapState& s, uint64_t ssn, uint64_t size, uint64_t offset);
  void give_up_verifying(Member& m, int dir);
  void end_of_mapping(Member& m, int dir);
  void invalid_mapping(Member& m, int dir, const Chunk& chunk, event::AnomalyType why, const char* reason);
  void unmapped(Member& m, int dir, const Chunk& chunk);
  void fall_back(Member& m, int dir, uint64_t ssn, const char* reason);
  void break_member(Member& m, int dir);
  bool align(Member& m, int dir, const Chunk& chunk, const mptcp::Dss* dss);
  void place(Member& m, int dir, uint64_t shift);
  void close_map(Member& m, int dir);
  void let_go_unverified(Member& m, int dir);
  bool may_fall_back(const Member& m, int dir) const;
  void data_fin(Member& m, int dir, const mptcp::Dss& dss, const stream::Carrier& carrier);

  // numbers
  std::optional<uint64_t> offset_of(int dir, uint64_t dsn, bool wide, bool starts);
  uint64_t dsn_base(int dir) const;
  stream::Stream& stream(int dir);
  stream::Carrier carrier(const Member& m, const subflow::Unit& u, uint64_t ssn) const;

  void tell(event::AnomalyType type, const Member* m, std::optional<int> dir, std::initializer_list<Number> numbers,
            std::string_view detail = {});

  // stream::StreamListener
  void on_gap(int direction, uint64_t offset, uint64_t size, uint64_t tap_bytes) override;
  void on_conflict(int direction, uint64_t offset, std::span<const uint8_t> bytes, uint64_t first_difference, uint64_t differing,
                   const stream::Carrier& kept, const stream::Carrier& other) override;
  void on_finding(int direction, stream::Finding finding, uint64_t a, uint64_t b, const stream::Carrier& carrier) override;
  void on_delivered(int direction, uint64_t offset, std::span<const uint8_t> bytes) override;
  void on_acknowledged(int direction, uint64_t offset) override;
  void on_late_fill(int direction, uint64_t offset, std::span<const uint8_t> bytes, const stream::Carrier& carrier) override;

  const ConnectionConfig& config_;
  stream::BlockPool& pool_;
  Observer& observer_;

  // DSN of stream offset 0, per direction; where it is not known the first DSN seen stands at kFloat.
  static constexpr uint64_t kFloat = 1ull << 40;
  std::array<uint64_t, 2> origin_{};
  std::array<bool, 2> origin_known_{};
  std::array<bool, 2> narrow_{};  // only the low 32 bits of the origin are known
  std::array<uint64_t, 2> fast_open_{};
  std::array<uint64_t, 2> granted_{};  // data-level window edge
  std::array<bool, 2> acks_seen_{};
  bool checksum_known_ = false;  // without a handshake: by the first mapping

  std::array<std::vector<packet::IpAddress>, 2> announced_;  // version 0: by ADD_ADDR, of the client and of the server
  bool syn_capable_ = false, synack_seen_ = false, synack_capable_ = false, first_ack_seen_ = false, without_key_ = false,
       bare_ack_ = false;
  uint8_t syn_version_ = 0;
  uint64_t syn_key_ = 0;

  struct Undecided {
    subflow::Unit unit;
    std::vector<uint8_t> bytes;
    Member* member;
  };
  std::unique_ptr<std::vector<Undecided>> undecided_;
  uint32_t undecided_bytes_ = 0;
  std::unique_ptr<stream::Charge> undecided_charge_;
  std::vector<std::pair<event::AnomalyType, uint16_t>> told_;
};

}  // namespace mptap::connection
