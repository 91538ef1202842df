// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/remote/print.h"

#include <algorithm>
#include <ctime>

#include <fmt/format.h>

#include "apps/mptap/terminal.h"

namespace mptap::remote {
namespace {

// STATE_ESTABLISHED -> established
std::string plain(std::string name, std::string_view prefix) {
  if (name.starts_with(prefix)) name.erase(0, prefix.size());
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return name;
}

std::string text(const v1::Endpoint& e) {
  return e.address().find(':') == std::string::npos ? fmt::format("{}:{}", e.address(), e.port())
                                                    : fmt::format("[{}]:{}", e.address(), e.port());
}

std::string id_of(const v1::Connection& c) {
  return c.name().starts_with("connections/") ? c.name().substr(12) : c.name();
}

std::string share(const v1::Connection& c) {
  return c.has_visibility() ? fmt::format("{:.0f}%", c.visibility() * 100) : "-";
}

std::string when(const google::protobuf::Timestamp& t) {
  const auto seconds = static_cast<time_t>(t.seconds());
  tm parts{};
  gmtime_r(&seconds, &parts);
  char buffer[32];
  strftime(buffer, sizeof buffer, "%Y-%m-%d %H:%M:%S", &parts);
  return fmt::format("{}.{:03}", buffer, t.nanos() / 1'000'000);
}

std::string kind_of(const v1::Connection& c) {
  return !c.mptcp() ? "tcp" : c.fallback() ? "fallback" : fmt::format("v{}", c.version());
}

std::string cut(const std::string& line, unsigned width) {
  return width == 0 || line.size() <= width ? line : line.substr(0, width);
}

}  // namespace

std::string connection_table(const google::protobuf::RepeatedPtrField<v1::Connection>& connections, unsigned width) {
  size_t client = 6, server = 6;
  for (const v1::Connection& c : connections) {
    client = std::max(client, text(c.client()).size());
    server = std::max(server, text(c.server()).size());
  }
  const auto line = [&](auto&&... f) {
    return cut(fmt::format("{:16}  {:11}  {:8}  {:{}}  {:{}}  {:>8}  {:>9}  {:>9}  {:>4}  {:>6}", f...), width) + "\n";
  };
  std::string out =
      line("id", "state", "mptcp", "client", client, "server", server, "subflows", "to server", "to client", "seen", "alerts");
  for (const v1::Connection& c : connections) {
    out += line(id_of(c), plain(v1::Connection::State_Name(c.state()), "STATE_"), kind_of(c), text(c.client()), client,
                text(c.server()), server, c.subflows_size(), cli::rough_size(static_cast<double>(c.to_server().bytes())),
                cli::rough_size(static_cast<double>(c.to_client().bytes())), share(c), c.alerts());
  }
  return out;
}

std::string headline(const v1::Connection& c) {
  return fmt::format("{} -> {}, {}, {} subflow{}, {} to the server, {} to the client", text(c.client()), text(c.server()),
                     kind_of(c), c.subflows_size(), c.subflows_size() == 1 ? "" : "s",
                     cli::rough_size(static_cast<double>(c.to_server().bytes())),
                     cli::rough_size(static_cast<double>(c.to_client().bytes())));
}

std::string describe(const v1::Connection& c) {
  std::string out =
      fmt::format("connection {}  {}  {}\n", id_of(c), plain(v1::Connection::State_Name(c.state()), "STATE_"), kind_of(c));
  out += fmt::format("  {} -> {}, worker {}\n", text(c.client()), text(c.server()), c.worker());
  out += fmt::format("  since {}, last packet {}, {} packets\n", when(c.start_time()), when(c.update_time()),
                     cli::grouped(c.packets()));
  if (c.tokens_size() == 2) out += fmt::format("  tokens: client {}, server {}\n", c.tokens(0), c.tokens(1));
  const auto stream = [&](const char* name, const v1::StreamStats& s) {
    out += fmt::format("  {} {} bytes", name, cli::grouped(s.bytes()));
    if (s.missing_bytes() != 0)
      out += fmt::format(", {} missing, of them {} lost by the tap", cli::grouped(s.missing_bytes()),
                         cli::grouped(s.missing_tap_bytes()));
    if (s.conflicting_bytes() != 0) out += fmt::format(", {} in conflict", cli::grouped(s.conflicting_bytes()));
    if (s.pending_bytes() != 0) out += fmt::format(", {} behind a hole", cli::grouped(s.pending_bytes()));
    out += "\n";
  };
  stream("to server", c.to_server());
  stream("to client", c.to_client());
  out += fmt::format("  seen {}, {} alerts, {} anomalies\n", share(c), c.alerts(), c.anomalies());
  for (const v1::Subflow& s : c.subflows()) {
    out += fmt::format("  subflow {}  {} -> {}  {}{}{}{}  to server {}  to client {}\n", s.id(), text(s.client()),
                       text(s.server()), plain(v1::Subflow::Join_Name(s.join()), "JOIN_"), s.backup() ? ", backup" : "",
                       s.opened_by_server() ? ", opened by the server" : "", s.closed() ? ", closed" : "",
                       cli::grouped(s.bytes_to_server()), cli::grouped(s.bytes_to_client()));
  }
  return out;
}

std::string describe(const v1::Outcome& o) {
  std::string out = plain(v1::Outcome::Verdict_Name(o.verdict()), "VERDICT_");
  std::replace(out.begin(), out.end(), '_', ' ');
  if (o.has_elapsed())
    out += fmt::format(" after {:.3f} s", static_cast<double>(o.elapsed().seconds()) + o.elapsed().nanos() / 1e9);
  if (!o.method().empty()) out += fmt::format(" by {}, {} frames", o.method(), o.frames_sent());
  out += "\n";
  if (!o.detail().empty()) out += "  " + cli::printable(o.detail()) + "\n";
  for (const v1::SubflowOutcome& s : o.subflows()) {
    out += fmt::format("  subflow {}: {} frames to the server, {} to the client{}{}\n", s.id(), s.frames_to_server(),
                       s.frames_to_client(), s.seen().empty() ? "" : "; ", cli::printable(s.seen()));
  }
  if (!o.advice().empty()) out += "  " + cli::printable(o.advice()) + "\n";
  return out;
}

std::string describe(const v1::ListPoliciesResponse& all) {
  std::string out = fmt::format("{:24}  {:16}  {:>10}  match\n", "policy", "action", "hits");
  for (const v1::Policy& p : all.policies()) {
    const std::string name = p.name().starts_with("policies/") ? p.name().substr(9) : p.name();
    out += fmt::format("{:24}  {:16}  {:>10}  {}\n", name, p.action() + (p.dry_run() ? " (dry)" : ""), p.hits(),
                       cli::printable(p.match()));
  }
  if (all.circuit_breaker().open())
    out += "the circuit breaker is open: no policy acts before it closes, or mptap policies resume\n";
  return out;
}

std::string describe(const v1::Rule& r) {
  const char* origin = r.origin() == v1::Rule::ORIGIN_MANAGED ? "managed" : "file";
  return fmt::format("{}  rev {}  {}  {}\n  {} {}:{}\n{}", r.name().starts_with("rules/") ? r.name().substr(6) : r.name(),
                     r.rev(), r.action(), cli::printable(r.message()), origin, r.file(), r.line(),
                     r.text().empty() ? "" : "  " + r.text() + "\n");
}

std::string describe(const v1::System& s) {
  std::string out = fmt::format("mptapd {}, {}, since {}, {} rules\n", s.version(), s.mode(), when(s.start_time()), s.rules());
  for (const v1::Port& p : s.ports()) {
    out += fmt::format("port {} ({}): {}{}, {} received, {} missed, {} errors\n", p.name(), p.driver(),
                       p.link_up() ? "up" : "down", p.link_mbps() == 0 ? "" : fmt::format(", {} Mbit/s", p.link_mbps()),
                       cli::grouped(p.received()), cli::grouped(p.missed()), cli::grouped(p.errors()));
  }
  for (const v1::Worker& w : s.workers()) {
    const double cycles = static_cast<double>(w.busy_cycles() + w.idle_cycles());
    out += fmt::format("worker {}: {} frames, {} connections, {} held, {:.0f}% busy\n", w.id(), cli::grouped(w.frames()),
                       cli::grouped(w.connections()), cli::rough_size(static_cast<double>(w.held_bytes())),
                       cycles > 0 ? 100 * static_cast<double>(w.busy_cycles()) / cycles : 0);
  }
  for (const v1::Limit& l : s.limits())
    out += fmt::format("{}: {} of {}\n", l.name(), cli::grouped(l.used()), cli::grouped(l.limit()));
  return out;
}

}  // namespace mptap::remote
