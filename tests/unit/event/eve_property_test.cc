// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "eve_check.h"

namespace mptap::event {
namespace {

TEST(EveProperty, AnyBytesGiveOneLineOfValidJson) {
  EXPECT_TRUE(rc::check("any event is one line of valid JSON", [](const std::vector<uint8_t>& bytes) {
    std::string line;
    const std::string wrong = check_line(EventMaker(bytes).make(), line);
    RC_ASSERT(wrong.empty());
  }));
}

TEST(EveProperty, AnyStringComesBackIfItIsUtf8) {
  EXPECT_TRUE(rc::check("strings", [](const std::vector<uint8_t>& bytes) {
    Alert alert;
    alert.connection_id = "c";
    alert.signature.assign(bytes.begin(), bytes.end());
    alert.payload = alert.signature;
    std::string line;
    RC_ASSERT(check_line(alert, line) == "");
  }));
}

}  // namespace
}  // namespace mptap::event
