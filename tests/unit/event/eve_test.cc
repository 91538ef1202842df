// SPDX-License-Identifier: Apache-2.0
// Event in, line out.
#include "event/eve.h"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

namespace mptap::event {
namespace {

using nlohmann::json;

Head head() {
  Head h;
  h.timestamp_ns = 1795514400'123456789;
  h.flow_id = 77;
  const uint8_t client[] = {10, 0, 1, 2}, server[] = {10, 0, 9, 1};
  h.src = {packet::IpAddress::v4(client), 40000};
  h.dst = {packet::IpAddress::v4(server), 80};
  return h;
}

template <class E>
json line(const E& event, const EveOptions& options = {}) {
  std::string out = "before\n";
  append_eve(out, event, options);
  EXPECT_TRUE(out.starts_with("before\n{"));
  EXPECT_TRUE(out.ends_with("}\n"));
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 2);
  return json::parse(out.substr(7));
}

Alert alert() {
  Alert a;
  a.head = head();
  a.sid = 1000001;
  a.rev = 3;
  a.signature = "evil stuff";
  a.category = "Misc Attack";
  a.severity = 2;
  a.connection_id = "5f2a";
  a.stream_offset = 6;
  a.match_size = 10;
  a.subflows = {0, 1};
  a.cross_subflow = true;
  a.payload = "H evil stuff\n\x01";
  a.payload_offset = 4;
  return a;
}

TEST(Eve, Timestamp) {
  EXPECT_EQ(eve_timestamp(0), "1970-01-01T00:00:00.000000+0000");
  EXPECT_EQ(eve_timestamp(1795514400'123456999), "2026-11-24T10:00:00.123456+0000");
  EXPECT_EQ(eve_timestamp(951782400'000000000), "2000-02-29T00:00:00.000000+0000");
  EXPECT_EQ(eve_timestamp(std::numeric_limits<uint64_t>::max()), "2554-07-21T23:34:33.709551+0000");
}

TEST(Eve, HeadIsSuricatas) {
  Alert a = alert();
  a.head.packet_number = 12;
  const json j = line(a);
  EXPECT_EQ(j["timestamp"], "2026-11-24T10:00:00.123456+0000");
  EXPECT_EQ(j["flow_id"], 77);
  EXPECT_EQ(j["pcap_cnt"], 12);
  EXPECT_EQ(j["event_type"], "alert");
  EXPECT_EQ(j["src_ip"], "10.0.1.2");
  EXPECT_EQ(j["src_port"], 40000);
  EXPECT_EQ(j["dest_ip"], "10.0.9.1");
  EXPECT_EQ(j["dest_port"], 80);
  EXPECT_EQ(j["proto"], "TCP");
  EXPECT_EQ(j["community_id"].get<std::string>().size(), 30U);
}

TEST(Eve, PcapCntOnlyFromAFile) {
  EXPECT_FALSE(line(alert()).contains("pcap_cnt"));
}

TEST(Eve, Ipv6AddressIsRfc5952Text) {
  Alert a = alert();
  const uint8_t v6[16] = {0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  a.head.src.address = a.head.dst.address = packet::IpAddress::v6(v6);
  EXPECT_EQ(line(a)["src_ip"], "fd00::1");
}

TEST(Eve, FlowIdKeepsItsLow53Bits) {
  Alert a = alert();
  a.head.flow_id = (uint64_t{5} << 53) + 42;
  EXPECT_EQ(line(a)["flow_id"], 42);
}

TEST(Eve, IntegersSaturateBelow2To53) {
  Alert a = alert();
  a.stream_offset = std::numeric_limits<uint64_t>::max();
  EXPECT_EQ(line(a)["mptcp"]["stream_offset"], (uint64_t{1} << 53) - 1);
}

TEST(Eve, AlertObject) {
  Alert a = alert();
  a.metadata = {{"tag", "b"}, {"created", "2026"}, {"tag", "a"}};
  a.references = {"url,example.com"};
  const json j = line(a);
  const json mptcp = {{"connection_id", "5f2a"}, {"version", 1},       {"stream_offset", 6},    {"match_size", 10},
                      {"payload_offset", 4},     {"subflows", {0, 1}}, {"cross_subflow", true}, {"candidate", false}};
  EXPECT_EQ(j["mptcp"], mptcp);
  const json expected = {{"action", "allowed"},
                         {"gid", 1},
                         {"signature_id", 1000001},
                         {"rev", 3},
                         {"signature", "evil stuff"},
                         {"category", "Misc Attack"},
                         {"severity", 2},
                         {"metadata", {{"tag", {"b", "a"}}, {"created", {"2026"}}}},
                         {"references", {"url,example.com"}},
                         {"mptcp", mptcp}};
  EXPECT_EQ(j["alert"], expected);
  EXPECT_EQ(j["direction"], "to_server");
  EXPECT_EQ(j["payload"], "SCBldmlsIHN0dWZmCgE=");
  EXPECT_EQ(j["payload_printable"], "H evil stuff\n.");
}

TEST(Eve, AlertInTheServersBytesHasTheServerAsSrc) {
  Alert a = alert();
  const json there = line(a);
  a.to_client = true;
  const json back = line(a);
  EXPECT_EQ(back["src_ip"], "10.0.9.1");
  EXPECT_EQ(back["src_port"], 80);
  EXPECT_EQ(back["dest_ip"], "10.0.1.2");
  EXPECT_EQ(back["dest_port"], 40000);
  EXPECT_EQ(back["direction"], "to_client");
  EXPECT_EQ(back["community_id"], there["community_id"]);
  EXPECT_EQ(back["flow_id"], there["flow_id"]);
}

TEST(Eve, PayloadIsSwitchable) {
  const json bytes_only = line(alert(), {.payload = true, .payload_printable = false});
  EXPECT_TRUE(bytes_only.contains("payload"));
  EXPECT_FALSE(bytes_only.contains("payload_printable"));
  Alert a = alert();
  a.payload.clear();
  EXPECT_FALSE(line(a).contains("payload"));
}

TEST(Eve, AlertInPlainTcpNamesNoMptcp) {
  Alert a = alert();
  a.mptcp = false;
  const json j = line(a);
  EXPECT_FALSE(j.contains("mptcp"));
  EXPECT_EQ(j["tcp"]["stream_offset"], 6);
}

TEST(Eve, CommunityIdSeed) {
  EXPECT_NE(line(alert())["community_id"], line(alert(), {.community_id_seed = 1})["community_id"]);
}

ConnectionRecord record() {
  ConnectionRecord r;
  r.head = head();
  r.end_ns = r.head.timestamp_ns + 2'500'000'000;
  r.connection_id = "5f2a";
  r.state = State::kClosed;
  r.end = End::kFastClose;
  r.token_client = 0xabc;
  SubflowRecord s;
  s.id = 1;
  s.src = r.head.src;
  s.dst = r.head.dst;
  s.address_id = 8;
  s.backup = true;
  s.join = Join::kVerified;
  s.bytes = {100, 200};
  s.packets = {3, 4};
  r.subflows = {s};
  r.stream[0] = {10, std::string(64, 'a'), 5, 4, 3, 2, 1, true};
  r.stream[1].bytes = 20;
  r.visibility = 0.8571;
  return r;
}

TEST(Eve, MptcpRecordFollowsTheContract) {
  const json j = line(record());
  EXPECT_EQ(j["event_type"], "mptcp");
  EXPECT_EQ(j["end_timestamp"], "2026-11-24T10:00:02.623456+0000");
  const json& m = j["mptcp"];
  EXPECT_EQ(m["connection_id"], "5f2a");
  EXPECT_EQ(m["version"], 1);
  EXPECT_EQ(m["state"], "closed");
  EXPECT_EQ(m["end"], "fast_close");
  EXPECT_EQ(m["fallback"], false);
  EXPECT_FALSE(m.contains("fallback_reason"));
  EXPECT_EQ(m["checksum"], false);
  EXPECT_EQ(m["token_client"], "00000abc");
  EXPECT_TRUE(m["token_server"].is_null());
  EXPECT_EQ(m["visibility"].dump(), "0.857");
  const json& s = m["subflows"][0];
  EXPECT_EQ(s["id"], 1);
  EXPECT_EQ(s["src_ip"], "10.0.1.2");
  EXPECT_EQ(s["dest_port"], 80);
  EXPECT_EQ(s["address_id"], 8);
  EXPECT_EQ(s["backup"], true);
  EXPECT_EQ(s["join"], "verified");
  EXPECT_EQ(s["bytes_toserver"], 100);
  EXPECT_EQ(s["bytes_toclient"], 200);
  const json toserver = {{"bytes", 10},          {"sha256", std::string(64, 'a')}, {"missing_bytes", 5}, {"missing_tap_bytes", 4},
                         {"duplicate_bytes", 3}, {"conflicting_bytes", 2},         {"pending_bytes", 1}, {"assumed", true}};
  EXPECT_EQ(m["toserver"], toserver);
  EXPECT_EQ(m["toclient"]["bytes"], 20);
  EXPECT_FALSE(m["toclient"].contains("sha256"));
}

TEST(Eve, EveryEndHasItsName) {
  const std::pair<End, const char*> ends[] = {{End::kOpen, "open"},
                                              {End::kDataFin, "data_fin"},
                                              {End::kFastClose, "fast_close"},
                                              {End::kReset, "reset"},
                                              {End::kTimeout, "timeout"}};
  for (const auto& [end, expected] : ends) {
    ConnectionRecord r = record();
    r.end = end;
    EXPECT_EQ(line(r)["mptcp"]["end"], expected);
  }
}

TEST(Eve, EveryJoinHasItsName) {
  const std::pair<Join, const char*> joins[] = {
      {Join::kInitial, "initial"}, {Join::kVerified, "verified"}, {Join::kFailed, "failed"}, {Join::kUnverified, "unverified"}};
  for (const auto& [join, expected] : joins) {
    ConnectionRecord r = record();
    r.subflows[0].join = join;
    EXPECT_EQ(line(r)["mptcp"]["subflows"][0]["join"], expected);
  }
}

TEST(Eve, EveryStateHasItsName) {
  const std::pair<State, const char*> states[] = {{State::kHandshake, "handshake"},
                                                  {State::kEstablished, "established"},
                                                  {State::kClosing, "closing"},
                                                  {State::kClosed, "closed"}};
  for (const auto& [state, expected] : states) {
    ConnectionRecord r = record();
    r.state = state;
    EXPECT_EQ(line(r)["mptcp"]["state"], expected);
  }
}

TEST(Eve, VisibilityWithoutDataIsNull) {
  ConnectionRecord r = record();
  r.visibility = std::nullopt;
  EXPECT_TRUE(line(r)["mptcp"]["visibility"].is_null());
  r.visibility = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(line(r)["mptcp"]["visibility"].is_null());
}

TEST(Eve, FallbackHasItsReason) {
  ConnectionRecord r = record();
  r.fallback = true;
  r.fallback_reason = "mp_fail";
  EXPECT_EQ(line(r)["mptcp"]["fallback_reason"], "mp_fail");
}

TEST(Eve, PlainTcpIsAFlow) {
  ConnectionRecord r = record();
  r.mptcp = false;
  r.alerts = 1;
  r.fallback_reason = "no_mp_capable_in_synack";
  const json j = line(r);
  EXPECT_EQ(j["event_type"], "flow");
  EXPECT_FALSE(j.contains("mptcp"));
  EXPECT_EQ(j["tcp"]["state"], "closed");
  EXPECT_EQ(j["tcp"]["end"], "fast_close");
  EXPECT_EQ(j["tcp"]["toserver"]["bytes"], 10);
  EXPECT_EQ(j["tcp"]["toclient"]["bytes"], 20);
  EXPECT_EQ(j["tcp"]["fallback_reason"], "no_mp_capable_in_synack");
  EXPECT_EQ(j["flow"]["pkts_toserver"], 3);
  EXPECT_EQ(j["flow"]["pkts_toclient"], 4);
  EXPECT_EQ(j["flow"]["age"], 2);
  EXPECT_EQ(j["flow"]["alerted"], true);
}

TEST(Eve, Anomaly) {
  Anomaly a;
  a.head = head();
  a.type = AnomalyType::kStreamConflict;
  a.connection_id = "5f2a";
  a.subflow = 2;
  a.to_client = true;
  a.numbers = {{"stream_offset", 14}, {"length", 10}};
  a.detail = "two copies";
  const json j = line(a);
  EXPECT_EQ(j["event_type"], "anomaly");
  const json expected = {
      {"type", "mptcp"}, {"event", "stream_conflict"}, {"stream_offset", 14}, {"length", 10}, {"detail", "two copies"}};
  EXPECT_EQ(j["anomaly"], expected);
  EXPECT_EQ(j["mptcp"], json({{"connection_id", "5f2a"}, {"subflow", 2}}));
  EXPECT_EQ(j["src_ip"], "10.0.9.1");
  EXPECT_EQ(j["direction"], "to_client");
}

TEST(Eve, SubflowJoined) {
  SubflowJoined e;
  e.head = head();
  e.connection_id = "5f2a";
  e.token_server = 1;
  e.subflows = record().subflows;
  const json j = line(e);
  EXPECT_EQ(j["event_type"], "mptcp");
  EXPECT_EQ(j["mptcp"]["event"], "subflow_joined");
  EXPECT_EQ(j["mptcp"]["subflows"], line(record())["mptcp"]["subflows"]);
  EXPECT_EQ(line(record())["mptcp"]["event"], "end");
}

TEST(Eve, AConnectionThatStarts) {
  SubflowJoined e;
  e.started = true;
  e.head = head();
  e.connection_id = "5f2a";
  e.subflows = record().subflows;
  EXPECT_EQ(line(e)["mptcp"]["event"], "started");
}

TEST(Eve, OptionsSeenBySubtype) {
  ConnectionRecord r = record();
  EXPECT_EQ(line(r)["mptcp"]["options"], json::object());
  r.options = {3, 6, 120, 2, 1, 0, 0, 1, 0};
  const json wanted{{"mp_capable", 3}, {"mp_join", 6}, {"dss", 120}, {"add_addr", 2}, {"remove_addr", 1}, {"mp_fastclose", 1}};
  EXPECT_EQ(line(r)["mptcp"]["options"], wanted);
  // It was offered, and came to nothing.
  r.mptcp = false;
  EXPECT_EQ(line(r)["tcp"]["options"], wanted);
  r.options = {};
  EXPECT_FALSE(line(r)["tcp"].contains("options"));
}

TEST(Eve, EngineAndStats) {
  const json e = line(EngineEvent{5, Level::kWarning, "sink_lost", "disk full", {{"lines", 3}}});
  EXPECT_EQ(e["log_level"], "warning");
  EXPECT_EQ(e["engine"], json({{"event", "sink_lost"}, {"message", "disk full"}, {"lines", 3}}));
  const json s = line(Stats{5, 60, {{"rx_packets", 7}}});
  EXPECT_EQ(s["stats"], json({{"uptime", 60}, {"counters", {{"rx_packets", 7}}}}));
}

TEST(Eve, ValidUtf8StaysAndOtherBytesAreEscaped) {
  const std::pair<std::string, std::string> cases[] = {
      {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
      {std::string("\0\x1a\x1f\x7f\"\\", 6), std::string("\0\x1a\x1f\x7f\"\\", 6)},
      {"caf\xe9", "caf\\xe9"},                                      // Latin-1
      {"\xc3", "\\xc3"},                                            // cut short
      {"\xc0\xaf", "\\xc0\\xaf"},                                   // overlong
      {"\xed\xa0\x80", "\\xed\\xa0\\x80"},                          // surrogate
      {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},                 // beyond U+10FFFF
      {"\xff\xe2\x82\xac\xe2\x82", "\\xff\xe2\x82\xac\\xe2\\x82"},  // good between bad
  };
  for (const auto& [wire, expected] : cases) {
    Alert a = alert();
    a.signature = wire;
    EXPECT_EQ(line(a)["alert"]["signature"], expected);
  }
}

}  // namespace
}  // namespace mptap::event
