// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/keys.h"
#include "config/named_prefix.h"

namespace mptap::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::string kPorts = "ports = [\"eth1\"]\n";

Faults faults_of(const std::string& text) {
  const auto config = parse(text, "mptap.toml");
  return config ? Faults{} : config.error();
}

std::string only_fault_of(const std::string& text) {
  const Faults faults = faults_of(text);
  return faults.size() == 1 ? faults[0] : "faults: " + std::to_string(faults.size());
}

TEST(Config, DefaultsWithOnlyAPort) {
  const auto config = parse(kPorts, "mptap.toml");
  ASSERT_TRUE(config) << config.error()[0];
  Config expected;
  expected.ports = {"eth1"};
  EXPECT_EQ(*config, expected);
}

TEST(Config, EveryTypeIsRead) {
  const auto config = parse(
      "ports = [\"0000:03:00.0\", \"net_pcap0,iface=eth2\"]\n"
      "[workers]\ncpus = [2, 4]\nhuge_pages = true\nmemory_mb = 2_048\n"
      "[inspect]\npolicy = \"bsd\"\n"
      "[rules]\nfiles = [\"a.rules\"]\nvars.HOME_NET = \"[10.0.0.0/8]\"\n",
      "mptap.toml");
  ASSERT_TRUE(config) << config.error()[0];
  EXPECT_THAT(config->ports, ElementsAre("0000:03:00.0", "net_pcap0,iface=eth2"));
  EXPECT_THAT(config->workers.cpus, ElementsAre(2, 4));
  EXPECT_TRUE(config->workers.huge_pages);
  EXPECT_EQ(config->workers.memory_mb, 2048u);
  EXPECT_EQ(config->inspect.policy, "bsd");
  EXPECT_EQ(config->rules.vars.at("HOME_NET"), "[10.0.0.0/8]");
}

TEST(Config, ShippedFileIsTheTable) {
  const char* path = std::getenv("MPTAP_SHIPPED_CONFIG");
  ASSERT_NE(path, nullptr) << "set to deploy/mptap.toml by the build";
  std::ifstream file(path);
  const std::string shipped{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(shipped, reference_text()) << "make it anew: mptapd --default-config > deploy/mptap.toml";
}

TEST(Config, ShippedFileLacksOnlyThePorts) {
  EXPECT_THAT(only_fault_of(reference_text()),
              testing::EndsWith(": ports is empty; give at least one, as in ports = [\"0000:03:00.0\"]"));
  std::string text = reference_text();
  text.replace(text.find("\nports = []"), 11, "\nports = [\"eth1\"]");
  const auto config = parse(text, "mptap.toml");
  ASSERT_TRUE(config) << config.error()[0];
  Config expected;
  expected.ports = {"eth1"};
  EXPECT_EQ(*config, expected);
}

TEST(Config, TableIsWhole) {
  std::set<std::string> seen, names;
  for (const Section& section : sections()) names.insert(section.name);
  for (const Key& key : keys()) {
    const std::string path = std::string(key.section) + "." + key.name;
    EXPECT_TRUE(seen.insert(path).second) << path << " is there twice";
    EXPECT_TRUE(names.contains(key.section)) << path;
    EXPECT_NE(std::string(key.help), "") << path;
    EXPECT_THAT(help_text(), HasSubstr(*key.name == '*' ? "NAME" : key.name));
    if (!std::holds_alternative<uint64_t& (*)(Config&)>(key.field)) continue;
    Config config;
    const uint64_t value = std::get<uint64_t& (*)(Config&)>(key.field)(config);
    EXPECT_TRUE(value >= key.min && value <= key.max) << path << ": its default is out of range";
    EXPECT_NE(std::string(key.unit), "") << path;
  }
}

TEST(Faults, UnknownKeysNameTheNearest) {
  EXPECT_EQ(only_fault_of(kPorts + "\n[timeouts]\nidle_sec = 5\n"),
            "mptap.toml:4: unknown key \"timeouts.idle_sec\", did you mean \"idle_s\"?");
  EXPECT_EQ(only_fault_of(kPorts + "[limit]\nsubflows = 5\n"),
            "mptap.toml:2: unknown section \"limit\", did you mean \"limits\"?");
  EXPECT_THAT(only_fault_of(kPorts + "[metrics]\nfoo = 5\n"), HasSubstr("unknown key \"metrics.foo\"; there are: address"));
}

TEST(Faults, Types) {
  EXPECT_EQ(only_fault_of(kPorts + "[workers]\ncount = \"two\"\n"),
            "mptap.toml:3: workers.count is a string; an integer from 1 to 64 is wanted");
  EXPECT_EQ(only_fault_of(kPorts + "[inspect]\ntcp = 1\n"), "mptap.toml:3: inspect.tcp is an integer; true or false is wanted");
  EXPECT_EQ(only_fault_of("ports = \"eth1\"\n"), "mptap.toml:1: ports is a string; a list is wanted");
  EXPECT_EQ(only_fault_of("ports = [\"eth1\", 7]\n"), "mptap.toml:1: ports[1] is an integer; a string is wanted");
  EXPECT_EQ(only_fault_of(kPorts + "workers = 2\n"), "mptap.toml:2: workers is an integer; it is a section: [workers]");
  EXPECT_EQ(only_fault_of(kPorts + "[rules.vars]\nHTTP_PORTS = 80\n"),
            "mptap.toml:3: rules.vars.HTTP_PORTS is an integer; a string is wanted, as in \"[10.0.0.0/8]\"");
}

TEST(Faults, Ranges) {
  EXPECT_EQ(only_fault_of(kPorts + "[workers]\ncount = 0\n"),
            "mptap.toml:3: workers.count is 0; it must be from 1 to 64 workers");
  EXPECT_EQ(only_fault_of(kPorts + "[timeouts]\nidle_s = -5\n"),
            "mptap.toml:3: timeouts.idle_s is -5; it must be from 1 to 2592000 s");
  EXPECT_EQ(only_fault_of(kPorts + "[inspect]\npolicy = \"windows\"\n"),
            "mptap.toml:3: inspect.policy is \"windows\"; it must be one of linux, first, bsd, last");
}

TEST(Faults, WhatOneKeyCannotTell) {
  EXPECT_EQ(only_fault_of(""), "mptap.toml: ports is empty; give at least one, as in ports = [\"0000:03:00.0\"]");
  EXPECT_EQ(only_fault_of("ports = [\"a\", \"a\"]\n"), "mptap.toml:1: ports names \"a\" twice");
  EXPECT_EQ(only_fault_of(kPorts + "[workers]\ncpus = [1, 1]\n"),
            "mptap.toml:3: workers.cpus names a CPU twice; each worker needs one of its own");
  EXPECT_EQ(only_fault_of(kPorts + "[limits]\nstream_bytes = 134217728\n"),
            "mptap.toml:3: limits.stream_bytes (134217728) is more than limits.connection_bytes (67108864)");
  EXPECT_EQ(only_fault_of(kPorts + "[metrics]\naddress = \"9472\"\n"),
            "mptap.toml:3: metrics.address is \"9472\"; it must be HOST:PORT, as in 127.0.0.1:9472");
  EXPECT_THAT(only_fault_of(kPorts + "[control]\naddress = \"0.0.0.0:50051\"\n"), HasSubstr("demands mutual TLS"));
}

TEST(Faults, CriticalNetworks) {
  const auto config =
      parse(kPorts + "[detect]\ncritical_networks = [\"10.20.0.0/16 = plant floor\", \"fd00:1::/48\"]\n", "mptap.toml");
  ASSERT_TRUE(config) << config.error()[0];
  EXPECT_THAT(config->detect.critical_networks, ElementsAre("10.20.0.0/16 = plant floor", "fd00:1::/48"));
  EXPECT_EQ(only_fault_of(kPorts + "[detect]\ncritical_networks = [\"plant = 10.20.0.0/16\"]\n"),
            "mptap.toml:3: detect.critical_networks: \"plant\" is no IP prefix, wanted is one like 10.0.0.0/8 or fd00::/8");
}

TEST(Named, PrefixWithAndWithoutAName) {
  EXPECT_EQ(NamedPrefix::parse(" 10.20.0.0/16 = plant floor ")->name, "plant floor");
  EXPECT_EQ(NamedPrefix::parse("10.20.0.0/16=a=b")->name, "a=b");
  EXPECT_EQ(NamedPrefix::parse("fd00:1::/48")->name, "fd00:1::/48");
  EXPECT_EQ(NamedPrefix::parse("10.20.0.0/16 =")->name, "10.20.0.0/16");
  EXPECT_FALSE(NamedPrefix::parse(""));
}

TEST(Faults, DuplicatesAndSyntaxBearTheLine) {
  EXPECT_THAT(only_fault_of(kPorts + "mode = \"tap\"\nmode = \"tap\"\n"), testing::StartsWith("mptap.toml:3: "));
  EXPECT_THAT(only_fault_of(kPorts + "[limits\n"), testing::StartsWith("mptap.toml:2: "));
}

TEST(Faults, SectionNamesThatAreNone) {
  EXPECT_THAT(only_fault_of(kPorts + "[;]\n"), testing::StartsWith("mptap.toml:2: "));
  EXPECT_THAT(only_fault_of(kPorts + "# \xc3\xa4\n[a\xc3\xa4]\n"), testing::StartsWith("mptap.toml:3: "));
}

TEST(Faults, AllAtOnce) {
  EXPECT_THAT(faults_of(kPorts + "[workers]\ncount = 0\n[inspect]\ntcp = 1\nfoo = 1\n"), testing::SizeIs(3));
}

TEST(Load, RelativeRuleFilesBeginAtTheFilesFolder) {
  const std::string path = testing::TempDir() + "mptap_config_" + std::to_string(getpid()) + ".toml";
  std::ofstream(path) << kPorts << "[rules]\nfiles = [\"local.rules\", \"/etc/x.rules\"]\n";
  const auto config = load(path);
  unlink(path.c_str());
  ASSERT_TRUE(config) << config.error()[0];
  EXPECT_THAT(config->rules.files, ElementsAre(testing::TempDir() + "local.rules", "/etc/x.rules"));
  EXPECT_THAT(load("/nowhere/mptap.toml").error(), ElementsAre("/nowhere/mptap.toml: No such file or directory"));
}

}  // namespace
}  // namespace mptap::config
