// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/harden/check.h"

#include <glob.h>
#include <sys/utsname.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

#include "apps/mptap/process.h"

namespace mptap::harden {
namespace {

using nlohmann::json;

constexpr const char* kSysctls[] = {"net.mptcp.allow_join_initial_addr_port",
                                    "net.mptcp.checksum_enabled",
                                    "net.mptcp.path_manager",
                                    "net.mptcp.pm_type",
                                    "net.mptcp.scheduler",
                                    "net.mptcp.mptcp_path_manager"};
constexpr const char* kCounters[] = {"MPCapableSYNTX", "MPCapableSYNRX", "MPCapableACKRX", "MPJoinSynTx", "MPJoinSynRx",
                                     "MPJoinAckRx",    "AddAddr",        "AddAddrTx",      "MPCurrEstab"};

std::vector<std::string> persistent_settings() {
  std::vector<std::string> found;
  glob_t files{};
  int flags = 0;
  for (const char* pattern : {"/etc/sysctl.conf", "/etc/sysctl.d/*.conf", "/run/sysctl.d/*.conf",
                              "/usr/local/lib/sysctl.d/*.conf", "/usr/lib/sysctl.d/*.conf"}) {
    glob(pattern, flags, nullptr, &files);
    flags = GLOB_APPEND;
  }
  for (size_t i = 0; i < files.gl_pathc; i++) {
    std::ifstream file(files.gl_pathv[i]);
    for (std::string line; std::getline(file, line);) {
      const size_t start = line.find_first_not_of(" \t");
      if (start == std::string::npos || line[start] == '#' || line[start] == ';') continue;
      std::string dotted = line.substr(start);
      std::replace(dotted.begin(), dotted.end(), '/', '.');
      if (dotted.starts_with("net.mptcp.enabled") || dotted.starts_with("net.mptcp.mptcp_enabled") ||
          dotted.starts_with("-net.mptcp.enabled"))
        found.push_back(fmt::format("{}: {}", files.gl_pathv[i], line.substr(start)));
    }
  }
  globfree(&files);
  return found;
}

// /proc/net/netstat holds pairs of lines: names, then values.
std::map<std::string, uint64_t> mptcp_counters() {
  std::map<std::string, uint64_t> found;
  std::ifstream file("/proc/net/netstat");
  for (std::string names, values; std::getline(file, names) && std::getline(file, values);) {
    if (!names.starts_with("MPTcpExt:")) continue;
    std::istringstream n(names), v(values);
    std::string name;
    n >> name;
    v >> name;
    for (uint64_t value = 0; n >> name && v >> value;)
      if (std::find(std::begin(kCounters), std::end(kCounters), name) != std::end(kCounters)) found[name] = value;
  }
  return found;
}

// One program's output, or why there is none.
std::optional<std::string> ask(HostState& state, const std::vector<std::string>& argv) {
  const auto done = cli::run(argv);
  if (done && done->code == 0) return done->out;
  std::string why = done ? done->err : done.error();
  why.erase(why.find_last_not_of('\n') + 1);
  std::string command;
  for (const auto& a : argv) command += a + " ";
  state.unknown.push_back(fmt::format("{}: {}", command.substr(0, command.size() - 1), why));
  return std::nullopt;
}

uint32_t count_lines(const std::string& text) {
  return static_cast<uint32_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace

HostState look_at_host() {
  HostState state;
  state.system = detect_system();
  utsname name{};
  if (uname(&name) == 0) state.kernel = name.release;
  if (state.system == System::kUpstream) state.enabled = read_sysctl("net.mptcp.enabled");
  if (state.system == System::kOutOfTree) state.enabled = read_sysctl("net.mptcp.mptcp_enabled");
  state.socket = state.system == System::kUpstream ? socket_possible() : state.enabled && *state.enabled != "0";
  state.persistent = persistent_settings();
  for (const char* key : kSysctls)
    if (auto value = read_sysctl(key)) state.sysctls[key] = *value;
  state.counters = mptcp_counters();
  if (state.system == System::kUpstream) {
    if (auto text = ask(state, {"ip", "mptcp", "limits"})) state.limits = parse_limits(*text);
    if (auto text = ask(state, {"ip", "-j", "mptcp", "endpoint"})) {
      auto parsed = json::parse(*text, nullptr, false);
      if (parsed.is_array()) state.endpoints = parsed;
    }
    if (auto text = ask(state, {"ss", "-M", "-H", "-n", "-l"})) state.listeners = count_lines(*text);
    if (auto text = ask(state, {"ss", "-M", "-H", "-n"})) state.connections = count_lines(*text);
  }
  if (auto text = ask(state, {"nft", "-j", "list", "ruleset"})) {
    const auto parsed = json::parse(*text, nullptr, false);
    if (parsed.is_object()) state.rules = rules_of_nft(parsed);
  }
  for (const char* tool : {"iptables", "ip6tables"})
    if (auto text = ask(state, {fmt::format("{}-save", tool)}))
      for (auto& rule : rules_of_iptables(tool, *text)) state.rules.push_back(std::move(rule));
  return state;
}

const char* verdict(const HostState& state) {
  if (!state.socket && state.listeners == 0) return "off";
  bool in = false, out = false;
  for (const auto& r : state.rules) {
    if (r.restricted || (r.effect != "strip" && r.effect != "reject" && r.effect != "drop")) continue;
    in = in || r.hook == "prerouting" || r.hook == "input";
    out = out || r.hook == "postrouting" || r.hook == "output";
    // Our own iptables chains hang in the built-in chains without a condition; of others' chains nothing is known.
    in = in || r.where.ends_with(" MPTAP_IN") || r.where.ends_with(" MPTAP_INPUT");
    out = out || r.where.ends_with(" MPTAP_OUT") || r.where.ends_with(" MPTAP_OUTPUT");
  }
  return in && out ? "filtered" : "allowed";
}

json to_json(const HostState& state) {
  json j{{"verdict", verdict(state)},        {"system", system_name(state.system)},
         {"kernel", state.kernel},           {"socket", state.socket},
         {"persistent", state.persistent},   {"sysctl", state.sysctls},
         {"endpoints", state.endpoints},     {"listeners", state.listeners},
         {"connections", state.connections}, {"counters", state.counters},
         {"unknown", state.unknown},         {"rules", json::array()}};
  j["enabled"] = state.enabled ? json(*state.enabled) : json();
  j["limits"] =
      state.limits ? json{{"subflows", state.limits->subflows}, {"add_addr_accepted", state.limits->add_addr_accepted}} : json();
  for (const auto& r : state.rules) {
    json rule{{"where", r.where}, {"effect", r.effect}, {"restricted", r.restricted}};
    if (!r.hook.empty()) rule["hook"] = r.hook;
    if (!r.text.empty()) rule["rule"] = r.text;
    j["rules"].push_back(rule);
  }
  return j;
}

std::string to_text(const HostState& state) {
  const std::string word = verdict(state);
  std::string text = fmt::format("{:<13}{}\n", "MPTCP",
                                 word == "off"        ? "off: this host starts and accepts none"
                                 : word == "filtered" ? "filtered: the host speaks it, packet filter rules stop it both ways"
                                                      : "allowed");
  const auto line = [&](const char* label, const std::string& value) { text += fmt::format("{:<13}{}\n", label, value); };
  line("kernel", fmt::format("{} ({})", state.kernel, system_name(state.system)));
  if (state.enabled)
    line("switch", fmt::format("{}, a program's MPTCP socket is {}", *state.enabled, state.socket ? "granted" : "refused"));
  for (const auto& p : state.persistent) line("at boot", p);
  if (state.enabled && state.persistent.empty()) line("at boot", "no sysctl file sets it: the kernel's default, on");
  for (const auto& [key, value] : state.sysctls) line("", fmt::format("{} = {}", key, value));
  if (state.limits)
    line("limits", fmt::format("{} more subflows per connection, {} announced addresses accepted", state.limits->subflows,
                               state.limits->add_addr_accepted));
  for (const auto& e : state.endpoints) line("endpoint", e.dump());
  line("sockets", fmt::format("{} listening, {} connected", state.listeners, state.connections));
  if (!state.socket && state.listeners > 0)
    line("", "listeners from before the switch go on to accept MPTCP: restart those services (ss -Mlnp)");
  for (const auto& [name, value] : state.counters)
    if (value) line("", fmt::format("{} {}", name, value));
  for (const auto& r : state.rules)
    line("rule", fmt::format("{}{}: {}{}", r.where, r.hook.empty() ? "" : fmt::format(" (hook {})", r.hook), r.effect,
                             r.restricted ? ", restricted to a part of the traffic" : ""));
  if (state.rules.empty()) line("rules", "none knows MPTCP");
  for (const auto& u : state.unknown) line("not seen", u);
  return text;
}

}  // namespace mptap::harden
