// SPDX-License-Identifier: Apache-2.0
// Every name that an anomaly event can bear, with its meaning: the one table from which the documentation, the enum in
// eve.schema.json and the tests are made. A correct sender on a clean path causes none of these, but for the ones that say so.
// Section numbers are RFC 8684's. Names are part of the output's contract: add, never rename.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace mptap::event {

enum class AnomalyType : uint8_t {
  // overlaps and mappings
  kStreamConflict,
  kSubflowConflict,
  kRemappedSsn,
  kMappingAheadOfData,
  kMappingChanged,
  kUnmappedData,
  kDssBadLength,
  kDuplicateDss,
  kInfiniteMapping,
  kDsnOutOfWindow,
  kDataAfterDataFin,
  kDataFinChanged,
  kMpCapableMidStream,
  // DSS checksums
  kDssChecksumBad,
  kDssChecksumUnexpected,
  kDssChecksumMissing,
  // handshake, joins, addresses
  kJoinUnknownToken,
  kJoinBadHmac,
  kJoinRefused,
  kJoinDataEarly,
  kTokenCollision,
  kAddAddrBadHmac,
  kAddAddrForgedV0,
  kMirroredOptions,
  kHandshakeWithoutKey,
  kOptionStripped,
  // ends and fallback
  kMpFail,
  kFastcloseWrongKey,
  kFastcloseOutOfWindow,
  kFallback,
  // options as bytes
  kMalformedOption,
  kUnknownSubtype,
  // insertion tricks of plain TCP
  kTcpOutOfWindow,
  kTcpPaws,
  kTcpNoAckFlag,
  kTcpBadAck,
  kTcpRstOutOfPlace,
  kTcpTtlJump,
  kTcpUnexpectedMd5,
  kTcpSynInEstablished,
  kDataAfterFin,
  kUrgentData,
  // what was not seen
  kHoleUnseenPath,
  kHoleTapLoss,
  kLateFill,
  kVisibilityLow,
  // bounds of the configuration
  kReassemblyLimit,
  kConnectionLimit,
  kSubflowLimit,
  kParkedLimit,
  // abuse, with thresholds in the configuration
  kFastFlux,
  kJoinStorm,
  kManySubflows,
  kBackupShift,
  kCriticalNetwork,
  // the egress
  kEgressHandshakeMade,
  kCount
};

struct AnomalyInfo {
  AnomalyType type;
  std::string_view name;  // snake_case
  std::string_view help;  // one line
};

inline constexpr std::array<AnomalyInfo, static_cast<size_t>(AnomalyType::kCount)> kAnomalies{{
    {AnomalyType::kStreamConflict, "stream_conflict",
     "two copies of the same stream bytes (DSN range) differ; the overlap policy decided which one counts"},
    {AnomalyType::kSubflowConflict, "subflow_conflict",
     "a TCP retransmission inside one subflow carries other bytes than the first copy"},
    {AnomalyType::kRemappedSsn, "remapped_ssn",
     "TCP bytes that were mapped already come again under another DSN; the first mapping holds"},
    {AnomalyType::kMappingAheadOfData, "mapping_ahead_of_data",
     "a mapping lies ahead of the subflow's data; a single subflow falls back to TCP there"},
    {AnomalyType::kMappingChanged, "mapping_changed",
     "a mapping of the same SSN and DSN comes again with another length, other than by DATA_FIN"},
    {AnomalyType::kUnmappedData, "unmapped_data", "TCP bytes that no mapping ever covered (3.3.1)"},
    {AnomalyType::kDssBadLength, "dss_bad_length", "a DSS option whose length does not fit its flags (3.3)"},
    {AnomalyType::kDuplicateDss, "duplicate_dss",
     "two DSS options with different mappings in one segment; hosts differ in which one counts"},
    {AnomalyType::kInfiniteMapping, "infinite_mapping", "a mapping of length 0: the rest of the subflow is plain TCP (3.7)"},
    {AnomalyType::kDsnOutOfWindow, "dsn_out_of_window",
     "data below the first DSN or beyond the connection's receive window; the host drops it"},
    {AnomalyType::kDataAfterDataFin, "data_after_data_fin", "data beyond the DATA_FIN; the stream ends at the FIN"},
    {AnomalyType::kDataFinChanged, "data_fin_changed", "a second DATA_FIN at another place; the first one holds"},
    {AnomalyType::kMpCapableMidStream, "mp_capable_mid_stream", "MP_CAPABLE with data again after the handshake"},
    {AnomalyType::kDssChecksumBad, "dss_checksum_bad", "the DSS checksum of a mapping does not fit its bytes (3.3.1)"},
    {AnomalyType::kDssChecksumUnexpected, "dss_checksum_unexpected", "a DSS with a checksum although none was negotiated"},
    {AnomalyType::kDssChecksumMissing, "dss_checksum_missing", "a DSS without a checksum although one was negotiated"},
    {AnomalyType::kJoinUnknownToken, "join_unknown_token", "MP_JOIN with a token of no connection that was seen from its start"},
    {AnomalyType::kJoinBadHmac, "join_bad_hmac",
     "MP_JOIN whose HMAC does not fit the connection's keys (3.2); its bytes are kept apart"},
    {AnomalyType::kJoinRefused, "join_refused", "the host answered an MP_JOIN with a RST"},
    {AnomalyType::kJoinDataEarly, "join_data_early", "data on a joined subflow before the handshake of the join was complete"},
    {AnomalyType::kTokenCollision, "token_collision",
     "two live connections bear the same token; the HMAC of a join decides between them"},
    {AnomalyType::kAddAddrBadHmac, "add_addr_bad_hmac", "ADD_ADDR whose HMAC fits in none of the known forms (3.4.1)"},
    {AnomalyType::kAddAddrForgedV0, "add_addr_forged_v0",
     "version 0 cannot verify ADD_ADDR, and a join to the address that it announced followed although no host used it before"},
    {AnomalyType::kMirroredOptions, "mirrored_options",
     "the SYN/ACK repeats the SYN's MP_CAPABLE: a middlebox mirrors options, it is plain TCP"},
    {AnomalyType::kHandshakeWithoutKey, "handshake_without_key",
     "the first packet after the SYN/ACK bears a DSS but no MP_CAPABLE with both keys; the host falls back to TCP"},
    {AnomalyType::kOptionStripped, "option_stripped", "MPTCP options vanish on the way: a middlebox strips them"},
    {AnomalyType::kMpFail, "mp_fail", "MP_FAIL: a host reports a bad DSS checksum (3.7)"},
    {AnomalyType::kFastcloseWrongKey, "fastclose_wrong_key", "MP_FASTCLOSE without the receiver's key; the host ignores it"},
    {AnomalyType::kFastcloseOutOfWindow, "fastclose_out_of_window",
     "MP_FASTCLOSE outside the subflow's receive window; the host ignores it"},
    {AnomalyType::kFallback, "fallback", "the connection fell back to plain TCP after its handshake; detail says why (3.7)"},
    {AnomalyType::kMalformedOption, "malformed_option", "an MPTCP option of a length that its subtype does not have"},
    {AnomalyType::kUnknownSubtype, "unknown_subtype", "an MPTCP option of a subtype that neither RFC 8684 nor RFC 6824 defines"},
    {AnomalyType::kTcpOutOfWindow, "tcp_out_of_window", "TCP bytes outside the receive window; the host drops them"},
    {AnomalyType::kTcpPaws, "tcp_paws", "a TCP timestamp older than PAWS allows (RFC 7323); the host drops the segment"},
    {AnomalyType::kTcpNoAckFlag, "tcp_no_ack_flag", "data without the ACK flag; the host drops it"},
    {AnomalyType::kTcpBadAck, "tcp_bad_ack", "an ACK number outside what RFC 5961 accepts; the host drops the segment"},
    {AnomalyType::kTcpRstOutOfPlace, "tcp_rst_out_of_place",
     "a RST that does not hit the next expected number (RFC 5961); the host ignores it"},
    {AnomalyType::kTcpTtlJump, "tcp_ttl_jump",
     "the TTL of a data segment differs from the sender's others: it may not have reached the host"},
    {AnomalyType::kTcpUnexpectedMd5, "tcp_unexpected_md5",
     "a TCP MD5 or AO signature that was not there in the handshake; the host drops the segment"},
    {AnomalyType::kTcpSynInEstablished, "tcp_syn_in_established", "a SYN on an established subflow"},
    {AnomalyType::kDataAfterFin, "data_after_fin", "TCP bytes beyond the subflow's FIN"},
    {AnomalyType::kUrgentData, "urgent_data", "TCP urgent data; it is delivered in line. Seldom, but legal"},
    {AnomalyType::kHoleUnseenPath, "hole_unseen_path",
     "acknowledged stream bytes that no subflow seen here carried: they took a path that is not tapped"},
    {AnomalyType::kHoleTapLoss, "hole_tap_loss", "acknowledged stream bytes that are missing because the tap lost packets"},
    {AnomalyType::kLateFill, "late_fill", "bytes of a hole that came after the stream had gone on; they were inspected"},
    {AnomalyType::kVisibilityLow, "visibility_low", "the share of the acknowledged bytes that was seen is below the threshold"},
    {AnomalyType::kReassemblyLimit, "reassembly_limit",
     "out-of-order bytes were dropped: the limit of the stream, connection or worker was reached"},
    {AnomalyType::kConnectionLimit, "connection_limit", "a connection was not followed: the limit of connections was reached"},
    {AnomalyType::kSubflowLimit, "subflow_limit", "a subflow was not followed: the limit of subflows was reached"},
    {AnomalyType::kParkedLimit, "parked_limit",
     "a join could not wait for its connection: the limit of parked joins was reached"},
    {AnomalyType::kFastFlux, "fast_flux",
     "addresses are added and removed, or joins come from new networks, faster than the threshold"},
    {AnomalyType::kJoinStorm, "join_storm", "more joins in a time than the threshold"},
    {AnomalyType::kManySubflows, "many_subflows", "more subflows in one connection than the threshold"},
    {AnomalyType::kBackupShift, "backup_shift", "the traffic moved to subflows that are marked as backup while others were open"},
    {AnomalyType::kCriticalNetwork, "critical_network", "MPTCP on a network that the configuration lists as critical"},
    {AnomalyType::kEgressHandshakeMade, "egress_handshake_made",
     "the tap did not see how the connection began: the handshake of its TCP connection on the egress is made up"},
}};

namespace detail {
consteval bool anomalies_in_order() {
  for (size_t i = 0; i < kAnomalies.size(); ++i) {
    if (static_cast<size_t>(kAnomalies[i].type) != i || kAnomalies[i].name.empty() || kAnomalies[i].help.empty()) return false;
  }
  return true;
}
}  // namespace detail
static_assert(detail::anomalies_in_order(), "kAnomalies lists each AnomalyType once, in the order of the enum");

// type < kCount
constexpr std::string_view name(AnomalyType type) {
  return kAnomalies[static_cast<size_t>(type)].name;
}
constexpr std::string_view help(AnomalyType type) {
  return kAnomalies[static_cast<size_t>(type)].help;
}

constexpr std::optional<AnomalyType> anomaly_by_name(std::string_view wanted) {
  for (const AnomalyInfo& info : kAnomalies) {
    if (info.name == wanted) return info.type;
  }
  return std::nullopt;
}

}  // namespace mptap::event
