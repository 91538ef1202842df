// SPDX-License-Identifier: Apache-2.0
// Counts what an engine tells: alerts and anomalies as they come, the rest from the records of connections that end. On the
// worker's own thread.
#pragma once

#include "event/record.h"
#include "worker/counters.h"

namespace mptap::worker {

const char* anomaly_name(event::AnomalyType type);
const char* join_name(event::Join join);
const char* end_name(event::End end);

enum class Protocol : uint8_t { kMptcp1, kMptcp0, kTcp, kCount };
enum class AlertAction : uint8_t { kAllowed, kBlocked, kCount };
enum class Towards : uint8_t { kToServer, kToClient, kCount };
enum class Hole : uint8_t { kUnseenPath, kTapLoss, kCount };
const char* protocol_name(Protocol protocol);
const char* alert_action_name(AlertAction action);
const char* towards_name(Towards side);
const char* hole_name(Hole hole);

// Why a connection is plain TCP after all (fallback_reason of its record); the last one is any other.
inline constexpr std::array<const char*, 12> kFallbackReasons{"no_capable_in_synack",
                                                              "mirrored_options",
                                                              "handshake_without_key",
                                                              "infinite_mapping",
                                                              "checksum",
                                                              "unmapped_data",
                                                              "mapping_ahead_of_data",
                                                              "mp_capable_mid_stream",
                                                              "remapped_ssn",
                                                              "dss_checksum_missing",
                                                              "dss_checksum_unexpected",
                                                              "other"};
enum class Fallback : uint8_t { kOther = kFallbackReasons.size() - 1, kCount };
const char* fallback_name(Fallback reason);

template <typename Enum>
using Family = CounterFamily<Enum, static_cast<size_t>(Enum::kCount)>;

inline const Family<AlertAction> kAlerts{"alerts_total", "alerts, by what became of the connection's packets", "action",
                                         alert_action_name};
inline const Counter kAlertsCross{"alerts_cross_subflow_total", "of them: those whose bytes no single subflow carried"};
inline const Family<event::AnomalyType> kAnomaliesTold{"anomalies_total", "anomalies by type", "type", anomaly_name};
inline const Counter kMptcpStarted{"mptcp_started_total", "connections whose hosts have both taken MPTCP up"};
inline const Counter kSubflowsJoined{"subflows_joined_total", "subflows that became part of a connection after the first one"};

// From records, when a connection has ended.
inline const Family<Protocol> kConnectionsEnded{"connections_ended_total", "connections whose record was given out", "protocol",
                                                protocol_name};
inline const CounterFamily<event::End, 5> kEnds{"connection_ends_total", "the same by how they ended", "end", end_name};
inline const CounterFamily<event::Join, 4> kJoins{"joins_total", "subflows of ended connections by what the joins' HMACs showed",
                                                  "outcome", join_name};
inline const Family<Fallback> kFallbacks{"fallbacks_total", "ended connections that fell back to plain TCP", "reason",
                                         fallback_name};
inline const Family<Towards> kStreams{"streams_total", "directions of ended connections that carried bytes", "direction",
                                      towards_name};
inline const Family<Towards> kStreamBytes{"stream_bytes_total", "bytes delivered of them", "direction", towards_name};
inline const Family<Hole> kHoleBytes{"hole_bytes_total", "acknowledged bytes of ended streams that were not seen", "kind",
                                     hole_name};
inline const Counter kDuplicateBytes{"duplicate_bytes_total", "bytes of ended streams that came more than once"};
inline const Counter kConflictingBytes{"conflicting_bytes_total", "bytes of ended streams whose copies differed"};

class Tally {
 public:
  explicit Tally(Counters& counters) : counters_(counters) {}

  void count(const event::ConnectionRecord& r);
  void count(const event::Alert& a);
  void count(const event::Anomaly& a) { counters_.add(kAnomaliesTold[a.type]); }
  void count(const event::SubflowJoined& j) { counters_.add(j.started ? kMptcpStarted : kSubflowsJoined); }

 private:
  Counters& counters_;
};

}  // namespace mptap::worker
