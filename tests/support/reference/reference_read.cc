// SPDX-License-Identifier: Apache-2.0
// Prints what the naive reference makes of a capture: reference_read FILE… [--policy=linux|first|bsd|last]
#include <cstdio>
#include <exception>
#include <string>

#include "reference/reference.h"

using namespace mptap::test;

namespace {

void print(const std::string& path, Policy policy) {
  uint32_t link = 0;
  std::vector<TcpPacket> packets;
  for (const FileFrame& f : read_pcap(path, link)) {
    if (auto p = dissect(f.bytes, f.ns, link)) packets.push_back(std::move(*p));
  }
  std::printf("%s: %zu TCP packets\n", path.c_str(), packets.size());
  for (const Judged& j : judge(packets, policy)) {
    std::printf("  %s version %d end %s checksum %d visibility %.3f span %lu\n", j.mptcp ? "mptcp" : "flow", j.version,
                j.end.c_str(), j.checksum, j.visibility.value_or(-1), j.span_duplicates);
    for (const JudgedSubflow& s : j.subflows) {
      std::printf("    subflow %u -> %u %s %s bytes %lu %lu\n", s.client.port, s.server.port, s.join.c_str(),
                  s.by_server ? "by server" : "", s.bytes[0], s.bytes[1]);
    }
    for (const JudgedStream& s : j.stream) {
      std::printf("    %zu %s missing %lu (tap %lu) duplicate %lu conflicting %lu pending %lu%s\n", s.bytes.size(),
                  sha256_hex(s.bytes).c_str(), s.missing, s.missing_tap, s.duplicate, s.conflicting, s.pending,
                  s.assumed ? " assumed" : "");
      if (s.bytes.size() < 2000) std::printf("      %s\n", runs(s.bytes).c_str());
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  Policy policy = Policy::kLinux;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    if (arg == "--policy=linux") {
      policy = Policy::kLinux;
    } else if (arg == "--policy=first") {
      policy = Policy::kFirst;
    } else if (arg == "--policy=bsd") {
      policy = Policy::kBsd;
    } else if (arg == "--policy=last") {
      policy = Policy::kLast;
    } else {
      try {
        print(arg, policy);
      } catch (const std::exception& e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
      }
    }
  }
  return 0;
}
