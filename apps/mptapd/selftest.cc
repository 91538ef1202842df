// SPDX-License-Identifier: Apache-2.0
#include "apps/mptapd/selftest.h"

#include <algorithm>
#include <chrono>
#include <map>

#include <fmt/format.h>
#include <rte_mbuf.h>

#include "apps/mptapd/settings.h"
#include "packet/decode.h"
#include "port/wall_clock.h"
#include "subflow/flow_table.h"

namespace mptap::daemon {
namespace {

constexpr size_t kMaxFlows = 1 << 20;
constexpr uint64_t kEnough = 100;  // flows seen in both directions

struct Seen {
  uint16_t queue;      // that brought the first packet
  uint8_t directions;  // bits
};

struct Report {
  std::vector<uint64_t> packets;  // by queue
  uint64_t tcp = 0, hashed = 0, wrong_hash = 0;
};

}  // namespace

int rss_selftest(const config::Config& config, unsigned seconds) {
  const auto fail = [](const std::string& message) {
    fmt::print(stderr, "mptapd: {}\n", message);
    return 1;
  };
  auto eal = port::Eal::start(eal_options(config));
  if (!eal) return fail(eal.error());
  std::vector<port::Port> ports;
  for (const std::string& name : config.ports) {
    auto port = port::Port::open(name, port_options(config));
    if (!port) return fail(port.error());
    ports.push_back(std::move(*port));
  }

  packet::Decoder decoder(engine_config(config).decode);
  port::WallClock clock;
  port::RxBurst burst;
  std::vector<Report> reports(ports.size());
  std::map<std::string, Seen> flows;
  uint64_t both = 0, split = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (std::chrono::steady_clock::now() < end) {
    for (size_t p = 0; p < ports.size(); ++p) {
      reports[p].packets.resize(ports[p].queues());
      for (uint16_t q = 0; q < ports[p].queues(); ++q) {
        const uint16_t count = burst.receive(ports[p], q, clock.now_ns());
        reports[p].packets[q] += count;
        for (uint16_t i = 0; i < count; ++i) {
          packet::TcpSegment s;
          if (decoder.decode(burst.frames()[i], s) != packet::Reason::kTcp || s.tunnel_depth > 0) continue;
          ++reports[p].tcp;
          if (burst.mbuf(i)->ol_flags & RTE_MBUF_F_RX_RSS_HASH) {
            ++reports[p].hashed;
            reports[p].wrong_hash += burst.mbuf(i)->hash.rss != port::symmetric_hash(s.src, s.dst);
          }
          const subflow::FlowKey key(s);
          const std::string name(reinterpret_cast<const char*>(key.bytes.data()), key.bytes.size());
          auto it = flows.find(name);
          if (it == flows.end()) {
            if (flows.size() >= kMaxFlows) continue;
            it = flows.emplace(name, Seen{q, 0}).first;
          }
          const uint8_t before = it->second.directions;
          it->second.directions = static_cast<uint8_t>(before | (key.swapped ? 2 : 1));
          both += before != 3 && it->second.directions == 3;
          // Queue i of every port is worker i's.
          split += it->second.queue != q;
        }
      }
    }
  }

  bool right = split == 0;
  for (size_t p = 0; p < ports.size(); ++p) {
    const port::PortInfo& info = ports[p].info();
    const Report& r = reports[p];
    if (info.rss.in_software) {
      fmt::print("port {} ({}): no RSS in the device, {} queue(s); spread in software\n", info.name, info.driver,
                 info.rss.queues);
    } else {
      fmt::print("port {} ({}): {} queues, fields {}, table of {}\n", info.name, info.driver, info.rss.queues,
                 port::field_names(info.rss.fields), info.rss.table.size());
    }
    fmt::print("  packets by queue: {}; TCP: {}; with the device's hash: {}, of them unlike ours: {}\n",
               fmt::join(r.packets, " "), r.tcp, r.hashed, r.wrong_hash);
    right = right && r.wrong_hash == 0;
  }
  fmt::print("flows: {}, seen in both directions: {}, packets on another queue than their flow's first: {}\n", flows.size(), both,
             split);
  if (!right) {
    fmt::print(
        "WRONG: the two directions of a flow do not meet; use one queue (workers.count = 1), or correct the device's RSS\n");
    return 1;
  }
  if (both < kEnough) {
    fmt::print("UNDECIDED: fewer than {} flows in both directions; listen longer (--seconds)\n", kEnough);
    return 1;
  }
  fmt::print("RIGHT: every flow stayed on one queue\n");
  return 0;
}

}  // namespace mptap::daemon
