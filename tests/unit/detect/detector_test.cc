// SPDX-License-Identifier: Apache-2.0
#include "detect/detector.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mptap::detect {
namespace {

using event::AnomalyType;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr uint64_t kSecond = 1'000'000'000, kStart = 1'700'000'000 * kSecond;

packet::IpAddress address(const char* text) {
  return *packet::IpAddress::parse(text);
}

class Notes final : public Sink {
 public:
  void found(AnomalyType type, std::optional<uint32_t>, std::initializer_list<std::pair<const char*, uint64_t>> n,
             std::string_view d) override {
    names.emplace_back(name(type));
    details.emplace_back(d);
    numbers.assign(n.begin(), n.end());
  }
  std::vector<std::string> names, details;
  std::vector<std::pair<std::string, uint64_t>> numbers;  // of the last one
};

struct Detection : testing::Test {
  config::Config::Detect limits;
  Watch w;
  Notes notes;

  Detector make() { return Detector(*Options::from(limits)); }
};

TEST_F(Detection, CriticalNetworkIsToldOnceWithItsName) {
  limits.critical_networks = {"10.20.0.0/16 = plant floor", "fd00:1::/48"};
  Detector d = make();
  d.mptcp_seen(w, address("10.21.0.1"), address("192.0.2.1"), 0, notes);
  EXPECT_THAT(notes.names, IsEmpty());
  d.mptcp_seen(w, address("192.0.2.1"), address("10.20.3.4"), 0, notes);
  d.mptcp_seen(w, address("10.20.3.4"), address("192.0.2.1"), 1, notes);
  d.mptcp_seen(w, address("fd00:1::7"), address("fd00:2::7"), 2, notes);
  EXPECT_THAT(notes.names, ElementsAre("critical_network", "critical_network"));
  EXPECT_THAT(notes.details, ElementsAre("plant floor (10.20.0.0/16)", "fd00:1::/48"));
}

TEST_F(Detection, WrongCriticalNetworkSaysWhatWouldBeRight) {
  limits.critical_networks = {"10.20.0.1/16 = plant"};
  EXPECT_THAT(Options::from(limits).error(), HasSubstr("did you mean 10.20.0.0/16?"));
}

TEST_F(Detection, JoinStormInOneConnection) {
  limits.joins_per_connection = 5;
  Detector d = make();
  const JoinSeen join{address("10.0.0.1"), address("10.0.0.2"), 1, kStart};
  for (int i = 0; i < 5; ++i) d.joined(w, join, notes);
  EXPECT_THAT(notes.names, IsEmpty());
  for (int i = 0; i < 5; ++i) d.joined(w, join, notes);
  EXPECT_THAT(notes.names, ElementsAre("join_storm"));
  EXPECT_THAT(notes.details, ElementsAre("in one connection"));
  EXPECT_THAT(notes.numbers, ElementsAre(std::pair("joins", 6), std::pair("seconds", 10)));
}

TEST_F(Detection, SlowJoinsAreNoStorm) {
  limits.joins_per_connection = 5;
  Detector d = make();
  for (uint64_t i = 0; i < 100; ++i) d.joined(w, {address("10.0.0.1"), address("10.0.0.2"), 1, kStart + i * 3 * kSecond}, notes);
  EXPECT_THAT(notes.names, IsEmpty());
}

TEST_F(Detection, JoinStormAcrossConnections) {
  limits.joins_per_source = 20;
  limits.joins_per_network = 50;
  limits.joins_per_target = 100;
  Detector d = make();
  std::vector<Watch> connections(200);
  for (uint32_t i = 0; i < 200; ++i) {
    const std::string from = "10.1.2." + std::to_string(1 + i % 8);
    d.joined(connections[i], {address(from.c_str()), address("192.0.2.1"), 1, kStart + i}, notes);
  }
  EXPECT_EQ(std::count(notes.details.begin(), notes.details.end(), "from 10.1.2.3"), 1);
  EXPECT_EQ(std::count(notes.details.begin(), notes.details.end(), "from network 10.1.2.0/24"), 1);
  EXPECT_EQ(std::count(notes.details.begin(), notes.details.end(), "to 192.0.2.1"), 1);
  EXPECT_THAT(notes.names, testing::Each("join_storm"));
}

TEST_F(Detection, FluxOfNetworks) {
  limits.flux_networks = 3;
  Detector d = make();
  d.opened(w, address("10.0.0.1"), address("192.0.2.1"));
  const auto join = [&](const char* from) { d.joined(w, {address(from), address("192.0.2.1"), 1, kStart}, notes); };
  for (const char* from : {"10.0.0.9", "10.0.1.1", "10.0.1.2", "10.0.2.1", "10.0.3.1", "10.0.3.7"}) join(from);
  EXPECT_THAT(notes.names, IsEmpty());
  join("10.0.4.1");
  join("10.0.5.1");
  EXPECT_THAT(notes.names, ElementsAre("fast_flux"));
  EXPECT_THAT(notes.details[0], HasSubstr("10.0.4.0/24"));
}

TEST_F(Detection, FluxOfIpv6NetworksGoesByTheSite) {
  limits.flux_networks = 1;
  Detector d = make();
  d.opened(w, address("2001:db8:1::1"), address("2001:db8:ffff::1"));
  const auto join = [&](const char* from) { d.joined(w, {address(from), address("2001:db8:ffff::1"), 1, kStart}, notes); };
  for (const char* from : {"2001:db8:1:2::1", "2001:db8:1:3::1", "2001:db8:2::1"}) join(from);
  EXPECT_THAT(notes.names, IsEmpty());
  join("2001:db8:3::1");
  EXPECT_THAT(notes.names, ElementsAre("fast_flux"));
}

TEST_F(Detection, FluxOfAddresses) {
  limits.flux_addresses = 4;
  Detector d = make();
  const auto add = [&](uint8_t id, const char* a) { d.address(w, {1, id, false, address(a), 0, kStart}, 0, notes); };
  const auto remove = [&](uint8_t id) { d.address(w, {1, id, true, {}, 0, kStart}, 0, notes); };
  add(1, "10.0.0.1");
  for (int i = 0; i < 20; ++i) add(1, "10.0.0.1");  // repeated until the echo comes
  remove(1);
  for (int i = 0; i < 20; ++i) remove(1);
  add(1, "10.0.0.2");
  remove(1);
  EXPECT_THAT(notes.names, IsEmpty());
  add(1, "10.0.0.3");
  EXPECT_THAT(notes.names, ElementsAre("fast_flux"));
  EXPECT_THAT(notes.details, ElementsAre("addresses added and removed"));
}

TEST_F(Detection, ManySubflowsAreToldAgainAfterTheyWereFewer) {
  limits.subflows = 3;
  Detector d = make();
  for (const uint64_t open : {2, 3, 4, 5, 3, 4}) d.subflows(w, open, 1, notes);
  EXPECT_THAT(notes.names, ElementsAre("many_subflows", "many_subflows"));
}

TEST_F(Detection, TrafficOnBackupWhileARegularPathIsOpen) {
  Detector d = make();
  d.carried(w, std::vector<Use>{{50'000, false, true}, {0, true, true}}, notes);
  d.carried(w, std::vector<Use>{{90'000, false, true}, {10'000, true, true}}, notes);
  EXPECT_THAT(notes.names, IsEmpty());
  d.carried(w, std::vector<Use>{{95'000, false, true}, {110'000, true, true}}, notes);
  EXPECT_THAT(notes.names, ElementsAre("backup_shift"));
  EXPECT_THAT(notes.numbers,
              ElementsAre(std::pair("backup_bytes", 100'000), std::pair("bytes", 105'000), std::pair("percent", 95)));
  d.carried(w, std::vector<Use>{{95'000, false, true}, {210'000, true, true}}, notes);
  EXPECT_EQ(notes.names.size(), 1u) << "told once while it lasts";
}

TEST_F(Detection, BackupAloneIsAsItShouldBe) {
  Detector d = make();
  d.carried(w, std::vector<Use>{{50'000, false, true}, {0, true, true}}, notes);
  // The regular path ends: told before, as the engine does.
  d.carried(w, std::vector<Use>{{50'000, false, true}, {0, true, true}}, notes);
  d.carried(w, std::vector<Use>{{50'000, false, false}, {0, true, true}}, notes);
  d.carried(w, std::vector<Use>{{50'000, false, false}, {900'000, true, true}}, notes);
  EXPECT_THAT(notes.names, IsEmpty());
}

TEST_F(Detection, VisibilityBelowTheThreshold) {
  Detector d = make();
  d.visibility(w, {500, 500, 0}, false, notes);
  EXPECT_THAT(notes.names, IsEmpty()) << "too few bytes yet";
  d.visibility(w, {95'000, 5'000, 0}, false, notes);
  EXPECT_THAT(notes.names, IsEmpty()) << "95 % is enough";
  d.visibility(w, {95'000, 45'000, 10}, false, notes);
  d.visibility(w, {95'000, 45'000, 10}, true, notes);
  EXPECT_THAT(notes.names, ElementsAre("visibility_low"));
  EXPECT_THAT(notes.details[0], HasSubstr("not tapped"));
  Watch other;
  d.visibility(other, {6, 5, 5}, true, notes);
  EXPECT_THAT(notes.details[1], HasSubstr("the tap lost"));
}

TEST_F(Detection, ZeroSwitchesEachOff) {
  limits.joins_per_connection = limits.joins_per_source = limits.joins_per_network = limits.joins_per_target = 0;
  limits.flux_addresses = limits.flux_networks = limits.subflows = limits.backup_percent = limits.visibility_percent = 0;
  Detector d = make();
  for (uint32_t i = 0; i < 1000; ++i) {
    const std::array<uint8_t, 4> from{10, 0, static_cast<uint8_t>(i), 1};
    d.joined(w, {packet::IpAddress::v4(from.data()), address("192.0.2.1"), 1, kStart}, notes);
    d.address(w, {0, static_cast<uint8_t>(i), false, packet::IpAddress::v4(from.data()), 0, kStart}, 0, notes);
    d.subflows(w, i, 1, notes);
  }
  d.carried(w, std::vector<Use>{{0, false, true}, {1u << 20, true, true}}, notes);
  d.visibility(w, {1, 1u << 20, 0}, true, notes);
  EXPECT_THAT(notes.names, IsEmpty());
}

}  // namespace
}  // namespace mptap::detect
