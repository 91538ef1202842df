// SPDX-License-Identifier: Apache-2.0
// The appliance from start to end: ports, workers, events; reload, watch, drain.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <tl/expected.hpp>

#include "apps/mptapd/balance.h"
#include "apps/mptapd/control_plane.h"
#include "apps/mptapd/egress.h"
#include "apps/mptapd/metrics.h"
#include "apps/mptapd/notify.h"
#include "apps/mptapd/settings.h"
#include "config/config.h"
#include "port/eal.h"
#include "port/port.h"
#include "worker/live_worker.h"

namespace mptap::daemon {

class Daemon {
 public:
  Daemon(std::string config_path, config::Config config);
  ~Daemon();

  // Everything up to and including the ports; the error is one line. With only_check nothing of it stays.
  tl::expected<void, std::string> start(bool only_check);
  // Until SIGTERM or SIGINT; SIGHUP reloads. Returns the exit code.
  int run();

 private:
  class Listener;

  tl::expected<void, std::string> open_ports();
  tl::expected<void, std::string> make_workers();
  tl::expected<void, std::string> open_control();
  void launch();
  void make_metrics();
  void stop();
  void watch();
  void watch_losses(size_t port, uint64_t now);
  void begin_reload();
  void finish_reload();
  void say(event::Level level, const char* event, const std::string& message,
           std::vector<std::pair<std::string, uint64_t>> numbers = {});
  void push_stats();

  const std::string config_path_;
  config::Config config_;
  LoadedRules rules_;
  std::vector<std::shared_ptr<const rules::Ruleset>> old_rules_;  // freed here, not on a worker
  std::shared_ptr<control::EventHub> hub_;  // none without a control plane
  std::unique_ptr<event::EventWriter> writer_;
  std::unique_ptr<port::Eal> eal_;
  std::vector<port::Port> ports_;
  std::unique_ptr<Egress> egress_;  // none configured: null
  std::unique_ptr<worker::Fabric> fabric_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<std::unique_ptr<worker::LiveWorker>> workers_;
  worker::Counters own_counters_;                   // the main thread's
  std::vector<const worker::Counters*> counters_;  // of all threads
  std::vector<std::thread> threads_;  // where workers have no CPUs of their own
  worker::LiveControl control_;
  std::unique_ptr<ControlPlane> control_plane_;
  Notifier notifier_;
  std::unique_ptr<Metrics> metrics_;

  struct Watched {
    uint64_t heartbeat = 0, since_ms = 0;
    bool stalled = false;
  };
  std::vector<Watched> watched_;
  std::vector<bool> links_;
  struct Losses {
    uint64_t told = 0, at_ms = 0;
  };
  std::vector<Losses> losses_;  // of each port
  uint64_t started_ms_ = 0, next_stats_ms_ = 0;

  std::thread reloader_;
  std::atomic<bool> reload_done_{false};
  tl::expected<LoadedRules, std::string> reloaded_;
};

}  // namespace mptap::daemon
