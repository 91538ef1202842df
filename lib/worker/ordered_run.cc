// SPDX-License-Identifier: Apache-2.0
#include "worker/ordered_run.h"

#include <algorithm>
#include <deque>
#include <thread>

namespace mptap::worker {
namespace {

using packet::Reason;
using packet::TcpSegment;
using subflow::FlowKey;

constexpr size_t kBurst = 32;
constexpr size_t kSortAhead = 512;  // own packets that wait to be processed

class OrderedWorker {
 public:
  OrderedWorker(Fabric& fabric, unsigned self, Engine& engine, Counters& counters)
      : fabric_(fabric), self_(self), engine_(engine), router_(fabric, self, counters), others_(fabric.workers()) {
    engine_.set_peers(&router_);
  }

  // Each does what it can now; true: something.
  bool sort();
  bool process();
  bool finished() const;

 private:
  struct Item {
    Parcel* parcel;
    Lane* lane;  // that it goes back to
  };

  void take_owned();
  void take_message(const Parcel& parcel, unsigned from);
  Item* least(uint64_t limit);

  Fabric& fabric_;
  const unsigned self_;
  Engine& engine_;
  Router router_;
  std::deque<Parcel*> input_;               // of the shard, not sorted
  std::deque<Item> own_;                    // sorted: ours
  std::vector<std::deque<Item>> others_;    // sorted by others: ours
  std::deque<Item>* from_ = nullptr;        // where least() found it
  uint64_t processed_ = 0;
};

bool OrderedWorker::sort() {
  Lane& lane = fabric_.packets(0, self_);
  // Read before the lane: what was dispatched up to here is in it or was.
  const uint64_t dispatched = fabric_.dispatched();
  Parcel* parcels[kBurst];
  size_t count;
  while (input_.size() < kSortAhead && (count = lane.receive(parcels)) != 0)
    input_.insert(input_.end(), parcels, parcels + count);
  const bool all_seen = input_.size() < kSortAhead;

  bool moved = false;
  while (!input_.empty() && own_.size() < kSortAhead) {
    Parcel* parcel = input_.front();
    const auto verdict = router_.route(parcel->segment, FlowKey(parcel->segment), 0, parcel->order);
    if (verdict == Router::Verdict::kStall) break;
    moved = true;
    input_.pop_front();
    if (verdict == Router::Verdict::kOurs) {
      own_.push_back({parcel, &lane});
    } else {
      lane.give_back(parcel);
    }
  }
  if (!input_.empty()) {
    fabric_.set_sorted(self_, input_.front()->order - 1);
  } else if (all_seen) {
    fabric_.set_sorted(self_, dispatched);
  }
  return moved;
}

void OrderedWorker::take_message(const Parcel& parcel, unsigned from) {
  if (parcel.kind != Parcel::Kind::kTokenKnown) return;  // foreign subflows age by the packets' time alone
  engine_.surrender(parcel.token, [&](const TcpSegment& s, const FlowKey& key) { router_.redirect(s, key, from); });
}

void OrderedWorker::take_owned() {
  Parcel* parcels[kBurst];
  for (unsigned from = 0; from < fabric_.workers(); ++from) {
    Lane& lane = fabric_.segments(from, self_);
    while (const size_t count = lane.receive(parcels)) {
      for (size_t i = 0; i < count; ++i) {
        if (parcels[i]->kind == Parcel::Kind::kSegment) {
          others_[from].push_back({parcels[i], &lane});
        } else {
          take_message(*parcels[i], from);
          lane.give_back(parcels[i]);
        }
      }
    }
  }
}

OrderedWorker::Item* OrderedWorker::least(uint64_t limit) {
  Item* found = nullptr;
  const auto look = [&](std::deque<Item>& queue) {
    if (queue.empty() || queue.front().parcel->order > limit) return;
    if (found != nullptr && found->parcel->order <= queue.front().parcel->order) return;
    found = &queue.front();
    from_ = &queue;
  };
  look(own_);
  for (auto& queue : others_) look(queue);
  return found;
}

bool OrderedWorker::process() {
  // The mark first, then the lanes: what was sorted up to the mark is in them.
  const uint64_t limit = fabric_.all_sorted();
  const uint64_t time = fabric_.time_of(limit);
  take_owned();
  bool moved = false;
  std::array<TcpSegment, kBurst> segments;
  std::array<Item, kBurst> items;
  for (;;) {
    size_t count = 0;
    for (Item* item; count < kBurst && (item = least(limit)) != nullptr; ++count) {
      items[count] = *item;
      segments[count] = item->parcel->segment;
      from_->pop_front();
    }
    if (count == 0) break;
    moved = true;
    engine_.process(std::span<const TcpSegment>(segments.data(), count));
    for (size_t i = 0; i < count; ++i) items[i].lane->give_back(items[i].parcel);
  }
  if (limit > processed_) {
    moved = true;
    processed_ = limit;
    engine_.advance(time);
    router_.advance(time);
    fabric_.set_processed(self_, limit);
    fabric_.tokens().readers().quiescent(self_);
  }
  return moved;
}

bool OrderedWorker::finished() const {
  return fabric_.input_closed() && fabric_.all_processed() == fabric_.dispatched();
}

// What the first worker does besides.
class Reader {
 public:
  Reader(const std::function<bool(packet::Frame&)>& next, Fabric& fabric, const packet::DecodeConfig& config,
         OrderedResult& result)
      : next_(next), fabric_(fabric), decoder_(config), result_(result) {}

  bool read();

 private:
  bool dispatch();

  const std::function<bool(packet::Frame&)>& next_;
  Fabric& fabric_;
  packet::Decoder decoder_;
  OrderedResult& result_;
  TcpSegment segment_;
  bool waiting_ = false;  // segment_ is not sent yet
  bool over_ = false;
  uint64_t order_ = 0, time_ = 0;
};

bool Reader::dispatch() {
  Lane& lane = fabric_.packets(0, fabric_.shard(segment_));
  Parcel* parcel = lane.acquire();
  if (parcel == nullptr) return false;
  parcel->kind = Parcel::Kind::kSegment;
  parcel->order = order_;
  parcel->load(segment_);
  lane.send(parcel);
  return true;
}

bool Reader::read() {
  if (over_) return false;
  bool moved = false;
  for (size_t i = 0; i < kBurst; ++i) {
    if (!waiting_) {
      if (order_ + 1 >= fabric_.all_processed() + Fabric::kWindow) break;
      packet::Frame frame;
      if (!next_(frame)) {
        over_ = true;
        fabric_.close_input();
        return true;
      }
      ++order_;
      ++result_.frames;
      result_.bytes += frame.wire;
      time_ = std::max(time_, frame.timestamp_ns);
      const Reason reason = decoder_.decode(frame, segment_);
      ++result_.decode[static_cast<size_t>(reason)];
      waiting_ = reason == Reason::kTcp;
    }
    if (waiting_ && !dispatch()) break;
    waiting_ = false;
    moved = true;
    fabric_.dispatch(order_, time_);
  }
  return moved;
}

}  // namespace

tl::expected<OrderedResult, std::string> run_ordered(const std::function<bool(packet::Frame&)>& next, FabricOptions options,
                                                     const EngineConfig& config, std::shared_ptr<const rules::Ruleset> rules,
                                                     const std::vector<Listener*>& listeners) {
  options.ordered = true;
  Fabric fabric(options);
  OrderedResult result;
  std::vector<std::unique_ptr<Engine>> engines;
  std::vector<std::unique_ptr<OrderedWorker>> workers;
  for (unsigned i = 0; i < options.workers; ++i) {
    auto engine = Engine::create(config, rules, *listeners[i]);
    if (!engine) return tl::unexpected(engine.error());
    engines.push_back(std::move(*engine));
    result.counters.push_back(std::make_unique<Counters>());
    workers.push_back(std::make_unique<OrderedWorker>(fabric, i, *engines[i], *result.counters[i]));
    fabric.tokens().readers().online(i);
  }
  Reader reader(next, fabric, config.decode, result);
  const auto run = [&](unsigned i) {
    OrderedWorker& worker = *workers[i];
    while (!worker.finished()) {
      bool moved = i == 0 && reader.read();
      moved = worker.sort() || moved;
      moved = worker.process() || moved;
      if (!moved) std::this_thread::yield();
    }
    fabric.tokens().readers().offline(i);
    engines[i]->finish();
  };
  std::vector<std::thread> threads;
  for (unsigned i = 1; i < options.workers; ++i) threads.emplace_back(run, i);
  run(0);
  for (std::thread& thread : threads) thread.join();
  for (const auto& engine : engines) result.engines.push_back(engine->counters());
  return result;
}

}  // namespace mptap::worker
