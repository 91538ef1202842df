// SPDX-License-Identifier: Apache-2.0
#include "bytes.h"

namespace mptap::packet::test {

std::vector<Sample> samples() {
  using enum LinkType;
  const Bytes v4 = ipv4(6, tcp4()), v6 = ipv6(6, tcp6());
  const Bytes e4 = ethernet(0x0800, v4), e6 = ethernet(0x86dd, v6);
  const Bytes gre_ip = Bytes{0, 0, 8, 0} + v4;
  const Bytes mac8(8, 0);

  std::vector<Sample> all;
  all.push_back({"ethernet_ipv4", kEthernet, e4});
  all.push_back({"ethernet_ipv6", kEthernet, e6, true});
  all.push_back({"vlan", kEthernet, ethernet(0x8100, tag(5, 0x0800, v4)), false, 0, 1});
  all.push_back({"qinq", kEthernet, ethernet(0x88a8, tag(5, 0x8100, tag(6, 0x86dd, v6))), true, 0, 2});
  all.push_back({"old_qinq", kEthernet, ethernet(0x9100, tag(5, 0x8100, tag(6, 0x8100, tag(7, 0x0800, v4)))), false, 0, 3});
  all.push_back({"mpls_ipv4", kEthernet, ethernet(0x8847, Bytes{0, 1, 0, 64, 0, 2, 1, 64} + v4)});
  all.push_back({"mpls_ipv6", kEthernet, ethernet(0x8848, Bytes{0, 1, 1, 64} + v6), true});
  all.push_back({"mpls_pseudowire_control_word", kEthernet, ethernet(0x8847, Bytes{0, 1, 1, 64, 0, 0, 0, 0} + e4), false, 1});
  Bytes low_mac = e4;
  low_mac[0] = 0x00;
  all.push_back({"mpls_pseudowire", kEthernet, ethernet(0x8847, Bytes{0, 1, 1, 64} + low_mac), false, 1});
  all.push_back({"pppoe", kEthernet, ethernet(0x8864, Bytes{0x11, 0, 0, 9} + u16(2 + v4.size()) + Bytes{0, 0x21} + v4)});
  all.push_back({"ppp", kPpp, Bytes{0xff, 3, 0, 0x21} + v4});
  all.push_back({"ppp_compressed", kPpp, Bytes{0x57} + v6, true});
  all.push_back({"ppp_mpls", kPpp, Bytes{0xff, 3, 0x02, 0x81, 0, 1, 1, 64} + v4});
  all.push_back({"cooked", kLinuxCooked, Bytes{0, 0, 0, 1, 0, 6} + mac8 + u16(0x0800) + v4});
  all.push_back({"cooked_vlan", kLinuxCooked, Bytes{0, 0, 0, 1, 0, 6} + mac8 + u16(0x8100) + tag(9, 0x86dd, v6), true, 0, 1});
  all.push_back({"cooked_v2", kLinuxCookedV2, u16(0x86dd) + Bytes{0, 0, 0, 0, 0, 1, 0, 1, 0, 6} + mac8 + v6, true});
  all.push_back({"raw_ipv4", kRawIp, v4});
  all.push_back({"raw_ipv6", kRawIp, v6, true});
  all.push_back({"null_ipv4", kNull, Bytes{2, 0, 0, 0} + v4});
  all.push_back({"null_ipv6", kNull, Bytes{0, 0, 0, 30} + v6, true});
  all.push_back({"ipv4_options", kRawIp, ipv4(6, tcp4(), {.options = {1, 7, 7, 4, 0, 0, 0, 0}})});
  all.push_back({"ipv4_authentication", kRawIp, ipv4(51, Bytes{6, 4} + Bytes(22, 1) + tcp4())});

  const Bytes hop_by_hop{60, 0, 5, 2, 0, 0, 1, 0}, destination{43, 0, 1, 4, 0, 0, 0, 0}, routing{44, 0, 4, 0, 0, 0, 0, 0},
      atomic{51, 0, 0, 0, 0, 0, 0, 9}, authentication = Bytes{6, 4} + Bytes(22, 1);
  all.push_back(
      {"ipv6_extensions", kRawIp, ipv6(0, hop_by_hop + destination + routing + atomic + authentication + tcp6()), true});

  all.push_back({"gre", kRawIp, ipv4(47, gre_ip), false, 1});
  all.push_back({"gre_all_fields", kRawIp, ipv4(47, Bytes{0xb0, 0, 0x86, 0xdd} + Bytes(12, 3) + v6), true, 1});
  all.push_back({"gre_ethernet", kRawIp, ipv6(47, Bytes{0x20, 0, 0x65, 0x58, 0, 0, 0, 1} + e4), false, 1});
  all.push_back({"erspan1", kRawIp, ipv4(47, Bytes{0, 0, 0x88, 0xbe} + e4), false, 1});
  all.push_back({"erspan2", kRawIp, ipv4(47, Bytes{0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 1, 0, 1, 0, 0, 0, 0} + e6), true, 1});
  all.push_back({"erspan3", kRawIp, ipv4(47, Bytes{0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0} + e4),
                 false, 1});
  all.push_back({"erspan3_subheader", kRawIp,
                 ipv4(47, Bytes{0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1} + Bytes(8, 0) + e4),
                 false, 1});
  all.push_back({"erspan3_ip", kRawIp,
                 ipv4(47, Bytes{0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 1, 0, 1, 0, 0, 0, 0, 0, 0, 8, 0} + v6), true, 1});
  all.push_back({"vxlan", kRawIp, ipv4(17, udp(4789, Bytes{8, 0, 0, 0, 0, 0, 1, 0} + e4)), false, 1});
  all.push_back({"geneve", kRawIp, ipv6(17, udp(6081, Bytes{2, 0, 0x65, 0x58, 0, 0, 1, 0} + Bytes(8, 7) + e6)), true, 1});
  all.push_back({"geneve_ip", kRawIp, ipv4(17, udp(6081, Bytes{0, 0, 0x08, 0x00, 0, 0, 1, 0} + v4)), false, 1});
  all.push_back({"ip_in_ip", kRawIp, ipv4(4, v4), false, 1});
  all.push_back({"ipv6_in_ip", kRawIp, ipv4(41, v6), true, 1});
  all.push_back({"ip_in_ipv6", kRawIp, ipv6(4, v4), false, 1});
  all.push_back({"mpls_in_ip", kRawIp, ipv4(137, Bytes{0, 1, 1, 64} + v4)});
  all.push_back({"four_deep", kRawIp,
                 ipv4(4, ipv4(47, Bytes{0, 0, 0x86, 0xdd} + ipv6(4, ipv4(17, udp(4789, Bytes{8, 0, 0, 0, 0, 0, 1, 0} + e4))))),
                 false, 4});
  return all;
}

}  // namespace mptap::packet::test
