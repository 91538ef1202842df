// SPDX-License-Identifier: Apache-2.0
#include "event/outputs.h"

#include <utility>

#include "event/file_sink.h"
#include "event/stdout_sink.h"
#include "event/syslog_sink.h"
#include "event/unix_sink.h"

namespace mptap::event {

tl::expected<std::vector<Output>, std::string> open_outputs(const OutputChoice& choice, const SinkReporter& reporter) {
  std::array<bool, kEventTypes> types = Output::all();
  types[static_cast<size_t>(EventType::kAnomaly)] = choice.anomalies;
  types[static_cast<size_t>(EventType::kConnection)] = choice.connections;

  std::vector<Output> outputs;
  const auto add = [&](std::unique_ptr<Sink> sink) {
    sink->set_reporter(reporter);
    outputs.push_back({std::move(sink), types});
  };
  if (!choice.file.empty()) {
    auto sink = FileSink::open(choice.file);
    if (!sink) return tl::unexpected(sink.error());
    add(std::move(*sink));
  }
  if (choice.to_stdout) add(std::make_unique<StdoutSink>());
  if (!choice.unix_socket.empty()) {
    UnixSinkOptions options;
    options.lossless = choice.lossless;
    auto sink = UnixSink::create(choice.unix_socket, options);
    if (!sink) return tl::unexpected(sink.error());
    add(std::move(*sink));
  }
  if (choice.to_syslog) {
    SyslogOptions options;
    options.facility = choice.syslog_facility;
    auto sink = SyslogSink::create(options);
    if (!sink) return tl::unexpected(sink.error());
    add(std::move(*sink));
  }
  return outputs;
}

}  // namespace mptap::event
