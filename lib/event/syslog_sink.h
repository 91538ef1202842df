// SPDX-License-Identifier: Apache-2.0
// Each line as one message to the local syslog daemon: "<PRI>Mmm dd hh:mm:ss ident[pid]: {...}" to its datagram socket. Not over
// libc's syslog(), which cannot tell that a message was lost. The daemon may cut or refuse long messages (rsyslog: 8 KiB by
// default): events with payload belong into another sink.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "event/descriptor.h"
#include "event/sink.h"

namespace mptap::event {

struct SyslogOptions {
  std::string facility = "local5";  // daemon, user, auth, authpriv, local0 .. local7
  std::string level = "info";       // emerg, alert, crit, err, warning, notice, info, debug
  std::string ident = "mptap";
  std::string path = "/dev/log";
};

class SyslogSink : public Sink {
 public:
  // Fails for a facility or level that does not exist. The daemon need not run yet.
  static tl::expected<std::unique_ptr<SyslogSink>, std::string> create(const SyslogOptions& options = {});

  void write(std::string_view lines, size_t count) override;

 private:
  SyslogSink(const SyslogOptions& options, int priority);
  bool connect();
  int send(std::string_view line);
  void send_or_lose(std::string_view line);

  const SyslogOptions options_;
  const int priority_;
  Descriptor socket_;
  std::string message_;
  std::chrono::steady_clock::time_point next_try_{};
};

}  // namespace mptap::event
