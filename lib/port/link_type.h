// SPDX-License-Identifier: Apache-2.0
// Link types as capture files number them (the LINKTYPE_ registry of tcpdump.org).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "packet/frame.h"

namespace mptap::port {

std::optional<packet::LinkType> link_type_from_file(uint32_t number);
uint16_t link_type_to_file(packet::LinkType link);

// "link type 127 (802.11 with radiotap) is not supported; supported are …"
std::string unsupported_link_type(uint32_t number);

}  // namespace mptap::port
