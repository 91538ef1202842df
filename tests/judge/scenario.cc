// SPDX-License-Identifier: Apache-2.0
#include "scenario.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <random>
#include <sstream>
#include <stdexcept>

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

void leave_out(Scenario& scenario, const std::vector<std::string>& names) {
  const auto named = [&](const char* name) { return std::find(names.begin(), names.end(), name) != names.end(); };
  std::erase_if(scenario.steps, [&](const Step& s) { return named(kind_name(s.kind)); });
  if (named(kOpenings[static_cast<size_t>(scenario.setup.opening)])) scenario.setup.opening = Opening::kNormal;
  if (named("server")) scenario.setup.peer_serves = false;
}

std::string describe(const Scenario& s) {
  const Setup& u = s.setup;
  std::string out = fmt::format(
      "seed={} server={:d} v6={:d} checksum={:d} timestamps={:d} sack={:d} wrap_dsn={:d} wrap_seq={:d} opening={}\n", u.seed,
      u.peer_serves, u.v6, u.checksum, u.timestamps, u.sack, u.wrap_dsn, u.wrap_seq, kOpenings[static_cast<size_t>(u.opening)]);
  for (const Step& step : s.steps) {
    out += fmt::format("  {}: path={} size={} place={} piece={} flags={}\n", kind_name(step.kind), step.path, step.size,
                       step.place, step.piece, step.flags);
  }
  return out;
}

Scenario parse(const std::string& text) {
  Scenario s;
  std::istringstream lines(text);
  std::string line;
  const auto number = [&line](const std::string& name) -> uint64_t {
    const size_t at = line.find(" " + name + "=");
    if (at == std::string::npos && line.rfind(name + "=", 0) != 0) throw std::runtime_error("no " + name + " in: " + line);
    return std::stoull(line.substr((at == std::string::npos ? 0 : at + 1) + name.size() + 1));
  };
  while (std::getline(lines, line)) {
    if (line.rfind("seed=", 0) == 0) {
      Setup& u = s.setup;
      u.seed = number("seed");
      u.peer_serves = number("server") != 0;
      u.v6 = number("v6") != 0;
      u.checksum = number("checksum") != 0;
      u.timestamps = number("timestamps") != 0;
      u.sack = number("sack") != 0;
      u.wrap_dsn = number("wrap_dsn") != 0;
      u.wrap_seq = number("wrap_seq") != 0;
      for (size_t i = 0; i < std::size(kOpenings); ++i) {
        if (line.find(std::string("opening=") + kOpenings[i]) != std::string::npos) u.opening = static_cast<Opening>(i);
      }
    } else if (line.rfind("  ", 0) == 0) {
      Step step;
      for (size_t i = 0; i < std::size(kKinds); ++i) {
        if (line.rfind(fmt::format("  {}: ", kKinds[i]), 0) == 0) step.kind = static_cast<Kind>(i);
      }
      step.path = static_cast<uint8_t>(number("path"));
      step.size = static_cast<uint16_t>(number("size"));
      step.place = static_cast<uint16_t>(number("place"));
      step.piece = static_cast<uint16_t>(number("piece"));
      step.flags = static_cast<uint8_t>(number("flags"));
      s.steps.push_back(step);
    } else if (!line.empty()) {
      throw std::runtime_error("neither a set-up nor a step: " + line);
    }
  }
  return s;
}

}  // namespace mptap::judge
