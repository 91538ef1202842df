// SPDX-License-Identifier: Apache-2.0
#include "apps/mptapd/settings.h"

#include <unistd.h>

#include <algorithm>

#include "port/device.h"
#include "rules/load.h"

namespace mptap::daemon {
namespace {

constexpr uint64_t kMs = 1'000'000, kSecond = 1'000'000'000;

uint32_t clamp32(uint64_t value) {
  return static_cast<uint32_t>(std::min<uint64_t>(value, UINT32_MAX));
}

stream::OverlapPolicy policy(const std::string& name) {
  if (name == "first") return stream::OverlapPolicy::kFirst;
  if (name == "bsd") return stream::OverlapPolicy::kBsd;
  if (name == "last") return stream::OverlapPolicy::kLast;
  return stream::OverlapPolicy::kLinux;
}

}  // namespace

unsigned worker_count(const config::Config& c) {
  return static_cast<unsigned>(c.workers.cpus.empty() ? c.workers.count : c.workers.cpus.size());
}

port::EalOptions eal_options(const config::Config& c) {
  port::EalOptions o;
  o.huge_pages = c.workers.huge_pages;
  o.memory_mb = static_cast<uint32_t>(c.workers.memory_mb);
  for (const uint64_t cpu : c.workers.cpus) o.worker_cpus.push_back(static_cast<unsigned>(cpu));
  for (const std::string& name : c.ports)
    if (port::is_pci_address(name)) o.pci_devices.push_back(name);
  if (port::is_pci_address(c.egress.port)) o.pci_devices.push_back(c.egress.port);
  return o;
}

port::PortOptions port_options(const config::Config& c) {
  return {.queues = static_cast<uint16_t>(worker_count(c)),
          .rx_descriptors = static_cast<uint16_t>(c.receive.descriptors),
          .mtu = static_cast<uint16_t>(c.receive.mtu),
          .promiscuous = c.receive.promiscuous,
          .extra_mbufs = static_cast<uint32_t>(c.receive.held_buffers)};
}

worker::EngineConfig engine_config(const config::Config& c) {
  worker::EngineConfig e;
  packet::DecodeConfig& d = e.decode;
  d.verify_tcp_checksum = c.inspect.verify_checksums;
  d.gre = c.inspect.gre;
  d.erspan = c.inspect.erspan;
  d.vxlan = c.inspect.vxlan;
  d.geneve = c.inspect.geneve;
  d.ip_in_ip = c.inspect.ip_in_ip;
  d.vxlan_port = static_cast<uint16_t>(c.inspect.vxlan_port);
  d.geneve_port = static_cast<uint16_t>(c.inspect.geneve_port);
  d.max_tunnel_depth = static_cast<uint8_t>(c.inspect.tunnel_depth);
  d.max_fragment_flows = clamp32(c.limits.fragments);
  d.fragment_timeout_ms = clamp32(c.timeouts.fragment_s * 1000);

  e.tcp.policy = e.connection.stream.policy = policy(c.inspect.policy);
  e.tcp.hold_bytes = std::min(e.tcp.hold_bytes, c.limits.stream_bytes);
  e.tcp.loss_grace_ns = c.timeouts.loss_grace_ms * kMs;
  e.connection.stream.hold_bytes = c.limits.stream_bytes;
  e.connection.stream.hole_grace_ns = c.timeouts.hole_grace_ms * kMs;
  e.connection.hold_bytes = c.limits.connection_bytes;
  e.connection.max_members = clamp32(c.limits.subflows_per_connection);
  if (auto detect = detect::Options::from(c.detect)) e.detect = std::move(*detect);
  e.inspect_tcp = c.inspect.tcp;
  e.candidates = c.inspect.candidates;
  e.max_subflows = clamp32(c.limits.subflows);
  e.max_connections = clamp32(c.limits.connections);
  e.hold_bytes = c.limits.worker_bytes;
  e.half_open_ns = c.timeouts.half_open_s * kSecond;
  e.idle_ns = c.timeouts.idle_s * kSecond;
  e.closed_ns = c.timeouts.closed_s * kSecond;
  e.park_ns = c.timeouts.parked_join_ms * kMs;
  e.max_parked = clamp32(c.limits.parked_joins);
  e.parked_total_bytes = c.limits.parked_bytes;
  e.emergency_percent = clamp32(c.limits.emergency_percent);
  e.emergency_half_open_ns = std::min(c.timeouts.emergency_half_open_s, c.timeouts.half_open_s) * kSecond;
  e.emergency_idle_ns = std::min(c.timeouts.emergency_idle_s, c.timeouts.idle_s) * kSecond;
  e.payload_context = clamp32(c.inspect.payload_bytes);
  return e;
}

worker::FabricOptions fabric_options(const config::Config& c) {
  return {.workers = worker_count(c), .segments = c.handoff.segments, .packets = c.handoff.packets, .tokens = c.limits.tokens};
}

worker::RouterOptions router_options(const config::Config& c) {
  return {.foreign = c.limits.foreign_subflows,
          .idle_ns = c.timeouts.idle_s * kSecond,
          .hold_ns = c.timeouts.parked_join_ms * kMs,
          .max_held = clamp32(c.limits.parked_joins),
          .held_bytes = c.limits.parked_bytes};
}

event::OutputChoice output_choice(const config::Config& c) {
  return {.file = c.events.file,
          .to_stdout = c.events.stdout_,
          .unix_socket = c.events.unix_socket,
          .to_syslog = c.events.syslog,
          .syslog_facility = c.events.syslog_facility,
          .anomalies = c.events.anomalies,
          .connections = c.events.flows};
}

event::WriterOptions writer_options(const config::Config& c) {
  event::WriterOptions o;
  o.queue.events = c.events.queue;
  return o;
}

tl::expected<LoadedRules, std::string> load_rules(const config::Config& c) {
  LoadedRules result;
  std::vector<std::string> files = c.rules.files;
  // Made by the first rule that the control plane is given.
  if (!c.rules.managed.empty() && access(c.rules.managed.c_str(), F_OK) == 0) files.push_back(c.rules.managed);
  if (files.empty()) return result;
  rules::RuleOptions options;
  options.variables = c.rules.vars;
  options.classification_file = c.rules.classification;
  auto loaded = rules::load_rules(files, options);
  if (!loaded) return tl::unexpected(loaded.error().message);
  auto ruleset = rules::Ruleset::compile(std::move(loaded->rules), options, &loaded->report);
  if (!ruleset) return tl::unexpected(ruleset.error());
  result.ruleset = std::move(*ruleset);
  result.loaded = loaded->report.loaded;
  result.left_out = loaded->report.left_out.size();
  for (const auto& p : loaded->report.left_out) result.messages.push_back(p.to_string() + " (left out)");
  for (const auto& p : loaded->report.warnings) result.messages.push_back(p.to_string());
  return result;
}

}  // namespace mptap::daemon
