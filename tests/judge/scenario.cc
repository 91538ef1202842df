// SPDX-License-Identifier: Apache-2.0
#include "scenario.h"

#include <fmt/format.h>

#include <iterator>
#include <random>

namespace mptap::judge {

namespace {

constexpr const char* kKinds[] = {"data",
                                  "reserve",
                                  "fill",
                                  "overlap",
                                  "continue",
                                  "map late",
                                  "map ahead",
                                  "infinite",
                                  "two DSS",
                                  "DSS bad length",
                                  "MP_CAPABLE again",
                                  "DSN out of window",
                                  "DATA_FIN",
                                  "bad checksum",
                                  "delay",
                                  "undelay",
                                  "TCP overlap",
                                  "retransmit",
                                  "strip",
                                  "urgent",
                                  "low TTL",
                                  "PAWS",
                                  "no ACK flag",
                                  "bad ACK",
                                  "out of window",
                                  "bad TCP checksum",
                                  "MD5",
                                  "RST that misses",
                                  "join",
                                  "ADD_ADDR",
                                  "REMOVE_ADDR",
                                  "MP_PRIO",
                                  "MP_FAIL",
                                  "RST",
                                  "FIN",
                                  "FAST_CLOSE",
                                  "ACK",
                                  "write"};
static_assert(std::size(kKinds) == static_cast<size_t>(Kind::kCount));
constexpr const char* kOpenings[] = {"normal",    "data in MP_CAPABLE", "third ACK lost",
                                     "Fast Open", "plain third ACK",    "DSS-only third ACK"};
static_assert(std::size(kOpenings) == static_cast<size_t>(Opening::kCount));

}  // namespace

const char* kind_name(Kind kind) {
  return kKinds[static_cast<size_t>(kind)];
}

Scenario generate(uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto chance = [&](unsigned one_in) { return random() % one_in == 0; };
  Scenario s;
  s.setup.seed = seed;
  s.setup.v6 = chance(4);
  s.setup.timestamps = !chance(4);
  s.setup.sack = !chance(4);
  s.setup.wrap_seq = chance(3);
  s.setup.wrap_dsn = chance(3);
  s.setup.checksum = chance(4);
  s.setup.peer_serves = chance(3);
  if (!s.setup.peer_serves && chance(3)) s.setup.opening = static_cast<Opening>(random() % static_cast<size_t>(Opening::kCount));
  // A scenario uses a few kinds only, so that each often meets itself and the same others.
  std::vector<Kind> some{Kind::kData};
  for (size_t n = 1 + random() % 5; n > 0; --n) some.push_back(static_cast<Kind>(random() % static_cast<size_t>(Kind::kCount)));
  if (chance(2)) some.push_back(s.setup.peer_serves ? Kind::kAddAddr : Kind::kJoin);
  const auto add = [&](Kind kind) {
    Step step;
    step.kind = kind;
    step.path = static_cast<uint8_t>(random());
    step.flags = static_cast<uint8_t>(random() & random());
    step.size = static_cast<uint16_t>(chance(6) ? random() : random() % 40);
    step.place = static_cast<uint16_t>(random());
    step.piece = static_cast<uint16_t>(chance(2) ? random() : 0);
    s.steps.push_back(step);
  };
  for (size_t n = 1 + random() % 14; n > 0; --n) add(some[random() % some.size()]);
  // Most holes are filled in the end.
  if (!chance(4)) {
    for (int i = 0; i < 3; ++i) add(Kind::kUndelay);
    for (int i = 0; i < 3; ++i) add(Kind::kFill);
  }
  if (chance(3)) add(Kind::kDataFin);
  return s;
}

std::string describe(const Scenario& s) {
  const Setup& u = s.setup;
  std::string out =
      fmt::format("seed {}: the peer is the {}, IPv{}, {}, checksum {}, timestamps {}, SACK {}, wraps: DSN {} sequence {}\n",
                  u.seed, u.peer_serves ? "server" : "client", u.v6 ? 6 : 4, kOpenings[static_cast<size_t>(u.opening)],
                  u.checksum, u.timestamps, u.sack, u.wrap_dsn, u.wrap_seq);
  for (const Step& step : s.steps) {
    out += fmt::format("  {:<12} path {} size {} place {} piece {} flags {:#04x}\n", kind_name(step.kind), step.path, step.size,
                       step.place, step.piece, step.flags);
  }
  return out;
}

}  // namespace mptap::judge
