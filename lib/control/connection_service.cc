// SPDX-License-Identifier: Apache-2.0
#include "control/connection_service.h"

#include <charconv>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "control/convert.h"

namespace mptap::control {
namespace {

using std::chrono::steady_clock;

constexpr uint64_t kMs = 1'000'000, kSecond = 1'000'000'000;

// A page token is the last connection's place, and what the filter and the order were.
std::string token_of(const Cursor& c, uint64_t query) {
  return fmt::format("{:x}.{:x}.{:x}.{:x}", c.key, c.worker, c.serial, query);
}

Result<Cursor> cursor_of(const std::string& token, uint64_t query) {
  uint64_t values[4] = {};
  const char* at = token.data();
  const char* end = at + token.size();
  bool good = true;
  for (int i = 0; good && i < 4; ++i) {
    const auto [stop, error] = std::from_chars(at, end, values[i], 16);
    good = error == std::errc() && (i == 3 ? stop == end : stop != end && *stop == '.');
    at = stop + 1;
  }
  if (good && values[3] == query && values[1] <= UINT32_MAX)
    return Cursor{values[0], static_cast<uint32_t>(values[1]), values[2]};
  return tl::unexpected(Error{Code::kInvalidArgument, "PAGE_TOKEN_INVALID",
                              good ? "page_token is of a call with another filter or order_by; begin with the first page"
                                   : "page_token is not the next_page_token of an answer"});
}

uint64_t fingerprint(const std::string& filter, const std::string& order) {
  uint64_t h = 0xcbf29ce484222325ull;
  for (const char c : filter + '\n' + order) h = (h ^ static_cast<uint8_t>(c)) * 0x100000001b3ull;
  return h;
}

Result<std::shared_ptr<ListQuery>> query_of(const std::string& filter_text, const std::string& order_text, int32_t size) {
  auto filter = Filter::parse(filter_text, connection_fields());
  if (!filter) {
    return tl::unexpected(Error{Code::kInvalidArgument,
                                "FILTER_INVALID",
                                fmt::format("filter: {}", filter.error().to_string()),
                                {{"column", std::to_string(filter.error().column)}}});
  }
  const auto order = parse_order(order_text);
  if (!order) return tl::unexpected(order.error());
  const auto limit = page_size(size);
  if (!limit) return tl::unexpected(limit.error());
  return std::make_shared<ListQuery>(ListQuery{std::move(*filter), order->order, order->descending, *limit, std::nullopt});
}

std::string state_json(const Result<ConnectionInfo>& found) {
  if (!found) return "";
  const event::ConnectionRecord& r = found->record;
  nlohmann::ordered_json state;
  state["client"] = r.head.src.to_string();
  state["server"] = r.head.dst.to_string();
  static constexpr const char* kStates[] = {"handshake", "established", "closing", "closed"};
  state["state"] = kStates[static_cast<size_t>(r.state)];
  state["subflows"] = r.subflows.size();
  state["bytes"] = {r.stream[0].bytes, r.stream[1].bytes};
  return state.dump();
}

std::string outcome_json(const action::Outcome& o, bool dry_run) {
  nlohmann::ordered_json state;
  state["verdict"] = dry_run ? "DRY_RUN" : action::verdict_name(o.verdict);
  state["seen"] = o.seen;
  state["frames"] = o.frames;
  return state.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

template <typename Request>
Result<action::Options> options_of(const Request& request) {
  action::Options options;
  const auto wait = duration_ns("wait", request.has_wait(), request.wait(), 100 * kMs, 60 * kSecond, options.timeout_ns);
  if (!wait) return tl::unexpected(wait.error());
  options.timeout_ns = *wait;
  return options;
}

}  // namespace

grpc::Status ConnectionService::ListConnections(grpc::ServerContext* context, const v1::ListConnectionsRequest* request,
                                                v1::ListConnectionsResponse* response) {
  return read_call(core_, *context, "/mptap.v1.ConnectionService/ListConnections", *request, [&]() -> Result<void> {
    if (auto good = check_mask(request->read_mask()); !good) return good;
    auto query = query_of(request->filter(), request->order_by(), request->page_size());
    if (!query) return tl::unexpected(query.error());
    const uint64_t print = fingerprint(request->filter(), request->order_by());
    if (!request->page_token().empty()) {
      const auto cursor = cursor_of(request->page_token(), print);
      if (!cursor) return tl::unexpected(cursor.error());
      (*query)->after = *cursor;
    }
    const auto page = core_.appliance.list(*query, deadline_of(*context));
    if (!page) return tl::unexpected(page.error());
    for (const ConnectionInfo& info : page->connections) {
      v1::Connection& connection = *response->add_connections();
      to_message(info, connection);
      trim(request->read_mask(), connection);
    }
    if (page->next) response->set_next_page_token(token_of(*page->next, print));
    response->set_total_size(page->total ? static_cast<int64_t>(*page->total) : -1);
    return {};
  });
}

grpc::Status ConnectionService::GetConnection(grpc::ServerContext* context, const v1::GetConnectionRequest* request,
                                              v1::Connection* response) {
  return read_call(core_, *context, "/mptap.v1.ConnectionService/GetConnection", *request, [&]() -> Result<void> {
    if (auto good = check_mask(request->read_mask()); !good) return good;
    const auto id = connection_id(request->name());
    if (!id) return tl::unexpected(id.error());
    const auto info = core_.appliance.get(*id, deadline_of(*context));
    if (!info) return tl::unexpected(info.error());
    to_message(*info, *response);
    trim(request->read_mask(), *response);
    return {};
  });
}

grpc::Status ConnectionService::WatchConnections(grpc::ServerContext* context, const v1::WatchConnectionsRequest* request,
                                                 grpc::ServerWriter<v1::WatchConnectionsResponse>* writer) {
  return read_call(core_, *context, "/mptap.v1.ConnectionService/WatchConnections", *request, [&]() -> Result<void> {
    const WatcherPlace place(core_);
    if (auto good = place.check(); !good) return good;
    if (auto good = check_mask(request->read_mask()); !good) return good;
    const auto query = query_of(request->filter(), request->order_by(), request->page_size());
    if (!query) return tl::unexpected(query.error());
    const auto interval = duration_ns("interval", request->has_interval(), request->interval(), 100 * kMs, 60 * kSecond, kSecond);
    if (!interval) return tl::unexpected(interval.error());
    const auto step = std::chrono::nanoseconds(*interval);
    auto next = steady_clock::now();
    uint64_t missed = 0;
    while (!context->IsCancelled() && !core_.stopping) {
      const auto now = steady_clock::now();
      if (now < next) {
        std::this_thread::sleep_for(std::min<steady_clock::duration>(next - now, std::chrono::milliseconds(100)));
        continue;
      }
      const auto page = core_.appliance.list(*query, {now + std::chrono::seconds(10), [&] { return context->IsCancelled(); }});
      if (!page) return tl::unexpected(page.error());
      v1::WatchConnectionsResponse response;
      const auto wall = std::chrono::system_clock::now().time_since_epoch();
      to_timestamp(static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(wall).count()),
                   *response.mutable_read_time());
      for (const ConnectionInfo& info : page->connections) {
        v1::Connection& connection = *response.add_connections();
        to_message(info, connection);
        trim(request->read_mask(), connection);
      }
      response.set_total_size(page->total ? static_cast<int64_t>(*page->total) : -1);
      response.set_missed(missed);
      if (!writer->Write(response)) return {};
      // A reader that takes longer than the interval gets the next one, not those between.
      missed = 0;
      for (next += step; next + step <= steady_clock::now(); next += step) ++missed;
    }
    return {};
  });
}

template <typename Request, typename Response>
grpc::Status ConnectionService::act(grpc::ServerContext& context, const char* method, const Request& request, Response& response,
                                    Result<action::Options> options, action::Kind kind) {
  const auto id = connection_id(request.name());
  const Deadline deadline = deadline_of(context);
  Mutation mutation{.method = method, .request_id = request.request_id(), .before = {}, .work = {}};
  if (id) mutation.before = [&] { return state_json(core_.appliance.get(*id, deadline)); };
  mutation.work = [&](std::string& after) -> Result<void> {
    if (!id) return tl::unexpected(id.error());
    if (!options) return tl::unexpected(options.error());
    options->dry_run = request.validate_only();
    // The verdict must come before the caller goes.
    const auto left = deadline.at - steady_clock::now() - std::chrono::milliseconds(50);
    const auto left_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(left).count();
    options->timeout_ns =
        std::min(options->timeout_ns, static_cast<uint64_t>(std::max<int64_t>(left_ns, 100 * static_cast<int64_t>(kMs))));
    const auto outcome = core_.appliance.act({kind, *id, "call", *options}, deadline);
    if (!outcome) return tl::unexpected(outcome.error());
    to_message(*outcome, options->dry_run, *response.mutable_outcome());
    after = outcome_json(*outcome, options->dry_run);
    return {};
  };
  return mutating_call(core_, context, request, response, mutation);
}

grpc::Status ConnectionService::KillConnection(grpc::ServerContext* context, const v1::KillConnectionRequest* request,
                                               v1::KillConnectionResponse* response) {
  return act(*context, "/mptap.v1.ConnectionService/KillConnection", *request, *response, options_of(*request),
             action::Kind::kKill);
}

}  // namespace mptap::control
