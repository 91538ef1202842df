// SPDX-License-Identifier: Apache-2.0
// Frames that anyone on the network sends to a scanner: neighbour messages, ICMP errors, answers. Nothing unproven is believed.
#include <cstdint>
#include <cstdlib>
#include <random>
#include <span>

#include "apps/mptap/scan/engine.h"
#include "apps/mptap/scan/icmp.h"
#include "apps/mptap/scan/neighbours.h"

using namespace mptap::scan;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const uint8_t> bytes(data, size);
  if (const auto m = parse_neighbour(bytes); m && m->request) (void)make_answer({}, m->wanted, *m);
  const auto error = parse_icmp(bytes);
  if (size < 40) return 0;

  EngineConfig config;
  config.targets = *TargetSet::make({*parse_target("10.0.0.1")}, {});
  config.ports = {80};
  static std::random_device random;  // or the fuzzer would learn the secret
  for (auto& b : config.key) b = static_cast<uint8_t>(random());
  Engine engine(config, [](const Result&) { std::abort(); });
  const auto first = engine.next();
  engine.sent(*first, 1);
  if (error) engine.on_icmp(*error, 2);
  // The sequence number is a secret: what does not know it must not end the target.
  mptap::packet::TcpSegment s;
  s.src = first->target;
  s.dst.port = static_cast<uint16_t>(data[0] << 8 | data[1]);
  s.flags = data[2];
  s.ttl = data[3];
  s.ack = first->seq + 2 + data[4];
  s.options = data + 5;
  s.options_size = static_cast<uint8_t>(size - 5 < 40 ? size - 5 : 40);
  engine.on_segment(s, 3);
  // The same options as an answer that is proven are read without harm.
  (void)read_reply(s, static_cast<Kind>(data[4] % 7), {});
  return 0;
}
