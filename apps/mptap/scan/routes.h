// SPDX-License-Identifier: Apache-2.0
// The kernel's routing table and interfaces, by rtnetlink: where a packet to an address would go out.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <tl/expected.hpp>

#include "packet/address.h"
#include "packet/build.h"

namespace mptap::scan {

struct Route {
  int interface = 0;         // index
  packet::IpAddress source;  // that the kernel would use
  packet::IpAddress next;    // gateway, or the address itself
};

struct Interface {
  int index = 0;
  std::string name;
  packet::MacAddress mac{};
  bool ethernet = false;  // frames have a link header; else they begin with IP
  bool resolves = false;  // neighbours are found by ARP or ND
  bool up = false;
};

tl::expected<Interface, std::string> find_interface(const std::string& name);
tl::expected<Interface, std::string> find_interface(int index);

class Routes {
 public:
  // interface: only routes through that one; 0: any.
  static tl::expected<Routes, std::string> open(int interface);
  Routes(Routes&& other) noexcept;
  Routes& operator=(Routes&&) = delete;
  ~Routes();

  // The error says "no route to …".
  tl::expected<Route, std::string> to(const packet::IpAddress& address);

 private:
  Routes(int fd, int interface) : fd_(fd), interface_(interface) {}
  int fd_;
  int interface_;
  uint32_t sequence_ = 0;
};

}  // namespace mptap::scan
