// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "apps/mptapd/daemon.h"
#include "apps/mptapd/selftest.h"
#include "config/config.h"

namespace {

constexpr int kDone = 0, kFailed = 1, kWrongCall = 2;

int fail(const std::string& message) {
  fmt::print(stderr, "mptapd: {}\n", message);
  return kFailed;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace mptap;
  CLI::App app(
      "mptapd follows every Multipath TCP connection on its ports, puts its streams together and searches them.\n"
      "SIGHUP loads the rules anew and reopens the event file; SIGTERM ends it, with the records of open connections.");
  std::string path = "/etc/mptap/mptap.toml";
  bool check = false, help_config = false, default_config = false, rss_selftest = false;
  unsigned seconds = 10;
  app.add_option("-c,--config", path, "the configuration")->capture_default_str();
  app.add_flag("--check", check, "judge the configuration, its rules and its ports, and end");
  app.add_flag("--help-config", help_config, "list the configuration's keys");
  app.add_flag("--default-config", default_config, "print a configuration file with every key and its default");
  app.add_flag("--rss-selftest", rss_selftest, "show with live packets that both directions of a flow reach one queue");
  app.add_option("--seconds", seconds, "how long --rss-selftest listens")->check(CLI::Range(1, 3600))->capture_default_str();
  app.set_version_flag("--version", "mptapd " MPTAP_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kWrongCall;
  }
  if (help_config || default_config) {
    fmt::print("{}", help_config ? config::help_text() : config::reference_text());
    return kDone;
  }

  auto config = config::load(path);
  if (!config) {
    for (const std::string& fault : config.error()) fmt::print(stderr, "{}\n", fault);
    return kFailed;
  }
  if (rss_selftest) return daemon::rss_selftest(*config, seconds);
  daemon::Daemon appliance(path, std::move(*config));
  if (auto started = appliance.start(check); !started) return fail(started.error());
  if (check) {
    fmt::print("{}: good\n", path);
    return kDone;
  }
  return appliance.run();
}
