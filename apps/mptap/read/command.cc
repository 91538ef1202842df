// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/read/command.h"

#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "apps/mptap/read/egress.h"
#include "apps/mptap/read/extract.h"
#include "apps/mptap/read/filter.h"
#include "apps/mptap/read/input.h"
#include "apps/mptap/read/load_rules.h"
#include "apps/mptap/read/options.h"
#include "apps/mptap/read/report.h"
#include "apps/mptap/terminal.h"

namespace mptap::read {
namespace {

constexpr const char* kFooter =
    R"(examples
  mptap read capture.pcapng
  mptap read --rules local.rules day1.pcap day2.pcap             several files are read as one, in the order given
  mptap read --json --sha256 capture.pcap | jq 'select(.event_type == "mptcp")'
  mptap read --filter host=10.0.0.0/8,port=443 --extract out capture.pcap
  mptap read --egress tcp.pcap capture.pcap && suricata -r tcp.pcap  an IDS that knows TCP only sees what was split
  tcpdump -i eth0 -w - tcp | mptap read --rules local.rules -
  mptap read --port net_af_packet0,iface=eth0 --rules local.rules --duration 60
  mptap read --critical "10.20.0.0/16 = plant floor" --exit-code capture.pcap    is there MPTCP where nobody should speak it?
  mptap follow capture.pcap --connection 1                       shows one of the connections

The table shows N, the number that mptap follow takes, and one line per connection with its subflows below it: seen is the
share of the acknowledged bytes that is in the capture, odd counts what a correct sender on a clean path does not do (--json
names each). Times are UTC. From files it stands in the order of the connections' first packets; with --port and - rows
come as connections end and alerts at once.

--filter takes host ADDRESS or PREFIX, port NUMBER, token HEX, id CONNECTION, several with commas between; all of them must hold,
each for any subflow. With several --filter a connection that one of them keeps is kept.

exit code
  0  everything was read
  1  --exit-code was given, and there are alerts
  2  wrong call
  3  it could not be done: a file that is missing or no capture, wrong rules, a port that does not open
  4  done in part: a file is cut short or damaged, or reading was interrupted)";

struct Options {
  InputOptions input;
  DecodeOptions decode;
  RuleFiles rules;
  EgressOptions egress;
  bool json = false, stats = false, sha256 = false, exit_code = false, no_summary = false;
  std::string extract, color = "auto";
  std::vector<std::string> filters;
  uint32_t payload = 256;
};

void tell(const std::string& text) {
  fmt::print(stderr, "mptap read: {}\n", text);
}

int fail(const std::string& text, int code = cli::kFailed) {
  tell(text);
  return code;
}

// Streams to the extractor, the rest to the report, by way of the filter.
class Fan final : public worker::Listener {
 public:
  Fan(Report& report, std::vector<Filter> filters, Extractor* extractor)
      : kept_(report, extractor), filter_(filters, kept_), filtered_(!filters.empty()), extractor_(extractor) {}

  void on_record(const event::ConnectionRecord& r) override {
    const uint64_t before = filter_.left_out();
    to().on_record(r);
    if (extractor_) extractor_->finish(r.connection_id, filter_.left_out() == before);
  }
  void on_alert(const event::Alert& a) override { to().on_alert(a); }
  void on_anomaly(const event::Anomaly& a) override { to().on_anomaly(a); }
  void on_joined(const event::SubflowJoined& j) override { to().on_joined(j); }
  void on_stream(const connection::Connection& c, int direction, uint64_t, std::span<const uint8_t> bytes) override {
    if (extractor_) extractor_->write(c.id, direction, bytes);
  }
  uint64_t left_out() const { return filter_.left_out(); }

 private:
  struct Kept final : worker::Listener {
    Kept(Report& r, Extractor*) : report(r) {}
    void on_record(const event::ConnectionRecord& r) override { report.on_record(r); }
    void on_alert(const event::Alert& a) override { report.on_alert(a); }
    void on_anomaly(const event::Anomaly& a) override { report.on_anomaly(a); }
    Report& report;
  };
  worker::Listener& to() {
    if (filtered_) return filter_;
    return kept_;
  }

  Kept kept_;
  FilteredListener filter_;
  bool filtered_;
  Extractor* extractor_;
};

int run(const Options& o) {
  cli::catch_signals();
  std::vector<Filter> filters;
  for (const std::string& text : o.filters) {
    auto filter = Filter::parse(text);
    if (!filter) return fail(filter.error(), cli::kWrongCall);
    filters.push_back(std::move(*filter));
  }
  auto detect = detect_options(o.decode);
  if (!detect) return fail(detect.error());
  const auto eal = start_eal(o.input, o.decode.max_subflows);
  if (!eal) return fail(eal.error());
  const auto rules = load(o.rules, tell);
  if (!rules) return fail(rules.error().message, rules.error().code);
  std::optional<Extractor> extractor;
  if (!o.extract.empty()) {
    auto opened = Extractor::open(o.extract);
    if (!opened) return fail(opened.error());
    extractor.emplace(std::move(*opened));
  }

  std::unique_ptr<EgressFile> egress;
  if (!o.egress.file.empty()) {
    auto opened = EgressFile::open(o.egress);
    if (!opened) return fail(opened.error());
    egress = std::move(*opened);
  }

  cli::Output out;
  const bool live = is_endless(o.input);
  const cli::Color color = o.color == "always"  ? cli::Color::kAlways
                           : o.color == "never" ? cli::Color::kNever
                                                : cli::Color::kAuto;
  std::unique_ptr<Report> report;
  if (o.json)
    report = std::make_unique<JsonReport>(out, o.stats);
  else
    report = std::make_unique<TextReport>(
        out, TextReport::Options{.terminal = cli::look_at(1, color), .live = live, .summary = !o.no_summary});
  Fan fan(*report, std::move(filters), extractor ? &*extractor : nullptr);
  worker::EngineConfig config = engine_config(o.decode);
  config.detect = std::move(*detect);
  config.sha256 = o.sha256;
  config.streams = extractor.has_value();
  config.payload_context = o.payload;
  auto engine = worker::Engine::create(config, *rules, fan);
  if (!engine) return fail(engine.error());
  if (egress) (*engine)->set_egress(&egress->outlet());

  const auto settle = [&] {
    if (live && !out.empty()) out.flush();
    if (out.error() != 0 || (extractor && !extractor->error().empty()) || (egress && egress->failed())) cli::request_stop();
  };
  auto result = run_input(o.input, **engine, 256, settle, tell);
  if (!result) return fail(result.error());
  (*engine)->finish();
  result->summary.filtered = fan.left_out();
  report->finish((*engine)->counters(), result->summary);
  out.flush();
  if (o.json) {
    for (const std::string& port : result->summary.ports) tell(port);
  }
  if (const std::string hint = checksum_hint((*engine)->counters()); !hint.empty()) tell(hint);
  if (extractor && !extractor->error().empty()) return fail(extractor->error());
  if (egress) {
    if (auto closed = egress->close(); !closed) return fail(closed.error());
  }
  // Whoever read our output has seen enough: that is no failure.
  if (out.error() == EPIPE) return cli::kDone;
  if (out.error() != 0) return fail(fmt::format("standard output: {}", std::strerror(out.error())));
  if (result->interrupted)
    tell(fmt::format("interrupted after {} packets; what they hold was printed", cli::grouped(result->summary.packets)));
  if (result->interrupted || result->partly) return cli::kPartly;
  return o.exit_code && report->alerts() > 0 ? cli::kNo : cli::kDone;
}

}  // namespace

void add_command(CLI::App& app, cli::Action& action) {
  auto o = std::make_shared<Options>();
  CLI::App* sub = app.add_subcommand("read", "MPTCP and TCP connections of capture files or live ports, alerts, anomalies");
  sub->footer(kFooter);
  sub->add_option("FILE", o->input.files, "captures in pcap or pcapng format; - is standard input");
  sub->add_flag("--json", o->json, "EVE JSON, one event a line, instead of the table");
  sub->add_flag("--stats", o->stats, "with --json: counters at the end, as an event of type stats");
  sub->add_flag("--sha256", o->sha256, "hashes of the streams");
  sub->add_option("--extract", o->extract,
                  "write each stream into a file of its own: DIR/CONNECTIONID.toserver, .toclient; holes are left out")
      ->type_name("DIR");
  sub->add_option("--filter", o->filters,
                  "only connections with host ADDRESS, port NUMBER, token HEX or id CONNECTION, see below; may be repeated")
      ->allow_extra_args(false)
      ->type_name("TERMS");
  sub->add_flag("--exit-code", o->exit_code, "exit code 1 when there are alerts");
  sub->add_flag("--no-summary", o->no_summary, "nothing below the table");
  sub->add_option("--color", o->color, "auto, always, never")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->capture_default_str();
  add_rule_options(*sub, o->rules);
  add_egress_options(*sub, o->egress);
  sub->add_option("--payload", o->payload, "bytes of context around a match in an alert of --json; 0: no payload")
      ->check(CLI::Range(0u, 65536u))
      ->capture_default_str()
      ->group("Rules");
  constexpr const char* kLive = "Live";
  sub->add_option("--port", o->input.ports,
                  "instead of FILE: a DPDK port, by PCI address, vdev or network interface; may be repeated")
      ->allow_extra_args(false)
      ->type_name("PORT")
      ->group(kLive);
  sub->add_option("--duration", o->input.duration_s, "stop after so many seconds; without it, Ctrl-C stops")
      ->check(CLI::Range(0.001, 1e8))
      ->type_name("SECONDS")
      ->group(kLive);
  sub->add_option("--count", o->input.count, "stop after so many packets")
      ->check(CLI::PositiveNumber)
      ->type_name("N")
      ->group(kLive);
  add_detect_options(*sub, o->decode);
  add_decode_options(*sub, o->decode);
  sub->callback([o, &action] {
    if (o->input.files.empty() && o->input.ports.empty())
      throw CLI::ValidationError("FILE", "wants a capture file, - for standard input, or --port");
    if (!o->input.files.empty() && !o->input.ports.empty())
      throw CLI::ValidationError("--port", "reads live; it does not go together with FILE");
    action = [o] { return run(*o); };
  });
}

}  // namespace mptap::read
