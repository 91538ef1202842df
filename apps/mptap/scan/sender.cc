// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/scan/sender.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

namespace mptap::scan {
namespace {

constexpr uint64_t kNeighbourWait = 500'000'000;
constexpr unsigned kNeighbourTries = 3;
constexpr uint32_t kLinkHeader = 14;

}  // namespace

void Sender::submit(const Outgoing& segment, uint64_t now_ns) {
  const auto way = find_way_(segment.target.address);
  if (!way) return events_.unreachable(segment, way.error(), now_ns);
  if (!way->link->interface().resolves) return build(segment, *way, {});
  Neighbour& n = neighbours_[{way->link, way->next}];
  if (n.mac) return build(segment, *way, *n.mac);
  if (n.failed)
    return events_.unreachable(
        segment, fmt::format("{} does not answer {}", way->next.to_string(), way->next.is_v4() ? "ARP" : "neighbour discovery"),
        now_ns);
  n.held.emplace_back(segment, *way);
  pending_++;
  if (n.held.size() == kCrowd) crowded_++;
  if (n.asked == 0) ask(*way, now_ns);
}

void Sender::ask(const Way& way, uint64_t now_ns) {
  const Hop hop{way.link, way.next};
  neighbours_[hop].asked++;
  push(way.link, make_request(way.link->interface().mac, way.source, way.next));
  waiting_.push_back({now_ns + kNeighbourWait, hop, way});
}

void Sender::push(Link* link, const std::vector<uint8_t>& frame) {
  Ready r;
  r.link = link;
  r.size = static_cast<uint32_t>(std::min(frame.size(), r.bytes.size()));
  std::copy_n(frame.begin(), r.size, r.bytes.begin());
  ready_.push_back(std::move(r));
}

void Sender::build(const Outgoing& segment, const Way& way, const packet::MacAddress& to) {
  Ready r;
  r.link = way.link;
  r.segment = segment;
  packet::FrameSpec spec;
  spec.src_mac = way.link->interface().mac;
  spec.dst_mac = to;
  spec.src = {way.source, segment.source_port};
  spec.dst = segment.target;
  spec.ttl = segment.ttl;
  spec.seq = segment.seq;
  spec.ack = segment.ack;
  spec.flags = segment.flags;
  spec.window = segment.flags & packet::kRst ? 0 : 64240;
  spec.options = segment.option_bytes();
  const auto size = packet::build_frame(spec, r.bytes);
  if (!size) return;  // 40 bytes of options always fit
  r.size = *size;
  if (!way.link->interface().ethernet) {
    r.size -= kLinkHeader;
    std::memmove(r.bytes.data(), r.bytes.data() + kLinkHeader, r.size);
  }
  ready_.push_back(std::move(r));
}

bool Sender::emit(uint64_t now_ns) {
  if (ready_.empty()) return false;
  Ready& r = ready_.front();
  if (!r.link->send({r.bytes.data(), r.size})) return false;
  frames_++;
  const auto segment = std::move(r.segment);
  ready_.pop_front();
  if (segment) events_.sent(*segment, now_ns);
  return true;
}

std::vector<std::pair<Outgoing, Way>> Sender::let_go(Neighbour& neighbour) {
  pending_ -= neighbour.held.size();
  if (neighbour.held.size() >= kCrowd) crowded_--;
  return std::exchange(neighbour.held, {});
}

void Sender::on_neighbour(const Link& link, const NeighbourMessage& message) {
  if (message.request && std::find(own_.begin(), own_.end(), message.wanted) != own_.end())
    push(const_cast<Link*>(&link), make_answer(link.interface().mac, message.wanted, message));
  const auto at = neighbours_.find({&link, message.sender});
  if (at == neighbours_.end()) return;
  Neighbour& n = at->second;
  n.mac = message.mac;
  n.failed = false;
  for (const auto& [segment, way] : let_go(n)) build(segment, way, message.mac);
}

tl::expected<void, std::string> Sender::expire(uint64_t now_ns) {
  while (!waiting_.empty() && waiting_.front().at_ns <= now_ns) {
    const Waiting w = waiting_.front();
    waiting_.pop_front();
    Neighbour& n = neighbours_[w.hop];
    if (n.mac || n.failed) continue;
    if (n.asked < kNeighbourTries) {
      ask(w.way, now_ns);
      continue;
    }
    n.failed = true;
    const auto held = let_go(n);
    const std::string why =
        fmt::format("{} does not answer {}", w.hop.address.to_string(), w.hop.address.is_v4() ? "ARP" : "neighbour discovery");
    for (const auto& [segment, way] : held) {
      if (segment.target.address != way.next)
        return tl::unexpected(fmt::format("the gateway {} on {}", why, w.hop.link->interface().name));
      events_.unreachable(segment, why, now_ns);
    }
  }
  return {};
}

}  // namespace mptap::scan
