// SPDX-License-Identifier: Apache-2.0
// What every call goes through: who calls, whether he may, idempotency, the audit log, errors as google.rpc.Status. Internal to
// lib/control; includes gRPC.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include <google/protobuf/message.h>
#include <grpcpp/grpcpp.h>

#include "control/access.h"
#include "control/appliance.h"
#include "control/audit.h"
#include "control/call_counts.h"
#include "control/event_hub.h"
#include "control/request_cache.h"
#include "control/unix_listener.h"

namespace mptap::control {

struct Core {
  Core(Appliance& a, Roles r, AuditLog& log, std::shared_ptr<EventHub> h)
      : appliance(a), roles(std::move(r)), audit(log), hub(std::move(h)) {}

  Appliance& appliance;
  const Roles roles;
  AuditLog& audit;
  const std::shared_ptr<EventHub> hub;
  UnixListener* listener = nullptr;  // where the address is a Unix socket
  RequestCache requests;
  CallCounts calls;
  std::mutex rules;  // one writer of the managed file at a time
  std::atomic<int> watchers{0};
  std::atomic<bool> stopping{false};
};

grpc::Status to_status(const Error& error);
Caller caller_of(const Core& core, const grpc::ServerContext& context);
Deadline deadline_of(const grpc::ServerContext& context);

// A call that changes nothing. PERMISSION_DENIED, told in the audit log, where the caller may not.
grpc::Status read_call(Core& core, const grpc::ServerContext& context, const char* method,
                       const google::protobuf::Message& request, const std::function<Result<void>()>& work);

// A call that changes something. State before and after is for the audit log, as JSON; either may stay empty.
struct Mutation {
  const char* method;
  std::string request_id;
  std::function<std::string()> before = {};
  std::function<Result<void>(std::string& after)> work;
};
grpc::Status mutating_call(Core& core, const grpc::ServerContext& context, const google::protobuf::Message& request,
                           google::protobuf::Message& response, const Mutation& mutation);

// One of the places for calls that last; tells the caller where there is none.
class WatcherPlace {
 public:
  static constexpr int kPlaces = 32;
  explicit WatcherPlace(Core& core) : core_(core), mine_(core.watchers.fetch_add(1) < kPlaces) {}
  ~WatcherPlace() { core_.watchers.fetch_sub(1); }
  WatcherPlace(const WatcherPlace&) = delete;
  WatcherPlace& operator=(const WatcherPlace&) = delete;
  Result<void> check() const;

 private:
  Core& core_;
  const bool mine_;
};

}  // namespace mptap::control
