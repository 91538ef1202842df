// SPDX-License-Identifier: Apache-2.0
// What the tests' own traffic looks like to another dissector: tshark finds its checksums right, nothing malformed, and the keys'
// tokens as they should be.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <sstream>

#include "traffic/conversation.h"
#include "traffic/pcap.h"

namespace mptap::test {
namespace {

std::string output_of(const std::string& command) {
  std::string out;
  FILE* pipe = popen(command.c_str(), "r");
  std::array<char, 4096> buffer;
  while (const size_t n = fread(buffer.data(), 1, buffer.size(), pipe)) out.append(buffer.data(), n);
  pclose(pipe);
  return out;
}

class Tshark : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(output_of("tshark --version 2>/dev/null"), "") << "tshark is not installed: see deploy/packages.txt";
    path_ = std::filesystem::temp_directory_path() / ("mptap-traffic-" + std::to_string(getpid()) + ".pcap");
  }
  void TearDown() override {
    if (!path_.empty()) std::filesystem::remove(path_);
  }
  std::string read(const Conversation& c, const std::string& what) {
    write_pcap(path_, c.wire);
    return output_of("tshark -r " + path_.string() + " -o tcp.check_checksum:TRUE -o ip.check_checksum:TRUE " + what +
                     " 2>/dev/null");
  }
  std::filesystem::path path_;
};

Conversation everything(int version, bool v6) {
  Conversation::Config config;
  config.version = version;
  config.v6 = v6;
  config.client_wants_checksum = true;
  config.vlan = {{0x88a8, 7}, {0x8100, 9}};
  Conversation c(config);
  c.handshake();
  if (version == 1) {
    c.data(0, kToServer, 0, text("first"), {.in_capable = true});
  } else {
    c.data(0, kToServer, 0, text("first"));
  }
  c.ack(0, kToClient, {.ack8 = false});
  const int second = c.join();
  const int third = c.join({.by_server = true, .backup = true});
  c.data(second, kToServer, 5, text("second"), {.dsn8 = false});
  c.data(third, kToClient, 0, text("answer"), {.ack8 = false, .fin = true});
  c.ack(third, kToServer);
  const auto address = *packet::IpAddress::parse(v6 ? "fd00::9" : "10.9.9.9");
  Packet p = c.packet(0, kToClient);
  const Bytes mac = add_addr_mac(c.key(kToClient), c.key(kToServer), 9, address, 0);
  p.options = option::add_addr({version, false, 9, address, 0, version == 1 ? mac : Bytes{}});
  c.send(0, kToClient, p);
  p = c.packet(0, kToServer);
  p.options = option::remove_addr({4, 5});
  append(p.options, option::prio(true));
  c.send(0, kToServer, p);
  c.close();
  c.fast_close(0, kToClient);
  return c;
}

TEST_F(Tshark, FindsNothingWrong) {
  for (const int version : {0, 1}) {
    for (const bool v6 : {false, true}) {
      SCOPED_TRACE("version " + std::to_string(version) + (v6 ? " IPv6" : " IPv4"));
      const Conversation c = everything(version, v6);
      EXPECT_EQ(read(c, "-Y '_ws.malformed || _ws.expert.group == \"Malformed\"'"), "");
      std::istringstream frames(read(c, "-Y 'tcp.checksum.status == 1' -T fields -e frame.number"));
      size_t count = 0;
      for (std::string line; std::getline(frames, line);) ++count;
      EXPECT_EQ(count, c.wire.size());
    }
  }
}

TEST_F(Tshark, ComputesTheSameTokens) {
  for (const int version : {0, 1}) {
    const Conversation c = everything(version, false);
    const std::string seen = read(c, "-T fields -e mptcp.expected_token");
    for (const Direction d : {kToServer, kToClient}) {
      EXPECT_NE(seen.find(std::to_string(c.numbers(d).token)), std::string::npos) << "version " << version;
    }
  }
}

TEST_F(Tshark, SeesAWrongChecksum) {
  Conversation c;
  c.handshake();
  c.data(0, kToServer, 0, text("x"), {.change = [](Packet& p) { p.head.tcp_checksum_error = 1; }});
  EXPECT_NE(read(c, "-Y 'tcp.checksum.status == 0'"), "");
}

}  // namespace
}  // namespace mptap::test
