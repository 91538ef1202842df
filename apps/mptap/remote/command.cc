// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/remote/command.h"

#include <memory>

#include <CLI/CLI.hpp>

#include "apps/mptap/remote/tasks.h"

namespace mptap::remote {
namespace {

constexpr const char* kFilterHelp =
    R"(Filters: comparisons (= != < <= > >= :) with AND, OR, NOT and parentheses; OR binds closer than AND. Fields: id, state, mptcp,
version, fallback, address, port, client.address, client.port, server.address, server.port, token, subflows, packets,
alerts, anomalies, visibility, bytes, missing_bytes, age_s, idle_s, worker. "address : 10.0.0.0/8" asks for a prefix.)";

constexpr const char* kActionHelp =
    R"(Exit code: 0 confirmed on the wire (or --dry-run); 1 not effective: it goes on; 2 wrong call; 3 refused, not found or no answer; 4
sent, but what would show the effect is not visible here.)";

constexpr const char* kBlockHelp =
    R"(Blocking one path of an MPTCP connection does not stop it: hosts that have another way (a second interface, a VPN, a path beside
the tap: a side channel) move everything there, at the same rate, and it is no longer seen. So a subflow is never reset alone:
kill ends the whole connection at both ends, and policies that block should cover every path that the hosts have.)";

void add_server(CLI::App& command, Options& o) {
  command
      .add_option("--server", o.server.server, "mptapd's address: unix:PATH, or HOST:PORT, which wants --cert, --key and --ca")
      ->envname("MPTAP_SERVER")
      ->capture_default_str();
  command.add_option("--cert", o.server.certificate, "Your certificate, PEM")->envname("MPTAP_CERT");
  command.add_option("--key", o.server.key, "Its private key, PEM")->envname("MPTAP_KEY");
  command.add_option("--ca", o.server.authority, "The authority of mptapd's certificate, PEM")->envname("MPTAP_CA");
  command.add_option("--timeout", o.server.timeout_s, "Seconds to wait for an answer")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  command.add_flag("--json", o.json, "Print JSON, one object a line");
}

using Task = int (*)(const Options&);

class Adder {
 public:
  explicit Adder(cli::Action& action) : action_(action) {}

  CLI::App* add(CLI::App& app, const char* name, const char* help, std::shared_ptr<Options>& o, Task task,
                const std::string& footer) {
    CLI::App* command = app.add_subcommand(name, help);
    o = std::make_shared<Options>();
    o->command = name;
    add_server(*command, *o);
    command->footer(footer);
    command->callback([&action = action_, o, task] { action = [o, task] { return task(*o); }; });
    return command;
  }

 private:
  cli::Action& action_;
};

void add_listing(CLI::App& c, Options& o) {
  c.add_option("--filter", o.filter, "Only connections for which this holds");
  c.add_option("--order-by", o.order,
               "start_time, update_time, packets, alerts, anomalies, subflows, bytes or missing_bytes, and desc")
      ->capture_default_str();
}

void add_changing(CLI::App& c, Options& o) {
  c.add_flag("-y,--yes", o.yes, "Do not ask");
  c.add_flag("--dry-run", o.dry_run, "Say what would be done, and do nothing");
}

void add_connections(CLI::App& app, Adder& adder) {
  std::shared_ptr<Options> o;
  CLI::App* c = adder.add(
      app, "connections", "List the connections that mptapd follows now", o, list_connections,
      std::string(kFilterHelp) + "\n\n  mptap connections --filter 'server.port = 443 AND subflows > 1' --order-by 'bytes desc'");
  add_listing(*c, *o);
  c->add_option("--limit", o->limit, "At most so many; 0: all")->capture_default_str();

  c = adder.add(app, "show", "Show all of one connection", o, show_connection, "  mptap show 5f3a9c0d11223344");
  c->add_option("ID", o->ids, "Connection ids, as mptap connections and the events show them")->required();

  c = adder.add(app, "watch", "Show the connections again and again, as a live table on a terminal", o, watch_connections,
                kFilterHelp);
  add_listing(*c, *o);
  o->limit = 0;
  c->add_option("--limit", o->limit, "At most so many; 0: what fits on the terminal")->capture_default_str();
  c->add_option("--interval", o->interval_s, "Seconds between two looks")->check(CLI::Range(0.1, 60.0))->capture_default_str();
  c->add_option("--count", o->count, "End after so many looks; 0: never");
}

void add_actions(CLI::App& app, Adder& adder) {
  std::shared_ptr<Options> o;
  CLI::App* c = adder.add(app, "kill", "End connections at both ends: refused by this version's mptapd, which sends nothing yet",
                          o, act, std::string(kBlockHelp) + "\n\n" + kActionHelp);
  c->add_option("ID", o->ids, "Connection ids, as mptap connections and the events show them")->required();
  add_changing(*c, *o);
  c->add_option("--wait", o->wait_s, "Seconds to watch the wire for the verdict")
      ->check(CLI::Range(0.1, 60.0))
      ->capture_default_str();
}

void add_policies(CLI::App& app, Adder& adder) {
  std::shared_ptr<Options> o;
  CLI::App* c =
      adder.add(app, "policies", "Show the policies and what they did (this version has none)", o, policies, kBlockHelp);
  c->add_option("WHAT", o->what, "resume: let policies act again after a storm")->check(CLI::IsMember({"resume"}));
  add_changing(*c, *o);
}

void add_events(CLI::App& app, Adder& adder) {
  std::shared_ptr<Options> o;
  CLI::App* c = adder.add(
      app, "events", "Print events as they come, as EVE JSON", o, events,
      "Filters name the keys of the events, with dots: event_type = alert AND alert.severity <= 2 AND dest_ip : 10.0.0.0/8\n"
      "What was missed because this reader was too slow is told on standard error. --json prints each event's position, too.");
  c->add_option("--filter", o->filter, "Only events for which this holds");
  c->add_option("--resume", o->position,
                "Begin behind the event of this position (--json shows it); oldest: all that mptapd still has");
  c->add_option("--count", o->count, "End after so many events; 0: never");
  adder.add(app, "system", "Show the appliance: version, ports, workers, limits", o, show_system, "");
}

void add_rules(CLI::App& app, Adder& adder) {
  CLI::App& rules = *app.get_subcommand("rules");
  std::shared_ptr<Options> o;
  CLI::App* c =
      adder.add(rules, "list", "List the rules in force in mptapd", o, list_rules,
                "Fields of filters: sid, gid, rev, message, action, origin (file, managed), file, classtype, priority.");
  c->add_option("--filter", o->filter, "Only rules for which this holds");
  c->add_option("--limit", o->limit, "At most so many; 0: all")->capture_default_str();
  c = adder.add(rules, "show", "Show one rule", o, show_rule, "");
  c->add_option("ID", o->ids, "SID or GID-SID")->required();
  for (const char* name : {"create", "update"}) {
    c = adder.add(rules, name, name[0] == 'c' ? "Add a rule to the file of rules.managed" : "Replace a rule of that file", o,
                  change_rule,
                  "  mptap rules create 'alert tcp any any -> any any (msg:\"evil\"; content:\"evil stuff\"; sid:1000001;)'");
    c->add_option("RULE", o->text, "The rule; - reads it from standard input")->required();
    add_changing(*c, *o);
  }
  c = adder.add(rules, "delete", "Take a rule out of that file", o, change_rule, "");
  c->add_option("ID", o->ids, "SID or GID-SID")->required();
  add_changing(*c, *o);
  adder.add(rules, "reload", "Read configuration and rule files anew, as SIGHUP does", o, reload_rules, "");
}

}  // namespace

void add_command(CLI::App& app, cli::Action& action) {
  Adder adder(action);
  add_connections(app, adder);
  add_actions(app, adder);
  add_policies(app, adder);
  add_events(app, adder);
  add_rules(app, adder);
}

}  // namespace mptap::remote
