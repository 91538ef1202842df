// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/monitor/command.h"

#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "apps/mptap/monitor/bytecode.h"
#include "apps/mptap/monitor/capture.h"
#include "apps/mptap/monitor/expression.h"

namespace mptap::monitor {
namespace {

constexpr const char* kFooter =
    R"(An MPTCP option stands behind whatever other TCP options a host sends, so its place varies. The popular
"tcp[40] = 0x1e" looks at one place: it finds a Linux client's SYN and misses its data, its other options and most other hosts.

formats
  pcap       a filter expression for tcpdump -F, tshark, Suricata's bpf-filter. It asks at every place: it misses none, and may
             take a packet whose timestamp looks like the option. IPv6 without extension headers.
  bpf        exact: classic BPF bytecode that walks the options, as tcpdump -ddd prints it (for SO_ATTACH_FILTER, tc);
             bpf-c as tcpdump -dd, bpf-asm as tcpdump -d. --raw-ip where packets have no Ethernet header.
  nft        counters by subtype on a host or router. nftables sees the first MPTCP option of a packet: a DSS may hide an
             ADD_ADDR behind it. With --tap IFACE, for an interface that gets a copy of the traffic, it sees all.
  suricata   an exact rule (Suricata 5 and later).
iptables has -m tcp --tcp-option 30, at any place, without subtype; 64 instructions of -m bpf are too few for the walk.

With --interface or --read the exact filter runs here:
  mptap monitor --interface eth0 --write - | tcpdump -n -r -
  mptap monitor --read big.pcap --subtype capable,join --write small.pcap
  mptap monitor --format pcap > mptcp.bpf && tcpdump -i eth0 -F mptcp.bpf
  mptap monitor --format nft --log | nft -f - ; nft list counters

mptap read --json and mptapd count the same: the record of each connection has its packets by subtype (.mptcp.options), and mptapd
says with an mptcp event "started" when two hosts have taken MPTCP up. Networks given with --critical make it an alert.)";

struct Options {
  std::string format = "pcap", tap;
  std::vector<std::string> subtypes;
  bool raw_ip = false, log = false;
  unsigned sid = 1000001;
  CaptureSpec capture;
};

int run_capture(const Options& o, Subtypes wanted) {
  const auto result = capture(o.capture, wanted);
  if (!result) {
    fmt::print(stderr, "mptap monitor: {}\n", result.error());
    return cli::kFailed;
  }
  fmt::print(stderr, "{} packets with MPTCP\n", result->matched);
  return result->matched ? cli::kDone : cli::kNo;
}

int run(const Options& o) {
  const auto wanted = parse_subtypes(o.subtypes);
  if (!wanted) {
    fmt::print(stderr, "mptap monitor: {}\n", wanted.error());
    return cli::kWrongCall;
  }
  if (!o.capture.interface.empty() || !o.capture.read_file.empty()) return run_capture(o, *wanted);
  if (!o.capture.write_file.empty()) {
    fmt::print(stderr, "mptap monitor: --write needs --interface or --read to take packets from\n");
    return cli::kWrongCall;
  }
  if (o.format == "pcap") {
    fmt::print("{}", pcap_expression(*wanted));
  } else if (o.format == "nft") {
    fmt::print("{}", o.tap.empty() ? nft_counters(*wanted, o.log) : nft_tap_counters(*wanted, o.tap, o.log));
  } else if (o.format == "suricata") {
    fmt::print("{}", suricata_rule(*wanted, o.sid));
  } else {
    const auto program = option_filter(*wanted, o.raw_ip ? Link::kRawIp : Link::kEthernet);
    fmt::print("{}", o.format == "bpf" ? as_decimal(program) : o.format == "bpf-c" ? as_c(program) : as_assembly(program));
  }
  return cli::kDone;
}

}  // namespace

void add_command(CLI::App& app, cli::Action& action) {
  auto o = std::make_shared<Options>();
  auto* sub = app.add_subcommand("monitor", "filters that find MPTCP by subtype, for tcpdump, nftables and others");
  sub->footer(kFooter);
  sub->add_option("--format", o->format, "what to print")
      ->check(CLI::IsMember({"pcap", "bpf", "bpf-c", "bpf-asm", "nft", "suricata"}))
      ->capture_default_str();
  sub->add_option("--subtype", o->subtypes,
                  "capable, join, dss, add_addr, remove_addr, prio, fail, fastclose, tcprst, 0 to 15; all")
      ->delimiter(',');
  sub->add_flag("--raw-ip", o->raw_ip, "bpf: packets begin with the IP header");
  sub->add_option("--tap", o->tap, "nft: count on this interface, which gets a copy of traffic; DROPS what arrives there");
  sub->add_flag("--log", o->log, "nft: log too, at most 10 a second and subtype");
  sub->add_option("--sid", o->sid, "suricata: the rule's number")->capture_default_str();
  auto* from = sub->add_option("--interface", o->capture.interface, "run the exact filter on this interface");
  sub->add_option("--read", o->capture.read_file, "run it on this capture file")->excludes(from);
  sub->add_option("--write", o->capture.write_file, "write what it takes to this file, - is standard output");
  sub->add_option("--count", o->capture.count, "stop after so many packets")->check(CLI::Range(1, 1 << 30));
  sub->callback([o, &action] { action = [o] { return run(*o); }; });
}

}  // namespace mptap::monitor
