// SPDX-License-Identifier: Apache-2.0
// The daemon as its control plane sees it: connections out of the workers, rules, reloads on the main thread.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "apps/mptapd/connection_query.h"
#include "config/config.h"
#include "control/server.h"
#include "port/port.h"
#include "rules/ruleset.h"
#include "worker/counters.h"

namespace mptap::daemon {

class ControlPlane final : public control::Appliance {
 public:
  struct Parts {
    const config::Config& config;
    std::string config_text;
    Workers workers;
    std::span<const port::Port> ports;
    std::span<const worker::Counters* const> counters;
  };
  // Opens socket and audit log, while that is still allowed. The error is one line.
  static tl::expected<std::unique_ptr<ControlPlane>, std::string> open(const Parts& parts,
                                                                       std::shared_ptr<control::EventHub> hub);
  ~ControlPlane() override;

  tl::expected<void, std::string> start() { return server_->start(); }
  void stop();
  void reopen() { server_->reopen(); }
  const control::Server& server() const { return *server_; }

  // The main thread's: whether somebody waits for a reload, which then begins; how it ended; what is in force.
  bool take_reload_request();
  void reload_ended(const tl::expected<control::ReloadReport, std::string>& result);
  void set_rules(std::shared_ptr<const rules::Ruleset> ruleset, const config::Config::Rules& config);

  // control::Appliance
  control::Result<control::Page> list(std::shared_ptr<const control::ListQuery> query,
                                      const control::Deadline& deadline) override;
  control::Result<control::ConnectionInfo> get(const std::string& id, const control::Deadline& deadline) override;
  control::Result<action::Outcome> act(const action::Request& request, const control::Deadline& deadline) override;
  std::vector<rules::Rule> rules() override;
  std::string managed_rules() override;
  rules::RuleOptions rule_options() override;
  control::Result<control::ReloadReport> reload(const control::Deadline& deadline) override;
  std::vector<control::PolicyInfo> policies() override;
  control::BreakerInfo breaker() override;
  void resume_policies() override;
  control::SystemInfo system() override;

 private:
  ControlPlane(const Parts& parts, std::shared_ptr<control::EventHub> hub);

  const Parts parts_;
  const std::shared_ptr<control::EventHub> hub_;
  const uint64_t start_ns_;
  std::unique_ptr<control::Server> server_;

  std::mutex rules_mutex_;
  std::shared_ptr<const rules::Ruleset> ruleset_;
  config::Config::Rules rules_config_;

  std::mutex reload_mutex_;
  std::condition_variable reload_changed_;
  uint64_t reloads_asked_ = 0, reloads_begun_ = 0, reloads_ended_ = 0;
  bool stopping_ = false;
  tl::expected<control::ReloadReport, std::string> reload_result_;
};

}  // namespace mptap::daemon
