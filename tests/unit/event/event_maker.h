// SPDX-License-Identifier: Apache-2.0
// Any event out of any bytes: what the property tests and the fuzz target of the EVE writer feed on. Strings that come from
// the wire or a rule file are arbitrary bytes; names that the engine chooses are picked from a list.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <variant>

#include "event/event.h"

namespace mptap::event {

class EventMaker {
 public:
  explicit EventMaker(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  Event make() {
    switch (below(6)) {
      case 0: return connection();
      case 1: return alert();
      case 2: return anomaly();
      case 3: return joined();
      case 4: return engine();
      default: return stats();
    }
  }

  ConnectionRecord connection() {
    ConnectionRecord r;
    r.head = head();
    r.end_ns = number();
    r.connection_id = id();
    r.mptcp = flag();
    r.version = static_cast<uint8_t>(below(2));
    r.state = static_cast<State>(below(4));
    r.end = static_cast<End>(below(5));
    r.fallback = flag();
    if (r.fallback || !r.mptcp) r.fallback_reason = word();
    r.checksum = flag();
    r.token_client = token();
    r.token_server = token();
    for (uint64_t& n : r.options) n = flag() ? number() : 0;
    for (size_t n = below(4); n > 0; --n) r.subflows.push_back(subflow());
    for (StreamRecord& s : r.stream) {
      s = {number(), std::nullopt, number(), number(), number(), number(), number(), flag()};
      if (flag()) s.sha256 = std::string(64, "0123456789abcdef"[below(16)]);
    }
    if (flag()) r.visibility = ratio();
    r.packets = number();
    r.span_duplicates = number();
    r.alerts = number();
    r.anomalies = number();
    return r;
  }

  Alert alert() {
    Alert a;
    a.head = head();
    a.gid = u32();
    a.sid = u32();
    a.rev = u32();
    a.signature = text();
    a.category = text();
    if (flag()) a.action = "blocked";
    a.severity = 1 + static_cast<uint32_t>(below(255));
    for (size_t n = below(4); n > 0; --n) {
      const std::string key = text();
      a.metadata.emplace_back(key, text());
    }
    for (size_t n = below(4); n > 0; --n) a.references.push_back(text());
    a.mptcp = flag();
    a.connection_id = id();
    a.version = static_cast<uint8_t>(below(2));
    a.to_client = flag();
    a.stream_offset = number();
    a.match_size = number();
    for (size_t n = below(4); n > 0; --n) a.subflows.push_back(u32());
    a.cross_subflow = flag();
    a.candidate = flag();
    a.payload = text();
    a.payload_offset = number();
    return a;
  }

  Anomaly anomaly() {
    Anomaly a;
    a.head = head();
    a.type = static_cast<AnomalyType>(below(kAnomalies.size()));
    a.mptcp = flag();
    a.connection_id = id();
    if (flag()) a.subflow = u32();
    if (flag()) a.to_client = flag();
    a.numbers = numbers();
    a.detail = text();
    return a;
  }

  SubflowJoined joined() {
    SubflowJoined j;
    j.started = flag();
    j.head = head();
    j.connection_id = id();
    j.version = static_cast<uint8_t>(below(2));
    j.token_client = token();
    j.token_server = token();
    for (size_t n = 1 + below(3); n > 0; --n) j.subflows.push_back(subflow());
    return j;
  }

  EngineEvent engine() { return {number(), static_cast<Level>(below(3)), word(), text(), numbers()}; }

  Stats stats() { return {number(), number(), numbers()}; }

 private:
  uint8_t byte() {
    if (bytes_.empty()) return 0;
    const uint8_t b = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return b;
  }
  size_t below(size_t limit) { return byte() % limit; }
  bool flag() { return (byte() & 1) != 0; }

  template <class T>
  T integer() {
    T v = 0;
    for (size_t i = 0; i < sizeof v; ++i) v = static_cast<T>(v << 8 | byte());
    return v;
  }
  uint32_t u32() { return integer<uint32_t>(); }
  // Small, any, and at the edges of what JSON readers take.
  uint64_t number() {
    switch (below(4)) {
      case 0: return byte();
      case 1: return (uint64_t{1} << 53) - 2 + below(4);
      case 2: return ~uint64_t{0};
      default: return integer<uint64_t>();
    }
  }
  double ratio() {
    const uint64_t bits = number();
    double v;
    std::memcpy(&v, &bits, sizeof v);
    return v;
  }
  std::string text() {
    const size_t size = std::min<size_t>(byte(), bytes_.size());
    std::string s(reinterpret_cast<const char*>(bytes_.data()), size);
    bytes_ = bytes_.subspan(size);
    return s;
  }
  std::string id() {
    std::string s = text();
    return s.empty() ? "c0" : s;
  }
  std::string word() {
    static constexpr std::array kWords{"no_mp_capable", "mp_fail", "infinite_mapping", "rules_reloaded"};
    return kWords[below(kWords.size())];
  }
  std::optional<uint32_t> token() { return flag() ? std::optional(u32()) : std::nullopt; }
  std::vector<std::pair<std::string, uint64_t>> numbers() {
    static constexpr std::array kNames{"stream_offset", "length", "count", "dsn"};
    std::vector<std::pair<std::string, uint64_t>> out;
    for (const char* name : kNames) {
      if (flag()) out.emplace_back(name, number());
    }
    return out;
  }
  packet::Endpoint endpoint(bool v4) {
    packet::Endpoint e;
    std::array<uint8_t, 16> raw{};
    const size_t size = std::min(raw.size(), bytes_.size());
    std::copy_n(bytes_.begin(), size, raw.begin());
    bytes_ = bytes_.subspan(size);
    e.address = v4 ? packet::IpAddress::v4(raw.data()) : packet::IpAddress::v6(raw.data());
    e.port = integer<uint16_t>();
    return e;
  }
  Head head() {
    const bool v4 = flag();
    return {number(), number(), endpoint(v4), endpoint(v4), number()};
  }
  SubflowRecord subflow() {
    SubflowRecord s;
    const bool v4 = flag();
    s.id = u32();
    s.src = endpoint(v4);
    s.dst = endpoint(v4);
    s.address_id = byte();
    s.backup = flag();
    s.opened_by_server = flag();
    s.join = static_cast<Join>(below(4));
    s.bytes = {number(), number()};
    s.packets = {number(), number()};
    if (flag()) s.reset_reason = "admin_prohibited";
    s.start_ns = number();
    s.end_ns = number();
    return s;
  }

  std::span<const uint8_t> bytes_;
};

}  // namespace mptap::event
