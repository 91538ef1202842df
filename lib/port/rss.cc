// SPDX-License-Identifier: Apache-2.0
#include "port/rss.h"

#include <algorithm>

#include <fmt/format.h>
#include <rte_ethdev.h>

namespace mptap::port {
namespace {

// Where hash h goes; the same sequence for equal tables of different sizes.
uint16_t queue_of(const RssSetup& setup, size_t hash) {
  return setup.table.empty() ? static_cast<uint16_t>(hash % setup.queues) : setup.table[hash % setup.table.size()];
}

std::string hex(const std::vector<uint8_t>& bytes) {
  return fmt::format("{:02x}", fmt::join(bytes, ""));
}

tl::expected<void, std::string> check_pair(const RssSetup& a, const RssSetup& b) {
  auto differ = [&](std::string_view what, const std::string& of_a, const std::string& of_b) {
    return tl::unexpected(fmt::format(
        "ports {} and {} spread flows differently, the two directions of a connection would not meet: {} {} against {}", a.port,
        b.port, what, of_a, of_b));
  };
  if (a.queues != b.queues) return differ("queues:", fmt::to_string(a.queues), fmt::to_string(b.queues));
  const size_t entries = std::max({a.table.size(), b.table.size(), size_t{a.queues}});
  for (size_t i = 0; i < entries; ++i)
    if (queue_of(a, i) != queue_of(b, i)) {
      return differ(fmt::format("redirection entry {}: queue", i), fmt::to_string(queue_of(a, i)),
                    fmt::to_string(queue_of(b, i)));
    }
  if (a.in_software && b.in_software) return {};
  constexpr uint64_t kTcp = RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP;
  if (a.in_software || b.in_software) {
    // The software always hashes addresses and ports.
    const uint64_t of_a = a.in_software ? kTcp : a.fields & kTcp, of_b = b.in_software ? kTcp : b.fields & kTcp;
    if (of_a != of_b) return differ("hash fields", field_names(of_a), field_names(of_b));
    return {};
  }
  // Devices want keys of different lengths; what the longest tuple (36 bytes of IPv6) uses are the first 40 bytes.
  const auto used = [](const RssSetup& s) {
    return std::vector<uint8_t>(s.key.begin(), s.key.begin() + static_cast<long>(std::min<size_t>(40, s.key.size())));
  };
  if (used(a) != used(b)) return differ("key", hex(used(a)), hex(used(b)));
  if (a.fields != b.fields) return differ("hash fields", field_names(a.fields), field_names(b.fields));
  return {};
}

}  // namespace

std::vector<uint8_t> symmetric_key(size_t size) {
  std::vector<uint8_t> key(size);
  for (size_t i = 0; i < size; ++i) key[i] = kSymmetricKey[i % 2];
  return key;
}

std::vector<uint16_t> uniform_table(size_t size, uint16_t queues) {
  std::vector<uint16_t> table(size);
  for (size_t i = 0; i < size; ++i) table[i] = static_cast<uint16_t>(i % queues);
  return table;
}

tl::expected<void, std::string> check_alike(const std::vector<RssSetup>& ports) {
  for (const RssSetup& setup : ports) {
    if (setup.in_software) continue;
    for (size_t i = 2; i < setup.key.size(); ++i)
      if (setup.key[i] != setup.key[i % 2]) {
        return tl::unexpected(fmt::format(
            "port {}: the device did not take the symmetric RSS key, it has {}; use one queue, which is spread in software",
            setup.port, hex(setup.key)));
      }
  }
  for (size_t i = 1; i < ports.size(); ++i)
    if (auto alike = check_pair(ports[0], ports[i]); !alike) return alike;
  return {};
}

std::string field_names(uint64_t fields) {
  static constexpr std::pair<uint64_t, const char*> kNames[] = {
      {RTE_ETH_RSS_IPV4, "ipv4"},
      {RTE_ETH_RSS_FRAG_IPV4, "ipv4-frag"},
      {RTE_ETH_RSS_NONFRAG_IPV4_TCP, "ipv4-tcp"},
      {RTE_ETH_RSS_NONFRAG_IPV4_OTHER, "ipv4-other"},
      {RTE_ETH_RSS_IPV6, "ipv6"},
      {RTE_ETH_RSS_FRAG_IPV6, "ipv6-frag"},
      {RTE_ETH_RSS_NONFRAG_IPV6_TCP, "ipv6-tcp"},
      {RTE_ETH_RSS_NONFRAG_IPV6_OTHER, "ipv6-other"},
      {RTE_ETH_RSS_IPV6_TCP_EX, "ipv6-tcp-ex"},
  };
  std::string text;
  for (const auto& [bit, name] : kNames)
    if ((fields & bit) != 0) text += fmt::format("{}{}", text.empty() ? "" : " ", name);
  return text.empty() ? "none" : text;
}

}  // namespace mptap::port
