// SPDX-License-Identifier: Apache-2.0
// Filter text in, what it matches out.
#include "control/filter.h"

#include <gtest/gtest.h>

#include "control/appliance.h"
#include "control/event_record.h"

namespace mptap::control {
namespace {

enum : uint16_t { kName, kPort, kOn, kAddress, kState };
constexpr Field kFields[] = {{"name", FieldType::kText, kName},
                             {"port", FieldType::kNumber, kPort},
                             {"on", FieldType::kBool, kOn},
                             {"address", FieldType::kAddress, kAddress},
                             {"state", FieldType::kText, kState, "open closed"}};

struct Host final : Record {
  std::string name = "alpha";
  std::vector<double> ports{80, 443};
  bool on = true;
  std::string address = "10.1.2.3", state = "open";
  bool any(const Comparison& c) const override {
    switch (c.id) {
      case kName: return c.test(std::string_view(name));
      case kPort: return std::any_of(ports.begin(), ports.end(), [&](double p) { return c.test(p); });
      case kOn: return c.test(on);
      case kAddress: return c.test(*packet::IpAddress::parse(address));
      default: return c.test(std::string_view(state));
    }
  }
};

bool matches(std::string_view text, const Host& host = {}) {
  const auto filter = Filter::parse(text, kFields);
  EXPECT_TRUE(filter) << text << ": " << (filter ? "" : filter.error().to_string());
  return filter && filter->matches(host);
}

std::string fault(std::string_view text) {
  const auto filter = Filter::parse(text, kFields);
  return filter ? "good: " + filter->to_string() : filter.error().to_string();
}

TEST(Filter, ComparesByType) {
  EXPECT_TRUE(matches(""));
  EXPECT_TRUE(matches("  \t "));
  EXPECT_TRUE(matches("name = alpha"));
  EXPECT_TRUE(matches("name=\"alpha\""));
  EXPECT_FALSE(matches("name = alph"));
  EXPECT_TRUE(matches("name = al*"));
  EXPECT_TRUE(matches("name = '*pha'"));
  EXPECT_TRUE(matches("name = *lph*"));
  EXPECT_FALSE(matches("name = \"al\\*\""));
  EXPECT_TRUE(matches("name : lph"));
  EXPECT_TRUE(matches("name >= aa"));
  EXPECT_TRUE(matches("on = true"));
  EXPECT_FALSE(matches("on = false"));
  EXPECT_TRUE(matches("state = open"));
}

TEST(Filter, OneOfSeveralValuesIsEnoughAndNotEqualWantsNone) {
  EXPECT_TRUE(matches("port = 443"));
  EXPECT_TRUE(matches("port < 100"));
  EXPECT_TRUE(matches("port > 100"));
  EXPECT_FALSE(matches("port != 443"));
  EXPECT_TRUE(matches("port != 22"));
}

TEST(Filter, AddressesAndPrefixes) {
  EXPECT_TRUE(matches("address : 10.0.0.0/8"));
  EXPECT_TRUE(matches("address : 10.1.2.0/23"));
  EXPECT_FALSE(matches("address : 10.1.4.0/23"));
  EXPECT_TRUE(matches("address = 10.1.2.3"));
  EXPECT_FALSE(matches("address : fd00::/8"));
  EXPECT_TRUE(matches("address : ::/0"));
  Host six;
  six.address = "fd00::1";
  EXPECT_TRUE(matches("address : fd00::/8", six));
  EXPECT_FALSE(matches("address : 0.0.0.0/0", six));
  EXPECT_TRUE(matches("(address : fd00::/8)", six));
}

TEST(Filter, OrBindsCloserThanAnd) {
  EXPECT_EQ(fault("name=a OR name=b AND port=1"), "good: ((name = \"a\" OR name = \"b\") AND port = \"1\")");
  EXPECT_EQ(fault("port!=1"), "good: port != \"1\"");
  EXPECT_EQ(fault("name=a port=1"), "good: (name = \"a\" AND port = \"1\")");
  EXPECT_EQ(fault("NOT name=a AND -on=true"), "good: (NOT name = \"a\" AND NOT on = \"true\")");
  EXPECT_TRUE(matches("NOT (name = beta OR port = 22)"));
  EXPECT_FALSE(matches("NOT name = alpha OR port = 22"));
}

TEST(Filter, ErrorsSayTheColumnAndWhatIsWanted) {
  EXPECT_EQ(fault("nmae = a"), "column 1: there is no field \"nmae\"; there are: name, port, on, address, state");
  EXPECT_EQ(fault("name = a AND prot = 1").substr(0, 10), "column 14:");
  EXPECT_EQ(fault("port = many"), "column 8: port is a number, \"many\" is none");
  EXPECT_EQ(fault("on = yes"), "column 6: on is true or false, not \"yes\"");
  EXPECT_EQ(fault("on < true"), "column 4: on knows = and != only");
  EXPECT_EQ(fault("address : 10.0.0.0/33").substr(0, 10), "column 11:");
  EXPECT_EQ(fault("state = half"), "column 9: state is one of open closed, not \"half\"");
  EXPECT_EQ(fault("name"), "column 5: \"name\" wants one of = != < <= > >= : behind it");
  EXPECT_EQ(fault("name = "), "column 8: a value is wanted here");
  EXPECT_EQ(fault("name = \"a"), "column 8: this text is not closed");
  EXPECT_EQ(fault("(name = a"), "column 1: this \"(\" is not closed");
  EXPECT_EQ(fault("name = a)"), "column 9: there is no \"(\" for this \")\"");
  EXPECT_EQ(fault("name = a AND"), "column 13: a comparison is wanted here, as in packets > 100");
  EXPECT_EQ(fault("OR name = a"), "column 1: OR has no comparison beside it");
  EXPECT_EQ(fault("name < a*"),
            "column 8: \"*\" stands for anything with = and != only; put a backslash before it to mean itself");
  EXPECT_EQ(fault(std::string(3000, ' ')), "column 2049: the filter has 3000 bytes; 2048 is the most");
}

TEST(Filter, DepthIsBounded) {
  EXPECT_TRUE(fault(std::string(30, '(') + "on=true" + std::string(30, ')')).starts_with("good"));
  EXPECT_EQ(fault(std::string(40, '(') + "on=true").substr(0, 10), "column 34:");
  EXPECT_NE(fault(std::string(500, '-') + "on=true").find("levels"), std::string::npos);
}

TEST(Filter, WhatItPrintsMeansTheSame) {
  for (const char* text :
       {"name=a OR name=b AND port=1", "NOT (name != \"x\\\"*\" OR on=true) state=open", "name=*a* -port>=5"}) {
    const auto once = Filter::parse(text, kFields);
    ASSERT_TRUE(once) << text;
    const auto twice = Filter::parse(once->to_string(), kFields);
    ASSERT_TRUE(twice) << once->to_string();
    EXPECT_EQ(twice->to_string(), once->to_string());
  }
}

TEST(EventRecord, DottedNamesLeadThroughObjectsAndLists) {
  const EventRecord record(
      R"({"event_type":"alert","dest_ip":"10.7.1.2","dest_port":443,"alert":{"severity":1,"signature":"evil stuff"},
      "mptcp":{"cross_subflow":true,"subflows":[0,2],"list":[{"a":1},{"a":2}]}})");
  const auto matches = [&](std::string_view text) {
    const auto filter = Filter::parse_open(text);
    EXPECT_TRUE(filter) << text;
    return filter && filter->matches(record);
  };
  EXPECT_EQ(record.type(), "alert");
  EXPECT_TRUE(matches("event_type = alert AND alert.severity <= 2"));
  EXPECT_TRUE(matches("dest_ip : 10.0.0.0/8"));
  EXPECT_FALSE(matches("dest_ip : 192.168.0.0/16"));
  EXPECT_TRUE(matches("mptcp.cross_subflow = true"));
  EXPECT_TRUE(matches("mptcp.subflows = 2"));
  EXPECT_FALSE(matches("mptcp.subflows = 1"));
  EXPECT_TRUE(matches("mptcp.list.a = 2"));
  EXPECT_TRUE(matches("alert.signature : stuff"));
  EXPECT_FALSE(matches("nothing.there = 1"));
  EXPECT_TRUE(matches("nothing.there != 1"));
  EXPECT_FALSE(EventRecord("no json").any({.field = "event_type", .text = "alert"}));
  EXPECT_EQ(EventRecord("[1]").type(), "");
}

TEST(Order, KnowsItsNames) {
  EXPECT_EQ(parse_order("")->order, Order::kNone);
  EXPECT_TRUE(parse_order("packets desc")->descending);
  EXPECT_FALSE(parse_order("bytes asc")->descending);
  ASSERT_FALSE(parse_order("weight"));
  EXPECT_EQ(parse_order("weight").error().reason, "ORDER_BY_INVALID");
  EXPECT_FALSE(parse_order("packets down"));
}

}  // namespace
}  // namespace mptap::control
