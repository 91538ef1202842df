// SPDX-License-Identifier: Apache-2.0
#include "port/device.h"

#include <net/if.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <span>

#include <fmt/format.h>
#include <rte_pci.h>

namespace mptap::port {
namespace {

// Drivers as DPDK 22.11 has them. A driver that is not here is passed on unjudged.
struct Driver {
  std::string_view name;
  std::string_view parameters;  // separated by blanks
  std::string_view required;    // one of these must be there
  std::string_view interfaces;  // these name interfaces of the kernel
  std::string_view files;       // these name files that must be readable
};
constexpr std::array kDrivers{
    Driver{"net_af_packet", "iface qpairs blocksz framesz framecnt qdisc_bypass", "iface", "iface", ""},
    Driver{"net_af_xdp", "iface start_queue queue_count shared_umem xdp_prog busy_budget force_copy", "iface", "iface",
           "xdp_prog"},
    Driver{"net_pcap", "rx_pcap tx_pcap rx_iface rx_iface_in tx_iface iface phy_mac infinite_rx",
           "rx_pcap rx_iface rx_iface_in iface", "rx_iface rx_iface_in tx_iface iface", "rx_pcap"},
    Driver{"net_ring", "nodeaction internal", "", "", ""},
    Driver{"net_null", "size copy no-rx", "", "", ""},
    Driver{"net_tap", "iface mac remote persist", "", "remote", ""},
    Driver{"net_virtio_user", "path mac cq queue_size queues iface server mrg_rxbuf in_order packed_vq speed vectorized", "path",
           "", ""},
    Driver{"net_memif", "id role bsize rsize socket socket-abstract owner-uid owner-gid mac zero-copy secret", "", "", ""},
    Driver{"net_vhost", "iface queues client iommu-support postcopy-support tso linear-buffer ext-buffer legacy-ol-flags",
           "iface", "", ""},
};

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find(separator), text.size());
    parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

bool contains(std::string_view list, std::string_view word) {
  const auto words = split(list, ' ');
  return std::find(words.begin(), words.end(), word) != words.end();
}

std::string listed(std::string_view words) {
  return fmt::format("{}", fmt::join(split(words, ' '), ", "));
}

const Driver* find_driver(std::string_view name) {
  const auto* found = std::find_if(kDrivers.begin(), kDrivers.end(), [&](const Driver& d) { return d.name == name; });
  return found == kDrivers.end() ? nullptr : found;
}

tl::expected<void, std::string> check_parameter(const Device& device, const Driver& driver, std::string_view parameter) {
  const size_t equals = parameter.find('=');
  const std::string_view key = parameter.substr(0, equals);
  if (!contains(driver.parameters, key)) {
    return tl::unexpected(
        fmt::format("{}: unknown parameter \"{}\"; {} knows {}", device.name, key, driver.name, listed(driver.parameters)));
  }
  if (equals == std::string_view::npos || equals + 1 == parameter.size())
    return tl::unexpected(fmt::format("{}: parameter \"{}\" needs a value: {}=…", device.name, key, key));
  const std::string value(parameter.substr(equals + 1));
  if (contains(driver.interfaces, key) && if_nametoindex(value.c_str()) == 0) {
    return tl::unexpected(fmt::format("{}: there is no network interface \"{}\"; there are: {}", device.name, value,
                                      fmt::join(kernel_interfaces(), ", ")));
  }
  if (contains(driver.files, key) && access(value.c_str(), R_OK) != 0)
    return tl::unexpected(fmt::format("{}: cannot read \"{}\": {}", device.name, value, std::strerror(errno)));
  return {};
}

tl::expected<Device, std::string> parse_virtual(std::string_view text) {
  Device device{.kind = Device::Kind::kVirtual};
  const size_t comma = text.find(',');
  device.name = text.substr(0, comma);
  device.driver = device.name.substr(0, device.name.find_last_not_of("0123456789") + 1);
  // net_af_packet_eth1 and the like: the driver is the longest known one that begins the name.
  for (const Driver& known : kDrivers)
    if (device.name.starts_with(known.name)) device.driver = known.name;
  if (comma != std::string_view::npos) device.arguments = text.substr(comma + 1);

  const Driver* driver = find_driver(device.driver);
  if (driver == nullptr) return device;
  for (const std::string_view parameter : split(device.arguments, ','))
    if (auto good = check_parameter(device, *driver, parameter); !good) return tl::unexpected(good.error());
  const auto required = split(driver->required, ' ');
  if (!required.empty() &&
      std::none_of(required.begin(), required.end(), [&](std::string_view key) { return !device.argument(key).empty(); })) {
    return tl::unexpected(fmt::format("{}: {} needs {}, as in {}0,{}=…", device.name, driver->name, fmt::join(required, " or "),
                                      driver->name, required.front()));
  }
  return device;
}

}  // namespace

std::string_view Device::argument(std::string_view key) const {
  for (const std::string_view parameter : split(arguments, ','))
    if (parameter.size() > key.size() && parameter.starts_with(key) && parameter[key.size()] == '=')
      return parameter.substr(key.size() + 1);
  return {};
}

std::string driver_arguments(const Device& device) {
  if (device.driver != "net_af_packet" || !device.argument("framecnt").empty()) return device.arguments;
  constexpr unsigned long kRing = 16ul << 20, kFrame = 2048, kLeast = 512;  // bytes; bytes and frames that DPDK takes
  const std::string given(device.argument("framesz"));
  const unsigned long frame = given.empty() ? kFrame : std::max(std::strtoul(given.c_str(), nullptr, 10), kFrame);
  return fmt::format("{},framecnt={}", device.arguments, std::max(kRing / frame, kLeast));
}

std::vector<std::string> kernel_interfaces() {
  std::vector<std::string> names;
  if (struct if_nameindex* all = if_nameindex()) {
    for (auto* i = all; i->if_index != 0; ++i) names.emplace_back(i->if_name);
    if_freenameindex(all);
  }
  return names;
}

bool is_pci_address(const std::string& text) {
  rte_pci_addr address;
  return rte_pci_addr_parse(text.c_str(), &address) == 0;
}

tl::expected<Device, std::string> parse_device(const std::string& text) {
  if (text.empty()) return tl::unexpected(std::string("a port's name is empty; give a PCI address, a vdev or an interface"));
  rte_pci_addr address;
  if (rte_pci_addr_parse(text.c_str(), &address) == 0) {
    Device device{.kind = Device::Kind::kPci};
    device.name = fmt::format("{:04x}:{:02x}:{:02x}.{}", address.domain, address.bus, address.devid, address.function);
    return device;
  }
  if (text.starts_with("net_")) return parse_virtual(text);
  if (const size_t comma = text.find(','); comma != std::string::npos) {
    return tl::unexpected(
        fmt::format("\"{}\" is no driver of DPDK; a vdev looks like net_af_packet0,iface=eth0", text.substr(0, comma)));
  }
  if (if_nametoindex(text.c_str()) != 0) return parse_virtual(fmt::format("net_af_packet_{0},iface={0}", text));
  return Device{.kind = Device::Kind::kNamed, .name = text};
}

}  // namespace mptap::port
