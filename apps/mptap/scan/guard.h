// SPDX-License-Identifier: Apache-2.0
// Keeps this host's kernel out of the scan: to it an answer to our SYN is a stray segment, which it would reset before the
// scanner has judged it, and ports of a local program must not be scanned from.
#pragma once

#include <optional>
#include <string>

#include <tl/expected.hpp>

#include "apps/mptap/process.h"
#include "apps/mptap/scan/validator.h"

namespace mptap::scan {

// While it lives, a nftables table of its own drops what comes in for these TCP ports, before connection tracking; packet
// sockets see it all the same. The table belongs to a child process and to its netlink socket: however this process ends,
// the kernel removes the table.
class Guard {
 public:
  static tl::expected<Guard, std::string> raise(PortRange ports);

 private:
  explicit Guard(cli::Companion nft) : nft_(std::move(nft)) {}
  cli::Companion nft_;
};

// The error names the first port that a program of this host uses or may be given.
tl::expected<void, std::string> check_ports_unused(PortRange ports);

// Whether this process may open packet sockets, and the interface is there; empty: any.
tl::expected<void, std::string> check_sockets(const std::string& interface);

}  // namespace mptap::scan
