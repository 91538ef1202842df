// SPDX-License-Identifier: Apache-2.0
// What the engine has to say, as plain values: the record of a connection, an alert, an anomaly. eve.h makes JSON of them.
// Directions: index 0 = toserver, 1 = toclient, relative to the client, the sender of the first subflow's SYN.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "event/anomaly.h"
#include "packet/address.h"

namespace mptap::event {

// The head that every event of one connection shares: the first subflow's tuple, client first.
struct Head {
  uint64_t timestamp_ns = 0;
  uint64_t flow_id = 0;  // < 2^53, the same for all events of a connection
  packet::Endpoint src, dst;
  uint64_t packet_number = 0;  // pcap_cnt; 0: not from a file
  uint64_t serial = 0;         // the engine's connections in the order in which they began, from 1; not part of the output
};

// MPTCP's options (RFC 8684 section 3); the index is the subtype.
inline constexpr size_t kSubtypes = 9;
inline constexpr std::array<const char*, kSubtypes> kSubtypeNames{
    "mp_capable", "mp_join", "dss", "add_addr", "remove_addr", "mp_prio", "mp_fail", "mp_fastclose", "mp_tcprst"};

enum class Join : uint8_t { kInitial, kVerified, kFailed, kUnverified };
enum class End : uint8_t { kOpen, kDataFin, kFastClose, kReset, kTimeout };
enum class State : uint8_t { kHandshake, kEstablished, kClosing, kClosed };

struct SubflowRecord {
  uint32_t id = 0;            // counts first SYNs seen
  packet::Endpoint src, dst;  // src is the client's side, whoever opened the subflow
  uint8_t address_id = 0;
  bool backup = false;
  bool opened_by_server = false;
  Join join = Join::kInitial;
  std::array<uint64_t, 2> bytes{};  // TCP payload per direction, retransmissions included
  std::array<uint64_t, 2> packets{};
  std::string reset_reason;  // MP_TCPRST's, by name; empty: none seen
  uint64_t start_ns = 0, end_ns = 0;  // end_ns of an open one: its last packet so far
};

// One direction of the application's stream.
struct StreamRecord {
  uint64_t bytes = 0;                 // delivered, holes left out
  std::optional<std::string> sha256;  // 64 hex digits, of those bytes
  uint64_t missing_bytes = 0;         // holes passed by DATA_ACK, or assumed so
  uint64_t missing_tap_bytes = 0;     // of them: the subflow's own numbers show that the tap lost them
  uint64_t duplicate_bytes = 0;       // stream bytes covered again
  uint64_t conflicting_bytes = 0;     // bytes whose copies differ
  uint64_t pending_bytes = 0;         // above a hole that no DATA_ACK passed: not delivered
  bool assumed = false;               // the acknowledging direction is not in the capture
};

struct ConnectionRecord {
  Head head;  // timestamp = start
  uint64_t end_ns = 0;
  std::string connection_id;
  bool mptcp = true;  // false: never was MPTCP, an event of type "flow" with an object "tcp"
  uint8_t version = 1;
  State state = State::kHandshake;
  End end = End::kOpen;
  bool fallback = false;
  std::string fallback_reason;  // snake_case
  bool checksum = false;
  std::optional<uint32_t> token_client, token_server;
  std::array<uint64_t, kSubtypes> options{};  // packets that bear each, by subtype
  std::vector<SubflowRecord> subflows;
  std::array<StreamRecord, 2> stream;  // toserver, toclient
  std::optional<double> visibility;    // seen / (seen + missing), 3 decimals
  uint64_t packets = 0, span_duplicates = 0, alerts = 0, anomalies = 0;
};

struct Alert {
  Head head;
  // Suricata's alert object
  uint32_t gid = 1, sid = 0, rev = 0;
  std::string signature, category, action = "allowed";
  uint32_t severity = 3;
  std::vector<std::pair<std::string, std::string>> metadata;
  std::vector<std::string> references;
  // where
  bool mptcp = true;
  std::string connection_id;
  uint8_t version = 1;
  bool to_client = false;      // the direction of the matched bytes; src_ip in the event is then their sender, the server
  uint64_t stream_offset = 0;  // of the match's first byte
  uint64_t match_size = 0;
  std::vector<uint32_t> subflows;  // ids that carried the bytes
  bool cross_subflow = false;
  bool candidate = false;  // found in the other reading of an ambiguous place, not in the delivered stream
  // the match with context; empty when switched off
  std::string payload;
  uint64_t payload_offset = 0;  // stream offset of payload's first byte
};

struct Anomaly {
  Head head;
  AnomalyType type{};
  bool mptcp = true;
  std::string connection_id;
  std::optional<uint32_t> subflow;
  std::optional<bool> to_client;
  // named numbers, in the order given: offsets, lengths, counts
  std::vector<std::pair<std::string, uint64_t>> numbers;
  std::string detail;  // plain words, may be empty
};

// A subflow became part of its connection: what a SIEM needs to tie further tuples to the first one as soon as they exist.
// An event of type "mptcp" like the record at the end, told apart by mptcp.event: "subflow_joined" here, "end" there.
struct SubflowJoined {
  bool started = false;  // the first subflow: both hosts have taken MPTCP up. mptcp.event is "started"
  Head head;  // the connection's, with the time of the join
  std::string connection_id;
  uint8_t version = 1;
  std::optional<uint32_t> token_client, token_server;
  std::vector<SubflowRecord> subflows;  // all so far, the new one last
};

enum class Level : uint8_t { kInfo, kWarning, kError };

// Something that the appliance has to say about itself: a rule reload, a dead port, a stalled worker, a sink that lost lines.
struct EngineEvent {
  uint64_t timestamp_ns = 0;
  Level level = Level::kInfo;
  std::string event;    // snake_case
  std::string message;  // plain words
  std::vector<std::pair<std::string, uint64_t>> numbers;
};

// All counters at one moment.
struct Stats {
  uint64_t timestamp_ns = 0;
  uint64_t uptime_s = 0;
  std::vector<std::pair<std::string, uint64_t>> counters;
};

}  // namespace mptap::event
