// SPDX-License-Identifier: Apache-2.0
// Where frames go out and come in: a packet socket on an interface of the kernel, or a DPDK port.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include <tl/expected.hpp>

#include "apps/mptap/scan/routes.h"
#include "apps/mptap/scan/validator.h"

namespace mptap::scan {

class Link {
 public:
  using Handler = std::function<void(std::span<const uint8_t> frame)>;  // with an Ethernet header where interface().ethernet

  virtual ~Link() = default;
  virtual const Interface& interface() const = 0;
  virtual bool send(std::span<const uint8_t> frame) = 0;  // false: the device has no room now
  virtual void receive(const Handler& handler) = 0;       // what is there
  virtual int fd() const = 0;                             // to poll; -1 where one has to ask
};

// Takes in ARP, ICMP and TCP to our ports. Needs CAP_NET_RAW.
tl::expected<std::unique_ptr<Link>, std::string> open_packet_socket(const Interface& interface, PortRange ports);
// A port by name as for mptap read --port; starts DPDK.
tl::expected<std::unique_ptr<Link>, std::string> open_dpdk_port(const std::string& name);

}  // namespace mptap::scan
