// SPDX-License-Identifier: Apache-2.0
// How a user names a port, taken apart and judged before DPDK sees it: DPDK ignores what it does not understand, or fails
// without a word.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

namespace mptap::port {

struct Device {
  enum class Kind {
    kPci,      // 0000:03:00.0
    kVirtual,  // net_af_packet0,iface=eth1: a driver's name, a number, the driver's parameters
    kNamed,    // a port that exists already, by DPDK's name
  };
  Kind kind = Kind::kNamed;
  std::string name;       // DPDK's name of it: the full PCI address, net_af_packet0
  std::string driver;     // virtual only: net_af_packet
  std::string arguments;  // virtual only: iface=eth1

  // The value of an argument; empty when it is not given.
  std::string_view argument(std::string_view key) const;
};

// Accepts the forms above, PCI addresses without domain, and the name of a network interface of the kernel, for which
// net_af_packet is taken. Refuses parameters that the driver does not have, interfaces and files that do not exist.
tl::expected<Device, std::string> parse_device(const std::string& text);

bool is_pci_address(const std::string& text);

// What the driver is given: the parameters, and a deeper ring for net_af_packet where they name none. DPDK's own of 512 frames
// overflows when the worker's thread waits 5 ms for its core at 100,000 packets/s.
std::string driver_arguments(const Device& device);

// The kernel's network interfaces, for messages.
std::vector<std::string> kernel_interfaces();

}  // namespace mptap::port
