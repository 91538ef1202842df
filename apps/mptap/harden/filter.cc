// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/harden/filter.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace mptap::harden {
namespace {

// The options area holds 40 bytes and the shortest MPTCP options that travel together take 4 and 8. `reset tcp option`
// changes the first MPTCP option only, so it is said once for each that a packet can carry; SYNs carry one.
constexpr int kMostOptionsPerPacket = 6;

std::vector<std::string> prefixes_of(const FilterSpec& spec, bool v4) {
  std::vector<std::string> out;
  for (const auto& p : spec.prefixes)
    if (p.v4() == v4) out.push_back(p.to_string());
  return out;
}

std::string nft_set(std::string_view what, const std::vector<std::string>& values, bool quoted) {
  if (values.empty()) return {};
  return quoted ? fmt::format("{} {{ \"{}\" }} ", what, fmt::join(values, "\", \""))
                : fmt::format("{} {{ {} }} ", what, fmt::join(values, ", "));
}

std::string nft_match(const FilterSpec& spec) {
  std::string match = spec.every_packet ? "meta l4proto tcp " : "tcp flags & (syn | ack | rst | fin) == syn ";
  return match + (spec.joins_only ? "tcp option mptcp subtype 1 " : "tcp option mptcp exists ");
}

std::string nft_chain(const FilterSpec& spec, std::string_view name, std::string_view hook, bool in, bool out) {
  const std::string match = nft_match(spec);
  std::vector<std::string> guards;
  if (in && out && spec.interfaces.empty()) {
    guards.emplace_back();
  } else {
    if (in) guards.push_back(nft_set("iifname", spec.interfaces, true));
    if (out) guards.push_back(nft_set("oifname", spec.interfaces, true));
  }
  // Rejecting and dropping belong where an administrator's other filter rules are; the others come before them.
  const bool filter = spec.effect == Effect::kReject || spec.effect == Effect::kDrop;
  std::string text = fmt::format("\tchain {} {{\n\t\ttype filter hook {} priority {}; policy accept;\n", name, hook,
                                 filter ? "filter" : "mangle");
  for (const auto& g : guards) text += fmt::format("\t\t{}{}jump {}\n", g, match, spec.prefixes.empty() ? "act" : "choose");
  return text + "\t}\n";
}

std::string nft_effect(const FilterSpec& spec) {
  std::string text;
  if (spec.log || spec.effect == Effect::kLog)
    text += fmt::format("\t\tlimit rate 10/second burst 20 packets log prefix \"{}\"\n", kLogPrefix);
  switch (spec.effect) {
    case Effect::kStrip: {
      std::string resets;
      for (int i = 0; i < (spec.every_packet ? kMostOptionsPerPacket : 1); i++) resets += " reset tcp option mptcp";
      return text + "\t\tcounter" + resets + "\n";
    }
    case Effect::kReject: return text + "\t\tmeta l4proto tcp counter reject with tcp reset\n";
    case Effect::kDrop: return text + "\t\tcounter drop\n";
    case Effect::kLog: return text + "\t\tcounter\n";
  }
  return text;
}

struct IptablesHook {
  const char* table;
  const char* builtin;
  const char* chain;
  bool in, out;
};

// TCPOPTSTRIP exists in the mangle table only, REJECT in filter's three chains only.
constexpr IptablesHook kIptablesHooks[] = {
    {"mangle", "PREROUTING", "MPTAP_IN", true, false}, {"mangle", "POSTROUTING", "MPTAP_OUT", false, true},
    {"filter", "INPUT", "MPTAP_INPUT", true, false},   {"filter", "FORWARD", "MPTAP_FORWARD", true, true},
    {"filter", "OUTPUT", "MPTAP_OUTPUT", false, true},
};

std::string iptables_target(Effect effect) {
  switch (effect) {
    case Effect::kStrip: return "TCPOPTSTRIP --strip-options 30";
    case Effect::kReject: return "REJECT --reject-with tcp-reset";
    case Effect::kDrop: return "DROP";
    case Effect::kLog: break;
  }
  return {};
}

void append_iptables(std::string& text, const FilterSpec& spec, const IptablesHook& hook, bool v4) {
  const char* tool = v4 ? "iptables" : "ip6tables";
  const auto prefixes = prefixes_of(spec, v4);
  if (!spec.prefixes.empty() && prefixes.empty()) return;
  std::vector<std::string> guards;
  const auto add_guards = [&](const char* flag) {
    if (spec.interfaces.empty()) guards.emplace_back();
    for (const auto& i : spec.interfaces) guards.push_back(fmt::format("{} {} ", flag, i));
  };
  const bool in = hook.in && spec.inbound, out = hook.out && spec.outbound;
  if (in) add_guards("-i");
  if (out && !(in && spec.interfaces.empty())) add_guards("-o");
  std::vector<std::string> ends{""};
  if (!prefixes.empty())
    ends = {fmt::format("-s {} ", fmt::join(prefixes, ",")), fmt::format("-d {} ", fmt::join(prefixes, ","))};

  text += fmt::format("{} -w -t {} -N {}\n", tool, hook.table, hook.chain);
  for (const auto& guard : guards) {
    for (const auto& end : ends) {
      const auto rule = fmt::format("{} -w -t {} -A {} {}{}-p tcp {}--tcp-option 30 ", tool, hook.table, hook.chain, guard, end,
                                    spec.every_packet ? "" : "--syn ");
      if (spec.log || spec.effect == Effect::kLog)
        text += fmt::format("{}-m limit --limit 10/second --limit-burst 20 -j LOG --log-prefix \"{}\"\n", rule, kLogPrefix);
      if (const auto target = iptables_target(spec.effect); !target.empty()) text += fmt::format("{}-j {}\n", rule, target);
    }
  }
  text += fmt::format("{} -w -t {} -I {} -j {}\n", tool, hook.table, hook.builtin, hook.chain);
}

}  // namespace

const char* effect_name(Effect effect) {
  switch (effect) {
    case Effect::kStrip: return "strip";
    case Effect::kReject: return "reject";
    case Effect::kDrop: return "drop";
    case Effect::kLog: break;
  }
  return "log";
}

tl::expected<void, std::string> validate(const FilterSpec& spec) {
  for (const auto& i : spec.interfaces) {
    const bool clean = std::all_of(i.begin(), i.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             std::string_view("._-@").find(c) != std::string_view::npos;
    });
    if (i.empty() || i.size() > 15 || !clean || i[0] == '-')
      return tl::unexpected(fmt::format("--interface \"{}\": an interface name has 1 to 15 letters, digits or . _ - @", i));
  }
  if (!spec.inbound && !spec.outbound)
    return tl::unexpected(std::string("--inbound and --outbound: leave both out to mean both"));
  return {};
}

std::string nft_rules(const FilterSpec& spec) {
  std::string text = fmt::format("add table inet {0}\ndelete table inet {0}\ntable inet {0} {{\n", kNftTable);
  text += "\tchain act {\n" + nft_effect(spec) + "\t}\n";
  if (!spec.prefixes.empty()) {
    text += "\tchain choose {\n";
    for (const bool v4 : {true, false}) {
      const auto prefixes = prefixes_of(spec, v4);
      for (const char* end : {"saddr", "daddr"})
        if (!prefixes.empty())
          text += fmt::format("\t\t{}goto act\n", nft_set(fmt::format("{} {}", v4 ? "ip" : "ip6", end), prefixes, false));
    }
    text += "\t}\n";
  }
  if (spec.effect != Effect::kStrip) {
    // Each packet passes one of the three, so that a router logs it once; RSTs can be sent from these only.
    if (spec.inbound) text += nft_chain(spec, "inbound", "input", true, false);
    text += nft_chain(spec, "through", "forward", spec.inbound, spec.outbound);
    if (spec.outbound) text += nft_chain(spec, "outbound", "output", false, true);
  } else {
    if (spec.inbound) text += nft_chain(spec, "inbound", "prerouting", true, false);
    if (spec.outbound) text += nft_chain(spec, "outbound", "postrouting", false, true);
  }
  return text + "}\n";
}

std::string nft_removal() {
  return fmt::format("add table inet {0}\ndelete table inet {0}\n", kNftTable);
}

tl::expected<std::string, std::string> iptables_script(const FilterSpec& spec) {
  if (spec.joins_only)
    return tl::unexpected(std::string("--joins needs the option's subtype, which iptables cannot match: use --tool nft"));
  const char* const table = spec.effect == Effect::kStrip ? "mangle" : "filter";
  std::string text = iptables_removal() + "set -e\n";
  for (const auto& hook : kIptablesHooks)
    if (std::string_view(hook.table) == table && ((hook.in && spec.inbound) || (hook.out && spec.outbound)))
      for (const bool v4 : {true, false}) append_iptables(text, spec, hook, v4);
  return text;
}

std::string iptables_removal() {
  std::string text;
  for (const auto& hook : kIptablesHooks) {
    for (const char* tool : {"iptables", "ip6tables"}) {
      text += fmt::format("{0} -w -t {1} -D {2} -j {3} 2>/dev/null\n{0} -w -t {1} -F {3} 2>/dev/null && {0} -w -t {1} -X {3}\n",
                          tool, hook.table, hook.builtin, hook.chain);
    }
  }
  return text + "true\n";
}

}  // namespace mptap::harden
