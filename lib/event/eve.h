// SPDX-License-Identifier: Apache-2.0
// Events as EVE JSON, Suricata's format: each function appends one line with its '\n'. eve.schema.json beside this file
// describes every field and tests hold both together. Whatever bytes the strings of an event hold, the line is valid JSON
// in valid UTF-8; integers stay below 2^53 (greater ones saturate, flow_id keeps its low 53 bits).
//
// The head's src is the client, the sender of the first subflow's SYN. An alert, or an anomaly with a known direction, that
// lies in the server's bytes has src and dest swapped, as Suricata names the sender of what was found. flow_id and
// community_id are the same both ways. Addresses are RFC 5952 text.
#pragma once

#include <cstdint>
#include <string>

#include "event/record.h"

namespace mptap::event {

struct EveOptions {
  uint16_t community_id_seed = 0;
  bool payload = true;            // alert: the bytes around the match in base64
  bool payload_printable = true;  // alert: the same as text, '.' for what does not print
};

// All thread-safe.
void append_eve(std::string& out, const ConnectionRecord& record, const EveOptions& options = {});
void append_eve(std::string& out, const Alert& alert, const EveOptions& options = {});
void append_eve(std::string& out, const Anomaly& anomaly, const EveOptions& options = {});
void append_eve(std::string& out, const SubflowJoined& joined, const EveOptions& options = {});
void append_eve(std::string& out, const EngineEvent& event, const EveOptions& options = {});
void append_eve(std::string& out, const Stats& stats, const EveOptions& options = {});

// 2026-11-24T10:00:00.123456+0000: UTC, microseconds, cut and not rounded.
std::string eve_timestamp(uint64_t ns);

}  // namespace mptap::event
