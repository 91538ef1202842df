// SPDX-License-Identifier: Apache-2.0
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <chrono>
#include <cstring>

#include <fmt/format.h>

#include "apps/mptap/scan/link.h"
#include "port/device.h"
#include "port/eal.h"
#include "port/port.h"

namespace mptap::scan {
namespace {

class DpdkPort final : public Link {
 public:
  DpdkPort(port::Eal eal, port::Port port, Interface interface)
      : eal_(std::move(eal)), port_(std::move(port)), interface_(std::move(interface)) {}

  const Interface& interface() const override { return interface_; }
  int fd() const override { return -1; }

  bool send(std::span<const uint8_t> frame) override {
    rte_mbuf* m = rte_pktmbuf_alloc(port_.pool());
    if (!m) return false;
    char* bytes = rte_pktmbuf_append(m, static_cast<uint16_t>(frame.size()));
    if (bytes) std::memcpy(bytes, frame.data(), frame.size());
    if (bytes && rte_eth_tx_burst(port_.id(), 0, &m, 1) == 1) return true;
    rte_pktmbuf_free(m);
    return false;
  }

  void receive(const Handler& handler) override {
    for (uint16_t queue = 0; queue < port_.queues(); queue++) {
      for (int i = 0; i < 64 && burst_.receive(port_, queue, 0) > 0; i++)
        for (const auto& frame : burst_.frames()) handler({frame.data, frame.captured});
      burst_.release();
    }
  }

 private:
  port::Eal eal_;
  port::Port port_;
  port::RxBurst burst_;
  Interface interface_;
};

}  // namespace

tl::expected<std::unique_ptr<Link>, std::string> open_dpdk_port(const std::string& name) {
  const auto device = port::parse_device(name);
  if (!device) return tl::unexpected(device.error());
  port::EalOptions options{.memory_mb = 128};
  if (device->kind == port::Device::Kind::kPci) options.pci_devices = {device->name};
  auto eal = port::Eal::start(options);
  if (!eal) return tl::unexpected(eal.error());
  auto port = port::Port::open(name, {.queues = 1, .tx_queues = 1, .mtu = 1500});
  if (!port) return tl::unexpected(port.error());
  if (port->info().tx_queues == 0) return tl::unexpected(fmt::format("{} cannot send", name));
  Interface interface;
  interface.name = name;
  interface.ethernet = interface.resolves = interface.up = true;
  rte_ether_addr mac{};
  if (rte_eth_macaddr_get(port->id(), &mac) != 0) return tl::unexpected(fmt::format("{} has no MAC address", name));
  std::memcpy(interface.mac.data(), mac.addr_bytes, 6);
  return std::make_unique<DpdkPort>(std::move(*eal), std::move(*port), std::move(interface));
}

}  // namespace mptap::scan
