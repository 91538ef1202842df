// SPDX-License-Identifier: Apache-2.0
#include "control/server.h"

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <grpcpp/server_posix.h>

#include "control/connection_service.h"
#include "control/rule_service.h"
#include "control/system_services.h"

namespace mptap::control {
namespace {

constexpr int kMessageBytes = 2 << 20, kMetadataBytes = 16 << 10, kStreamsPerConnection = 256;
constexpr int kHandshakeMs = 10'000, kKeepAliveMs = 30'000;

std::shared_ptr<grpc::ServerCredentials> mutual_tls(const ServerOptions& o) {
  const auto provider = std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
      o.key, o.certificate, o.client_ca, static_cast<unsigned>(o.certificate_check_s));
  grpc::experimental::TlsServerCredentialsOptions tls(provider);
  tls.watch_root_certs();
  tls.watch_identity_key_cert_pairs();
  tls.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  return grpc::experimental::TlsServerCredentials(tls);
}

}  // namespace

struct Server::Parts {
  Parts(const ServerOptions& o, Appliance& appliance, Roles roles, std::unique_ptr<AuditLog> log, std::shared_ptr<EventHub> hub)
      : options(o), audit(std::move(log)), core(appliance, std::move(roles), *audit, std::move(hub)) {}

  const ServerOptions options;
  const std::unique_ptr<AuditLog> audit;
  std::unique_ptr<UnixListener> listener;
  Core core;
  ConnectionService connections{core};
  RuleService rules{core};
  PolicyService policies{core};
  EventService events{core};
  SystemService system{core};
  std::unique_ptr<grpc::Server> server;
  int port = 0;
};

Server::Server(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Server::~Server() {
  stop();
}

tl::expected<std::unique_ptr<Server>, std::string> Server::open(const ServerOptions& options, Appliance& appliance,
                                                                std::shared_ptr<EventHub> hub) {
  auto roles = Roles::make(options.roles);
  if (!roles) return tl::unexpected(roles.error());
  auto audit = AuditLog::open(options.audit_log);
  if (!audit) return tl::unexpected(audit.error());
  auto parts = std::make_unique<Parts>(options, appliance, std::move(*roles), std::move(*audit), std::move(hub));
  if (options.address.starts_with("unix:")) {
    auto listener = UnixListener::open(options.address.substr(5), options.group);
    if (!listener) return tl::unexpected(listener.error());
    parts->listener = std::move(*listener);
    parts->core.listener = parts->listener.get();
  } else if (auto good = check_tls_files(options.certificate, options.key, options.client_ca); !good) {
    return tl::unexpected(good.error());
  }
  return std::unique_ptr<Server>(new Server(std::move(parts)));
}

tl::expected<void, std::string> Server::start() {
  Parts& p = *parts_;
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  if (!p.listener) builder.AddListeningPort(p.options.address, mutual_tls(p.options), &p.port);
  grpc::Service* const services[] = {&p.connections, &p.rules, &p.policies, &p.events, &p.system};
  for (grpc::Service* service : services) builder.RegisterService(service);
  grpc::ResourceQuota quota("control");
  quota.SetMaxThreads(p.options.threads);
  builder.SetResourceQuota(quota);
  builder.SetMaxReceiveMessageSize(kMessageBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMetadataBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsPerConnection);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepAliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  // Two daemons on one port would share the calls between them.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 4);
  p.server = builder.BuildAndStart();
  if (p.server == nullptr || (!p.listener && p.port == 0))
    return tl::unexpected(fmt::format("control.address: cannot listen on {}; is another process there?", p.options.address));
  for (const char* name : {"mptap.v1.ConnectionService", "mptap.v1.RuleService", "mptap.v1.PolicyService",
                           "mptap.v1.EventService", "mptap.v1.SystemService"})
    p.server->GetHealthCheckService()->SetServingStatus(name, true);
  if (p.listener) {
    p.listener->start([&p](int fd) { grpc::AddInsecureChannelFromFd(p.server.get(), fd); });
  }
  return {};
}

void Server::stop() {
  Parts& p = *parts_;
  p.core.stopping = true;
  if (p.listener) p.listener->stop();
  if (p.server == nullptr) return;
  p.server->GetHealthCheckService()->Shutdown();
  p.server->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(300));
  p.server->Wait();
  p.server.reset();
}

void Server::reopen() {
  parts_->audit->reopen();
}

const CallCounts& Server::calls() const {
  return parts_->core.calls;
}

int Server::watchers() const {
  return parts_->core.watchers;
}

std::string Server::address() const {
  const Parts& p = *parts_;
  if (p.listener) return p.options.address;
  return fmt::format("{}:{}", p.options.address.substr(0, p.options.address.rfind(':')), p.port);
}

}  // namespace mptap::control
