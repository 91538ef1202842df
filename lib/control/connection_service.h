// SPDX-License-Identifier: Apache-2.0
// mptap.v1.ConnectionService. Internal to lib/control.
#pragma once

#include "control/rpc.h"
#include "mptap/v1/connection.grpc.pb.h"

namespace mptap::control {

class ConnectionService final : public v1::ConnectionService::Service {
 public:
  explicit ConnectionService(Core& core) : core_(core) {}

  grpc::Status ListConnections(grpc::ServerContext*, const v1::ListConnectionsRequest*, v1::ListConnectionsResponse*) override;
  grpc::Status GetConnection(grpc::ServerContext*, const v1::GetConnectionRequest*, v1::Connection*) override;
  grpc::Status WatchConnections(grpc::ServerContext*, const v1::WatchConnectionsRequest*,
                                grpc::ServerWriter<v1::WatchConnectionsResponse>*) override;
  grpc::Status KillConnection(grpc::ServerContext*, const v1::KillConnectionRequest*, v1::KillConnectionResponse*) override;

 private:
  template <typename Request, typename Response>
  grpc::Status act(grpc::ServerContext& context, const char* method, const Request& request, Response& response,
                   Result<action::Options> options, action::Kind kind);

  Core& core_;
};

}  // namespace mptap::control
