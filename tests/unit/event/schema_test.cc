// SPDX-License-Identifier: Apache-2.0
// Any event against eve.schema.json, by the same script that checks the program's own output.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>

#include "eve_check.h"

namespace mptap::event {
namespace {

int validate(const std::string& lines) {
  FILE* script = popen(EVE_VALIDATOR, "w");
  EXPECT_NE(script, nullptr);
  EXPECT_EQ(fwrite(lines.data(), 1, lines.size(), script), lines.size());
  return WEXITSTATUS(pclose(script));
}

TEST(Schema, NamesEveryAnomalyInTheTablesOrder) {
  std::ifstream file(EVE_SCHEMA);
  const auto schema = nlohmann::json::parse(file);
  nlohmann::json expected = nlohmann::json::array();
  for (const AnomalyInfo& info : kAnomalies) expected.push_back(info.name);
  EXPECT_EQ(schema["$defs"]["anomaly_event"]["enum"], expected);
}

TEST(Schema, AnyEventIsValid) {
  std::mt19937 random(20261124);
  std::string lines, line;
  std::array<int, std::variant_size_v<Event>> seen{};
  for (int i = 0; i < 600; ++i) {
    std::vector<uint8_t> bytes(random() % 1500);
    for (uint8_t& b : bytes) b = static_cast<uint8_t>(random());
    const Event event = EventMaker(bytes).make();
    ++seen[event.index()];
    ASSERT_EQ(check_line(event, line), "") << line;
    lines += line;
  }
  for (const int n : seen) EXPECT_GT(n, 20);
  EXPECT_EQ(validate(lines), 0);
}

TEST(Schema, RefusesWhatItDoesNotDescribe) {
  Alert alert;
  alert.connection_id = "c";
  std::string line;
  append_eve(line, alert);
  ASSERT_EQ(validate(line), 0);
  const auto good = nlohmann::json::parse(line);

  auto bad = good;
  bad["surprise"] = 1;
  EXPECT_EQ(validate(bad.dump() + "\n"), 1);
  bad = good;
  bad["alert"].erase("signature_id");
  EXPECT_EQ(validate(bad.dump() + "\n"), 1);
  bad = good;
  bad["flow_id"] = uint64_t{1} << 53;
  EXPECT_EQ(validate(bad.dump() + "\n"), 1);
  bad = good;
  bad["event_type"] = "mystery";
  EXPECT_EQ(validate(bad.dump() + "\n"), 1);
  EXPECT_EQ(validate(good.dump()), 1) << "no newline";
  EXPECT_EQ(validate("{\"event_type\":\"stats\",\"event_type\":\"stats\"}\n"), 1) << "key twice";
  EXPECT_EQ(validate(""), 2);
}

}  // namespace
}  // namespace mptap::event
