// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/remote/client.h"

#include <sys/random.h>

#include <array>
#include <atomic>
#include <fstream>
#include <iterator>
#include <thread>

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>
#include <grpcpp/grpcpp.h>

#include "apps/mptap/command.h"
#include "apps/mptap/terminal.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "mptap/v1/connection.grpc.pb.h"
#include "mptap/v1/event.grpc.pb.h"
#include "mptap/v1/policy.grpc.pb.h"
#include "mptap/v1/rule.grpc.pb.h"
#include "mptap/v1/system.grpc.pb.h"

namespace mptap::remote {
namespace {

tl::expected<std::string, std::string> contents(const char* option, const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file.is_open() || text.empty()) return tl::unexpected(fmt::format("{} {}: cannot be read", option, path));
  return text;
}

Failure failure_of(const grpc::Status& status, const ServerChoice& choice) {
  Failure failure{cli::kFailed, status.error_message(), ""};
  google::rpc::Status details;
  if (details.ParseFromString(status.error_details())) {
    for (const auto& any : details.details()) {
      google::rpc::ErrorInfo info;
      if (any.UnpackTo(&info)) failure.reason = info.reason();
    }
  }
  switch (status.error_code()) {
    case grpc::StatusCode::INVALID_ARGUMENT: failure.exit_code = cli::kWrongCall; break;
    case grpc::StatusCode::UNAVAILABLE:
      if (failure.reason.empty()) {
        const bool unix_socket = choice.server.starts_with("unix:");
        failure.message = fmt::format("cannot reach {}: {}. {}", choice.server, status.error_message(),
                                      unix_socket ? "Is mptapd running, and are you in the socket's group?"
                                                  : "Is mptapd listening there, and is your certificate one of its client_ca's?");
      }
      break;
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      if (failure.reason.empty())
        failure.message = fmt::format("no answer from {} within {} s (--timeout)", choice.server, choice.timeout_s);
      break;
    case grpc::StatusCode::UNIMPLEMENTED:
      failure.message = fmt::format("{} does not know this call: is it an older mptapd?", choice.server);
      break;
    default: break;
  }
  return failure;
}

}  // namespace

struct Client::Stubs {
  explicit Stubs(const std::shared_ptr<grpc::Channel>& channel)
      : connections(channel), events(channel), policies(channel), rules(channel), system(channel) {}
  v1::ConnectionService::Stub connections;
  v1::EventService::Stub events;
  v1::PolicyService::Stub policies;
  v1::RuleService::Stub rules;
  v1::SystemService::Stub system;
};

namespace {

template <typename Response, typename Stub, typename Request>
Answer<Response> call(const ServerChoice& choice, Stub& stub,
                      grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*), const Request& request,
                      double more_s = 0) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::milliseconds(static_cast<int64_t>((choice.timeout_s + more_s) * 1000)));
  Response response;
  const grpc::Status status = (stub.*method)(&context, request, &response);
  if (!status.ok()) return tl::unexpected(failure_of(status, choice));
  return response;
}

// An action's call takes as long as the wire is watched, and some more.
template <typename Response, typename Stub, typename Request>
Answer<v1::Outcome> act(const ServerChoice& choice, Stub& stub,
                        grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*), const Request& request,
                        double wait_s) {
  auto answer = call(choice, stub, method, request, wait_s);
  if (!answer) return tl::unexpected(answer.error());
  return std::move(*answer->mutable_outcome());
}

template <typename Request>
double wait_of(const Request& request) {
  return request.has_wait() ? static_cast<double>(request.wait().seconds()) + request.wait().nanos() / 1e9 : 3;
}

template <typename Response, typename Stub, typename Request>
Answer<bool> watch_stream(const ServerChoice& choice, Stub& stub,
                          std::unique_ptr<grpc::ClientReader<Response>> (Stub::*method)(grpc::ClientContext*, const Request&),
                          const Request& request, const std::function<bool(const Response&)>& see) {
  grpc::ClientContext context;
  std::atomic<bool> over{false}, ours{false};
  // Reading waits for the server; Ctrl-C must not.
  std::thread guard([&] {
    while (!over && !cli::stop_requested()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    if (!over) {
      ours = true;
      context.TryCancel();
    }
  });
  const auto reader = (stub.*method)(&context, request);
  for (Response response; reader->Read(&response);) {
    if (see(response)) continue;
    ours = true;
    context.TryCancel();
    break;
  }
  const grpc::Status status = reader->Finish();
  over = true;
  guard.join();
  if (ours) return true;
  if (!status.ok()) return tl::unexpected(failure_of(status, choice));
  return false;
}

}  // namespace

Client::Client(ServerChoice choice, std::unique_ptr<Stubs> stubs) : choice_(std::move(choice)), stubs_(std::move(stubs)) {}
Client::~Client() = default;

Answer<std::unique_ptr<Client>> Client::make(const ServerChoice& choice) {
  const auto wrong = [](std::string message) { return tl::unexpected(Failure{cli::kWrongCall, std::move(message), ""}); };
  std::shared_ptr<grpc::ChannelCredentials> credentials;
  if (choice.server.starts_with("unix:")) {
    credentials = grpc::InsecureChannelCredentials();
  } else {
    if (choice.server.find(':') == std::string::npos)
      return wrong(fmt::format("--server is \"{}\"; it must be unix:PATH or HOST:PORT", choice.server));
    if (choice.certificate.empty() || choice.key.empty() || choice.authority.empty())
      return wrong(fmt::format("--server {} wants --cert, --key and --ca: TCP is served with mutual TLS only", choice.server));
    const auto certificate = contents("--cert", choice.certificate), key = contents("--key", choice.key),
               authority = contents("--ca", choice.authority);
    for (const auto* part : {&certificate, &key, &authority})
      if (!*part) return wrong(part->error());
    credentials = grpc::SslCredentials({*authority, *key, *certificate});
  }
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(64 << 20);
  // No proxy of the environment stands between an operator and his appliance.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  auto stubs = std::make_unique<Stubs>(grpc::CreateCustomChannel(choice.server, credentials, arguments));
  return std::unique_ptr<Client>(new Client(choice, std::move(stubs)));
}

using CS = v1::ConnectionService::Stub;
using PS = v1::PolicyService::Stub;
using RS = v1::RuleService::Stub;

Answer<v1::ListConnectionsResponse> Client::list(const v1::ListConnectionsRequest& r) {
  return call(choice_, stubs_->connections, &CS::ListConnections, r);
}
Answer<v1::Connection> Client::get(const v1::GetConnectionRequest& r) {
  return call(choice_, stubs_->connections, &CS::GetConnection, r);
}
Answer<v1::Outcome> Client::kill(const v1::KillConnectionRequest& r) {
  return act(choice_, stubs_->connections, &CS::KillConnection, r, wait_of(r));
}
Answer<v1::ListPoliciesResponse> Client::policies(const v1::ListPoliciesRequest& r) {
  return call(choice_, stubs_->policies, &PS::ListPolicies, r);
}
Answer<v1::ResumePoliciesResponse> Client::resume(const v1::ResumePoliciesRequest& r) {
  return call(choice_, stubs_->policies, &PS::ResumePolicies, r);
}
Answer<v1::ListRulesResponse> Client::rules(const v1::ListRulesRequest& r) {
  return call(choice_, stubs_->rules, &RS::ListRules, r);
}
Answer<v1::Rule> Client::rule(const v1::GetRuleRequest& r) {
  return call(choice_, stubs_->rules, &RS::GetRule, r);
}
Answer<v1::Rule> Client::create(const v1::CreateRuleRequest& r) {
  return call(choice_, stubs_->rules, &RS::CreateRule, r);
}
Answer<v1::Rule> Client::update(const v1::UpdateRuleRequest& r) {
  return call(choice_, stubs_->rules, &RS::UpdateRule, r);
}
Answer<bool> Client::remove(const v1::DeleteRuleRequest& r) {
  const auto answer = call(choice_, stubs_->rules, &RS::DeleteRule, r);
  if (!answer) return tl::unexpected(answer.error());
  return true;
}
Answer<v1::ReloadRulesResponse> Client::reload(const v1::ReloadRulesRequest& r) {
  return call(choice_, stubs_->rules, &RS::ReloadRules, r);
}
Answer<v1::System> Client::system() {
  return call(choice_, stubs_->system, &v1::SystemService::Stub::GetSystem, v1::GetSystemRequest());
}
Answer<bool> Client::watch(const v1::WatchConnectionsRequest& r,
                           const std::function<bool(const v1::WatchConnectionsResponse&)>& see) {
  return watch_stream(choice_, stubs_->connections, &CS::WatchConnections, r, see);
}
Answer<bool> Client::events(const v1::WatchEventsRequest& r, const std::function<bool(const v1::WatchEventsResponse&)>& see) {
  return watch_stream(choice_, stubs_->events, &v1::EventService::Stub::WatchEvents, r, see);
}

std::string new_request_id() {
  std::array<uint8_t, 16> b{};
  if (getrandom(b.data(), b.size(), 0) != static_cast<ssize_t>(b.size())) return "";
  b[6] = static_cast<uint8_t>((b[6] & 0x0f) | 0x40);
  b[8] = static_cast<uint8_t>((b[8] & 0x3f) | 0x80);
  std::string text;
  for (size_t i = 0; i < b.size(); ++i) text += fmt::format("{}{:02x}", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", b[i]);
  return text;
}

std::string to_json(const google::protobuf::Message& message) {
  std::string text;
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  // A reader finds every key in every line, also where the value is nought.
  options.always_print_primitive_fields = true;
  (void)google::protobuf::util::MessageToJsonString(message, &text, options);
  return text;
}

}  // namespace mptap::remote
