// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/scan/command.h"

#include <unistd.h>

#include <atomic>
#include <charconv>
#include <csignal>
#include <memory>

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "apps/mptap/scan/scan.h"

namespace mptap::scan {
namespace {

constexpr const char* kFooter =
    R"(Scan only networks that are yours, or whose owner has allowed it in writing: unasked, a scan is an intrusion to many
owners and an offence in many countries. Nothing is scanned but the targets you name.

verdicts
  v1         MPTCP version 1: the SYN/ACK bears MP_CAPABLE with a key, which we did not send
  v0         MPTCP version 0: the same, with a key that is not ours
  mirrored   something on the way sends our own option back; nobody behind it is known to speak MPTCP
  stripped   the option is taken out on the way, with the evidence for it
  tcp_only   open, and no sign of MPTCP. An option taken out by the host itself, or by the last router, leaves no sign
  closed     refuses
  filtered   no answer, or an ICMP error; or open to plain TCP while SYNs with MPTCP are dropped or rejected

What is sent to a target: SYNs with MP_CAPABLE of version 1, then 0; a second SYN that tells SYN cookies; a SYN with MP_JOIN for
a token that nobody has, which an MPTCP host resets. To silent and closed ones: a SYN without MPTCP (--no-plain: none). To
plain TCP ones behind routers: SYNs with small TTLs, whose quotes show where the option is lost (--no-trace: none). With
--verify a connection is made, ended by a DATA_FIN without data, and its DATA_ACK checked against both keys; the server's program
sees a connection that closes at once. Half-open connections are reset.

Packets leave by packet sockets along the kernel's routes; next hops are resolved by own ARP and neighbour discovery. While it
runs, a nftables table of its own drops the answers (to --source-ports) before this host's kernel resets them; the table goes with the
process, however that ends. Or send from addresses that nobody has, with --source-ip: no rule is needed, ARP for them is answered.
Names are not looked up. Numbers of targets are addresses times ports; their order is random.

  mptap scan 10.20.0.0/16 -p 443 --rate 5000 --state lab.state
  mptap scan 10.0.0.1-20 fd00::/120 -p 22,80,443,8000-8010 --exclude 10.0.0.13 --verify --json > found.json
  mptap scan -f networks.txt --exclude-file never.txt -p 443
  mptap scan 10.0.0.0/24 -p 443 --port 0000:03:00.0 --source-ip 10.0.0.250/24

Exit code: 0 the scan is complete, 1 it was stopped before (--state goes on from there), 2 wrong call, 3 it could not be done.)";

struct Options {
  std::vector<std::string> targets, files, excludes, exclude_files, sources, gateways;
  std::string ports, source_ports = "61000-65535", progress = "auto";
  bool no_trace = false, no_plain = false;
  ScanSpec spec;
};

std::atomic<int> stop_requests{0};

tl::expected<std::vector<AddressRange>, std::string> collect(const std::vector<std::string>& words,
                                                             const std::vector<std::string>& files) {
  std::vector<AddressRange> out;
  for (const auto& w : words) {
    const auto r = parse_target(w);
    if (!r) return tl::unexpected(r.error());
    out.push_back(*r);
  }
  for (const auto& f : files) {
    const auto r = read_target_file(f);
    if (!r) return tl::unexpected(r.error());
    out.insert(out.end(), r->begin(), r->end());
  }
  return out;
}

tl::expected<PortRange, std::string> parse_source_ports(const std::string& text) {
  PortRange range;
  const char* end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, range.first);
  if (first.ec == std::errc{} && first.ptr != end && *first.ptr == '-') {
    const auto last = std::from_chars(first.ptr + 1, end, range.last);
    if (last.ec == std::errc{} && last.ptr == end && range.first >= 1024 && range.last >= range.first &&
        range.last - range.first + 1 >= 60)
      return range;
  }
  return tl::unexpected(
      fmt::format("--source-ports \"{}\": wanted is a range like 61000-65535 of at least 60 ports above 1023", text));
}

// "10.0.0.9" or, for a DPDK port, "10.0.0.9/24": the address, and the prefix that needs no gateway.
tl::expected<void, std::string> add_source(const std::string& text, ScanSpec& spec) {
  const auto address = packet::IpAddress::parse(text.substr(0, text.find('/')));
  if (!address)
    return tl::unexpected(
        fmt::format("--source-ip \"{}\": wanted is an address, with a prefix length for --port: 10.0.0.9/24", text));
  for (const auto& s : spec.sources)
    if (s.is_v4() == address->is_v4()) return tl::unexpected(std::string("--source-ip: one address of each family"));
  spec.sources.push_back(*address);
  if (text.find('/') == std::string::npos) return {};
  auto prefix = packet::Prefix::parse(text);
  if (!prefix) {  // host bits are what makes it an address
    unsigned length = 0;
    const char* from = text.data() + text.find('/') + 1;
    const auto [end, bad] = std::from_chars(from, text.data() + text.size(), length);
    if (bad != std::errc{} || end != text.data() + text.size() || length > (address->is_v4() ? 32u : 128u))
      return tl::unexpected("--source-ip " + prefix.error());
    prefix = packet::Prefix{packet::masked(*address, length + (address->is_v4() ? 96 : 0)), length};
  }
  spec.on_link.push_back(*prefix);
  return {};
}

tl::expected<void, std::string> prepare(Options& o) {
  const auto included = collect(o.targets, o.files), excluded = collect(o.excludes, o.exclude_files);
  if (!included) return tl::unexpected(included.error());
  if (!excluded) return tl::unexpected("excluded: " + excluded.error());
  auto set = TargetSet::make(*included, *excluded);
  if (!set) return tl::unexpected(set.error());
  o.spec.targets = std::move(*set);
  auto ports = parse_ports(o.ports);
  if (!ports) return tl::unexpected(ports.error());
  o.spec.ports = std::move(*ports);
  const auto source_ports = parse_source_ports(o.source_ports);
  if (!source_ports) return tl::unexpected(source_ports.error());
  o.spec.source_ports = *source_ports;
  for (const auto& s : o.sources)
    if (auto ok = add_source(s, o.spec); !ok) return ok;
  for (const auto& g : o.gateways) {
    const auto address = packet::IpAddress::parse(g);
    if (!address) return tl::unexpected(fmt::format("--gateway \"{}\" is no IP address", g));
    o.spec.gateways.push_back(*address);
  }
  if (!o.spec.device.empty() && o.spec.on_link.empty())
    return tl::unexpected(
        std::string("--port: the kernel knows no address and route of it; give --source-ip ADDRESS/LENGTH, and --gateway where "
                    "targets are beyond"));
  o.spec.policy.trace = !o.no_trace;
  o.spec.policy.plain = !o.no_plain;
  o.spec.progress = o.progress == "always" || (o.progress == "auto" && isatty(2));
  return {};
}

int run(Options& o) {
  const auto say = [](const std::string& text) { fmt::print(stderr, "mptap scan: {}\n", text); };
  if (auto ok = prepare(o); !ok) {
    say(ok.error());
    return cli::kWrongCall;
  }
  for (const int s : {SIGINT, SIGTERM, SIGHUP}) std::signal(s, [](int) { stop_requests.fetch_add(1); });
  const auto end = run_scan(o.spec, stop_requests);
  if (!end) {
    say(end.error());
    return cli::kFailed;
  }
  return *end == End::kComplete ? cli::kDone : cli::kNo;
}

}  // namespace

void add_command(CLI::App& app, cli::Action& action) {
  auto o = std::make_shared<Options>();
  auto* sub = app.add_subcommand("scan", "find the hosts that speak MPTCP, and prove it");
  sub->footer(kFooter);
  sub->add_option("targets", o->targets, "10.0.0.0/24, 10.0.0.1-9, 10.0.0.7, fd00::/120, fd00::1-fd00::9");
  sub->add_option("-f,--file", o->files, "targets from a file: words, # begins a comment (may be repeated)");
  sub->add_option("-p,--ports", o->ports, "80,443,8000-8010")->required();
  sub->add_option("--exclude", o->excludes, "leave these out (may be repeated)");
  sub->add_option("--exclude-file", o->exclude_files, "a blocklist (may be repeated)");
  sub->add_option("--rate", o->spec.rate, "packets a second, of all kinds")
      ->check(CLI::Range(1, 10'000'000))
      ->capture_default_str();
  sub->add_option("--retries", o->spec.retries, "further tries where no answer comes")
      ->check(CLI::Range(0, 10))
      ->capture_default_str();
  sub->add_option("--timeout", o->spec.timeout_ms, "milliseconds to wait for an answer")
      ->check(CLI::Range(50, 60'000))
      ->capture_default_str();
  sub->add_flag("--verify", o->spec.policy.verify, "connect to those that claim MPTCP, and look for DSS");
  sub->add_flag("--no-trace", o->no_trace, "do not look for the place where the option is lost");
  sub->add_flag("--no-plain", o->no_plain, "send no SYN without MPTCP");
  sub->add_option("--state", o->spec.state_file, "keep the place in this file, and go on from there");
  sub->add_flag("--json", o->spec.json, "a line of JSON for each target, then a summary");
  sub->add_flag("--all", o->spec.all, "table: closed and filtered targets too");
  sub->add_option("--progress", o->progress, "auto (on a terminal), always, never")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->capture_default_str();
  auto* interface = sub->add_option("-i,--interface", o->spec.interface, "only by this interface");
  sub->add_option("--port", o->spec.device, "send and receive on this DPDK port")->excludes(interface);
  sub->add_option("--source-ip", o->sources, "send from this address, which nobody has (one of each family)");
  sub->add_option("--gateway", o->gateways, "with --port: the way to other networks (one of each family)");
  sub->add_option("--source-ports", o->source_ports, "ports to send from, used by nobody else")->capture_default_str();
  sub->callback([o, &action] { action = [o] { return run(*o); }; });
}

}  // namespace mptap::scan
