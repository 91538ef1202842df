// SPDX-License-Identifier: Apache-2.0
// Rules and rulesets as text; that they work on packets is tests/live/harden_test.py's.
#include <gtest/gtest.h>

#include "apps/mptap/harden/check.h"
#include "apps/mptap/harden/filter.h"
#include "apps/mptap/harden/host.h"
#include "apps/mptap/process.h"

namespace mptap::harden {
namespace {

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Prefix, EachErrorSaysWhatWouldBeRight) {
  EXPECT_EQ(packet::Prefix::parse("10.0.0.0/8")->to_string(), "10.0.0.0/8");
  EXPECT_EQ(packet::Prefix::parse("fd00::1")->to_string(), "fd00::1/128");
  EXPECT_EQ(packet::Prefix::parse("0.0.0.0/0")->to_string(), "0.0.0.0/0");
  EXPECT_EQ(packet::Prefix::parse("10.0.0.1/8").error(),
            "\"10.0.0.1/8\" has bits set behind its prefix length, did you mean 10.0.0.0/8?");
  EXPECT_EQ(packet::Prefix::parse("10.0.0.0/33").error(), "\"10.0.0.0/33\": the prefix length must be 0 to 32");
  EXPECT_EQ(packet::Prefix::parse("10.0.0.0/").error(), "\"10.0.0.0/\": the prefix length must be 0 to 32");
  EXPECT_EQ(packet::Prefix::parse("eth0").error(), "\"eth0\" is no IP prefix, wanted is one like 10.0.0.0/8 or fd00::/8");
}

TEST(NftRules, StripActsOnSynsBeforeAnyoneLooks) {
  const auto text = nft_rules({});
  EXPECT_TRUE(has(text, "hook prerouting priority mangle"));
  EXPECT_TRUE(has(text, "hook postrouting priority mangle"));
  EXPECT_TRUE(has(text, "tcp flags & (syn | ack | rst | fin) == syn tcp option mptcp exists jump act"));
  EXPECT_TRUE(has(text, "counter reset tcp option mptcp\n"));
}

TEST(NftRules, DirectionInterfacePrefix) {
  FilterSpec spec{.outbound = false, .interfaces = {"eth0", "eth1"}};
  spec.prefixes = {*packet::Prefix::parse("10.0.0.0/8"), *packet::Prefix::parse("fd00::/8")};
  const auto text = nft_rules(spec);
  EXPECT_TRUE(has(text, "iifname { \"eth0\", \"eth1\" } tcp flags"));
  EXPECT_FALSE(has(text, "oifname"));
  EXPECT_TRUE(has(text, "ip saddr { 10.0.0.0/8 } goto act"));
  EXPECT_TRUE(has(text, "ip6 daddr { fd00::/8 } goto act"));
  EXPECT_FALSE(has(text, "jump act"));
}

TEST(NftRules, AllPacketsStripEveryOptionOfAPacket) {
  const auto text = nft_rules({.every_packet = true});
  EXPECT_TRUE(has(text, "reset tcp option mptcp reset tcp option mptcp"));
  EXPECT_FALSE(has(text, "tcp flags"));
}

TEST(Iptables, JoinsNeedNft) {
  EXPECT_EQ(iptables_script({.joins_only = true}).error(),
            "--joins needs the option's subtype, which iptables cannot match: use --tool nft");
}

TEST(Iptables, StripIsInMangleRejectInFilter) {
  EXPECT_TRUE(has(*iptables_script({}),
                  "ip6tables -w -t mangle -A MPTAP_IN -p tcp --syn --tcp-option 30 -j TCPOPTSTRIP --strip-options 30"));
  const auto reject = *iptables_script({.effect = Effect::kReject, .interfaces = {"eth0"}});
  EXPECT_TRUE(
      has(reject, "iptables -w -t filter -A MPTAP_INPUT -i eth0 -p tcp --syn --tcp-option 30 -j REJECT --reject-with tcp-reset"));
  EXPECT_TRUE(has(reject, "-A MPTAP_FORWARD -o eth0"));
  EXPECT_FALSE(has(reject, "TCPOPTSTRIP"));
}

TEST(Validate, InterfaceNamesCannotCarryOtherText) {
  EXPECT_TRUE(validate({.interfaces = {"eth0.100"}}));
  for (const char* bad : {"", "eth0; rm", "\"", "a-name-of-16-char", "-o", "a/b", "$(id)"})
    EXPECT_FALSE(validate({.interfaces = {bad}})) << bad;
}

TEST(Limits, FromTheTextOfIp) {
  EXPECT_EQ(parse_limits("add_addr_accepted 0 subflows 2 \n")->subflows, 2u);
  EXPECT_EQ(parse_limits("subflows 4 add_addr_accepted 1")->add_addr_accepted, 1u);
  EXPECT_FALSE(parse_limits("subflows"));
  EXPECT_FALSE(parse_limits(""));
}

nlohmann::json ruleset(const std::string& expr_of_base, const std::string& expr_of_act) {
  return nlohmann::json::parse(R"({"nftables":[
    {"chain":{"family":"inet","table":"t","name":"in","hook":"prerouting","prio":-150}},
    {"chain":{"family":"inet","table":"t","name":"act"}},
    {"rule":{"family":"inet","table":"t","chain":"in","expr":[)" +
                               expr_of_base + R"(]}},
    {"rule":{"family":"inet","table":"t","chain":"act","expr":[)" +
                               expr_of_act + "]}}]}");
}

constexpr const char* kSyn =
    R"({"match":{"op":"==","left":{"&":[{"payload":{"protocol":"tcp","field":"flags"}},["syn","ack"]]},"right":"syn"}},)";
constexpr const char* kOption = R"({"match":{"op":"==","left":{"tcp option":{"name":"mptcp"}},"right":true}},)";

TEST(RulesOfNft, AJumpHasTheEffectOfItsTarget) {
  const auto rules = rules_of_nft(ruleset(std::string(kSyn) + kOption + R"({"jump":{"target":"act"}})",
                                          R"({"counter":{"packets":0,"bytes":0}},{"reset":{"tcp option":{"name":"mptcp"}}})"));
  ASSERT_EQ(rules.size(), 2u);
  for (const auto& r : rules) EXPECT_EQ(r.effect, "strip");
  EXPECT_EQ(rules[1].where, "nft inet t in");
  EXPECT_EQ(rules[1].hook, "prerouting");
  EXPECT_FALSE(rules[1].restricted);
}

TEST(RulesOfNft, AnyFurtherConditionRestricts) {
  const std::string drop = R"({"drop":null})", none = R"({"counter":null})";
  const auto effect = [&](const std::string& more) { return rules_of_nft(ruleset(more + kOption + drop, none))[0]; };
  EXPECT_FALSE(effect("").restricted);
  EXPECT_FALSE(effect(kSyn).restricted);
  EXPECT_EQ(effect("").effect, "drop");
  EXPECT_TRUE(effect(R"({"match":{"op":"==","left":{"meta":{"key":"iifname"}},"right":"eth0"}},)").restricted);
  EXPECT_TRUE(
      effect(R"({"match":{"op":"==","left":{"payload":{"protocol":"ip","field":"saddr"}},"right":"10.0.0.1"}},)").restricted);
  EXPECT_TRUE(effect(R"({"match":{"op":"==","left":{"tcp option":{"name":"mptcp","field":"subtype"}},"right":1}},)").restricted);
}

TEST(RulesOfNft, RulesThatDoNotKnowMptcpAreLeftOut) {
  EXPECT_TRUE(rules_of_nft(ruleset(std::string(kSyn) + R"({"drop":null})", R"({"accept":null})")).empty());
}

TEST(RulesOfIptables, StripRejectAndNeighbouringNumbers) {
  const auto rules =
      rules_of_iptables("iptables",
                        "*mangle\n:PREROUTING ACCEPT [0:0]\n"
                        "-A PREROUTING -j MPTAP_IN\n"
                        "-A MPTAP_IN -p tcp -m tcp --tcp-option 30 -j TCPOPTSTRIP --strip-options 30\nCOMMIT\n"
                        "*filter\n-A INPUT -i eth0 -p tcp -m tcp --tcp-option 30 -j REJECT --reject-with tcp-reset\n"
                        "-A INPUT -p tcp -m tcp --tcp-option 3 -j DROP\n-A INPUT -p tcp --dport 80 -j DROP\nCOMMIT\n");
  ASSERT_EQ(rules.size(), 2u);
  EXPECT_EQ(rules[0].where, "iptables mangle MPTAP_IN");
  EXPECT_EQ(rules[0].effect, "strip");
  EXPECT_FALSE(rules[0].restricted);
  EXPECT_EQ(rules[1].where, "iptables filter INPUT");
  EXPECT_EQ(rules[1].effect, "reject");
  EXPECT_TRUE(rules[1].restricted);
}

TEST(Verdict, OffFilteredAllowed) {
  HostState state;
  EXPECT_STREQ(verdict(state), "off");
  state.listeners = 1;  // opened before the switch
  EXPECT_STREQ(verdict(state), "allowed");
  state.listeners = 0;
  state.socket = true;
  state.rules = {{"nft inet t in", "prerouting", "strip", false, ""}};
  EXPECT_STREQ(verdict(state), "allowed");
  state.rules.push_back({"nft inet t out", "postrouting", "strip", true, ""});
  EXPECT_STREQ(verdict(state), "allowed");
  state.rules.back().restricted = false;
  EXPECT_STREQ(verdict(state), "filtered");
  state.rules.back().effect = "log";
  EXPECT_STREQ(verdict(state), "allowed");
}

TEST(SwitchText, SaysWhatItDoesNotDo) {
  EXPECT_TRUE(has(switch_text(System::kUpstream, false, kSysctlFile), "sysctl -w net.mptcp.enabled=0"));
  EXPECT_TRUE(has(switch_text(System::kUpstream, false, kSysctlFile), "restart those services"));
  EXPECT_TRUE(has(switch_text(System::kOutOfTree, false, ""), "net.mptcp.mptcp_enabled=0"));
  EXPECT_TRUE(has(switch_text(System::kMacos, false, ""), "net.inet.mptcp.enable=0"));
  EXPECT_FALSE(apply_switch(System::kMacos, false, ""));
}

TEST(Run, GivesInputTakesOutputAndCodes) {
  const std::string big(300000, 'x');
  const auto cat = cli::run({"cat"}, big);
  ASSERT_TRUE(cat);
  EXPECT_EQ(cat->out, big);
  EXPECT_EQ(cli::run({"sh", "-c", "echo no >&2; exit 3"})->code, 3);
  EXPECT_EQ(cli::run({"sh", "-c", "echo no >&2"})->err, "no\n");
  EXPECT_TRUE(has(cli::run({"no-such-program-here"}).error(), "cannot run no-such-program-here"));
}

TEST(Companion, LivesUntilItsOwnerGoes) {
  auto cat = cli::Companion::start({"cat"});
  ASSERT_TRUE(cat);
  EXPECT_TRUE(cat->write("hello\n"));
  EXPECT_EQ(cat->read(2000), "hello\n");
}

}  // namespace
}  // namespace mptap::harden
