// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/remote/tasks.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <iostream>

#include <fmt/format.h>

#include "apps/mptap/command.h"
#include "apps/mptap/remote/print.h"
#include "apps/mptap/terminal.h"

namespace mptap::remote {
namespace {

std::string connection_name(const std::string& id) {
  return id.starts_with("connections/") ? id : "connections/" + id;
}

void set_seconds(google::protobuf::Duration& out, double seconds) {
  out.set_seconds(static_cast<int64_t>(seconds));
  out.set_nanos(static_cast<int32_t>(std::lround((seconds - std::floor(seconds)) * 1e9)));
}

// A worse end counts more: failed, wrong call, not effective, in part, done.
int worse(int a, int b) {
  const auto rank = [](int code) {
    return code == cli::kFailed ? 4 : code == cli::kWrongCall ? 3 : code == cli::kNo ? 2 : code == cli::kPartly ? 1 : 0;
  };
  return rank(a) >= rank(b) ? a : b;
}

int exit_code(const v1::Outcome& outcome) {
  switch (outcome.verdict()) {
    case v1::Outcome::VERDICT_CONFIRMED:
    case v1::Outcome::VERDICT_DRY_RUN: return cli::kDone;
    case v1::Outcome::VERDICT_NOT_EFFECTIVE: return cli::kNo;
    default: return cli::kPartly;
  }
}

v1::KillConnectionRequest kill_request(const Options& o, const std::string& name) {
  v1::KillConnectionRequest request;
  request.set_name(name);
  request.set_request_id(new_request_id());
  request.set_validate_only(o.dry_run);
  set_seconds(*request.mutable_wait(), o.wait_s);
  return request;
}

unsigned rows() {
  winsize size{};
  return ioctl(1, TIOCGWINSZ, &size) == 0 && size.ws_row > 3 ? size.ws_row : 24;
}

}  // namespace

int complain(const Options& o, const Failure& failure) {
  fmt::print(stderr, "mptap {}: {}{}\n", o.command, cli::printable(failure.message),
             failure.reason.empty() ? "" : fmt::format(" [{}]", failure.reason));
  return failure.exit_code;
}

int finished(const Options& o, int error) {
  if (error == 0 || error == EPIPE) return cli::kDone;
  return complain(o, {cli::kFailed, fmt::format("standard output: {}", std::strerror(error)), ""});
}

bool confirmed(const Options& o, const std::string& question) {
  if (o.yes || o.dry_run || isatty(0) == 0) return true;
  fmt::print(stderr, "{} [y/N] ", question);
  std::string line;
  return std::getline(std::cin, line) && (line == "y" || line == "Y" || line == "yes");
}

int list_connections(const Options& o) {
  auto client = Client::make(o.server);
  if (!client) return complain(o, client.error());
  cli::Output out;
  v1::ListConnectionsRequest request;
  request.set_filter(o.filter);
  request.set_order_by(o.order);
  uint64_t printed = 0;
  int64_t total = 0;
  google::protobuf::RepeatedPtrField<v1::Connection> all;
  do {
    request.set_page_size(static_cast<int32_t>(o.limit == 0 ? 1000 : std::min<uint64_t>(1000, o.limit - printed)));
    auto page = (*client)->list(request);
    if (!page) return complain(o, page.error());
    printed += static_cast<uint64_t>(page->connections_size());
    total = page->total_size();
    if (o.json) {
      for (const v1::Connection& c : page->connections()) out.write(to_json(c) + "\n");
    } else {
      all.MergeFrom(page->connections());
    }
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty() && (o.limit == 0 || printed < o.limit) && out.error() == 0);
  if (!o.json) {
    out.write(connection_table(all, cli::look_at(1, cli::Color::kNever).width));
    if (total > static_cast<int64_t>(printed)) out.write(fmt::format("{} of {}\n", printed, total));
  }
  out.flush();
  return finished(o, out.error());
}

int show_connection(const Options& o) {
  auto client = Client::make(o.server);
  if (!client) return complain(o, client.error());
  int code = cli::kDone;
  for (const std::string& id : o.ids) {
    v1::GetConnectionRequest request;
    request.set_name(connection_name(id));
    const auto connection = (*client)->get(request);
    if (!connection) {
      code = worse(code, complain(o, connection.error()));
      continue;
    }
    fmt::print("{}", o.json ? to_json(*connection) + "\n" : describe(*connection));
  }
  return code;
}

int watch_connections(const Options& o) {
  auto client = Client::make(o.server);
  if (!client) return complain(o, client.error());
  cli::catch_signals();
  const cli::Terminal terminal = cli::look_at(1, cli::Color::kAuto);
  const bool live = terminal.is_terminal && !o.json;
  v1::WatchConnectionsRequest request;
  request.set_filter(o.filter);
  request.set_order_by(o.order);
  request.set_page_size(static_cast<int32_t>(std::min<uint64_t>(1000, o.limit != 0 ? o.limit : live ? rows() - 3 : 1000)));
  set_seconds(*request.mutable_interval(), o.interval_s);
  cli::Output out;
  uint64_t looks = 0;
  const auto ended = (*client)->watch(request, [&](const v1::WatchConnectionsResponse& look) {
    if (o.json) {
      out.write(to_json(look) + "\n");
    } else {
      if (live) out.write("\x1b[H\x1b[J");
      out.write(
          fmt::format("{} connections{}\n", look.total_size() < 0 ? "some" : std::to_string(look.total_size()),
                      look.missed() == 0 ? "" : fmt::format(", {} looks left out: this terminal is too slow", look.missed())));
      out.write(connection_table(look.connections(), terminal.width));
    }
    out.flush();
    return out.error() == 0 && ++looks != o.count;
  });
  if (!ended) return complain(o, ended.error());
  if (*ended) return finished(o, out.error());
  return complain(o, {cli::kFailed, "mptapd ended the watch", ""});
}

int act(const Options& o) {
  auto client = Client::make(o.server);
  if (!client) return complain(o, client.error());
  int code = cli::kDone;
  for (const std::string& id : o.ids) {
    const std::string name = connection_name(id);
    if (!o.yes && !o.dry_run && isatty(0) != 0) {
      v1::GetConnectionRequest request;
      request.set_name(name);
      const auto connection = (*client)->get(request);
      if (!connection) {
        code = worse(code, complain(o, connection.error()));
        continue;
      }
      if (!confirmed(o, fmt::format("{}\n{} it?", headline(*connection), o.command))) {
        code = worse(code, complain(o, {cli::kNo, "not done", ""}));
        continue;
      }
    }
    const auto outcome = (*client)->kill(kill_request(o, name));
    if (!outcome) {
      code = worse(code, complain(o, outcome.error()));
      continue;
    }
    fmt::print("{}", o.json ? to_json(*outcome) + "\n" : fmt::format("{} {}: {}", o.command, id, describe(*outcome)));
    code = worse(code, exit_code(*outcome));
  }
  return code;
}

int policies(const Options& o) {
  auto client = Client::make(o.server);
  if (!client) return complain(o, client.error());
  if (o.what == "resume") {
    if (!confirmed(o, "let policies act again?")) return complain(o, {cli::kNo, "not done", ""});
    if (o.dry_run) {
      fmt::print("policies would act again\n");
      return cli::kDone;
    }
    v1::ResumePoliciesRequest request;
    request.set_request_id(new_request_id());
    const auto done = (*client)->resume(request);
    if (!done) return complain(o, done.error());
    fmt::print("{}", o.json ? to_json(*done) + "\n" : "policies act\n");
    return cli::kDone;
  }
  v1::ListPoliciesRequest request;
  request.set_page_size(1000);
  const auto all = (*client)->policies(request);
  if (!all) return complain(o, all.error());
  if (o.json) {
    for (const v1::Policy& policy : all->policies()) fmt::print("{}\n", to_json(policy));
  } else {
    fmt::print("{}", describe(*all));
  }
  return cli::kDone;
}

int events(const Options& o) {
  auto client = Client::make(o.server);
  if (!client) return complain(o, client.error());
  cli::catch_signals();
  v1::WatchEventsRequest request;
  request.set_filter(o.filter);
  request.set_resume_position(o.position);
  cli::Output out;
  uint64_t seen = 0;
  const auto ended = (*client)->events(request, [&](const v1::WatchEventsResponse& r) {
    if (r.restarted()) fmt::print(stderr, "mptap events: mptapd has been started anew since that position\n");
    if (r.missed() != 0) fmt::print(stderr, "mptap events: {} events were missed here\n", r.missed());
    if (!r.has_event()) return true;
    out.write(o.json ? fmt::format("{{\"position\":\"{}\",\"event\":{}}}\n", r.event().position(), r.event().eve())
                     : r.event().eve() + "\n");
    out.flush();
    return out.error() == 0 && ++seen != o.count;
  });
  if (!ended) return complain(o, ended.error());
  if (*ended) return finished(o, out.error());
  return complain(o, {cli::kFailed, "mptapd ended the watch", ""});
}

int show_system(const Options& o) {
  auto client = Client::make(o.server);
  if (!client) return complain(o, client.error());
  const auto system = (*client)->system();
  if (!system) return complain(o, system.error());
  fmt::print("{}", o.json ? to_json(*system) + "\n" : describe(*system));
  return cli::kDone;
}

}  // namespace mptap::remote
