// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/scan/ways.h"

#include <fmt/format.h>

namespace mptap::scan {

using packet::IpAddress;

tl::expected<Ways, std::string> Ways::make(const ScanSpec& spec) {
  Ways ways(spec);
  if (!spec.device.empty()) {
    auto port = open_dpdk_port(spec.device);
    if (!port) return tl::unexpected(port.error());
    ways.links_[0] = std::move(*port);
    return ways;
  }
  int index = 0;
  if (!spec.interface.empty()) {
    const auto interface = find_interface(spec.interface);
    if (!interface) return tl::unexpected(interface.error());
    index = interface->index;
  }
  auto routes = Routes::open(index);
  if (!routes) return tl::unexpected(routes.error());
  ways.routes_.emplace(std::move(*routes));
  return ways;
}

std::optional<IpAddress> Ways::own_source(const IpAddress& target) const {
  for (const auto& s : spec_->sources)
    if (s.is_v4() == target.is_v4()) return s;
  return std::nullopt;
}

tl::expected<Way, std::string> Ways::by_hand(const IpAddress& target) {
  const auto source = own_source(target);
  if (!source) return tl::unexpected(fmt::format("no --source-ip of the family of {}", target.to_string()));
  Way way{links_.at(0).get(), *source, target};
  for (const auto& p : spec_->on_link)
    if (p.contains(target)) return way;
  for (const auto& g : spec_->gateways) {
    if (g.is_v4() != target.is_v4()) continue;
    way.next = g;
    return way;
  }
  return tl::unexpected(fmt::format("{} is in no prefix of --source-ip, and no --gateway is given", target.to_string()));
}

tl::expected<Way, std::string> Ways::to(const IpAddress& target) {
  if (!routes_) return by_hand(target);
  const auto route = routes_->to(target);
  if (!route) return tl::unexpected(route.error());
  auto& link = links_[route->interface];
  if (!link) {
    const auto interface = find_interface(route->interface);
    if (!interface) return tl::unexpected(interface.error());
    auto opened = open_packet_socket(*interface, spec_->source_ports);
    if (!opened) return tl::unexpected(opened.error());
    link = std::move(*opened);
  }
  Way way{link.get(), route->source, route->next};
  if (!spec_->sources.empty()) {
    const auto source = own_source(target);
    if (!source) return tl::unexpected(fmt::format("no --source-ip of the family of {}", target.to_string()));
    way.source = *source;
  }
  return way;
}

}  // namespace mptap::scan
