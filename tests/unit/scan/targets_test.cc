// SPDX-License-Identifier: Apache-2.0
// Target words in, addresses or a message out; the order of the probes; the pace; the state file.
#include "apps/mptap/scan/targets.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <vector>

#include "apps/mptap/scan/pace.h"
#include "apps/mptap/scan/permutation.h"
#include "apps/mptap/scan/state_file.h"

namespace mptap::scan {
namespace {

std::string text_of(const tl::expected<AddressRange, std::string>& r) {
  return r ? r->first.to_string() + "-" + r->last.to_string() : r.error();
}

TEST(ParseTarget, EachForm) {
  EXPECT_EQ(text_of(parse_target("10.0.0.0/30")), "10.0.0.0-10.0.0.3");
  EXPECT_EQ(text_of(parse_target("10.0.0.7")), "10.0.0.7-10.0.0.7");
  EXPECT_EQ(text_of(parse_target("10.0.0.1-10.0.1.2")), "10.0.0.1-10.0.1.2");
  EXPECT_EQ(text_of(parse_target("10.0.0.1-9")), "10.0.0.1-10.0.0.9");
  EXPECT_EQ(text_of(parse_target("fd00::/126")), "fd00::-fd00::3");
  EXPECT_EQ(text_of(parse_target("fd00::1-fd00::ff")), "fd00::1-fd00::ff");
  EXPECT_EQ(text_of(parse_target("::/0")), "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
}

TEST(ParseTarget, EachErrorSaysWhatWouldBeRight) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "an empty target; wanted is one like 10.0.0.0/24, 10.0.0.1-9 or fd00::/120"},
      {"www.example.org",
       "\"www.example.org\" is no address: wanted is one like 10.0.0.0/24, 10.0.0.1-9 or fd00::/120; names are not looked up"},
      {"my-host", "\"my-host\" is no address: wanted is one like 10.0.0.0/24, 10.0.0.1-9 or fd00::/120; names are not looked up"},
      {"10.0.0.1/24", "\"10.0.0.1/24\" has bits set behind its prefix length, did you mean 10.0.0.0/24?"},
      {"10.0.0.0/33", "\"10.0.0.0/33\": the prefix length must be 0 to 32"},
      {"10.0.0.0/x", "\"10.0.0.0/x\": the prefix length must be 0 to 32"},
      {"10.0.0.9-10.0.0.1", "\"10.0.0.9-10.0.0.1\" ends before it begins"},
      {"10.0.0.9-1", "\"10.0.0.9-1\" ends before it begins"},
      {"10.0.0.9-256", "\"10.0.0.9-256\": \"256\" is neither an IP address nor a last octet of 0 to 255"},
      {"10.0.0.9-", "\"10.0.0.9-\": \"\" is neither an IP address nor a last octet of 0 to 255"},
      {"fd00::1-9", "\"fd00::1-9\": \"9\" is neither an IP address nor a last octet of 0 to 255"},
      {"10.0.0.1-fd00::1", "\"10.0.0.1-fd00::1\": both ends must be of one family"},
  };
  for (const auto& [word, message] : cases) EXPECT_EQ(text_of(parse_target(word)), message);
}

TEST(TargetText, CommentsBlanksAndTheLineOfAnError) {
  const auto good = parse_target_text("# all\n10.0.0.1 10.0.0.2\t10.0.0.3 # three\r\n\n  fd00::1", "x");
  ASSERT_TRUE(good) << good.error();
  EXPECT_EQ(good->size(), 4u);
  EXPECT_EQ(parse_target_text("10.0.0.1\n\n10.0.0.0/40\n", "list.txt").error(),
            "list.txt:3: \"10.0.0.0/40\": the prefix length must be 0 to 32");
  EXPECT_EQ(read_target_file("/nowhere/list").error(), "cannot read /nowhere/list: No such file or directory");
}

TEST(ParsePorts, ListsRangesErrors) {
  EXPECT_EQ(*parse_ports("443,80,8000-8002,80"), (std::vector<uint16_t>{80, 443, 8000, 8001, 8002}));
  EXPECT_EQ(parse_ports("1-65535")->size(), 65535u);
  for (const char* bad : {"", "0", "65536", "80,", "a", "80-", "-80", "80-x", "8 0"}) EXPECT_FALSE(parse_ports(bad)) << bad;
  EXPECT_EQ(parse_ports("90-80").error(), "ports \"90-80\" end before they begin");
  EXPECT_EQ(parse_ports("80,http").error(), "ports \"http\": wanted are numbers from 1 to 65535, like 80,443,8000-8010");
}

tl::expected<TargetSet, std::string> set_of(const std::vector<std::string>& in, const std::vector<std::string>& out = {}) {
  std::vector<AddressRange> a, b;
  for (const auto& w : in) a.push_back(*parse_target(w));
  for (const auto& w : out) b.push_back(*parse_target(w));
  return TargetSet::make(a, b);
}

std::string listed(const TargetSet& set) {
  std::string text;
  for (uint64_t i = 0; i < set.size(); i++) text += (i ? " " : "") + set.at(i).to_string();
  return text;
}

TEST(TargetSet, OverlapsAreOneAndExclusionsAreLeftOut) {
  EXPECT_EQ(listed(*set_of({"10.0.0.2-4", "10.0.0.1-3", "fd00::1"}, {"10.0.0.3"})), "10.0.0.1 10.0.0.2 10.0.0.4 fd00::1");
  EXPECT_EQ(listed(*set_of({"10.0.0.0/29"}, {"10.0.0.0", "10.0.0.3-5", "10.0.0.7"})), "10.0.0.1 10.0.0.2 10.0.0.6");
  EXPECT_EQ(set_of({"10.0.0.0/8"}, {"10.128.0.0/9"})->size(), 1u << 23);
}

TEST(TargetSet, MulticastAndReservedAddressesAreNeverScanned) {
  EXPECT_EQ(listed(*set_of({"223.255.255.255-224.0.0.1"})), "223.255.255.255");
  EXPECT_EQ(set_of({"255.255.255.255"}).error(),
            "nothing is left to scan: all targets are excluded, or multicast and reserved addresses");
  EXPECT_FALSE(set_of({"ff02::1"}));
  EXPECT_EQ(set_of({"0.0.0.0/0"})->size(), (uint64_t{1} << 32) - (1u << 24) - (uint64_t{1} << 29));
}

TEST(TargetSet, TooManyOrNone) {
  EXPECT_EQ(TargetSet::make({}, {}).error(), "no targets: name the addresses to scan");
  EXPECT_NE(set_of({"fd00::/64"}).error().find("more than 2^40 addresses"), std::string::npos);
  EXPECT_NE(set_of({"::/0"}).error().find("more than 2^40 addresses"), std::string::npos);
  EXPECT_TRUE(set_of({"fd00::/88"}));
}

TEST(Permutation, EachNumberExactlyOnce) {
  for (const uint64_t size : {1, 2, 3, 4, 5, 16, 17, 255, 256, 257, 65536, 100003}) {
    const Permutation p(size, 7);
    std::vector<bool> seen(size);
    for (uint64_t i = 0; i < size; i++) {
      const uint64_t at = p.at(i);
      ASSERT_LT(at, size);
      ASSERT_FALSE(seen[at]) << size;
      seen[at] = true;
    }
  }
}

TEST(Permutation, DependsOnTheSeedAndScattersNeighbours) {
  const Permutation a(1 << 16, 1), b(1 << 16, 2), again(1 << 16, 1);
  uint64_t same = 0, near = 0;
  for (uint64_t i = 0; i + 1 < a.size(); i++) {
    EXPECT_EQ(a.at(i), again.at(i));
    same += a.at(i) == b.at(i);
    const uint64_t step = a.at(i) > a.at(i + 1) ? a.at(i) - a.at(i + 1) : a.at(i + 1) - a.at(i);
    near += step < 256;  // the same /24
  }
  EXPECT_LT(same, 16u);
  EXPECT_LT(near, 1000u);  // 512 are expected of a random order
}

TEST(Pace, NeverMoreThanRateTimesTimePlusBurst) {
  for (const uint32_t rate : {1u, 7u, 1000u, 250000u}) {
    Pace pace(rate, 0);
    const uint64_t burst = std::max({1u, rate / 100, std::min(64u, rate / 4)}), span = 3'000'000'000;
    uint64_t taken = 0;
    for (uint64_t now = 0; now <= span; now += 37'000) {
      while (pace.take(now)) taken++;
      ASSERT_LE(taken, burst + static_cast<uint64_t>(rate) * now / 1'000'000'000 + 1) << rate;
    }
    EXPECT_GE(taken + 1, 3ull * rate);
  }
}

TEST(Pace, WaitSaysWhen) {
  Pace pace(1000, 5'000'000'000);
  uint64_t now = 5'000'000'000;
  while (pace.take(now)) {
  }
  const uint64_t wait = pace.wait_ns(now);
  EXPECT_GT(wait, 0u);
  EXPECT_LE(wait, 1'000'001u);
  EXPECT_FALSE(pace.take(now + wait - 2000));
  EXPECT_TRUE(pace.take(now + wait));
  // A pause does not save up more than the burst.
  now += 60'000'000'000;
  int taken = 0;
  while (pace.take(now)) taken++;
  EXPECT_EQ(taken, 64);
}

TEST(StateFile, ComesBackAsItWas) {
  const std::string file = "/tmp/scan_test_state_" + std::to_string(getpid());
  EXPECT_FALSE(read_state(file)->has_value());
  const State s{"abc", 12345678901234567, {77, {78, 80}}};
  ASSERT_TRUE(write_state(file, s));
  const auto back = read_state(file);
  ASSERT_TRUE(back && *back);
  EXPECT_EQ((*back)->fingerprint, "abc");
  EXPECT_EQ((*back)->seed, s.seed);
  EXPECT_EQ((*back)->at.next, 77u);
  EXPECT_EQ((*back)->at.done, s.at.done);
  std::ofstream(file) << "[1,2]";
  EXPECT_EQ(read_state(file).error(), file + " is no state of mptap scan; remove it to begin anew");
  std::remove(file.c_str());
  EXPECT_FALSE(write_state("/nowhere/state", s));
}

TEST(StateFile, BadOnesAreRefused) {
  for (const char* bad : {"", "{}", "null", "[]", R"({"version":1})", R"({"version":1,"targets":1,"seed":1,"next":1,"done":[]})",
                          R"({"version":1,"targets":"a","seed":-1,"next":1,"done":[]})",
                          R"({"version":1,"targets":"a","seed":1,"next":1,"done":["x"]})"})
    EXPECT_FALSE(parse_state(bad)) << bad;
  EXPECT_EQ(parse_state(R"({"version":2,"targets":"a","seed":1,"next":1,"done":[]})").error(), "is of version 2, wanted is 1");
}

TEST(Fingerprint, OfTheSameTargetsHoweverSaid) {
  EXPECT_EQ(fingerprint(*set_of({"10.0.0.0/30"}), {80}), fingerprint(*set_of({"10.0.0.2-3", "10.0.0.0-1"}), {80}));
  EXPECT_NE(fingerprint(*set_of({"10.0.0.0/30"}), {80}), fingerprint(*set_of({"10.0.0.0/30"}), {81}));
  EXPECT_NE(fingerprint(*set_of({"10.0.0.0/30"}), {80}), fingerprint(*set_of({"10.0.0.0/30"}, {"10.0.0.1"}), {80}));
}

}  // namespace
}  // namespace mptap::scan
