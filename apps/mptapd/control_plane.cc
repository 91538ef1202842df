// SPDX-License-Identifier: Apache-2.0
#include "apps/mptapd/control_plane.h"

#include <chrono>

#include <fmt/format.h>

namespace mptap::daemon {
namespace {

using control::Code;
using control::Error;

uint64_t wall_ns() {
  return static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch() / std::chrono::nanoseconds(1));
}

}  // namespace

ControlPlane::ControlPlane(const Parts& parts, std::shared_ptr<control::EventHub> hub)
    : parts_(parts), hub_(std::move(hub)), start_ns_(wall_ns()) {}

ControlPlane::~ControlPlane() {
  stop();
}

tl::expected<std::unique_ptr<ControlPlane>, std::string> ControlPlane::open(const Parts& parts,
                                                                            std::shared_ptr<control::EventHub> hub) {
  std::unique_ptr<ControlPlane> plane(new ControlPlane(parts, hub));
  const config::Config::Control& c = parts.config.control;
  auto server = control::Server::open({.address = c.address,
                                       .group = c.group,
                                       .certificate = c.certificate,
                                       .key = c.key,
                                       .client_ca = c.client_ca,
                                       .roles = c.roles,
                                       .audit_log = c.audit_log},
                                      *plane, std::move(hub));
  if (!server) return tl::unexpected(server.error());
  plane->server_ = std::move(*server);
  return plane;
}

void ControlPlane::stop() {
  {
    const std::lock_guard lock(reload_mutex_);
    stopping_ = true;
  }
  reload_changed_.notify_all();
  hub_->close();
  if (server_) server_->stop();
}

control::Result<control::Page> ControlPlane::list(std::shared_ptr<const control::ListQuery> query,
                                                  const control::Deadline& deadline) {
  return list_connections(parts_.workers, std::move(query), deadline);
}

control::Result<control::ConnectionInfo> ControlPlane::get(const std::string& id, const control::Deadline& deadline) {
  return find_connection(parts_.workers, id, deadline);
}

void ControlPlane::set_rules(std::shared_ptr<const rules::Ruleset> ruleset, const config::Config::Rules& config) {
  const std::lock_guard lock(rules_mutex_);
  ruleset_ = std::move(ruleset);
  rules_config_ = config;
}

std::vector<rules::Rule> ControlPlane::rules() {
  const std::lock_guard lock(rules_mutex_);
  return ruleset_ ? ruleset_->rules() : std::vector<rules::Rule>();
}

std::string ControlPlane::managed_rules() {
  const std::lock_guard lock(rules_mutex_);
  return rules_config_.managed;
}

rules::RuleOptions ControlPlane::rule_options() {
  const std::lock_guard lock(rules_mutex_);
  rules::RuleOptions options;
  options.variables = rules_config_.vars;
  options.classification_file = rules_config_.classification;
  return options;
}

bool ControlPlane::take_reload_request() {
  const std::lock_guard lock(reload_mutex_);
  if (reloads_asked_ == reloads_begun_) return false;
  reloads_begun_ = reloads_asked_;
  return true;
}

void ControlPlane::reload_ended(const tl::expected<control::ReloadReport, std::string>& result) {
  {
    const std::lock_guard lock(reload_mutex_);
    reloads_ended_ = reloads_begun_;
    reload_result_ = result;
  }
  reload_changed_.notify_all();
}

control::Result<control::ReloadReport> ControlPlane::reload(const control::Deadline& deadline) {
  std::unique_lock lock(reload_mutex_);
  const uint64_t mine = ++reloads_asked_;
  while (reloads_ended_ < mine && !stopping_) {
    if (std::chrono::steady_clock::now() >= deadline.at || deadline.cancelled())
      return tl::unexpected(Error{Code::kDeadlineExceeded, "RELOAD_LATE", "the reload goes on, but takes longer than the call"});
    reload_changed_.wait_for(lock, std::chrono::milliseconds(100));
  }
  if (reloads_ended_ < mine) return tl::unexpected(Error{Code::kUnavailable, "STOPPING", "the daemon is stopping"});
  if (!reload_result_) {
    return tl::unexpected(
        Error{Code::kFailedPrecondition, "RELOAD_FAILED", "reload failed, the old rules stay: " + reload_result_.error()});
  }
  return *reload_result_;
}

control::SystemInfo ControlPlane::system() {
  const config::Config& c = parts_.config;
  control::SystemInfo info{.version = MPTAP_VERSION,
                           .mode = c.mode,
                           .config = parts_.config_text,
                           .start_ns = start_ns_,
                           .ports = {},
                           .workers = {},
                           .limits = {},
                           .rules = 0};
  for (size_t i = 0; i < parts_.ports.size(); ++i) {
    const port::Port& port = parts_.ports[i];
    const port::PortStats stats = port.stats();
    const port::LinkState link = port.link();
    info.ports.push_back({.name = c.ports[i],
                          .driver = port.info().driver,
                          .up = link.up,
                          .mbps = link.mbps,
                          .received = stats.packets,
                          .missed = stats.missed,
                          .errors = stats.errors});
  }
  for (const worker::Counters* w : parts_.counters) {
    info.workers.push_back({.frames = w->value(worker::kFrames),
                            .connections = w->value(worker::kConnectionsOpen),
                            .held_bytes = w->value(worker::kHeldBytes),
                            .busy_cycles = w->value(worker::kBusyCycles),
                            .idle_cycles = w->value(worker::kIdleCycles)});
  }
  const uint64_t workers = parts_.counters.size();
  info.limits.push_back(
      {"limits.connections", c.limits.connections * workers, worker::sum(parts_.counters, worker::kConnectionsOpen)});
  info.limits.push_back(
      {"limits.worker_bytes", c.limits.worker_bytes * workers, worker::sum(parts_.counters, worker::kHeldBytes)});
  const std::lock_guard lock(rules_mutex_);
  info.rules = ruleset_ ? ruleset_->rules().size() : 0;
  return info;
}

}  // namespace mptap::daemon
