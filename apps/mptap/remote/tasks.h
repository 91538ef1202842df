// SPDX-License-Identifier: Apache-2.0
// What the sub-commands do once their options are read. Each returns the exit code.
#pragma once

#include <string>
#include <vector>

#include "apps/mptap/remote/client.h"

namespace mptap::remote {

struct Options {
  std::string command;  // for messages and to choose the action
  ServerChoice server;
  bool json = false;
  std::string filter, order = "start_time";
  uint64_t limit = 1000, count = 0;
  double interval_s = 1, wait_s = 3;
  std::vector<std::string> ids;
  std::string what, position, text;
  bool yes = false, dry_run = false;
};

int list_connections(const Options& o);
int show_connection(const Options& o);
int watch_connections(const Options& o);
int act(const Options& o);
int policies(const Options& o);
int events(const Options& o);
int show_system(const Options& o);
int list_rules(const Options& o);
int show_rule(const Options& o);
int change_rule(const Options& o);
int reload_rules(const Options& o);

int complain(const Options& o, const Failure& failure);
// True: go on. Asks on a terminal, unless --yes or --dry-run was given; elsewhere nobody is there to ask.
bool confirmed(const Options& o, const std::string& question);
// The exit code once all is printed. error: the output's errno, 0 for none; a reader that went away has seen enough.
int finished(const Options& o, int error);
// "1000001" or "1-1000001" to rules/1-1000001.
std::string rule_name(const std::string& id);

}  // namespace mptap::remote
