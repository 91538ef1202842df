// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/harden/host.h"

#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "apps/mptap/process.h"

namespace mptap::harden {
namespace {

constexpr int kProtocolMptcp = 262;

std::string sysctl_path(std::string key) {
  std::replace(key.begin(), key.end(), '.', '/');
  return "/proc/sys/" + key;
}

const char* sysctl_key(System system) {
  return system == System::kOutOfTree ? "net.mptcp.mptcp_enabled" : "net.mptcp.enabled";
}

std::string sysctl_line(System system, bool on) {
  return fmt::format("{} = {}\n", sysctl_key(system), on ? 1 : 0);
}

tl::expected<void, std::string> write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::trunc);
  file << text;
  file.close();
  if (!file) return tl::unexpected(fmt::format("cannot write {}: {}", path, std::strerror(errno)));
  return {};
}

constexpr const char* kMacosOff =
    "# macOS: MPTCP is used by programs that ask for it (URLSession's multipathServiceType, connectx on AF_MULTIPATH).\n"
    "sysctl -w net.inet.mptcp.enable=0      # new connections go as plain TCP; as root\n"
    "# Nothing keeps it over a reboot: macOS reads no /etc/sysctl.conf; run the command from a LaunchDaemon.\n"
    "# Running connections stay. pf cannot match or strip the option, and neither iOS nor MDM has a switch:\n"
    "# for such devices strip it in the network (mptap harden strip, on a Linux router).\n";
constexpr const char* kMacosOn = "sysctl -w net.inet.mptcp.enable=1      # as root\n";

}  // namespace

const char* system_name(System system) {
  switch (system) {
    case System::kUpstream: return "linux";
    case System::kOutOfTree: return "linux-out-of-tree";
    case System::kMacos: return "macos";
    case System::kNone: break;
  }
  return "none";
}

System detect_system() {
  if (read_sysctl("net.mptcp.enabled")) return System::kUpstream;
  if (read_sysctl("net.mptcp.mptcp_enabled")) return System::kOutOfTree;
  return System::kNone;
}

std::optional<std::string> read_sysctl(const std::string& key) {
  std::ifstream file(sysctl_path(key));
  std::string value;
  if (!std::getline(file, value)) return std::nullopt;
  return value;
}

tl::expected<void, std::string> write_sysctl(const std::string& key, const std::string& value) {
  return write_file(sysctl_path(key), value + "\n").map_error([](std::string e) { return e + "; are you root?"; });
}

bool socket_possible() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, kProtocolMptcp);
  if (fd >= 0) close(fd);
  return fd >= 0;
}

std::string switch_text(System system, bool on, const std::string& sysctl_file) {
  if (system == System::kMacos) return on ? kMacosOn : kMacosOff;
  if (system == System::kNone) return "# This kernel has no MPTCP: nothing to switch.\n";
  std::string text = fmt::format("sysctl -w {}={}\n", sysctl_key(system), on ? 1 : 0);
  if (!sysctl_file.empty()) text += fmt::format("echo '{} = {}' > {}\n", sysctl_key(system), on ? 1 : 0, sysctl_file);
  if (on) return text;
  if (system == System::kUpstream) {
    text +=
        "# Programs that ask for an MPTCP socket now get an error (ENOPROTOOPT); most then take plain TCP by themselves.\n"
        "# Sockets that exist already go on, and a listener that was MPTCP goes on to accept MPTCP: restart those services\n"
        "# (mptap harden --check counts them), or strip the option as well (mptap harden strip).\n";
  } else {
    text += "# Running connections stay. One interface only: ip link set dev IFACE multipath off\n";
  }
  return text;
}

tl::expected<std::string, std::string> apply_switch(System system, bool on, const std::string& sysctl_file) {
  if (system == System::kMacos)
    return tl::unexpected(
        std::string("--apply works on the host it runs on, and this is no macOS; leave it out to print the commands"));
  if (system == System::kNone) {
    if (on) return tl::unexpected(std::string("this kernel has no MPTCP to switch on"));
    return "This kernel has no MPTCP: nothing to switch off.\n";
  }
  const std::string key = sysctl_key(system), wanted = on ? "1" : "0";
  if (auto ok = write_sysctl(key, wanted); !ok) return tl::unexpected(ok.error());
  if (read_sysctl(key) != wanted)
    return tl::unexpected(fmt::format("{} is {} after writing {}", key, read_sysctl(key).value_or("gone"), wanted));
  // The out-of-tree kernel gives every TCP socket MPTCP; it has no protocol number to try.
  if (system == System::kUpstream && socket_possible() != on)
    return tl::unexpected(fmt::format("{} is {}, yet an MPTCP socket {} be had", key, wanted, on ? "cannot" : "can still"));
  std::string report =
      fmt::format("{} = {}: set, read back{}.\n", key, wanted,
                  system == System::kUpstream ? fmt::format(", and a socket {}", on ? "opens" : "is refused") : "");
  if (!sysctl_file.empty()) {
    if (auto ok = write_file(sysctl_file, sysctl_line(system, on)); !ok) return tl::unexpected(ok.error());
    report += fmt::format("{} keeps it over a reboot.\n", sysctl_file);
  }
  return report;
}

std::string limits_text(const Limits& limits) {
  std::string text =
      fmt::format("ip mptcp limits set subflows {} add_addr_accepted {}\n", limits.subflows, limits.add_addr_accepted);
  if (limits.subflows == 0)
    text +=
        "ip mptcp endpoint flush\n"
        "sysctl -w net.mptcp.allow_join_initial_addr_port=0\n"
        "# New connections stay on one path: this host opens no second subflow and resets joins that others send.\n";
  return text + "# Connections that exist keep their subflows. Nothing keeps limits over a reboot: run this at start.\n";
}

std::optional<Limits> parse_limits(const std::string& text) {
  std::istringstream words(text);
  Limits limits;
  bool subflows = false, accepted = false;
  for (std::string name; words >> name;) {
    if (name == "subflows")
      subflows = static_cast<bool>(words >> limits.subflows);
    else if (name == "add_addr_accepted")
      accepted = static_cast<bool>(words >> limits.add_addr_accepted);
  }
  if (!subflows || !accepted) return std::nullopt;
  return limits;
}

tl::expected<std::string, std::string> apply_limits(const Limits& limits) {
  const auto ip = [](std::vector<std::string> args) -> tl::expected<std::string, std::string> {
    args.insert(args.begin(), "ip");
    auto done = cli::run(args);
    if (!done) return tl::unexpected(done.error());
    if (done->code) return tl::unexpected(fmt::format("{}: {}", fmt::join(args, " "), done->err));
    return done->out;
  };
  const auto subflows = std::to_string(limits.subflows), accepted = std::to_string(limits.add_addr_accepted);
  if (auto r = ip({"mptcp", "limits", "set", "subflows", subflows, "add_addr_accepted", accepted}); !r) return r;
  if (limits.subflows == 0) {
    if (auto r = ip({"mptcp", "endpoint", "flush"}); !r) return r;
    if (read_sysctl("net.mptcp.allow_join_initial_addr_port"))
      if (auto r = write_sysctl("net.mptcp.allow_join_initial_addr_port", "0"); !r) return tl::unexpected(r.error());
  }
  const auto now = ip({"mptcp", "limits"});
  if (!now) return now;
  const auto read = parse_limits(*now);
  if (!read || read->subflows != limits.subflows || read->add_addr_accepted != limits.add_addr_accepted)
    return tl::unexpected(fmt::format("ip mptcp limits says \"{}\" after the change", *now));
  return fmt::format("subflows {}, add_addr_accepted {}: set and read back.\n", subflows, accepted);
}

}  // namespace mptap::harden
