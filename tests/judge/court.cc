// SPDX-License-Identifier: Apache-2.0
#include "court.h"

#include <fmt/format.h>

#include <algorithm>

#include "drive/drive.h"

namespace mptap::judge {

namespace {

const char* name(event::End end) {
  switch (end) {
    case event::End::kOpen: return "open";
    case event::End::kDataFin: return "data_fin";
    case event::End::kFastClose: return "fast_close";
    case event::End::kReset: return "reset";
    case event::End::kTimeout: return "timeout";
  }
  return "";
}

bool same_end(const Verdict& v, event::End end) {
  switch (v.end) {
    case App::End::kEof: return end == event::End::kDataFin || (end == event::End::kReset && v.paths_dead);
    case App::End::kReset: return end == event::End::kFastClose || end == event::End::kReset;
    case App::End::kOpen: return end == event::End::kOpen || (end == event::End::kReset && v.paths_dead);
    case App::End::kNone: return true;
  }
  return false;
}

}  // namespace

Difference compare(const Verdict& v) {
  const test::Outcome engine = test::drive(v.wire);
  // The first connection is the one that was opened first; refused joins may be connections of their own.
  if (engine.records.empty()) return {v.wire.empty() ? "" : "no record", "the engine knows no connection"};
  const event::ConnectionRecord& r = engine.records[0];
  const Bytes& bytes = engine.stream(r, v.direction);
  Difference d;
  if (bytes != v.read) {
    size_t at = 0;
    while (at < bytes.size() && at < v.read.size() && bytes[at] == v.read[at]) ++at;
    d.kind = at == bytes.size() ? "bytes: fewer" : at == v.read.size() ? "bytes: more" : "bytes: other";
    const auto around = [at](const Bytes& b) {
      const size_t from = std::min(b.size(), at), to = std::min(b.size(), at + 40);
      return std::string(b.begin() + static_cast<ptrdiff_t>(from), b.begin() + static_cast<ptrdiff_t>(to));
    };
    d.words = fmt::format("the application read {} bytes, mptap gave {}; they differ from {} on: \"{}\" against \"{}\"",
                          v.read.size(), bytes.size(), at, around(v.read), around(bytes));
  } else if (!same_end(v, r.end)) {
    d.kind = fmt::format("end: {} against {}", end_name(v.end), name(r.end));
    d.words = fmt::format("the application's end: {} (error {}), mptap's: {}", end_name(v.end), v.error, name(r.end));
  }
  if (!d.kind.empty()) {
    d.words += fmt::format("; fallback {} {}; anomalies: {}", r.fallback, r.fallback_reason, engine.anomaly_names());
  }
  return d;
}

Scenario shrink(World& world, Scenario scenario, const std::string& kind) {
  const auto still = [&](const Scenario& s) {
    for (int i = 0; i < 2; ++i) {
      if (compare(play(world, s)).kind != kind) return false;
    }
    return true;
  };
  const auto attempt = [&](auto&& change) {
    Scenario smaller = scenario;
    change(smaller);
    if (!still(smaller)) return false;
    scenario = std::move(smaller);
    return true;
  };
  for (size_t n = std::max<size_t>(1, scenario.steps.size() / 2);; n /= 2) {
    for (size_t at = 0; at + n <= scenario.steps.size();) {
      const bool gone = attempt([&](Scenario& s) {
        s.steps.erase(s.steps.begin() + static_cast<ptrdiff_t>(at), s.steps.begin() + static_cast<ptrdiff_t>(at + n));
      });
      if (!gone) ++at;
    }
    if (n <= 1) break;
  }
  const auto flag = [&](bool Setup::*member, bool plain) {
    if (scenario.setup.*member != plain) attempt([&](Scenario& s) { s.setup.*member = plain; });
  };
  flag(&Setup::v6, false);
  flag(&Setup::wrap_dsn, false);
  flag(&Setup::wrap_seq, false);
  flag(&Setup::checksum, false);
  flag(&Setup::timestamps, true);
  flag(&Setup::sack, true);
  flag(&Setup::peer_serves, false);
  if (scenario.setup.opening != Opening::kNormal) attempt([](Scenario& s) { s.setup.opening = Opening::kNormal; });
  for (size_t i = 0; i < scenario.steps.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      if (scenario.steps[i].flags & (1 << bit))
        attempt([&](Scenario& s) { s.steps[i].flags &= static_cast<uint8_t>(~(1 << bit)); });
    }
    for (uint16_t Step::*member : {&Step::size, &Step::place, &Step::piece}) {
      for (const uint16_t value : std::initializer_list<uint16_t>{0, 1, 2, 3, 5, 9}) {
        if (scenario.steps[i].*member <= value || attempt([&](Scenario& s) { s.steps[i].*member = value; })) break;
      }
    }
    if (scenario.steps[i].path > 7) attempt([&](Scenario& s) { s.steps[i].path = 0; });
  }
  return scenario;
}

}  // namespace mptap::judge
