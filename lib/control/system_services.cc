// SPDX-License-Identifier: Apache-2.0
#include "control/system_services.h"

#include <charconv>

#include <fmt/format.h>

#include "control/convert.h"
#include "control/event_record.h"

namespace mptap::control {
namespace {

using std::chrono::steady_clock;

void to_message(const PolicyInfo& info, uint32_t position, v1::Policy& out) {
  out.set_name("policies/" + info.name);
  out.set_position(position);
  out.set_action(info.action);
  out.set_match(info.match);
  out.set_dry_run(info.dry_run);
  out.set_hits(info.hits);
}

void to_message(const BreakerInfo& info, v1::CircuitBreaker& out) {
  out.set_open(info.open);
}

}  // namespace

grpc::Status PolicyService::ListPolicies(grpc::ServerContext* context, const v1::ListPoliciesRequest* request,
                                         v1::ListPoliciesResponse* response) {
  return read_call(core_, *context, "/mptap.v1.PolicyService/ListPolicies", *request, [&]() -> Result<void> {
    const auto size = page_size(request->page_size());
    if (!size) return tl::unexpected(size.error());
    size_t from = 0;
    const std::string& token = request->page_token();
    if (!token.empty() && std::from_chars(token.data(), token.data() + token.size(), from).ptr != token.data() + token.size())
      return tl::unexpected(
          Error{Code::kInvalidArgument, "PAGE_TOKEN_INVALID", "page_token is not the next_page_token of an answer"});
    const auto all = core_.appliance.policies();
    for (size_t i = from; i < all.size(); ++i) {
      if (static_cast<size_t>(response->policies_size()) == *size) {
        response->set_next_page_token(std::to_string(i));
        break;
      }
      to_message(all[i], static_cast<uint32_t>(i), *response->add_policies());
    }
    to_message(core_.appliance.breaker(), *response->mutable_circuit_breaker());
    return {};
  });
}

grpc::Status PolicyService::GetPolicy(grpc::ServerContext* context, const v1::GetPolicyRequest* request, v1::Policy* response) {
  return read_call(core_, *context, "/mptap.v1.PolicyService/GetPolicy", *request, [&]() -> Result<void> {
    const auto all = core_.appliance.policies();
    for (size_t i = 0; i < all.size(); ++i) {
      if (request->name() != "policies/" + all[i].name) continue;
      to_message(all[i], static_cast<uint32_t>(i), *response);
      return {};
    }
    return tl::unexpected(
        Error{Code::kNotFound, "POLICY_NOT_FOUND", fmt::format("there is no \"{}\"", request->name().substr(0, 128))});
  });
}

grpc::Status PolicyService::ResumePolicies(grpc::ServerContext* context, const v1::ResumePoliciesRequest* request,
                                           v1::ResumePoliciesResponse* response) {
  return mutating_call(core_, *context, *request, *response,
                       {.method = "/mptap.v1.PolicyService/ResumePolicies",
                        .request_id = request->request_id(),
                        .before = [&] { return fmt::format("{{\"open\":{}}}", core_.appliance.breaker().open); },
                        .work = [&](std::string& after) -> Result<void> {
                          core_.appliance.resume_policies();
                          const BreakerInfo now = core_.appliance.breaker();
                          to_message(now, *response->mutable_circuit_breaker());
                          after = fmt::format("{{\"open\":{}}}", now.open);
                          return {};
                        }});
}

grpc::Status EventService::WatchEvents(grpc::ServerContext* context, const v1::WatchEventsRequest* request,
                                       grpc::ServerWriter<v1::WatchEventsResponse>* writer) {
  return read_call(core_, *context, "/mptap.v1.EventService/WatchEvents", *request, [&]() -> Result<void> {
    constexpr size_t kBatch = 64;
    constexpr auto kTurn = std::chrono::milliseconds(100);
    constexpr auto kTellMissed = std::chrono::seconds(1);
    const WatcherPlace place(core_);
    if (auto good = place.check(); !good) return good;
    const auto filter = Filter::parse_open(request->filter());
    if (!filter) {
      return tl::unexpected(Error{Code::kInvalidArgument,
                                  "FILTER_INVALID",
                                  fmt::format("filter: {}", filter.error().to_string()),
                                  {{"column", std::to_string(filter.error().column)}}});
    }
    const auto position = core_.hub->position(request->resume_position());
    if (!position)
      return tl::unexpected(Error{Code::kInvalidArgument, "POSITION_INVALID", "resume_position: " + position.error()});
    // The watcher learns at once that it is let in.
    writer->SendInitialMetadata();
    v1::WatchEventsResponse response;
    response.set_restarted(position->restarted);
    bool tell = position->restarted;
    auto told = steady_clock::now();
    for (uint64_t after = position->after; !context->IsCancelled() && !core_.stopping;) {
      const auto batch = core_.hub->take(after, kBatch, steady_clock::now() + kTurn);
      response.set_missed(response.missed() + batch.missed);
      for (size_t i = 0; i < batch.lines.size(); ++i) {
        const EventRecord record(*batch.lines[i]);
        if (!filter->matches(record)) continue;
        response.mutable_event()->set_position(core_.hub->text(batch.first + i));
        response.mutable_event()->set_type(record.type());
        response.mutable_event()->set_eve(*batch.lines[i]);
        if (!writer->Write(response)) return {};
        response.Clear();
        tell = false;
        told = steady_clock::now();
      }
      if (!batch.lines.empty()) after = batch.first + batch.lines.size() - 1;
      if (tell || (response.missed() != 0 && steady_clock::now() - told > kTellMissed)) {
        if (!writer->Write(response)) return {};
        response.Clear();
        tell = false;
        told = steady_clock::now();
      }
      if (batch.closed) break;
    }
    return {};
  });
}

grpc::Status SystemService::GetSystem(grpc::ServerContext* context, const v1::GetSystemRequest* request, v1::System* response) {
  return read_call(core_, *context, "/mptap.v1.SystemService/GetSystem", *request, [&]() -> Result<void> {
    const SystemInfo info = core_.appliance.system();
    response->set_name("system");
    response->set_version(info.version);
    to_timestamp(info.start_ns, *response->mutable_start_time());
    response->set_mode(info.mode);
    for (const auto& port : info.ports) {
      v1::Port& m = *response->add_ports();
      m.set_name(port.name);
      m.set_driver(port.driver);
      m.set_link_up(port.up);
      m.set_link_mbps(port.mbps);
      m.set_received(port.received);
      m.set_missed(port.missed);
      m.set_errors(port.errors);
    }
    for (size_t i = 0; i < info.workers.size(); ++i) {
      v1::Worker& m = *response->add_workers();
      m.set_id(static_cast<uint32_t>(i));
      m.set_frames(info.workers[i].frames);
      m.set_connections(info.workers[i].connections);
      m.set_held_bytes(info.workers[i].held_bytes);
      m.set_busy_cycles(info.workers[i].busy_cycles);
      m.set_idle_cycles(info.workers[i].idle_cycles);
    }
    for (const auto& limit : info.limits) {
      v1::Limit& m = *response->add_limits();
      m.set_name(limit.name);
      m.set_limit(limit.limit);
      m.set_used(limit.used);
    }
    response->set_rules(info.rules);
    if (caller_of(core_, *context).role >= Role::kAdmin) response->set_config(info.config);
    return {};
  });
}

grpc::Status SystemService::ReloadSystem(grpc::ServerContext* context, const v1::ReloadSystemRequest* request,
                                         v1::ReloadSystemResponse* response) {
  return mutating_call(core_, *context, *request, *response,
                       {.method = "/mptap.v1.SystemService/ReloadSystem",
                        .request_id = request->request_id(),
                        .before = {},
                        .work = [&](std::string&) -> Result<void> {
                          const auto done = core_.appliance.reload(deadline_of(*context));
                          if (!done) return tl::unexpected(done.error());
                          response->set_rules(done->loaded);
                          response->set_left_out(done->left_out);
                          return {};
                        }});
}

}  // namespace mptap::control
