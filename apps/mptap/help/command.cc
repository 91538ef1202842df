// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/help/command.h"

#include <memory>
#include <string>

#include <fmt/format.h>

#include <CLI/CLI.hpp>

namespace mptap::help {
namespace {

constexpr const char* kFirstHour = R"(The first hour: what to do about Multipath TCP in a network

Why it matters: an MPTCP connection runs over several paths at once. A sensor that follows each TCP flow alone sees pieces; a reset
of one flow moves the rest to the others. Linux has had it since 5.6 and leaves it on, Apple's systems use it for some services,
Go's servers listen with it by default since 1.24.

Minutes 0 to 10: is it here?
  [ ] On a tap or router, count it where you stand, at whatever place the option has:
        mptap monitor --interface eth0 --write mptcp.pcap --count 10000
      Keep the file. "tcp[40] = 0x1e" in tcpdump misses most of it; mptap monitor --format pcap prints what does not.
  [ ] Who joins whom? What did the connections carry, over all their paths?
        mptap read mptcp.pcap

Minutes 10 to 25: which hosts can?
  [ ] On hosts of your own; the exit code says it to a script (0 off or filtered, 1 allowed):
        mptap harden --check
  [ ] In networks of your own, and with permission:
        mptap scan 10.0.0.0/16 -p 22,80,443 --rate 1000 --state first-hour.state --json > found.json
      v1 and v0 speak it. stripped: something on the way takes it out, and the evidence says where. mirrored is TCP.

Minutes 25 to 45: contain
  [ ] Does a service need it? If nobody knows, strip it at the border and between zones. Both ends fall back to TCP at once:
        mptap harden strip --interface eth0             (read it)
        mptap harden strip --interface eth0 --apply
      Rather not drop it: clients wait before they fall back, some never do.
  [ ] If it has to stay, keep it on the path that you watch:
        mptap harden reject --joins --apply             (on the router)
        mptap harden limits --apply                     (on the host)
  [ ] On servers that need none of it, switch it off, and restart the listeners that it names:
        mptap harden off --apply
  [ ] Connections from before go on. End those that must not.

Minutes 45 to 60: check, and keep watch
  [ ] Scan again; the same targets must now be tcp_only, stripped or filtered.
  [ ] Leave counters and log lines on routers of critical networks, where any MPTCP is news:
        mptap monitor --format nft --log | nft -f -     (nft list counters)
  [ ] And on the tap, where it is an alert with the connection's name; mptapd has it as critical_networks under [detect]:
        mptap read --port net_af_packet0,iface=eth1 --critical "10.20.0.0/16 = plant floor"
      Without --critical it still says what abuse looks like: fast flux, join storms, traffic on backup or unseen paths.
  [ ] Save the rules (mptap harden strip > FILE) where the host loads them at start, and write down what you changed;
      mptap harden remove --apply and mptap harden on --apply take it back.
)";

struct Topic {
  const char* name;
  const char* what;
  const char* text;
};
constexpr Topic kTopics[] = {{"first-hour", "what to do about MPTCP in a network, as a checklist", kFirstHour}};

int show(const CLI::App& app, const std::string& wanted) {
  if (wanted.empty()) {
    fmt::print("{}\nTopics:\n", app.help());
    for (const auto& t : kTopics) fmt::print("  mptap help {:<16}{}\n", t.name, t.what);
    return cli::kDone;
  }
  for (const auto& t : kTopics) {
    if (wanted != t.name) continue;
    fmt::print("{}", t.text);
    return cli::kDone;
  }
  std::string names;
  for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_name() == wanted) {
      fmt::print("{}", command->help());
      return cli::kDone;
    }
    names += ", " + command->get_name();
  }
  for (const auto& t : kTopics) names += fmt::format(", {}", t.name);
  fmt::print(stderr, "mptap help: there is no \"{}\", there are {}\n", wanted, names.substr(2));
  return cli::kWrongCall;
}

}  // namespace

void add_command(CLI::App& app, cli::Action& action) {
  auto wanted = std::make_shared<std::string>();
  auto* sub = app.add_subcommand("help", "topics (first-hour), and each command's help");
  sub->add_option("topic", *wanted, "first-hour, or a command");
  sub->callback([&app, &action, wanted] { action = [&app, wanted] { return show(app, *wanted); }; });
}

}  // namespace mptap::help
