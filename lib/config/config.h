// SPDX-License-Identifier: Apache-2.0
// mptap.toml as a value. Built once from text, then never changed: a reload builds another one and swaps it in.
// What each key means, its unit and its range stand in keys.cc; the defaults are the ones here.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <tl/expected.hpp>

namespace mptap::config {

struct Config {
  std::string mode = "tap";
  std::vector<std::string> ports;
  std::string inject_port;

  struct Workers {
    uint64_t count = 1;
    std::vector<uint64_t> cpus;
    bool huge_pages = false;
    uint64_t memory_mb = 512;
    uint64_t watchdog_ms = 2000;
    bool operator==(const Workers&) const = default;
  } workers;

  struct Receive {
    uint64_t descriptors = 2048;
    uint64_t held_buffers = 8192;
    uint64_t mtu = 9000;
    bool promiscuous = true;
    bool operator==(const Receive&) const = default;
  } receive;

  struct Inspect {
    bool tcp = true;
    std::string policy = "linux";
    bool candidates = true;
    uint64_t payload_bytes = 256;
    bool verify_checksums = true;
    bool gre = true, erspan = true, vxlan = true, geneve = true, ip_in_ip = true;
    uint64_t vxlan_port = 4789, geneve_port = 6081;
    uint64_t tunnel_depth = 4;
    bool operator==(const Inspect&) const = default;
  } inspect;

  struct Limits {
    uint64_t connections = 65536;
    uint64_t subflows = 131072;
    uint64_t subflows_per_connection = 64;
    uint64_t tokens = 262144;
    uint64_t parked_joins = 4096;
    uint64_t parked_bytes = 64 << 20;
    uint64_t foreign_subflows = 131072;
    uint64_t fragments = 4096;
    uint64_t stream_bytes = 32 << 20;
    uint64_t connection_bytes = 64 << 20;
    uint64_t worker_bytes = 512 << 20;
    uint64_t emergency_percent = 90;
    bool operator==(const Limits&) const = default;
  } limits;

  struct Timeouts {
    uint64_t half_open_s = 30;
    uint64_t idle_s = 600;
    uint64_t closed_s = 5;
    uint64_t parked_join_ms = 3000;
    uint64_t fragment_s = 30;
    uint64_t emergency_half_open_s = 2;
    uint64_t emergency_idle_s = 30;
    uint64_t hole_grace_ms = 500;
    uint64_t loss_grace_ms = 200;
    uint64_t old_rules_s = 300;
    uint64_t drain_ms = 3000;
    bool operator==(const Timeouts&) const = default;
  } timeouts;

  struct Handoff {
    uint64_t segments = 4096;
    uint64_t packets = 1024;
    bool operator==(const Handoff&) const = default;
  } handoff;

  struct Rules {
    std::vector<std::string> files;
    std::string classification;
    std::string managed;
    std::map<std::string, std::string> vars;
    bool operator==(const Rules&) const = default;
  } rules;

  struct Detect {
    std::vector<std::string> critical_networks;
    uint64_t join_window_s = 10;
    uint64_t joins_per_connection = 16;
    uint64_t joins_per_source = 128;
    uint64_t joins_per_network = 512;
    uint64_t joins_per_target = 4096;
    uint64_t join_table = 65536;
    uint64_t flux_window_s = 60;
    uint64_t flux_addresses = 8;
    uint64_t flux_networks = 4;
    uint64_t subflows = 8;
    uint64_t backup_percent = 50;
    uint64_t backup_bytes = 65536;
    uint64_t visibility_percent = 90;
    uint64_t visibility_bytes = 65536;
    bool operator==(const Detect&) const = default;
  } detect;

  struct Events {
    std::string file;
    bool stdout_ = false;
    std::string unix_socket;
    bool syslog = false;
    std::string syslog_facility = "local5";
    uint64_t queue = 65536;
    bool anomalies = true;
    bool flows = true;
    uint64_t stats_s = 60;
    bool operator==(const Events&) const = default;
  } events;

  struct Egress {
    std::string port;
    std::string directory;
    std::string pass = "mptcp_only";
    bool fill = false;
    uint64_t fill_byte = 0;
    uint64_t queue_bytes = 32 << 20;
    uint64_t file_bytes = 100 << 20;
    uint64_t file_s = 0;
    uint64_t files = 10;
    bool operator==(const Egress&) const = default;
  } egress;

  struct Control {
    std::string address = "unix:/run/mptap/control.sock";
    std::string group = "mptap";
    std::string certificate, key, client_ca;
    std::string audit_log = "/var/log/mptap/audit.log";
    std::map<std::string, std::string> roles{{"group:mptap", "operator"}, {"user:root", "admin"}};
    bool operator==(const Control&) const = default;
  } control;

  struct Metrics {
    std::string address = "127.0.0.1:9472";
    bool operator==(const Metrics&) const = default;
  } metrics;

  struct Process {
    std::string user;
    std::string log_level = "info";
    bool operator==(const Process&) const = default;
  } process;

  bool operator==(const Config&) const = default;
};

// Each fault is one line, "NAME:LINE: what is wrong and what would be right"; all of them are found in one go.
using Faults = std::vector<std::string>;

// name: of the file, for the faults.
tl::expected<Config, Faults> parse(std::string_view text, const std::string& name);
tl::expected<Config, Faults> load(const std::string& path);

// The file that is shipped as mptap.toml: every key with its comment and its default.
std::string reference_text();
// The same keys as a table for a terminal.
std::string help_text();

}  // namespace mptap::config
