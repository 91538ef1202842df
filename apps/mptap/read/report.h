// SPDX-License-Identifier: Apache-2.0
// What the engine says, for people (TextReport) or as EVE lines (JsonReport), on standard output.
#pragma once

#include <array>
#include <string>
#include <unordered_map>
#include <vector>

#include "apps/mptap/read/table.h"
#include "apps/mptap/terminal.h"
#include "event/record.h"
#include "worker/engine.h"

namespace mptap::read {

// What was read, for the summary.
struct InputSummary {
  uint64_t packets = 0;
  uint64_t left_out = 0;           // by the reader: link types that are not supported
  uint64_t filtered = 0;           // connections that --filter left out
  std::vector<std::string> ports;  // one line each
};

class Report : public worker::Listener {
 public:
  explicit Report(cli::Output& out) : out_(out) {}
  virtual void finish(const worker::EngineCounters& counters, const InputSummary& input) = 0;
  uint64_t alerts() const { return alerts_; }

 protected:
  cli::Output& out_;
  uint64_t alerts_ = 0;
};

class JsonReport final : public Report {
 public:
  JsonReport(cli::Output& out, bool stats) : Report(out), stats_(stats) {}
  void on_record(const event::ConnectionRecord& record) override;
  void on_alert(const event::Alert& alert) override;
  void on_anomaly(const event::Anomaly& anomaly) override;
  void finish(const worker::EngineCounters& counters, const InputSummary& input) override;

 private:
  bool stats_;
  uint64_t last_ns_ = 0;
};

class TextReport final : public Report {
 public:
  struct Options {
    cli::Terminal terminal;
    bool live = false;     // rows as connections end, alerts at once; else a table at the end, in the order of first packets
    bool summary = true;
    size_t max_rows = 100'000;  // held back at most; then those are printed
  };
  TextReport(cli::Output& out, const Options& options);
  void on_record(const event::ConnectionRecord& record) override;
  void on_alert(const event::Alert& alert) override;
  void on_anomaly(const event::Anomaly& anomaly) override;
  void finish(const worker::EngineCounters& counters, const InputSummary& input) override;

 private:
  struct Running {  // what a connection has said before its record
    std::vector<std::string> alerts;
    uint64_t alert_count = 0, anomalies = 0;
  };
  void print_rows();
  void print_summary(const worker::EngineCounters& counters, const InputSummary& input);

  Options options_;
  cli::Palette palette_;
  Table table_;
  std::vector<Row> rows_;
  std::unordered_map<uint64_t, Running> running_;
  std::array<uint64_t, static_cast<size_t>(event::AnomalyType::kCount)> anomalies_{};
  uint64_t mptcp_ = 0, tcp_ = 0, subflows_ = 0, cross_ = 0;
};

// Lines of plain words, each with its '\n'; empty when everything was inspected.
std::string not_inspected(const worker::EngineCounters& counters, const InputSummary& input);
// A hint for standard error when wrong checksums look like offload; empty otherwise.
std::string checksum_hint(const worker::EngineCounters& counters);

}  // namespace mptap::read
