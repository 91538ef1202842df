// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/read/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "config/config.h"
#include "config/named_prefix.h"

namespace mptap::read {

void add_decode_options(CLI::App& sub, DecodeOptions& o) {
  const std::map<std::string, stream::OverlapPolicy> policies{{"linux", stream::OverlapPolicy::kLinux},
                                                              {"first", stream::OverlapPolicy::kFirst},
                                                              {"bsd", stream::OverlapPolicy::kBsd},
                                                              {"last", stream::OverlapPolicy::kLast}};
  constexpr const char* kGroup = "How packets are understood";
  sub.add_option_function<std::string>(
         "--policy", [&o, policies](const std::string& name) { o.policy = policies.at(name); },
         "which copy counts where copies of a byte differ: linux (as its kernel does), first, bsd, last")
      ->check(CLI::IsMember({"linux", "first", "bsd", "last"}))
      ->default_str("linux")
      ->group(kGroup);
  sub.add_flag("--no-tcp", o.no_tcp, "MPTCP only: plain TCP connections are not followed")->group(kGroup);
  sub.add_flag("--no-checksum", o.no_checksum, "accept wrong IP and TCP checksums, as captured on hosts with offload")
      ->group(kGroup);
  sub.add_flag("--no-decap", o.no_decap, "look into no tunnel")->group(kGroup);
  sub.add_option("--no-tunnel", o.no_tunnels, "do not look into these: gre, erspan, vxlan, geneve, ipip")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::IsMember({"gre", "erspan", "vxlan", "geneve", "ipip"}))
      ->group(kGroup);
  sub.add_option("--vxlan-port", o.vxlan_port, "UDP port of VXLAN")->capture_default_str()->group(kGroup);
  sub.add_option("--geneve-port", o.geneve_port, "UDP port of Geneve")->capture_default_str()->group(kGroup);
  constexpr const char* kLimits = "Limits";
  sub.add_option("--max-subflows", o.max_subflows, "subflows and TCP connections followed at once")
      ->check(CLI::Range(16u, 1u << 24))
      ->capture_default_str()
      ->group(kLimits);
  sub.add_option("--max-connections", o.max_connections, "connections followed at once")
      ->check(CLI::Range(1u, 1u << 24))
      ->capture_default_str()
      ->group(kLimits);
  sub.add_option("--max-memory", o.memory_mb, "MB for bytes that wait for others before them")
      ->check(CLI::Range(1u, 1u << 20))
      ->capture_default_str()
      ->group(kLimits);
}

void add_detect_options(CLI::App& sub, DecodeOptions& o) {
  constexpr const char* kGroup = "Abuse of MPTCP";
  sub.add_option("--critical", o.critical,
                 "a network on which any MPTCP is an alert, as 10.20.0.0/16 or \"10.20.0.0/16 = plant floor\"; may be repeated")
      ->allow_extra_args(false)
      ->type_name("PREFIX[=NAME]")
      ->check([](const std::string& text) {
        const auto good = config::NamedPrefix::parse(text);
        return good ? std::string() : good.error();
      })
      ->group(kGroup);
  sub.add_option("--config", o.config, "take the thresholds of [detect] from this mptap.toml; its other keys are not used")
      ->type_name("FILE")
      ->group(kGroup);
}

tl::expected<detect::Options, std::string> detect_options(const DecodeOptions& o) {
  config::Config::Detect limits;
  if (!o.config.empty()) {
    auto config = config::load(o.config);
    if (!config) return tl::unexpected(fmt::format("{}", fmt::join(config.error(), "\n")));
    limits = config->detect;
  }
  limits.critical_networks.insert(limits.critical_networks.end(), o.critical.begin(), o.critical.end());
  return detect::Options::from(limits);
}

worker::EngineConfig engine_config(const DecodeOptions& o) {
  worker::EngineConfig c;
  c.inspect_tcp = !o.no_tcp;
  c.decode.verify_ip_checksum = c.decode.verify_tcp_checksum = !o.no_checksum;
  const auto off = [&](const char* name) {
    return o.no_decap || std::find(o.no_tunnels.begin(), o.no_tunnels.end(), name) != o.no_tunnels.end();
  };
  c.decode.gre = !off("gre");
  c.decode.erspan = !off("erspan");
  c.decode.vxlan = !off("vxlan");
  c.decode.geneve = !off("geneve");
  c.decode.ip_in_ip = !off("ipip");
  c.decode.vxlan_port = o.vxlan_port;
  c.decode.geneve_port = o.geneve_port;
  c.tcp.policy = o.policy;
  c.connection.stream.policy = o.policy;
  c.max_subflows = o.max_subflows;
  c.max_connections = o.max_connections;
  c.hold_bytes = uint64_t{o.memory_mb} << 20;
  return c;
}

uint32_t eal_memory_mb(uint32_t max_subflows, size_t ports) {
  // Both families' tables: keys of 32 and 64 bytes, buckets and their overflow, the free list. A port: 6144 buffers, up to 10 kB.
  const uint64_t tables = uint64_t{max_subflows} * 192;
  return static_cast<uint32_t>(64 + (tables >> 20) + ports * 96);
}

}  // namespace mptap::read
