// SPDX-License-Identifier: Apache-2.0
// mptap.v1.PolicyService, EventService and SystemService. Internal to lib/control.
#pragma once

#include "control/rpc.h"
#include "mptap/v1/event.grpc.pb.h"
#include "mptap/v1/policy.grpc.pb.h"
#include "mptap/v1/system.grpc.pb.h"

namespace mptap::control {

class PolicyService final : public v1::PolicyService::Service {
 public:
  explicit PolicyService(Core& core) : core_(core) {}
  grpc::Status ListPolicies(grpc::ServerContext*, const v1::ListPoliciesRequest*, v1::ListPoliciesResponse*) override;
  grpc::Status GetPolicy(grpc::ServerContext*, const v1::GetPolicyRequest*, v1::Policy*) override;
  grpc::Status ResumePolicies(grpc::ServerContext*, const v1::ResumePoliciesRequest*, v1::ResumePoliciesResponse*) override;

 private:
  Core& core_;
};

class EventService final : public v1::EventService::Service {
 public:
  explicit EventService(Core& core) : core_(core) {}
  grpc::Status WatchEvents(grpc::ServerContext*, const v1::WatchEventsRequest*,
                           grpc::ServerWriter<v1::WatchEventsResponse>*) override;

 private:
  Core& core_;
};

class SystemService final : public v1::SystemService::Service {
 public:
  explicit SystemService(Core& core) : core_(core) {}
  grpc::Status GetSystem(grpc::ServerContext*, const v1::GetSystemRequest*, v1::System*) override;
  grpc::Status ReloadSystem(grpc::ServerContext*, const v1::ReloadSystemRequest*, v1::ReloadSystemResponse*) override;

 private:
  Core& core_;
};

}  // namespace mptap::control
