// SPDX-License-Identifier: Apache-2.0
#include "packet/address.h"

#include <arpa/inet.h>

namespace mptap::packet {

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  char terminated[INET6_ADDRSTRLEN];
  if (text.size() >= sizeof terminated || text.find('\0') != text.npos) return std::nullopt;
  terminated[text.copy(terminated, text.size())] = '\0';
  uint8_t raw[16];
  if (inet_pton(AF_INET, terminated, raw) == 1) return v4(raw);
  if (inet_pton(AF_INET6, terminated, raw) == 1) return v6(raw);
  return std::nullopt;
}

std::string IpAddress::to_string() const {
  char text[INET6_ADDRSTRLEN];
  if (is_v4()) return inet_ntop(AF_INET, v4_bytes(), text, sizeof text);
  return inet_ntop(AF_INET6, bytes.data(), text, sizeof text);
}

std::string Endpoint::to_string() const {
  const std::string host = address.to_string();
  return (address.is_v4() ? host : "[" + host + "]") + ":" + std::to_string(port);
}

}  // namespace mptap::packet
