// SPDX-License-Identifier: Apache-2.0
#include "crew/crew.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <stdexcept>

#include "connection/connection.h"

namespace mptap::test {

using namespace std::chrono_literals;

// One worker's; read when its thread has ended.
class Crew::Keeper final : public worker::Listener {
 public:
  explicit Keeper(std::function<void(const event::ConnectionRecord&)> on_record) : on_record_(std::move(on_record)) {}
  void on_record(const event::ConnectionRecord& r) override {
    wait();
    if (on_record_) return on_record_(r);
    out.records.push_back(r);
  }
  void on_alert(const event::Alert& a) override { out.alerts.push_back(a); }
  void on_anomaly(const event::Anomaly& a) override { out.anomalies.push_back(a); }
  void on_engine(const event::EngineEvent& e) override { out.engine.push_back(e); }
  void on_stream(const connection::Connection& c, int direction, uint64_t, std::span<const uint8_t> bytes) override {
    wait();
    Bytes& all = out.streams[{c.id, direction}];
    all.insert(all.end(), bytes.begin(), bytes.end());
  }

  void wait() {
    while (paused.load(std::memory_order_acquire)) {
      waits.store(true, std::memory_order_release);
      std::this_thread::sleep_for(200us);
    }
    waits.store(false, std::memory_order_release);
  }

  Outcome out;
  std::atomic<bool> paused{false}, waits{false};

 private:
  std::function<void(const event::ConnectionRecord&)> on_record_;
};

Crew::Crew(const CrewOptions& options) : options_(options), threads_(options.workers), decoder_(options.engine.decode) {
  start_eal();
  worker::FabricOptions fabric = options_.fabric;
  fabric.workers = options_.workers + 1;  // the feeder is the last
  if (fabric.shards.empty()) fabric.shards = port::uniform_table(128, static_cast<uint16_t>(options_.workers));
  fabric_ = std::make_unique<worker::Fabric>(fabric);
  fabric_->set_passed(options_.workers, UINT64_MAX);  // the feeder only sorts
  control_.packet_time = true;
  control_.stall_ns = options_.stall_ns;
  options_.engine.streams = options_.streams;
  const auto rules = compiled_rules(options_.rules);
  for (unsigned i = 0; i < options_.workers; ++i) {
    keepers_.push_back(std::make_unique<Keeper>(options_.on_record));
    auto engine = worker::Engine::create(options_.engine, rules, *keepers_.back());
    if (!engine) throw std::runtime_error(engine.error());
    workers_.push_back(std::make_unique<worker::LiveWorker>(*fabric_, i, std::move(*engine), options_.engine.decode,
                                                            options_.router, std::vector<worker::LiveQueue>{}));
    counters_.push_back(&workers_.back()->counters());
  }
}

Crew::~Crew() {
  if (!finished_) finish();
}

void Crew::start() {
  for (unsigned i = 0; i < options_.workers; ++i)
    if (!threads_[i].joinable()) start(i);
}

void Crew::start(unsigned i) {
  threads_[i] = std::thread([this, i] { workers_[i]->run(control_); });
}

void Crew::feed(const std::vector<Sent>& wire) {
  for (const Sent& s : wire) feed(s);
}

void Crew::feed(const Bytes& frame, uint64_t ns) {
  ++fed_;
  latest_ = std::max(latest_, ns);
  packet::TcpSegment s;
  const auto size = static_cast<uint32_t>(frame.size());
  if (decoder_.decode({frame.data(), size, size, packet::LinkType::kEthernet, ns, fed_}, s) != packet::Reason::kTcp) {
    ++not_tcp_;
    return;
  }
  // What goes on between the workers is bounded by what was fed and has not been taken.
  const auto crowded = [&] {
    for (unsigned from = 0; from < fabric_->workers(); ++from)
      for (unsigned to = 0; to < options_.workers; ++to)
        if (threads_[to].joinable() && fabric_->segments(from, to).depth() * 4 > options_.fabric.segments) return true;
    return false;
  };
  while (options_.wait && crowded()) std::this_thread::sleep_for(50us);
  worker::Lane& lane = fabric_->packets(options_.workers, fabric_->shard(s));
  worker::Parcel* parcel = lane.acquire();
  while (options_.wait && parcel == nullptr) {
    std::this_thread::sleep_for(50us);
    parcel = lane.acquire();
  }
  if (parcel == nullptr) {
    ++dropped_;
    return;
  }
  parcel->kind = worker::Parcel::Kind::kSegment;
  parcel->hops = 0;
  parcel->order = 0;
  parcel->load(s);
  lane.send(parcel);
  fabric_->set_clock(options_.workers, latest_);
}

void Crew::settle() {
  const auto empty = [&] {
    for (unsigned from = 0; from < fabric_->workers(); ++from)
      for (unsigned to = 0; to < options_.workers; ++to)
        if (threads_[to].joinable() && fabric_->segments(from, to).depth() + fabric_->packets(from, to).depth() != 0)
          return false;
    return true;
  };
  // A housekeeping that began after the lanes were empty may still send.
  for (int round = 0; round < 3; ++round) {
    while (!empty()) std::this_thread::sleep_for(100us);
    std::vector<uint64_t> beats;
    for (const auto& w : workers_) beats.push_back(w->heartbeat());
    for (unsigned i = 0; i < options_.workers; ++i)
      while (threads_[i].joinable() && workers_[i]->heartbeat() < beats[i] + 3) std::this_thread::sleep_for(100us);
  }
}

void Crew::pause(unsigned worker) {
  keepers_[worker]->paused.store(true, std::memory_order_release);
}

void Crew::resume(unsigned worker) {
  keepers_[worker]->paused.store(false, std::memory_order_release);
}

void Crew::wait_for_pause(unsigned worker) {
  while (!keepers_[worker]->waits.load(std::memory_order_acquire)) std::this_thread::sleep_for(200us);
}

unsigned Crew::shard(const packet::Endpoint& a, const packet::Endpoint& b) const {
  packet::TcpSegment s;
  s.src = a;
  s.dst = b;
  return fabric_->shard(s);
}

void Crew::give_rules(const std::string& rules) {
  const auto compiled = compiled_rules(rules);
  for (const auto& w : workers_) w->give_rules(compiled, 0);
}

void Crew::finish() {
  finished_ = true;
  settle();
  control_.phase = worker::LiveControl::Phase::kDrain;
  for (unsigned i = 0; i < options_.workers; ++i)
    while (threads_[i].joinable() && !workers_[i]->quiet()) std::this_thread::sleep_for(1ms);
  control_.phase = worker::LiveControl::Phase::kFinish;
  for (std::thread& thread : threads_)
    if (thread.joinable()) thread.join();
}

std::string Crew::imbalance() {
  const worker::PacketEnds ends = worker::packet_ends(counters_);
  const uint64_t left = worker::left_in_lanes(*fabric_);
  const uint64_t ended = worker::total(ends) + not_tcp_ + dropped_ + left;
  if (ended == fed_) return {};
  std::string text = fmt::format("fed {}, ended {}: not TCP {}, dropped by the feeder {}, left in lanes {}", fed_, ended,
                                 not_tcp_, dropped_, left);
  for (const auto& [name, count] : ends)
    if (count != 0) text += fmt::format(", {} {}", name, count);
  return text;
}

Outcome Crew::outcome() {
  Outcome all;
  for (const auto& keeper : keepers_) {
    Outcome& o = keeper->out;
    all.records.insert(all.records.end(), o.records.begin(), o.records.end());
    all.alerts.insert(all.alerts.end(), o.alerts.begin(), o.alerts.end());
    all.anomalies.insert(all.anomalies.end(), o.anomalies.begin(), o.anomalies.end());
    all.engine.insert(all.engine.end(), o.engine.begin(), o.engine.end());
    for (const auto& [key, bytes] : o.streams) append(all.streams[key], bytes);
  }
  return all;
}

std::string Crew::hits() const {
  std::string text;
  for (size_t i = 0; i < worker::kLimits; ++i) {
    const auto limit = static_cast<worker::Limit>(i);
    const uint64_t hits = count(worker::kLimitHits[limit]);
    if (hits != 0) text += fmt::format("{}{}:{}", text.empty() ? "" : " ", worker::limit_name(limit), hits);
  }
  return text;
}

std::vector<Sent> merge(const std::vector<const Conversation*>& conversations) {
  std::vector<Sent> wire;
  for (const Conversation* c : conversations) wire.insert(wire.end(), c->wire.begin(), c->wire.end());
  std::stable_sort(wire.begin(), wire.end(), [](const Sent& a, const Sent& b) { return a.ns < b.ns; });
  return wire;
}

}  // namespace mptap::test
