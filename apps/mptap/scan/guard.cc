// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/scan/guard.h"

#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

namespace mptap::scan {

tl::expected<Guard, std::string> Guard::raise(PortRange ports) {
  const std::string table = fmt::format("mptap_scan_{}", getpid());
  auto nft = cli::Companion::start({"nft", "-i"});
  if (!nft) return tl::unexpected(nft.error() + "; or scan from an unused address with --source-ip");
  nft->write(
      fmt::format("add table inet {0} {{ flags owner; }}\n"
                  "add chain inet {0} answers {{ type filter hook prerouting priority raw; }}\n"
                  "add rule inet {0} answers tcp dport {1}-{2} drop\n",
                  table, ports.first, ports.last));
  std::string said;
  for (int i = 0; i < 40; i++) {
    said += nft->read(50);
    const auto listed = cli::run({"nft", "list", "table", "inet", table});
    if (listed && listed->code == 0 && listed->out.find("drop") != std::string::npos) return Guard(std::move(*nft));
    if (said.find("Error") != std::string::npos) break;
  }
  return tl::unexpected(fmt::format(
      "nftables did not take the rule that keeps this host from resetting the answers: {}; scan as root, or from an unused "
      "address with --source-ip",
      said));
}

tl::expected<void, std::string> check_sockets(const std::string& interface) {
  if (!interface.empty() && if_nametoindex(interface.c_str()) == 0)
    return tl::unexpected(fmt::format("there is no interface \"{}\"; ip link lists them", interface));
  const int probe = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (probe >= 0) {
    close(probe);
    return {};
  }
  if (errno == EPERM || errno == EACCES)
    return tl::unexpected(std::string("raw packets need root, or the capabilities CAP_NET_RAW and CAP_NET_ADMIN"));
  return tl::unexpected(fmt::format("cannot open a packet socket: {}", std::strerror(errno)));
}

tl::expected<void, std::string> check_ports_unused(PortRange ports) {
  std::ifstream ephemeral("/proc/sys/net/ipv4/ip_local_port_range");
  unsigned low = 0, high = 0;
  if (ephemeral >> low >> high && ports.first <= high && ports.last >= low)
    return tl::unexpected(
        fmt::format("source ports {}-{}: this host gives {}-{} to its own connections; choose others with --source-ports",
                    ports.first, ports.last, low, high));
  for (const char* file : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream in(file);
    std::string line;
    std::getline(in, line);
    while (std::getline(in, line)) {
      std::istringstream words(line);
      std::string slot, local;
      words >> slot >> local;
      const size_t colon = local.rfind(':');
      if (colon == std::string::npos) continue;
      const auto port = static_cast<uint16_t>(std::stoul(local.substr(colon + 1), nullptr, 16));
      if (ports.contains(port))
        return tl::unexpected(
            fmt::format("source ports {}-{}: a program of this host uses port {}; choose others with --source-ports", ports.first,
                        ports.last, port));
    }
  }
  return {};
}

}  // namespace mptap::scan
