// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/harden/command.h"

#include <net/if.h>

#include <memory>

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "apps/mptap/harden/check.h"
#include "apps/mptap/harden/filter.h"
#include "apps/mptap/harden/host.h"
#include "apps/mptap/process.h"

namespace mptap::harden {
namespace {

constexpr const char* kFooter =
    R"(Without --apply each action prints what it would do, ready to be saved and read; nothing is changed.

Which one?
  strip    The best in a network: the option is overwritten with NOPs in the SYN, both ends speak plain TCP, without delay.
  reject   Answers the SYN with a RST: the connection attempt fails at once, and no program falls back by itself.
  drop     Clients send the SYN again before they try plain TCP: about 3 s with Linux 6.12 and later (which then leave
           MPTCP off for an hour), up to 15 s with older ones. Some never try. Prefer strip.
  log      Changes nothing: a line in the kernel's log, at most 10 a second.
  off      For hosts that you administer: programs get no MPTCP socket. Listeners that run go on until restarted.
  limits   MPTCP stays, on one path: a tap on that path sees all of it.
Rules act on SYNs, so that running connections live on; --all-packets acts on those too: connections with one path fall
back to TCP. With --joins connections stay MPTCP on one path; the programs at both ends notice nothing.

  mptap harden --check --json
  mptap harden off --apply
  mptap harden strip --interface eth0 --prefix 10.20.0.0/16 --inbound > /etc/nftables.d/mptcp.nft
  mptap harden reject --joins --apply

--check: exit code 0 when MPTCP is off or filtered both ways, 1 when it is allowed.)";

struct Options {
  bool check = false, json = false, apply = false;
  // off, on
  std::string system = "this";
  std::string sysctl_file = kSysctlFile;
  bool no_file = false;
  // filters
  std::string tool = "nft";
  std::vector<std::string> interfaces, prefixes;
  bool inbound = false, outbound = false, joins = false, all_packets = false, log = false;
  Limits limits;
};

int fail(const std::string& text) {
  fmt::print(stderr, "mptap harden: {}\n", text);
  return cli::kFailed;
}

int wrong(const std::string& text) {
  fmt::print(stderr, "mptap harden: {}\n", text);
  return cli::kWrongCall;
}

int finish(const tl::expected<std::string, std::string>& result) {
  if (!result) return fail(result.error());
  fmt::print("{}", *result);
  return cli::kDone;
}

int check(const Options& o) {
  const auto state = look_at_host();
  fmt::print("{}", o.json ? to_json(state).dump(2) + "\n" : to_text(state));
  return std::string_view(verdict(state)) == "allowed" ? cli::kNo : cli::kDone;
}

int switch_host(const Options& o, bool on) {
  System system = detect_system();
  if (o.system == "linux") system = System::kUpstream;
  if (o.system == "linux-out-of-tree") system = System::kOutOfTree;
  if (o.system == "macos") system = System::kMacos;
  const std::string file = o.no_file ? "" : o.sysctl_file;
  if (!o.apply) return finish(switch_text(system, on, file));
  if (system != System::kMacos && system != detect_system())
    return fail(fmt::format("--apply: this host is {}, not {}", system_name(detect_system()), o.system));
  const auto done = apply_switch(system, on, file);
  if (!done) return fail(done.error());
  fmt::print("{}", *done);
  if (!on) {
    const auto state = look_at_host();
    if (state.listeners > 0)
      fmt::print("{} MPTCP listeners were there before and go on to accept MPTCP: restart those services (ss -Mlnp).\n",
                 state.listeners);
  }
  return cli::kDone;
}

// Runs the tool and looks whether the rules are there.
tl::expected<std::string, std::string> apply_rules(const std::string& tool, const std::string& text, const std::string& wanted) {
  const auto done = tool == "nft" ? cli::run({"nft", "-f", "-"}, text) : cli::run({"sh"}, text);
  if (!done) return tl::unexpected(done.error());
  if (done->code) return tl::unexpected(fmt::format("{} refused: {}", tool, done->err));
  const auto state = look_at_host();
  size_t ours = 0;
  for (const auto& r : state.rules) {
    const bool own =
        tool == "nft" ? r.where.starts_with(fmt::format("nft inet {}", kNftTable)) : r.where.find(" MPTAP_") != std::string::npos;
    if (own && r.effect != wanted && !(wanted.empty() || r.effect == "log"))
      return tl::unexpected(fmt::format("{} holds {} where {} was asked for", r.where, r.effect, wanted));
    ours += own;
  }
  if (wanted.empty() != (ours == 0))
    return tl::unexpected(fmt::format("{} took the rules, but {} of them are there", tool, ours));
  return ours ? fmt::format("{} rules are in place: {}. MPTCP is now {}.\n", ours, wanted, verdict(state))
              : fmt::format("The rules are gone. MPTCP is now {}.\n", verdict(state));
}

int filter(const Options& o, Effect effect) {
  FilterSpec spec{
      .effect = effect, .interfaces = o.interfaces, .joins_only = o.joins, .every_packet = o.all_packets, .log = o.log};
  if (o.inbound != o.outbound) {
    spec.inbound = o.inbound;
    spec.outbound = o.outbound;
  }
  for (const auto& text : o.prefixes) {
    const auto prefix = packet::Prefix::parse(text);
    if (!prefix) return wrong("--prefix " + prefix.error());
    spec.prefixes.push_back(*prefix);
  }
  if (auto ok = validate(spec); !ok) return wrong(ok.error());
  std::string text = nft_rules(spec);
  if (o.tool == "iptables") {
    const auto script = iptables_script(spec);
    if (!script) return wrong(script.error());
    text = *script;
  }
  if (!o.apply) return finish(text);
  // Rules may be printed for another host; here they would never hold.
  for (const std::string& name : o.interfaces)
    if (if_nametoindex(name.c_str()) == 0) return fail(fmt::format("there is no interface \"{}\"; ip link lists them", name));
  const auto done = apply_rules(o.tool, text, effect_name(effect));
  if (done) fmt::print("{}Nothing keeps them over a reboot: save what this prints without --apply.\n", *done);
  return done ? cli::kDone : fail(done.error());
}

int remove(const Options& o) {
  const std::string text = o.tool == "nft" ? nft_removal() : iptables_removal();
  return o.apply ? finish(apply_rules(o.tool, text, "")) : finish(text);
}

int limit(const Options& o) {
  return o.apply ? finish(apply_limits(o.limits)) : finish(limits_text(o.limits));
}

void add_tool(CLI::App* sub, Options& o) {
  sub->add_option("--tool", o.tool, "nft or iptables")->check(CLI::IsMember({"nft", "iptables"}))->capture_default_str();
}

}  // namespace

void add_command(CLI::App& app, cli::Action& action) {
  auto o = std::make_shared<Options>();
  auto* harden = app.add_subcommand("harden", "switch MPTCP off on a host, or strip, reject, drop or log it in a network");
  harden->footer(kFooter);
  harden->add_flag("--check", o->check, "say what this host allows now");
  harden->add_flag("--json", o->json, "with --check: as JSON");
  const auto add = [&](const char* name, const char* help, std::function<int()> run) {
    auto* sub = harden->add_subcommand(name, help);
    sub->add_flag("--apply", o->apply, "do it and verify it, as root");
    sub->callback([&action, o, run = std::move(run)] {
      action = [o, run] {
        return o->apply && !cli::may_administer_network()
                   ? fail("--apply needs root, or the capability CAP_NET_ADMIN; without --apply, what it would do is printed")
                   : run();
      };
    });
    return sub;
  };
  for (const bool on : {false, true}) {
    auto* sub = add(on ? "on" : "off", on ? "let this host speak MPTCP again" : "this host speaks no MPTCP any more (sysctl)",
                    [o, on] { return switch_host(*o, on); });
    sub->add_option("--system", o->system, "whose commands to print")
        ->check(CLI::IsMember({"this", "linux", "linux-out-of-tree", "macos"}))
        ->capture_default_str();
    sub->add_option("--sysctl-file", o->sysctl_file, "the file that keeps it over a reboot")->capture_default_str();
    sub->add_flag("--no-sysctl-file", o->no_file, "until the next reboot only");
  }
  constexpr std::pair<Effect, const char*> kEffects[] = {
      {Effect::kStrip, "take the option out of SYNs: both ends speak plain TCP, no delay"},
      {Effect::kReject, "answer SYNs that carry MPTCP with a RST"},
      {Effect::kDrop, "drop SYNs that carry MPTCP (clients wait and retry, up to 15 s)"},
      {Effect::kLog, "log SYNs that carry MPTCP"}};
  for (const auto& [effect, help] : kEffects) {
    auto* sub = add(effect_name(effect), help, [o, e = effect] { return filter(*o, e); });
    add_tool(sub, *o);
    sub->add_option("--interface", o->interfaces, "only this interface (may be repeated)");
    sub->add_option("--prefix", o->prefixes, "only connections with an end in this prefix (may be repeated)");
    sub->add_flag("--inbound", o->inbound, "only connections that come in");
    sub->add_flag("--outbound", o->outbound, "only connections that go out");
    sub->add_flag("--joins", o->joins, "only MP_JOIN: connections stay, on one path (nft only)");
    sub->add_flag("--all-packets", o->all_packets, "not only SYNs: running connections too");
    sub->add_flag("--log", o->log, "log as well");
  }
  add_tool(add("remove", "take the rules of strip, reject, drop and log away again", [o] { return remove(*o); }), *o);
  auto* sub = add("limits", "keep MPTCP, but bound its paths (ip mptcp limits; 0: one path)", [o] { return limit(*o); });
  sub->add_option("--subflows", o->limits.subflows, "further subflows per connection")
      ->check(CLI::Range(0, 8))
      ->capture_default_str();
  sub->add_option("--add-addr-accepted", o->limits.add_addr_accepted, "announced addresses to use")
      ->check(CLI::Range(0, 8))
      ->capture_default_str();
  harden->require_subcommand(0, 1);
  harden->callback([harden, o, &action] {
    if (!harden->get_subcommands().empty()) {
      if (o->check) throw CLI::ValidationError("--check", "only looks: give it without an action");
      return;
    }
    if (!o->check) throw CLI::CallForHelp();
    action = [o] { return check(*o); };
  });
}

}  // namespace mptap::harden
