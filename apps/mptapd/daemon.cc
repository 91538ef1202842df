// SPDX-License-Identifier: Apache-2.0
#include "apps/mptapd/daemon.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iterator>

#include <fmt/format.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <sys/prctl.h>

#include "apps/mptapd/checks.h"
#include "apps/mptapd/privileges.h"
#include "worker/ends.h"
#include "worker/tally.h"

namespace mptap::daemon {
namespace {

using event::Level;

// A capture that is played back has ended when it brings nothing for so long; until then time is the packets'.
constexpr uint64_t kPacketQuietNs = 1'000'000'000;

const worker::Counter kWorkerStalls{"worker_stalls_total", "times that a worker's loop stood still for the watchdog's time"};
const worker::Counter kWorkersStalled{"workers_stalled", "workers that stand still now", worker::Metric::kGauge};
const worker::Counter kPortFailures{"port_failures_total", "times that a port's link went down"};
const worker::Counter kPortsDown{"ports_down", "ports whose link is down now", worker::Metric::kGauge};
const worker::Counter kReloads{"reloads_total", "times that rules were loaded anew"};
const worker::Counter kReloadsFailed{"reloads_failed_total", "times that they were wrong, and the old ones stayed"};

constexpr uint64_t kTurnMs = 100;  // of the main thread
// After kDrain and kFinish: writing the records of many connections takes its time, but systemd waits for 5 s in all.
constexpr uint64_t kFinishMs = 1500;
// What a port loses is told at once, then this often.
constexpr uint64_t kLossesMs = 10'000;

uint64_t now_ms() {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count());
}

uint64_t wall_ns() {
  return static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch() / std::chrono::nanoseconds(1));
}

sigset_t handled_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, number);
  return set;
}

}  // namespace

// A worker's events go into a queue of its own; a full one costs events, never packets.
class Daemon::Listener final : public worker::Listener {
 public:
  explicit Listener(event::EventQueue& queue) : queue_(queue) {}
  // Of the worker that this listens to; before it runs.
  void count_into(worker::Counters& counters) { tally_.emplace(counters); }
  void on_record(const event::ConnectionRecord& e) override { tell(e); }
  void on_alert(const event::Alert& e) override { tell(e); }
  void on_anomaly(const event::Anomaly& e) override { tell(e); }
  void on_joined(const event::SubflowJoined& e) override { tell(e); }
  void on_engine(const event::EngineEvent& e) override { queue_.push(e); }

 private:
  template <typename Told>
  void tell(const Told& e) {
    tally_->count(e);
    queue_.push(e);
  }
  event::EventQueue& queue_;
  std::optional<worker::Tally> tally_;
};

Daemon::Daemon(std::string config_path, config::Config config)
    : config_path_(std::move(config_path)), config_(std::move(config)) {}

Daemon::~Daemon() {
  metrics_.reset();  // before all that it reads
  control_plane_.reset();
  if (reloader_.joinable()) reloader_.join();
  workers_.clear();
  egress_.reset();
  ports_.clear();
}

tl::expected<void, std::string> Daemon::start(bool only_check) {
  if (auto checked = check_surroundings(config_); !checked) return tl::unexpected(checked.error());
  auto rules = load_rules(config_);
  if (!rules) return tl::unexpected(rules.error());
  rules_ = std::move(*rules);
  for (const std::string& message : rules_.messages) fmt::print(stderr, "{}\n", message);

  // Before any thread is made: each inherits it.
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return tl::unexpected(fmt::format("no_new_privs: {}", std::strerror(errno)));
  // Blocked before any thread is made: they all inherit it, and only run() takes signals.
  const sigset_t signals = handled_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  auto eal = port::Eal::start(eal_options(config_));
  if (!eal) return tl::unexpected(eal.error());
  eal_ = std::make_unique<port::Eal>(std::move(*eal));
  if (!config_.workers.huge_pages && !only_check) fmt::print(stderr, "mptapd: without huge pages: slower (workers.huge_pages)\n");
  if (auto opened = open_ports(); !opened) return opened;
  auto egress = Egress::open(config_);
  if (!egress) return tl::unexpected(egress.error());
  egress_ = std::move(*egress);
  if (only_check) return {};

  auto outputs = event::open_outputs(output_choice(config_),
                                     [this](const event::EngineEvent& e) { fmt::print(stderr, "mptapd: {}\n", e.message); });
  if (!outputs) return tl::unexpected(outputs.error());
  if (!config_.control.address.empty()) {
    hub_ = std::make_shared<control::EventHub>();
    outputs->push_back({std::make_unique<control::HubSink>(hub_)});
  }
  writer_ = std::make_unique<event::EventWriter>(std::move(*outputs), writer_options(config_));
  if (auto made = make_workers(); !made) return made;
  if (auto opened = open_control(); !opened) return opened;
  if (auto dropped = drop_privileges(config_.process.user); !dropped) return dropped;
  // Its threads come after the privileges are gone.
  return control_plane_ ? control_plane_->start() : tl::expected<void, std::string>();
}

tl::expected<void, std::string> Daemon::open_control() {
  if (config_.control.address.empty()) return {};
  std::ifstream file(config_path_);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  auto plane = ControlPlane::open({config_, text, workers_, ports_, counters_}, hub_);
  if (!plane) return tl::unexpected(plane.error());
  control_plane_ = std::move(*plane);
  control_plane_->set_rules(rules_.ruleset, config_.rules);
  return {};
}

tl::expected<void, std::string> Daemon::open_ports() {
  for (const std::string& name : config_.ports) {
    auto port = port::Port::open(name, port_options(config_));
    if (!port) return tl::unexpected(port.error());
    ports_.push_back(std::move(*port));
  }
  std::vector<port::RssSetup> setups;
  for (const port::Port& port : ports_) {
    setups.push_back(port.info().rss);
    // Software spreads to all workers, however few queues there are.
    if (setups.back().in_software) setups.back().queues = static_cast<uint16_t>(worker_count(config_));
    if (setups.back().in_software) setups.back().table.clear();
  }
  return port::check_alike(setups);
}

tl::expected<void, std::string> Daemon::make_workers() {
  const unsigned count = worker_count(config_);
  worker::FabricOptions fabric = fabric_options(config_);
  for (const port::Port& port : ports_)
    if (!port.info().rss.in_software && !port.info().rss.table.empty()) fabric.shards = port.info().rss.table;
  fabric_ = std::make_unique<worker::Fabric>(fabric);
  counters_.push_back(&own_counters_);
  control_.stall_ns = config_.workers.watchdog_ms * 1'000'000;
  control_.packet_quiet_ns = kPacketQuietNs;
  control_.packet_time = std::any_of(ports_.begin(), ports_.end(), [](const port::Port& port) { return port.info().timestamps; });

  std::vector<std::vector<worker::LiveQueue>> queues(count);
  for (size_t p = 0; p < ports_.size(); ++p) {
    const bool software = ports_[p].info().rss.in_software;
    // Ports without RSS begin at different workers, so that their burden is shared.
    for (uint16_t q = 0; q < ports_[p].queues(); ++q)
      queues[(q + (software ? p : 0)) % count].push_back({&ports_[p], q, software && count > 1});
  }
  for (unsigned i = 0; i < count; ++i) {
    listeners_.push_back(std::make_unique<Listener>(writer_->add_producer()));
    const worker::EngineConfig config = engine_config(config_);
    auto engine = worker::Engine::create(config, rules_.ruleset, *listeners_.back());
    if (!engine) return tl::unexpected(fmt::format("worker {}: {}", i, engine.error()));
    if (egress_) (*engine)->set_egress(egress_->add_outlet());
    workers_.push_back(std::make_unique<worker::LiveWorker>(*fabric_, i, std::move(*engine), config.decode,
                                                            router_options(config_), std::move(queues[i])));
    listeners_.back()->count_into(workers_.back()->own_counters());
    counters_.push_back(&workers_.back()->counters());
  }
  return {};
}

void Daemon::launch() {
  if (egress_) egress_->start();
  struct Start {
    worker::LiveWorker* worker;
    const worker::LiveControl* control;
    std::string name;
  };
  static std::vector<Start> starts;
  for (const auto& w : workers_) starts.push_back({w.get(), &control_, fmt::format("worker-{}", starts.size())});
  const auto body = [](void* argument) {
    const auto* start = static_cast<const Start*>(argument);
    pthread_setname_np(pthread_self(), start->name.c_str());
    drop_thread_capabilities();
    start->worker->run(*start->control);
    return 0;
  };
  for (size_t i = 0; i < starts.size(); ++i) {
    if (config_.workers.cpus.empty()) {
      threads_.emplace_back([body, &start = starts[i]] {
        rte_thread_register();  // for the mempools' caches
        body(&start);
        rte_thread_unregister();
      });
    } else {
      rte_eal_remote_launch(body, &starts[i], static_cast<unsigned>(i + 1));
    }
  }
}

void Daemon::make_metrics() {
  MetricsSources sources{
      .workers = {}, .fabric = fabric_.get(), .ports = ports_, .writer = writer_.get(), .egress = egress_.get()};
  for (const auto& w : workers_) sources.workers.push_back(w.get());
  metrics_ = std::make_unique<Metrics>(sources, config_);
  metrics_->loaded(rules_.loaded, rules_.left_out);
  if (control_plane_) metrics_->add([this](metrics::Page& page) { add_calls(page, control_plane_->server()); });
  if (const auto said = metrics_->keep(now_ms())) say(Level::kError, "metrics", *said);
}

void Daemon::say(Level level, const char* event, const std::string& message,
                 std::vector<std::pair<std::string, uint64_t>> numbers) {
  fmt::print(stderr, "mptapd: {}\n", message);
  writer_->push(event::EngineEvent{
      .timestamp_ns = wall_ns(), .level = level, .event = event, .message = message, .numbers = std::move(numbers)});
}

int Daemon::run() {
  started_ms_ = now_ms();
  next_stats_ms_ = started_ms_ + config_.events.stats_s * 1000;
  launch();
  watched_.assign(workers_.size(), {0, started_ms_, false});
  for (const port::Port& port : ports_) links_.push_back(port.link().up);
  make_metrics();
  own_counters_.set(kPortsDown, static_cast<uint64_t>(std::count(links_.begin(), links_.end(), false)));
  losses_.resize(ports_.size());
  const std::string status = fmt::format("{} ports, {} workers, {} rules", ports_.size(), workers_.size(), rules_.loaded);
  say(Level::kInfo, "started", "started: " + status);
  notifier_.ready(status);

  const sigset_t signals = handled_signals();
  for (;;) {
    const timespec turn{0, static_cast<long>(kTurnMs) * 1'000'000};
    const int number = sigtimedwait(&signals, nullptr, &turn);
    if (number == SIGTERM || number == SIGINT) break;
    if (number == SIGHUP) begin_reload();
    if (control_plane_ && !reloader_.joinable() && control_plane_->take_reload_request()) begin_reload();
    finish_reload();
    watch();
  }
  stop();
  return 0;
}

void Daemon::begin_reload() {
  writer_->reopen();
  if (control_plane_) control_plane_->reopen();
  if (reloader_.joinable()) return;  // one at a time
  reload_done_ = false;
  reloader_ = std::thread([this] {
    auto config = config::load(config_path_);
    if (config) {
      // Ports, workers and limits stay: they need a restart.
      config_.rules = config->rules;
      config_.timeouts.old_rules_s = config->timeouts.old_rules_s;
      reloaded_ = load_rules(config_);
    } else {
      reloaded_ = tl::unexpected(fmt::format("{}", fmt::join(config.error(), "; ")));
    }
    reload_done_ = true;
  });
}

void Daemon::finish_reload() {
  // Rules that no stream uses any longer go here.
  std::erase_if(old_rules_, [](const auto& rules) { return rules.use_count() == 1; });
  if (!reload_done_.exchange(false)) return;
  reloader_.join();
  if (reloaded_) {
    for (const std::string& message : reloaded_->messages) fmt::print(stderr, "{}\n", message);
    if (reloaded_->loaded == 0 && reloaded_->left_out > 0)
      reloaded_ = tl::unexpected(fmt::format("none of the {} new rules can be used", reloaded_->left_out));
  }
  if (!reloaded_) {
    own_counters_.add(kReloadsFailed);
    metrics_->refused();
    if (control_plane_) control_plane_->reload_ended(tl::unexpected(reloaded_.error()));
    say(Level::kError, "reload_failed", "reload failed, the old rules stay: " + reloaded_.error());
    return;
  }
  if (rules_.ruleset) old_rules_.push_back(rules_.ruleset);
  rules_ = std::move(*reloaded_);
  metrics_->loaded(rules_.loaded, rules_.left_out);
  for (const auto& w : workers_) w->give_rules(rules_.ruleset, config_.timeouts.old_rules_s * 1'000'000'000);
  if (control_plane_) {
    control_plane_->set_rules(rules_.ruleset, config_.rules);
    control_plane_->reload_ended(control::ReloadReport{rules_.loaded, rules_.left_out});
  }
  own_counters_.add(kReloads);
  say(Level::kInfo, "reloaded", fmt::format("reloaded: {} rules, {} left out", rules_.loaded, rules_.left_out),
      {{"rules", rules_.loaded}, {"left_out", rules_.left_out}});
}

void Daemon::watch() {
  const uint64_t now = now_ms();
  bool well = true;
  for (size_t i = 0; i < workers_.size(); ++i) {
    Watched& w = watched_[i];
    if (const uint64_t beat = workers_[i]->heartbeat(); beat != w.heartbeat) {
      w.heartbeat = beat;
      w.since_ms = now;
      if (std::exchange(w.stalled, false)) {
        own_counters_.subtract(kWorkersStalled);
        say(Level::kInfo, "worker_recovered", fmt::format("worker {} goes on", i), {{"worker", i}});
      }
    } else if (now - w.since_ms >= config_.workers.watchdog_ms) {
      well = false;
      if (!std::exchange(w.stalled, true)) {
        own_counters_.add(kWorkerStalls);
        own_counters_.add(kWorkersStalled);
        say(Level::kError, "worker_stalled", fmt::format("worker {} has stood still for {} ms", i, now - w.since_ms),
            {{"worker", i}, {"ms", now - w.since_ms}});
      }
    }
  }
  for (size_t i = 0; i < ports_.size(); ++i) {
    watch_losses(i, now);
    const bool up = ports_[i].link().up;
    if (up == links_[i]) continue;
    links_[i] = up;
    if (!up) own_counters_.add(kPortFailures);
    own_counters_.set(kPortsDown, static_cast<uint64_t>(std::count(links_.begin(), links_.end(), false)));
    say(up ? Level::kInfo : Level::kError, up ? "port_up" : "port_down",
        fmt::format("port {} is {}", ports_[i].info().name, up ? "up" : "down"), {{"port", i}});
  }
  if (egress_) {
    const uint64_t lost = worker::sum(counters_, worker::kEgressRefused) + worker::sum(counters_, worker::kEgressCut);
    if (const auto said = egress_->complaint(lost, now)) say(Level::kWarning, "egress_slow", *said, {{"connections", lost}});
  }
  if (const auto said = metrics_->keep(now)) say(Level::kWarning, "metrics", *said);
  if (well) notifier_.alive();
  if (config_.events.stats_s != 0 && now >= next_stats_ms_) {
    next_stats_ms_ = now + config_.events.stats_s * 1000;
    push_stats();
  }
}

void Daemon::watch_losses(size_t i, uint64_t now) {
  const port::PortStats stats = ports_[i].stats();
  const uint64_t lost = stats.missed + stats.no_buffer;
  Losses& l = losses_[i];
  if (lost == l.told || (l.told != 0 && now - l.at_ms < kLossesMs)) return;
  say(Level::kWarning, "port_lost_packets",
      fmt::format("port {} has lost {} packets: {} because its queues were full, {} for want of buffers", ports_[i].info().name,
                  lost - l.told, stats.missed, stats.no_buffer),
      {{"port", i}, {"lost", lost - l.told}, {"missed", stats.missed}, {"no_buffer", stats.no_buffer}});
  l = {lost, now};
}

void Daemon::push_stats() {
  event::Stats stats{.timestamp_ns = wall_ns(), .uptime_s = (now_ms() - started_ms_) / 1000, .counters = {}};
  const auto infos = worker::CounterRegistry::all();
  for (size_t i = 0; i < infos.size(); ++i) {
    std::string name = infos[i].name;
    if (infos[i].label != nullptr) name += fmt::format(".{}", infos[i].label_value);
    stats.counters.emplace_back(std::move(name), worker::sum(counters_, {static_cast<uint16_t>(i)}));
  }
  writer_->push(std::move(stats));
}

void Daemon::stop() {
  notifier_.stopping();
  if (control_plane_) control_plane_->stop();
  metrics_.reset();
  std::vector<uint64_t> beats;
  for (const auto& w : workers_) beats.push_back(w->heartbeat());
  control_.phase = worker::LiveControl::Phase::kDrain;
  const auto wait = [&](uint64_t limit_ms, auto&& condition) {
    const uint64_t end = now_ms() + limit_ms;
    while (now_ms() < end) {
      if (std::all_of(workers_.begin(), workers_.end(), [&](const auto& w) { return condition(*w); })) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
  };
  // Quiet, nothing between them, and so again when each has gone round: what was on its way has arrived.
  const auto at_rest = [&] {
    return fabric_->empty() && std::all_of(workers_.begin(), workers_.end(), [](const auto& w) { return w->quiet(); });
  };
  bool drained = false;
  for (const uint64_t end = now_ms() + config_.timeouts.drain_ms; !drained && now_ms() < end;) {
    const bool first = at_rest();
    std::vector<uint64_t> rounds;
    for (const auto& w : workers_) rounds.push_back(w->heartbeat() + 2);
    for (size_t i = 0; i < workers_.size(); ++i)
      while (workers_[i]->heartbeat() < rounds[i] && now_ms() < end) std::this_thread::sleep_for(std::chrono::microseconds(200));
    drained = first && at_rest();
  }
  control_.phase = worker::LiveControl::Phase::kFinish;
  if (!drained)
    say(Level::kWarning, "not_drained", fmt::format("the workers' rings were not empty after {} ms", config_.timeouts.drain_ms));
  if (!wait(kFinishMs, [](const worker::LiveWorker& w) { return w.finished(); }))
    say(Level::kWarning, "late", "writing the records of open connections takes long");
  // One that has not moved since is not waited for: its thread cannot be joined.
  bool lost = false;
  for (size_t i = 0; i < workers_.size(); ++i) {
    if (workers_[i]->finished() || workers_[i]->heartbeat() != beats[i]) continue;
    say(Level::kError, "worker_lost", fmt::format("worker {} does not end; the records of its connections are lost", i),
        {{"worker", i}});
    lost = true;
  }
  if (lost) {
    writer_->close();
    fmt::print(stderr, "{}", make_balance(counters_, ports_, 0).to_text());
    std::fflush(nullptr);
    std::_Exit(1);
  }
  for (std::thread& thread : threads_) thread.join();
  rte_eal_mp_wait_lcore();
  if (egress_) egress_->close();
  if (reloader_.joinable()) reloader_.join();
  push_stats();
  say(Level::kInfo, "stopped", "stopped");
  writer_->close();
  fmt::print(stderr, "{}", make_balance(counters_, ports_, worker::left_in_lanes(*fabric_)).to_text());
}

}  // namespace mptap::daemon
