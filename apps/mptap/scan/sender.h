// SPDX-License-Identifier: Apache-2.0
// From segments to frames: finds the way to each target, resolves next hops by its own ARP and neighbour discovery (the kernel's
// table holds about a thousand, a scanned network more), and keeps frames until their turn.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "apps/mptap/scan/engine.h"
#include "apps/mptap/scan/link.h"
#include "apps/mptap/scan/neighbours.h"
#include "packet/prefix.h"

namespace mptap::scan {

// Where to send what, decided from outside: by the kernel's routes, or by hand for a port that the kernel does not know.
struct Way {
  Link* link = nullptr;
  packet::IpAddress source, next;
};
using FindWay = std::function<tl::expected<Way, std::string>(const packet::IpAddress& target)>;

class Sender {
 public:
  struct Events {
    std::function<void(const Outgoing&, uint64_t now_ns)> sent;
    std::function<void(const Outgoing&, const std::string& why, uint64_t now_ns)> unreachable;
  };

  Sender(FindWay find_way, Events events) : find_way_(std::move(find_way)), events_(std::move(events)) {}

  void submit(const Outgoing& segment, uint64_t now_ns);
  bool has_ready() const { return !ready_.empty(); }
  // Segments that wait for a next hop's address.
  size_t pending() const { return pending_; }
  // Whether new targets may come: not while many wait, nor while one next hop holds up several, so that a scan that is stopped
  // has little left to finish.
  bool can_take() const { return pending_ < kMostPending && crowded_ == 0; }
  static constexpr size_t kMostPending = 4096, kCrowd = 16;
  // Sends one frame; false where none is ready or the device has no room.
  bool emit(uint64_t now_ns);
  uint64_t frames() const { return frames_; }

  void on_neighbour(const Link& link, const NeighbourMessage& message);
  // Asks silent neighbours again, and gives up on those asked three times. A gateway that does not answer is an error: without
  // it there is no scan.
  tl::expected<void, std::string> expire(uint64_t now_ns);
  std::optional<uint64_t> next_deadline() const {
    return waiting_.empty() ? std::nullopt : std::optional(waiting_.front().at_ns);
  }

  // Addresses of ours that the kernel does not answer for.
  void answer_for(const packet::IpAddress& address) { own_.push_back(address); }

 private:
  struct Hop {
    const Link* link;
    packet::IpAddress address;
    auto operator<=>(const Hop&) const = default;
  };
  struct HopHash {
    size_t operator()(const Hop& hop) const {
      return std::hash<std::string_view>{}({reinterpret_cast<const char*>(hop.address.bytes.data()), 16}) ^
             std::hash<const void*>{}(hop.link);
    }
  };
  struct Neighbour {
    std::optional<packet::MacAddress> mac;
    bool failed = false;
    unsigned asked = 0;
    std::vector<std::pair<Outgoing, Way>> held;
  };
  struct Waiting {
    uint64_t at_ns;
    Hop hop;
    Way way;
  };
  struct Ready {
    Link* link = nullptr;
    std::array<uint8_t, 160> bytes{};
    uint32_t size = 0;
    std::optional<Outgoing> segment;
  };

  void build(const Outgoing& segment, const Way& way, const packet::MacAddress& to);
  void ask(const Way& way, uint64_t now_ns);
  void push(Link* link, const std::vector<uint8_t>& frame);
  std::vector<std::pair<Outgoing, Way>> let_go(Neighbour& neighbour);

  FindWay find_way_;
  Events events_;
  std::unordered_map<Hop, Neighbour, HopHash> neighbours_;
  std::deque<Waiting> waiting_;
  std::deque<Ready> ready_;
  std::vector<packet::IpAddress> own_;
  size_t pending_ = 0;
  size_t crowded_ = 0;  // next hops that hold kCrowd segments or more
  uint64_t frames_ = 0;
};

}  // namespace mptap::scan
