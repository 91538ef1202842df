// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/scan/neighbours.h"

#include <algorithm>

#include "packet/checksum.h"

namespace mptap::scan {
namespace {

using packet::IpAddress;
using packet::MacAddress;
using Bytes = std::vector<uint8_t>;

constexpr uint8_t kSolicitation = 135, kAdvertisement = 136;

void put(Bytes& b, std::initializer_list<uint8_t> bytes) {
  b.insert(b.end(), bytes);
}
template <typename Range>
void put_all(Bytes& b, const Range& r) {
  b.insert(b.end(), std::begin(r), std::end(r));
}
void put_v4(Bytes& b, const IpAddress& a) {
  b.insert(b.end(), a.v4_bytes(), a.v4_bytes() + 4);
}

Bytes arp(uint8_t operation, const MacAddress& to, const MacAddress& mac, const IpAddress& sender, const MacAddress& target_mac,
          const IpAddress& target) {
  Bytes b;
  put_all(b, to);
  put_all(b, mac);
  put(b, {0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, operation});
  put_all(b, mac);
  put_v4(b, sender);
  put_all(b, target_mac);
  put_v4(b, target);
  return b;
}

// RFC 4861: hop limit 255 is what proves that it comes from this link.
Bytes discovery(uint8_t type, uint8_t flags, const MacAddress& to, const MacAddress& mac, const IpAddress& source,
                const IpAddress& destination, const IpAddress& target) {
  Bytes message{type, 0, 0, 0, flags, 0, 0, 0};
  put_all(message, target.bytes);
  put(message, {static_cast<uint8_t>(type == kSolicitation ? 1 : 2), 1});
  put_all(message, mac);
  const auto size = static_cast<uint32_t>(message.size());
  const uint16_t sum = packet::checksum::finish(
      packet::checksum::pseudo_v6(source.bytes.data(), destination.bytes.data(), 58, size) + packet::checksum::sum(message));
  packet::checksum::store(&message[2], sum);
  Bytes b;
  put_all(b, to);
  put_all(b, mac);
  put(b, {0x86, 0xdd, 0x60, 0, 0, 0, 0, static_cast<uint8_t>(size), 58, 255});
  put_all(b, source.bytes);
  put_all(b, destination.bytes);
  put_all(b, message);
  return b;
}

}  // namespace

Bytes make_request(const MacAddress& mac, const IpAddress& source, const IpAddress& wanted) {
  if (wanted.is_v4()) return arp(1, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, mac, source, {}, wanted);
  IpAddress group = *IpAddress::parse("ff02::1:ff00:0");
  std::copy(wanted.bytes.begin() + 13, wanted.bytes.end(), group.bytes.begin() + 13);
  return discovery(kSolicitation, 0, {0x33, 0x33, 0xff, wanted.bytes[13], wanted.bytes[14], wanted.bytes[15]}, mac, source, group,
                   wanted);
}

std::optional<NeighbourMessage> parse_neighbour(std::span<const uint8_t> f) {
  NeighbourMessage m;
  if (f.size() >= 42 && f[12] == 0x08 && f[13] == 0x06) {
    static constexpr uint8_t kEthernetIpv4[] = {0, 1, 0x08, 0x00, 6, 4, 0};
    if (!std::equal(std::begin(kEthernetIpv4), std::end(kEthernetIpv4), f.begin() + 14) || f[21] < 1 || f[21] > 2)
      return std::nullopt;
    m.request = f[21] == 1;
    std::copy_n(f.begin() + 22, 6, m.mac.begin());
    m.sender = IpAddress::v4(&f[28]);
    m.wanted = IpAddress::v4(&f[38]);
    return m;
  }
  // 14 Ethernet, 40 IPv6, 24 message, 8 option with the link-layer address, which comes first where it comes at all.
  if (f.size() < 14 + 40 + 24 + 8 || f[12] != 0x86 || f[13] != 0xdd || f[20] != 58 || f[21] != 255) return std::nullopt;
  const uint8_t type = f[54], option = f[78];
  if ((type != kSolicitation && type != kAdvertisement) || option != (type == kSolicitation ? 1 : 2) || f[79] != 1)
    return std::nullopt;
  m.request = type == kSolicitation;
  m.wanted = IpAddress::v6(&f[62]);
  m.sender = m.request ? IpAddress::v6(&f[22]) : m.wanted;
  std::copy_n(f.begin() + 80, 6, m.mac.begin());
  return m;
}

Bytes make_answer(const MacAddress& mac, const IpAddress& address, const NeighbourMessage& request) {
  if (address.is_v4()) return arp(2, request.mac, mac, address, request.mac, request.sender);
  return discovery(kAdvertisement, 0x60, request.mac, mac, address, request.sender, address);
}

}  // namespace mptap::scan
