// SPDX-License-Identifier: Apache-2.0
// Abuse of MPTCP: what the thresholds of [detect] find in whole connections.
#include <algorithm>

#include "base.h"

namespace mptap::test {
namespace {

DriveOptions limits(const std::function<void(config::Config::Detect&)>& set) {
  DriveOptions options;
  config::Config::Detect detect;
  set(detect);
  options.config.detect = *detect::Options::from(detect);
  return options;
}

// Each join of a Conversation comes from a network of its own; where that is not the matter.
DriveOptions without_flux(const std::function<void(config::Config::Detect&)>& set = [](auto&) {}) {
  return limits([&](config::Config::Detect& d) {
    d.flux_networks = 0;
    set(d);
  });
}

const event::Anomaly* find(const Outcome& o, event::AnomalyType type) {
  const auto it = std::find_if(o.anomalies.begin(), o.anomalies.end(), [&](const event::Anomaly& a) { return a.type == type; });
  return it == o.anomalies.end() ? nullptr : &*it;
}

packet::Endpoint endpoint(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port) {
  const std::array<uint8_t, 4> bytes{a, b, c, d};
  return {packet::IpAddress::v4(bytes.data()), port};
}

// A join from 198.18.N.1 to the address that the server has already.
JoinSpec from_network(uint8_t n) {
  JoinSpec spec;
  spec.address_id = n;
  spec.client = endpoint(198, 18, n, 1, static_cast<uint16_t>(1000 + n));
  spec.server = endpoint(10, 1, 1, 2, 5001);
  return spec;
}

TEST(Abuse, JoinsFromNewNetworksAreFlux) {
  const auto run_with = [](uint8_t networks) {
    Conversation c = established();
    for (uint8_t i = 1; i <= networks; ++i) c.join(from_network(i));
    go_on(c, 4);
    return drive(c);
  };
  EXPECT_NO_ANOMALY(run_with(4));
  const Outcome o = run_with(6);
  EXPECT_EQ(o.anomaly_names(), "fast_flux");
  EXPECT_EQ(o.anomalies.size(), 1u);
  EXPECT_EQ(o.anomalies[0].subflow, 5u) << "the join that went beyond";
  EXPECT_EQ(o.record().anomalies, 1u);
}

TEST(Abuse, OneNetworkIsNoFlux) {
  Conversation c = established();
  for (uint8_t i = 1; i <= 7; ++i) {
    JoinSpec spec;
    spec.address_id = i;
    spec.client = endpoint(198, 18, 0, i, 1000);
    spec.server = endpoint(10, 1, 1, 2, 5001);
    c.join(spec);
  }
  go_on(c, 4);
  EXPECT_NO_ANOMALY(drive(c));
}

void change_address(Conversation& c, uint8_t id, bool add, uint8_t host) {
  Packet p = c.packet(0, kToClient);
  const auto address = endpoint(192, 0, 2, host, 0).address;
  p.options = add ? option::add_addr({1, false, id, address, 0, add_addr_mac(c.key(kToClient), c.key(kToServer), id, address, 0)})
                  : option::remove_addr({id});
  c.send(0, kToClient, p);
}

TEST(Abuse, AddressesAddedAndRemovedAreFlux) {
  Conversation c = established();
  for (uint8_t i = 1; i <= 4; ++i) {
    change_address(c, i, true, i);
    change_address(c, i, true, i);  // not echoed, so again
    change_address(c, i, false, 0);
  }
  EXPECT_NO_ANOMALY(drive(c));
  change_address(c, 5, true, 5);
  EXPECT_EQ(drive(c).anomaly_names(), "fast_flux");
  EXPECT_NO_ANOMALY(drive(c, limits([](auto& d) { d.flux_addresses = 9; })));
}

TEST(Abuse, SlowChangesOfAddressesAreNoFlux) {
  Conversation c = established();
  for (uint8_t i = 1; i <= 40; ++i) {
    change_address(c, i, true, i);
    c.now_ns += 20'000'000'000;
  }
  EXPECT_NO_ANOMALY(drive(c));
}

TEST(Abuse, JoinStormInOneConnection) {
  Conversation c = established();
  for (int i = 0; i < 6; ++i) {
    const int subflow = c.join();
    c.rst(subflow, kToServer);
  }
  go_on(c, 4);
  EXPECT_NO_ANOMALY(drive(c, without_flux()));
  const Outcome o = drive(c, without_flux([](auto& d) { d.joins_per_connection = 5; }));
  EXPECT_EQ(o.anomaly_names(), "join_storm");
  EXPECT_EQ(o.anomalies[0].detail, "in one connection");
  EXPECT_EQ(o.anomalies[0].numbers[0], (std::pair<std::string, uint64_t>("joins", 6)));
}

TEST(Abuse, JoinsBeyondTheLimitOfSubflowsCountToo) {
  Conversation c = established();
  for (int i = 0; i < 12; ++i) c.join();
  DriveOptions options = limits([](auto& d) { d.joins_per_connection = 10; });
  options.config.connection.max_members = 4;
  const Outcome o = drive(c, options);
  EXPECT_ANOMALY(o, "join_storm");
  EXPECT_ANOMALY(o, "subflow_limit");
}

// Joins of many connections by one host: to a server with many, and with tokens that nobody bears.
TEST(Abuse, JoinStormOfOneHostAcrossConnections) {
  std::vector<Sent> wire;
  for (uint16_t n = 0; n < 30; ++n) {
    ConversationConfig config;
    config.client_key = 1000 + n;
    config.server_key = 2000 + n;
    config.client_port = static_cast<uint16_t>(41000 + n);
    config.start_ns += uint64_t{n} * 10'000'000;
    Conversation c = established(config);
    JoinSpec spec;
    spec.client = endpoint(198, 18, 1, 1, static_cast<uint16_t>(2000 + n));
    if (n % 2 == 0) spec.token = 0x10000000u + n;
    c.join_syn(spec);
    wire.insert(wire.end(), c.wire.begin(), c.wire.end());
  }
  const auto details = [&](const std::function<void(config::Config::Detect&)>& set) {
    std::vector<std::string> all;
    for (const auto& a : drive(wire, limits(set)).anomalies)
      if (a.type == event::AnomalyType::kJoinStorm) all.push_back(a.detail);
    return all;
  };
  EXPECT_EQ(details([](auto&) {}), std::vector<std::string>{});
  EXPECT_EQ(details([](auto& d) { d.joins_per_source = 29; }), std::vector<std::string>{"from 198.18.1.1"});
  EXPECT_EQ(details([](auto& d) { d.joins_per_network = 29; }), std::vector<std::string>{"from network 198.18.1.0/24"});
  EXPECT_EQ(details([](auto& d) { d.joins_per_source = 30; }), std::vector<std::string>{});
}

TEST(Abuse, ManySubflows) {
  EXPECT_NO_ANOMALY(drive(established(7), without_flux()));
  const Outcome o = drive(established(9), without_flux());
  EXPECT_EQ(o.anomaly_names(), "many_subflows");
  EXPECT_EQ(o.anomalies[0].numbers[0], (std::pair<std::string, uint64_t>("subflows", 9)));
  // Those that have ended do not count.
  Conversation c = established();
  for (int i = 0; i < 12; ++i) c.rst(c.join(), kToServer);
  EXPECT_NO_ANOMALY(drive(c, without_flux()));
}

void transfer(Conversation& c, int subflow, uint64_t& offset, int segments) {
  for (int i = 0; i < segments; ++i, offset += 1000) {
    c.data(subflow, kToServer, offset, run('x', 1000));
    c.ack(subflow, kToClient);
  }
}

TEST(Abuse, TrafficMovesToTheBackupPath) {
  Conversation c = established();
  const int backup = c.join({.backup = true});
  uint64_t offset = 4;
  transfer(c, 0, offset, 200);
  EXPECT_NO_ANOMALY(drive(c));
  transfer(c, backup, offset, 200);
  const Outcome o = drive(c);
  EXPECT_EQ(o.anomaly_names(), "backup_shift");
  EXPECT_EQ(o.anomalies.size(), 1u);
  EXPECT_NO_ANOMALY(drive(c, limits([](auto& d) { d.backup_percent = 0; })));
}

TEST(Abuse, ThePathThatPrioMadeBackupCarriesOn) {
  Conversation c = established(1);
  uint64_t offset = 4;
  transfer(c, 0, offset, 100);
  Packet p = c.packet(0, kToServer);
  p.options = option::prio(true);
  c.send(0, kToServer, p);
  EXPECT_NO_ANOMALY(drive(c)) << "what it carried before does not count";
  transfer(c, 0, offset, 100);
  EXPECT_EQ(drive(c).anomaly_names(), "backup_shift");
}

TEST(Abuse, TheBackupPathTakesOverWhenTheOtherHasEnded) {
  Conversation c = established();
  const int backup = c.join({.backup = true});
  uint64_t offset = 4;
  transfer(c, 0, offset, 100);
  c.rst(0, kToServer);
  transfer(c, backup, offset, 300);
  EXPECT_NO_ANOMALY(drive(c));
}

TEST(Abuse, AnUnseenPathCarriesHalf) {
  Conversation c = established(1);
  uint64_t offset = 4;
  for (int i = 0; i < 100; ++i) {
    transfer(c, 0, offset, 1);
    transfer(c, 1, offset, 1);
  }
  std::erase_if(c.wire, [](const Sent& s) { return s.subflow == 1; });
  const Outcome o = drive(c);
  ASSERT_NE(find(o, event::AnomalyType::kVisibilityLow), nullptr) << o.anomaly_names();
  const event::Anomaly& a = *find(o, event::AnomalyType::kVisibilityLow);
  EXPECT_EQ(a.detail, "a path that is not tapped carries the rest");
  EXPECT_LT(*o.record().visibility, 0.6);
  EXPECT_EQ(find(drive(c, limits([](auto& d) { d.visibility_percent = 40; })), event::AnomalyType::kVisibilityLow), nullptr);
}

TEST(Abuse, AFewBytesOnAnUnseenPathAreToldAtTheEnd) {
  Conversation c = established(1);
  c.data(1, kToServer, 4, run('B', 5));
  c.data(0, kToServer, 9, run('c', 2));
  c.ack(0, kToClient);
  std::erase_if(c.wire, [](const Sent& s) { return s.subflow == 1; });
  EXPECT_ANOMALY(drive(c), "visibility_low");
}

TEST(Abuse, CriticalNetwork) {
  const auto critical = limits([](auto& d) { d.critical_networks = {"10.1.1.0/24 = plant", "198.18.0.0/16"}; });
  Conversation c = established();
  go_on(c, 4);
  const Outcome outside = drive(c, limits([](auto& d) { d.critical_networks = {"192.0.2.0/24"}; }));
  EXPECT_NO_ANOMALY(outside);
  EXPECT_EQ(outside.alerts.size(), 0u);

  const Outcome o = drive(c, critical);
  EXPECT_EQ(o.anomaly_names(), "critical_network");
  EXPECT_EQ(o.anomalies.size(), 1u);
  EXPECT_EQ(o.anomalies[0].detail, "plant (10.1.1.0/24)");
  ASSERT_EQ(o.alerts.size(), 1u);
  EXPECT_EQ(o.alerts[0].signature, "MPTCP on critical network plant (10.1.1.0/24)");
  EXPECT_EQ(o.alerts[0].gid, 2u);
  EXPECT_EQ(o.record().alerts, 1u);

  // A join into another one.
  c.join(from_network(3));
  EXPECT_EQ(drive(c, critical).alerts.size(), 2u);
}

TEST(Abuse, CriticalNetworkAlreadyAtTheSyn) {
  Conversation c;
  c.syn();
  const Outcome o = drive(c, limits([](auto& d) { d.critical_networks = {"0.0.0.0/0"}; }));
  EXPECT_EQ(o.alerts.size(), 1u);
}

TEST(Abuse, PlainTcpOnACriticalNetworkIsNone) {
  Conversation c;
  const auto bare = [](Packet& p) { p.options.clear(); };
  c.syn(bare);
  c.syn_ack(bare);
  c.plain_data(0, kToServer, run('a', 10), bare);
  const Outcome o = drive(c, limits([](auto& d) { d.critical_networks = {"0.0.0.0/0"}; }));
  EXPECT_EQ(o.alerts.size(), 0u);
  EXPECT_FALSE(o.has("critical_network"));
}

TEST(Abuse, MptcpInTheMiddleOfAnUnknownConnection) {
  Conversation c = established();
  go_on(c, 4);
  c.wire.erase(c.wire.begin(), c.wire.begin() + 3);
  const Outcome o = drive(c, limits([](auto& d) { d.critical_networks = {"0.0.0.0/0"}; }));
  EXPECT_EQ(o.alerts.size(), 1u) << "DSS shows it";
}

TEST(Seen, TheRecordCountsEachSubtype) {
  Conversation c = established(1);
  change_address(c, 5, true, 5);
  change_address(c, 5, false, 0);
  go_on(c, 4);
  const auto& options = drive(c).record().options;
  EXPECT_EQ(options[0], 3u) << "MP_CAPABLE";
  EXPECT_EQ(options[1], 3u) << "MP_JOIN";
  EXPECT_GE(options[2], 4u) << "DSS";
  EXPECT_EQ(options[3], 1u) << "ADD_ADDR";
  EXPECT_EQ(options[4], 1u) << "REMOVE_ADDR";
  EXPECT_EQ(options[5], 0u) << "MP_PRIO";
}

}  // namespace
}  // namespace mptap::test
