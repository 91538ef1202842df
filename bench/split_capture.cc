// SPDX-License-Identifier: Apache-2.0
// Makes a capture whose bytes travel split: connections of three subflows, segments dealt out in turn, and once in each stream a
// pattern that lies half in a segment of one subflow, half in a segment of another.
// usage: split_capture OUT.pcap CONNECTIONS BYTES. Prints a line "PORT SHA256" for each connection's stream to the server.
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "traffic/conversation.h"
#include "traffic/pcap.h"
#include "traffic/program.h"

namespace {

using namespace mptap::test;

constexpr size_t kSegment = 1300;
constexpr std::string_view kPattern = "evil stuff, half here and half there";

Conversation transfer(int n, uint64_t bytes, std::string& sha) {
  ConversationConfig config;
  config.client_port = static_cast<uint16_t>(10000 + 10 * n);
  config.client_key += static_cast<uint64_t>(n) * 7919;
  config.server_key += static_cast<uint64_t>(n) * 104729;
  config.start_ns += static_cast<uint64_t>(n) * 31'000;
  Conversation c(config);
  c.handshake();
  c.join();
  c.join();
  Bytes stream;
  for (uint64_t i = 0; i < bytes; ++i) stream.push_back(stream_byte(kToServer, i + static_cast<uint64_t>(n) * 8));
  const size_t middle = stream.size() / kSegment / 2 * kSegment - kPattern.size() / 2;
  for (size_t i = 0; i < kPattern.size(); ++i) stream[middle + i] = static_cast<uint8_t>(kPattern[i]);
  int subflow = 0;
  for (uint64_t at = 0; at < stream.size(); at += kSegment, subflow = (subflow + 1) % 3) {
    const auto from = stream.begin() + static_cast<ptrdiff_t>(at);
    const Bytes segment(from, from + static_cast<ptrdiff_t>(std::min<uint64_t>(kSegment, stream.size() - at)));
    c.data(subflow, kToServer, at, segment);
    if (subflow != 0) c.ack(subflow, kToClient);
  }
  c.close();
  std::array<uint8_t, SHA256_DIGEST_LENGTH> digest;
  SHA256(stream.data(), stream.size(), digest.data());
  for (const uint8_t b : digest) {
    char hex[3];
    std::snprintf(hex, sizeof hex, "%02x", b);
    sha += hex;
  }
  return c;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: split_capture OUT.pcap CONNECTIONS BYTES\n");
    return 2;
  }
  const int connections = std::atoi(argv[2]);
  const auto bytes = static_cast<uint64_t>(std::atoll(argv[3]));
  if (connections < 1 || connections > 5000 || bytes < 4 * kSegment) {
    std::fprintf(stderr, "split_capture: wants 1 to 5000 connections of at least %zu bytes\n", 4 * kSegment);
    return 2;
  }
  try {
    std::vector<Sent> wire;
    for (int n = 0; n < connections; ++n) {
      std::string sha;
      Conversation c = transfer(n, bytes, sha);
      std::printf("%u %s\n", c.config().client_port, sha.c_str());
      wire.insert(wire.end(), std::make_move_iterator(c.wire.begin()), std::make_move_iterator(c.wire.end()));
    }
    std::stable_sort(wire.begin(), wire.end(), [](const Sent& a, const Sent& b) { return a.ns < b.ns; });
    write_pcap(argv[1], wire);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "split_capture: %s\n", error.what());
    return 1;
  }
  return 0;
}
