// SPDX-License-Identifier: Apache-2.0
// The gRPC server: on a Unix socket, or on a TCP address with mutual TLS. Free of gRPC's headers, so that users compile quickly.
#pragma once

#include <map>
#include <memory>
#include <string>

#include <tl/expected.hpp>

#include "control/appliance.h"
#include "control/call_counts.h"
#include "control/event_hub.h"

namespace mptap::control {

struct ServerOptions {
  std::string address = "unix:/run/mptap/control.sock";  // or HOST:PORT; port 0: any
  std::string group = "mptap";                           // of the Unix socket
  std::string certificate, key, client_ca;               // files, PEM; read again when they change
  std::map<std::string, std::string> roles;              // access.h
  std::string audit_log;                                 // a file; empty: none
  int threads = 64;                                      // most calls at once; more are told RESOURCE_EXHAUSTED
  int certificate_check_s = 5;                           // how often the files are looked at
};

class Server {
 public:
  // Opens what may need privileges: the Unix socket, the audit log. The error is one line.
  static tl::expected<std::unique_ptr<Server>, std::string> open(const ServerOptions& options, Appliance& appliance,
                                                                 std::shared_ptr<EventHub> hub);
  ~Server();  // as stop()

  // Takes calls from now on, with threads of its own.
  tl::expected<void, std::string> start();
  // No calls from now on; those at work are cancelled.
  void stop();
  // SIGHUP: the audit log is opened anew.
  void reopen();
  // "unix:/run/mptap/control.sock", "127.0.0.1:50051": with the port that the system chose.
  std::string address() const;
  // Any thread.
  const CallCounts& calls() const;
  int watchers() const;

 private:
  struct Parts;
  explicit Server(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

// Whether the three files are there, readable, PEM, and certificate and key belong together. The error is one line.
tl::expected<void, std::string> check_tls_files(const std::string& certificate, const std::string& key,
                                                const std::string& client_ca);

}  // namespace mptap::control
