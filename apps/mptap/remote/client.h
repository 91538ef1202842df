// SPDX-License-Identifier: Apache-2.0
// The calls of the control plane for the sub-commands, free of gRPC's headers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <tl/expected.hpp>

#include "mptap/v1/connection.pb.h"
#include "mptap/v1/event.pb.h"
#include "mptap/v1/policy.pb.h"
#include "mptap/v1/rule.pb.h"
#include "mptap/v1/system.pb.h"

namespace mptap::remote {

struct ServerChoice {
  std::string server = "unix:/run/mptap/control.sock";  // or HOST:PORT
  std::string certificate, key, authority;              // files, PEM; all three for HOST:PORT
  double timeout_s = 10;                                // of a call that does not watch
};

struct Failure {
  int exit_code = 3;
  std::string message;  // one line, with what would help
  std::string reason;   // ErrorInfo's, where the server gave one
};

template <typename T>
using Answer = tl::expected<T, Failure>;

class Client {
 public:
  // Only what can be told without a connection fails here.
  static Answer<std::unique_ptr<Client>> make(const ServerChoice& choice);
  ~Client();

  Answer<v1::ListConnectionsResponse> list(const v1::ListConnectionsRequest& request);
  Answer<v1::Connection> get(const v1::GetConnectionRequest& request);
  Answer<v1::Outcome> kill(const v1::KillConnectionRequest& request);
  Answer<v1::ListPoliciesResponse> policies(const v1::ListPoliciesRequest& request);
  Answer<v1::ResumePoliciesResponse> resume(const v1::ResumePoliciesRequest& request);
  Answer<v1::ListRulesResponse> rules(const v1::ListRulesRequest& request);
  Answer<v1::Rule> rule(const v1::GetRuleRequest& request);
  Answer<v1::Rule> create(const v1::CreateRuleRequest& request);
  Answer<v1::Rule> update(const v1::UpdateRuleRequest& request);
  Answer<bool> remove(const v1::DeleteRuleRequest& request);
  Answer<v1::ReloadRulesResponse> reload(const v1::ReloadRulesRequest& request);
  Answer<v1::System> system();

  // Until see returns false, the server ends it, or stop_requested(). True: at our own wish.
  Answer<bool> watch(const v1::WatchConnectionsRequest& request,
                     const std::function<bool(const v1::WatchConnectionsResponse&)>& see);
  Answer<bool> events(const v1::WatchEventsRequest& request, const std::function<bool(const v1::WatchEventsResponse&)>& see);

 private:
  struct Stubs;
  Client(ServerChoice choice, std::unique_ptr<Stubs> stubs);
  const ServerChoice choice_;
  const std::unique_ptr<Stubs> stubs_;
};

// A UUID for request_id.
std::string new_request_id();
std::string to_json(const google::protobuf::Message& message);

}  // namespace mptap::remote
