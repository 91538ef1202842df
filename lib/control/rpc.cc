// SPDX-License-Identifier: Apache-2.0
#include "control/rpc.h"

#include <pwd.h>

#include <charconv>

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace mptap::control {
namespace {

constexpr auto kLongest = std::chrono::seconds(60);  // of a call without a deadline

std::string json(const google::protobuf::Message& message) {
  std::string text;
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  if (!google::protobuf::util::MessageToJsonString(message, &text, options).ok()) return "";
  return text;
}

const char* code_name(Code code) {
  switch (code) {
    case Code::kCancelled: return "CANCELLED";
    case Code::kInvalidArgument: return "INVALID_ARGUMENT";
    case Code::kDeadlineExceeded: return "DEADLINE_EXCEEDED";
    case Code::kNotFound: return "NOT_FOUND";
    case Code::kAlreadyExists: return "ALREADY_EXISTS";
    case Code::kPermissionDenied: return "PERMISSION_DENIED";
    case Code::kResourceExhausted: return "RESOURCE_EXHAUSTED";
    case Code::kFailedPrecondition: return "FAILED_PRECONDITION";
    case Code::kAborted: return "ABORTED";
    case Code::kInternal: return "INTERNAL";
    case Code::kUnavailable: return "UNAVAILABLE";
  }
  return "INTERNAL";
}

std::string user_name(uint32_t uid) {
  char buffer[1024];
  passwd entry{};
  passwd* found = nullptr;
  return getpwuid_r(uid, &entry, buffer, sizeof buffer, &found) == 0 && found != nullptr ? found->pw_name : "";
}

std::string text_of(const grpc::string_ref& text) {
  return {text.data(), text.size()};
}

// Told in the audit log, and refused; nullopt: he may.
std::optional<Error> refusal(Core& core, const Caller& caller, const char* method, const google::protobuf::Message& request) {
  const Permission* needed = permission(method);
  if (needed != nullptr && caller.role >= needed->role && caller.role != Role::kNone) return std::nullopt;
  Error error{
      Code::kPermissionDenied,
      "ROLE_TOO_LOW",
      fmt::format("{} wants the role {}, and {} has {} (control.roles)", method,
                  needed == nullptr ? "of nobody" : role_name(needed->role), caller.who, role_name(caller.role)),
      {{"method", method}, {"role", role_name(caller.role)}, {"wanted", needed == nullptr ? "" : role_name(needed->role)}}};
  // Denied in any case; a log that cannot be written makes it no better.
  (void)core.audit.append({.who = caller.who,
                           .role = role_name(caller.role),
                           .from = caller.from,
                           .method = method,
                           .request = json(request),
                           .before = "",
                           .after = "",
                           .result = "denied",
                           .message = error.message});
  return error;
}

const grpc::Status& counted(Core& core, const char* method, const grpc::Status& status) {
  core.calls.add(method, status.ok()                                                  ? CallEnd::kOk
                         : status.error_code() == grpc::StatusCode::PERMISSION_DENIED ? CallEnd::kDenied
                                                                                      : CallEnd::kError);
  return status;
}

grpc::Status read(Core& core, const grpc::ServerContext& context, const char* method, const google::protobuf::Message& request,
                  const std::function<Result<void>()>& work) {
  if (const auto error = refusal(core, caller_of(core, context), method, request)) return to_status(*error);
  const auto done = work();
  return done ? grpc::Status::OK : to_status(done.error());
}

grpc::Status mutate(Core& core, const grpc::ServerContext& context, const google::protobuf::Message& request,
                    google::protobuf::Message& response, const Mutation& m) {
  const Caller caller = caller_of(core, context);
  if (const auto error = refusal(core, caller, m.method, request)) return to_status(*error);
  const auto unlogged = [](const std::string& what, const char* state) {
    return to_status({Code::kUnavailable, "AUDIT_LOG_FAILED", fmt::format("{}: {}", state, what)});
  };
  if (const auto ready = core.audit.ready(); !ready) return unlogged(ready.error(), "nothing was done");
  AuditEntry entry{.who = caller.who,
                   .role = role_name(caller.role),
                   .from = caller.from,
                   .method = m.method,
                   .request = json(request),
                   .before = "",
                   .after = "",
                   .result = "ok",
                   .message = ""};
  const auto result = core.requests.run(caller.who, m.method, m.request_id, request.SerializeAsString(), deadline_of(context).at,
                                        [&]() -> RequestCache::Answer {
                                          if (m.before) entry.before = m.before();
                                          if (auto done = m.work(entry.after); !done) return tl::unexpected(done.error());
                                          return response.SerializeAsString();
                                        });
  if (!result.answer) {
    entry.result = code_name(result.answer.error().code);
    entry.message = result.answer.error().message;
  } else if (result.repeated) {
    response.ParseFromString(*result.answer);
    entry.message = "repeated: answered as before, nothing was done";
  }
  const auto written = core.audit.append(entry);
  if (!result.answer) return to_status(result.answer.error());
  if (!written) return unlogged(written.error(), "done, but not told in the audit log");
  return grpc::Status::OK;
}

}  // namespace

grpc::Status to_status(const Error& error) {
  google::rpc::Status status;
  status.set_code(static_cast<int>(error.code));
  status.set_message(error.message);
  google::rpc::ErrorInfo info;
  info.set_reason(error.reason);
  info.set_domain(kErrorDomain);
  for (const auto& [key, value] : error.metadata) (*info.mutable_metadata())[key] = value;
  status.add_details()->PackFrom(info);
  return {static_cast<grpc::StatusCode>(error.code), error.message, status.SerializeAsString()};
}

Caller caller_of(const Core& core, const grpc::ServerContext& context) {
  Caller caller;
  caller.from = context.peer();
  if (caller.from.starts_with("fd:") && core.listener != nullptr) {
    int number = -1;
    std::from_chars(caller.from.data() + 3, caller.from.data() + caller.from.size(), number);
    const auto peer = core.listener->peer(number);
    if (!peer) return caller;
    const std::string name = user_name(peer->uid);
    caller.who = fmt::format("uid:{}{}{}", peer->uid, name.empty() ? "" : " ", name);
    caller.from = fmt::format("unix pid {}", peer->pid);
    caller.role = core.roles.of(*peer);
    return caller;
  }
  const auto auth = context.auth_context();
  if (auth == nullptr || !auth->IsPeerAuthenticated()) return caller;
  Certificate certificate;
  for (const auto& value : auth->FindPropertyValues("x509_common_name")) certificate.common_name = text_of(value);
  for (const auto& value : auth->FindPropertyValues("x509_subject_alternative_name"))
    certificate.alternative_names.push_back(text_of(value));
  caller.who = "cn:" + certificate.common_name;
  for (const std::string& name : certificate.alternative_names) caller.who += " " + name;
  caller.role = core.roles.of(certificate);
  return caller;
}

Deadline deadline_of(const grpc::ServerContext& context) {
  const auto left = context.deadline() - std::chrono::system_clock::now();
  const auto now = std::chrono::steady_clock::now();
  Deadline deadline{now + kLongest, [&context] { return context.IsCancelled(); }};
  if (left < kLongest) deadline.at = now + std::chrono::duration_cast<std::chrono::steady_clock::duration>(left);
  return deadline;
}

grpc::Status read_call(Core& core, const grpc::ServerContext& context, const char* method,
                       const google::protobuf::Message& request, const std::function<Result<void>()>& work) {
  return counted(core, method, read(core, context, method, request, work));
}

grpc::Status mutating_call(Core& core, const grpc::ServerContext& context, const google::protobuf::Message& request,
                           google::protobuf::Message& response, const Mutation& m) {
  return counted(core, m.method, mutate(core, context, request, response, m));
}

Result<void> WatcherPlace::check() const {
  if (mine_) return {};
  return tl::unexpected(Error{Code::kResourceExhausted, "TOO_MANY_WATCHERS",
                              fmt::format("{} calls watch already, which is the most; end one of them", kPlaces)});
}

}  // namespace mptap::control
