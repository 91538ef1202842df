// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/scan/engine.h"

#include <algorithm>
#include <cstring>

#include "apps/mptap/scan/segments.h"
#include "mptcp/option.h"

namespace mptap::scan {
namespace {

constexpr uint8_t kMostHops = 30;

}  // namespace

size_t Engine::Hash::operator()(const packet::Endpoint& e) const {
  uint64_t a = 0, b = 0;
  std::memcpy(&a, &e.address.bytes[0], 8);
  std::memcpy(&b, &e.address.bytes[8], 8);
  uint64_t x = (a * 0x9e3779b97f4a7c15) ^ (b + e.port);
  x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93;
  return static_cast<size_t>(x ^ (x >> 32));
}

Engine::Engine(EngineConfig config, Report report)
    : config_(std::move(config)),
      report_(std::move(report)),
      order_(config_.targets.size() * config_.ports.size(), config_.seed),
      validator_(config_.key, config_.source_ports) {
  progress_.total = order_.size();
}

void Engine::resume(const Checkpoint& from) {
  next_index_ = std::min(from.next, progress_.total);
  progress_.started = progress_.finished = next_index_;
  done_before_.insert(from.done.begin(), from.done.end());
}

packet::Endpoint Engine::target_of(uint64_t index) const {
  const uint64_t i = order_.at(index), ports = config_.ports.size();
  return {config_.targets.at(i / ports), config_.ports[i % ports]};
}

bool Engine::start_next() {
  while (next_index_ < progress_.total && !stopping_ && sessions_.size() < config_.most_in_flight) {
    const uint64_t index = next_index_++;
    progress_.started++;
    if (done_before_.erase(index)) {
      progress_.finished++;
      if (!open_.empty()) done_.insert(index);
      continue;
    }
    const auto target = target_of(index);
    open_.insert(index);
    const auto at = sessions_.try_emplace(target, index, config_.policy).first;
    ask(target, at->second);
    return true;
  }
  return false;
}

std::optional<Outgoing> Engine::next() {
  if (queue_.empty() && !start_next()) return std::nullopt;
  Outgoing out = std::move(queue_.front());
  queue_.pop_front();
  return out;
}

void Engine::ask(const packet::Endpoint& target, Session& session) {
  session.tries = 0;
  session.wait = 0;
  repeat(target, session);
}

void Engine::repeat(const packet::Endpoint& target, Session& session) {
  const Kind kind = *session.judge.asks();
  session.tries++;
  if (kind == Kind::kTrace) {
    const uint8_t hops = std::min(session.judge.evidence().hops.value_or(0), kMostHops);
    for (uint8_t ttl = 1; ttl <= hops; ttl++) push(make_syn(validator_, kind, target, 1, ttl));
    return;
  }
  push(make_syn(validator_, kind, target, session.judge.version()));
}

void Engine::sent(const Outgoing& segment, uint64_t now_ns) {
  if (!segment.probe) return;
  const auto at = sessions_.find(segment.target);
  if (at == sessions_.end() || at->second.judge.asks() != segment.probe) return;
  at->second.sent_ns = now_ns;
  at->second.wait = ++waits_;
  deadlines_.push_back({now_ns + config_.timeout_ns, segment.target, at->second.wait});
}

void Engine::unreachable(const Outgoing& segment, const std::string& why, uint64_t) {
  const auto at = sessions_.find(segment.target);
  if (at == sessions_.end() || !segment.probe || at->second.judge.asks() != segment.probe) return;
  at->second.judge.give_up(why);
  finish(at);
}

std::optional<uint64_t> Engine::next_deadline() const {
  return deadlines_.empty() ? std::nullopt : std::optional(deadlines_.front().at_ns);
}

void Engine::expire(uint64_t now_ns) {
  while (!deadlines_.empty() && deadlines_.front().at_ns <= now_ns) {
    const Deadline d = deadlines_.front();
    deadlines_.pop_front();
    const auto at = sessions_.find(d.target);
    if (at == sessions_.end() || at->second.wait != d.wait) continue;
    Session& s = at->second;
    const Kind kind = *s.judge.asks();
    // A target that left every SYN with MPTCP unanswered most likely is not there: one plain SYN is enough.
    const bool once = kind == Kind::kTrace || (kind == Kind::kPlain && s.judge.evidence().v1 == Seen::kSilent);
    const bool connected = kind == Kind::kVerify && s.verifying.connected;
    if (!once && !connected && s.tries <= config_.retries) {
      s.wait = 0;
      repeat(d.target, s);
    } else if (kind == Kind::kVerify) {
      prove(at, s.verifying.heard ? Proof::kNoDss : Proof::kSilent);
    } else {
      s.judge.take(Reply{});
      go_on(at);
    }
  }
}

void Engine::go_on(Sessions::iterator at) {
  if (at->second.judge.asks())
    ask(at->first, at->second);
  else
    finish(at);
}

void Engine::finish(Sessions::iterator at) {
  const uint64_t index = at->second.index;
  const Judge& judge = at->second.judge;
  progress_.finished++;
  progress_.verdicts[static_cast<size_t>(judge.verdict())]++;
  report_({at->first, judge.verdict(), judge.reason(), judge.evidence()});
  sessions_.erase(at);
  open_.erase(index);
  done_.insert(index);
  done_.erase(done_.begin(), open_.empty() ? done_.end() : done_.lower_bound(*open_.begin()));
}

Checkpoint Engine::checkpoint() const {
  Checkpoint c;
  c.next = open_.empty() ? next_index_ : *open_.begin();
  c.done.assign(done_.begin(), done_.end());
  // Those of an earlier run that this one has not come to yet.
  c.done.insert(c.done.end(), done_before_.begin(), done_before_.end());
  std::sort(c.done.begin(), c.done.end());
  return c;
}

void Engine::push_reset(const packet::Endpoint& target, uint16_t our_port, uint32_t seq) {
  push(make_reset(target, our_port, seq));
}

void Engine::on_segment(const packet::TcpSegment& segment, uint64_t now_ns) {
  if (!(segment.flags & packet::kAck)) return;
  const auto kind = validator_.answered(segment.src, segment.dst.port, segment.ack);
  if (!kind) return;
  const auto at = sessions_.find(segment.src);
  const bool awaited = at != sessions_.end() && at->second.judge.asks() == kind;
  if (awaited && kind == Kind::kVerify) return on_verify(at, segment);
  // Half-open connections are closed at once, also those whose answer comes late or twice.
  if ((segment.flags & packet::kSyn) && !(segment.flags & packet::kRst)) push_reset(segment.src, segment.dst.port, segment.ack);
  if (!awaited || kind == Kind::kTrace) {
    if (!awaited) progress_.late++;
    return;
  }
  const auto reply = read_reply(segment, *kind, validator_.of(*kind, segment.src));
  if (!reply) return;
  auto& evidence = at->second.judge.evidence();
  if (evidence.rtt_ns == 0 && at->second.sent_ns != 0) evidence.rtt_ns = now_ns - at->second.sent_ns;
  at->second.judge.take(*reply);
  go_on(at);
}

void Engine::on_icmp(const IcmpError& error, uint64_t) {
  const auto kind = validator_.quoted(error.dst, error.src.port, error.seq);
  if (!kind) return;
  const auto at = sessions_.find(error.dst);
  if (at == sessions_.end() || at->second.judge.asks() != kind) return;
  if (error.time_exceeded()) {
    if (kind != Kind::kTrace || !error.options) return;
    const auto ttl = static_cast<uint8_t>(error.seq - validator_.of(*kind, error.dst).seq);
    packet::TcpSegment quoted;
    quoted.flags = packet::kSyn | packet::kAck;  // read as an answer: an echo of our option says that it is there
    quoted.options = error.options->data();
    quoted.options_size = static_cast<uint8_t>(error.options->size());
    const auto reply = read_reply(quoted, Kind::kV1, {});
    at->second.judge.take_quote(ttl, error.from.to_string(), reply->seen == Seen::kMirrored);
    return;
  }
  if (kind == Kind::kTrace || kind == Kind::kVerify) return;
  Reply reply;
  reply.seen = Seen::kUnreachable;
  reply.icmp = error.to_string();
  at->second.judge.take(reply);
  go_on(at);
}

void Engine::send_verify_acks(const packet::Endpoint& target, const Session& session) {
  const Verifying& v = session.verifying;
  const Handshake h{session.judge.version(), v.peer_key, v.peer_isn, (v.peer_flags & mptcp::kFlagChecksum) != 0};
  push(make_third_ack(validator_, target, h));
  push(make_data_fin(validator_, target, h));
}

void Engine::on_verify(Sessions::iterator at, const packet::TcpSegment& segment) {
  const packet::Endpoint target = at->first;
  Verifying& v = at->second.verifying;
  const Secret secret = validator_.of(Kind::kVerify, target);
  if (segment.flags & packet::kRst) return prove(at, Proof::kReset);
  if (segment.flags & packet::kSyn) {
    const Kind as = at->second.judge.version() ? Kind::kV1 : Kind::kV0;
    const auto reply = read_reply(segment, as, secret);
    if (!reply) return;
    v.peer_isn = segment.seq;
    if (reply->seen != Seen::kMptcp) return prove(at, Proof::kNoDss);
    v.peer_key = reply->key;
    v.peer_flags = reply->flags;
    v.connected = true;
    // The wait goes on from the SYN: one timeout for handshake and proof.
    send_verify_acks(target, at->second);
    return;
  }
  if (!v.connected) return;
  v.heard = true;
  const Handshake h{at->second.judge.version(), v.peer_key, v.peer_isn, false};
  if (proves_dss(segment.option_bytes(), segment.flags, segment.payload_size > 0, validator_, target, h))
    prove(at, Proof::kDataAck);
}

void Engine::prove(Sessions::iterator at, Proof proof) {
  const packet::Endpoint target = at->first;
  const Verifying& v = at->second.verifying;
  const Secret secret = validator_.of(Kind::kVerify, target);
  if (proof != Proof::kReset && (v.connected || proof != Proof::kSilent)) {
    if (v.connected) push(make_fast_close(validator_, target, {at->second.judge.version(), v.peer_key, v.peer_isn, false}));
    push_reset(target, secret.source_port, secret.seq + 1);
  }
  at->second.judge.take_proof(proof);
  go_on(at);
}

}  // namespace mptap::scan
