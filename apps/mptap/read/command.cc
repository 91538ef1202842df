// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/read/command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <vector>

#include "event/eve.h"
#include "port/capture_reader.h"
#include "port/eal.h"
#include "rules/ruleset.h"
#include "worker/engine.h"

namespace mptap::read {
namespace {

struct Options {
  std::vector<std::string> files, rules;
  bool json = false, sha256 = false, strict_rules = false;
};

class JsonOutput final : public worker::Listener {
 public:
  ~JsonOutput() override { flush(); }
  void on_record(const event::ConnectionRecord& r) override { add(r); }
  void on_alert(const event::Alert& a) override { add(a); }
  void on_anomaly(const event::Anomaly& a) override { add(a); }

 private:
  template <class Event>
  void add(const Event& e) {
    event::append_eve(text_, e);
    if (text_.size() > 1 << 16) flush();
  }
  void flush() {
    std::fwrite(text_.data(), 1, text_.size(), stdout);
    text_.clear();
  }
  std::string text_;
};

int run(const Options& o) {
  const auto eal = port::Eal::start({.memory_mb = 256});
  if (!eal) {
    fmt::print(stderr, "mptap read: {}\n", eal.error());
    return cli::kFailed;
  }
  std::shared_ptr<const rules::Ruleset> ruleset;
  if (!o.rules.empty()) {
    rules::RuleOptions options;
    options.strict = o.strict_rules;
    auto loaded = rules::load_ruleset(o.rules, options);
    if (!loaded) {
      fmt::print(stderr, "mptap read: {}\n", loaded.error().message);
      return cli::kFailed;
    }
    ruleset = loaded->ruleset;
  }
  JsonOutput output;
  worker::EngineConfig config;
  config.sha256 = o.sha256;
  auto engine = worker::Engine::create(config, ruleset, output);
  if (!engine) {
    fmt::print(stderr, "mptap read: {}\n", engine.error());
    return cli::kFailed;
  }
  int code = cli::kDone;
  for (const std::string& file : o.files) {
    auto reader = port::CaptureReader::open(file);
    if (!reader) {
      fmt::print(stderr, "mptap read: {}\n", reader.error());
      return cli::kFailed;
    }
    std::array<packet::Frame, 256> burst;
    while (const size_t n = reader->next_burst(burst)) (*engine)->process(std::span(burst).first(n));
    if (!reader->status().message.empty()) {
      fmt::print(stderr, "mptap read: {}\n", reader->status().message);
      code = cli::kFailed;
    }
  }
  (*engine)->finish();
  return code;
}

}  // namespace

void add_command(CLI::App& app, cli::Action& action) {
  auto options = std::make_shared<Options>();
  CLI::App* sub = app.add_subcommand("read", "Read capture files: connections, alerts, anomalies");
  sub->add_option("FILE", options->files, "pcap or pcapng; - is standard input")->required();
  sub->add_option("--rules", options->rules, "rule file in Suricata's syntax; may be repeated");
  sub->add_flag("--strict-rules", options->strict_rules, "a rule that is not supported is an error");
  sub->add_flag("--json", options->json, "EVE JSON lines");
  sub->add_flag("--sha256", options->sha256, "hashes of the streams");
  sub->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace mptap::read
