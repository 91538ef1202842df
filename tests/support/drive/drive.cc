// SPDX-License-Identifier: Apache-2.0
#include "drive/drive.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <stdexcept>

#include "connection/connection.h"
#include "port/eal.h"
#include "rules/load.h"
#include "rules/ruleset.h"

namespace mptap::test {

namespace {

class Keeper final : public worker::Listener {
 public:
  explicit Keeper(Outcome& out) : out_(out) {}
  void on_record(const event::ConnectionRecord& r) override { out_.records.push_back(r); }
  void on_alert(const event::Alert& a) override { out_.alerts.push_back(a); }
  void on_anomaly(const event::Anomaly& a) override { out_.anomalies.push_back(a); }
  void on_engine(const event::EngineEvent& e) override { out_.engine.push_back(e); }
  void on_stream(const connection::Connection& c, int direction, uint64_t, std::span<const uint8_t> bytes) override {
    Bytes& all = out_.streams[{c.id, direction}];
    all.insert(all.end(), bytes.begin(), bytes.end());
  }

 private:
  Outcome& out_;
};

template <class A, class B>
void compare(std::string& out, const std::string& what, const A& engine, const B& reference) {
  if (engine != reference) out += fmt::format("{}: engine {}, reference {}\n", what, engine, reference);
}

const char* name(event::Join join) {
  switch (join) {
    case event::Join::kInitial: return "initial";
    case event::Join::kVerified: return "verified";
    case event::Join::kFailed: return "failed";
    case event::Join::kUnverified: return "unverified";
  }
  return "";
}

const char* name(event::End end) {
  switch (end) {
    case event::End::kOpen: return "open";
    case event::End::kDataFin: return "data_fin";
    case event::End::kFastClose: return "fast_close";
    case event::End::kReset: return "reset";
    case event::End::kTimeout: return "timeout";
  }
  return "";
}

void compare_streams(std::string& out, const std::string& what, const event::StreamRecord& e, const Bytes& bytes,
                     const JudgedStream& r) {
  compare(out, what + " bytes", e.bytes, r.bytes.size());
  compare(out, what + " missing_bytes", e.missing_bytes, r.missing);
  compare(out, what + " missing_tap_bytes", e.missing_tap_bytes, r.missing_tap);
  compare(out, what + " duplicate_bytes", e.duplicate_bytes, r.duplicate);
  compare(out, what + " conflicting_bytes", e.conflicting_bytes, r.conflicting);
  compare(out, what + " pending_bytes", e.pending_bytes, r.pending);
  compare(out, what + " assumed", e.assumed, r.assumed);
  if (bytes != r.bytes) {
    size_t at = 0;
    while (at < bytes.size() && at < r.bytes.size() && bytes[at] == r.bytes[at]) ++at;
    out +=
        fmt::format("{} differs from byte {} on (engine gave {} bytes, reference {})\n", what, at, bytes.size(), r.bytes.size());
  }
}

}  // namespace

void start_eal() {
  static const auto eal = port::Eal::start({.memory_mb = 256});
  if (!eal) throw std::runtime_error(eal.error());
}

std::shared_ptr<const rules::Ruleset> compiled_rules(const std::string& text) {
  if (text.empty()) return nullptr;
  const rules::RuleOptions options;
  auto loaded = rules::load_rules_text(text, "test.rules", options);
  if (!loaded) throw std::runtime_error(loaded.error().message);
  auto ruleset = rules::Ruleset::compile(std::move(loaded->rules), options);
  if (!ruleset) throw std::runtime_error(ruleset.error());
  return *ruleset;
}

Outcome drive(const std::vector<Sent>& wire, const DriveOptions& options) {
  start_eal();
  Outcome out;
  Keeper keeper(out);
  worker::EngineConfig config = options.config;
  config.streams = true;
  if (!options.own_limits) config.max_subflows = config.max_connections = 1024;
  auto engine = worker::Engine::create(config, compiled_rules(options.rules), keeper);
  if (!engine) throw std::runtime_error(engine.error());
  if (options.egress) (*engine)->set_egress(options.egress);
  std::vector<packet::Frame> burst;
  for (size_t i = 0; i < wire.size(); ++i) {
    const auto size = static_cast<uint32_t>(wire[i].frame.size());
    burst.push_back({wire[i].frame.data(), size, size, packet::LinkType::kEthernet, wire[i].ns, i + 1});
    if (burst.size() == options.burst || i + 1 == wire.size()) {
      (*engine)->process(burst);
      burst.clear();
    }
  }
  if (options.silence_ns > 0 && !wire.empty()) (*engine)->advance(wire.back().ns + options.silence_ns);
  (*engine)->finish();
  out.counters = (*engine)->counters();
  if ((*engine)->memory_held() != 0)
    throw std::runtime_error(fmt::format("{} bytes are held after the end", (*engine)->memory_held()));
  return out;
}

Outcome drive(const Conversation& c, const DriveOptions& options) {
  return drive(c.wire, options);
}

DriveOptions with_policy(Policy policy, DriveOptions options) {
  constexpr std::array<stream::OverlapPolicy, 4> kSame{stream::OverlapPolicy::kLinux, stream::OverlapPolicy::kFirst,
                                                       stream::OverlapPolicy::kBsd, stream::OverlapPolicy::kLast};
  options.config.tcp.policy = options.config.connection.stream.policy = kSame[static_cast<size_t>(policy)];
  return options;
}

const event::ConnectionRecord& Outcome::record() const {
  if (records.size() == 1) return records[0];
  const event::ConnectionRecord* found = nullptr;
  for (const auto& r : records) {
    if (!r.mptcp) continue;
    if (found != nullptr) throw std::runtime_error("several records of MPTCP connections");
    found = &r;
  }
  if (found == nullptr) throw std::runtime_error(fmt::format("{} records, none of MPTCP", records.size()));
  return *found;
}

const Bytes& Outcome::stream(const event::ConnectionRecord& r, Direction d) const {
  static const Bytes kNone;
  const auto it = streams.find({r.connection_id, static_cast<int>(d)});
  return it == streams.end() ? kNone : it->second;
}

std::string Outcome::delivered(Direction d) const {
  return runs(stream(record(), d));
}

bool Outcome::has(const std::string& wanted) const {
  return std::any_of(anomalies.begin(), anomalies.end(), [&](const event::Anomaly& a) { return event::name(a.type) == wanted; });
}

bool Outcome::told(const std::string& wanted, const std::string& number) const {
  return std::any_of(engine.begin(), engine.end(), [&](const event::EngineEvent& e) {
    return e.event == wanted &&
           (number.empty() || std::any_of(e.numbers.begin(), e.numbers.end(), [&](const auto& n) { return n.first == number; }));
  });
}

std::string Outcome::anomaly_names() const {
  std::set<std::string> names;
  for (const event::Anomaly& a : anomalies) names.insert(std::string(event::name(a.type)));
  return fmt::format("{}", fmt::join(names, " "));
}

std::string differences(const Outcome& engine, const std::vector<Judged>& reference) {
  std::string out;
  compare(out, "connections", engine.records.size(), reference.size());
  if (!out.empty()) return out;
  for (size_t i = 0; i < reference.size(); ++i) {
    const event::ConnectionRecord& e = engine.records[i];
    const Judged& r = reference[i];
    const std::string prefix = reference.size() == 1 ? "" : fmt::format("connection {}: ", i);
    compare(out, prefix + "mptcp", e.mptcp, r.mptcp);
    if (e.mptcp) {
      compare(out, prefix + "version", int{e.version}, r.version);
      compare(out, prefix + "token_client", e.token_client.value_or(0), r.token_client.value_or(0));
      compare(out, prefix + "token_server", e.token_server.value_or(0), r.token_server.value_or(0));
      compare(out, prefix + "checksum", e.checksum, r.checksum);
      compare(out, prefix + "end", std::string(name(e.end)), r.end);
    }
    compare(out, prefix + "span_duplicates", e.span_duplicates, r.span_duplicates);
    compare(out, prefix + "visibility", e.visibility.value_or(-1), r.visibility ? std::round(*r.visibility * 1000) / 1000 : -1);
    compare(out, prefix + "subflows", e.subflows.size(), r.subflows.size());
    for (const JudgedSubflow& wanted : r.subflows) {
      const auto what = fmt::format("{}subflow {} -> {}", prefix, wanted.client.port, wanted.server.port);
      const auto found = std::find_if(e.subflows.begin(), e.subflows.end(), [&](const event::SubflowRecord& s) {
        return s.src.address.bytes == wanted.client.address && s.src.port == wanted.client.port &&
               s.dst.address.bytes == wanted.server.address && s.dst.port == wanted.server.port;
      });
      if (found == e.subflows.end()) {
        out += what + " is unknown to the engine\n";
        continue;
      }
      compare(out, what + " join", std::string(name(found->join)), wanted.join);
      compare(out, what + " bytes_toserver", found->bytes[0], wanted.bytes[0]);
      compare(out, what + " bytes_toclient", found->bytes[1], wanted.bytes[1]);
      compare(out, what + " address_id", int{found->address_id}, int{wanted.address_id});
      compare(out, what + " opened_by_server", found->opened_by_server, wanted.by_server);
    }
    for (const Direction d : {kToServer, kToClient}) {
      compare_streams(out, prefix + (d == kToServer ? "toserver" : "toclient"), e.stream[d], engine.stream(e, d), r.stream[d]);
    }
  }
  return out;
}

}  // namespace mptap::test
