// SPDX-License-Identifier: Apache-2.0
// What leaves as TCP, put together again by a naive reassembler, is what the engine delivers: for random connections, in the
// order of capture and in others, with losses and with copies that differ. And no frame of it is one that perfect hosts on a
// perfect network would not send.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "drive/drive.h"
#include "generate.h"
#include "naive_tcp.h"

namespace mptap::test {
namespace {

void agree(const std::vector<Sent>& wire, size_t burst, std::optional<uint8_t> fill = std::nullopt) {
  egress::FrameQueue queue(64u << 20);
  egress::OutletConfig config;
  config.fill = fill;
  egress::Outlet outlet(config, queue);
  DriveOptions options;
  options.burst = 1 + burst % 64;
  options.egress = &outlet;
  const Outcome out = drive(wire, options);
  NaiveTcp tcp;
  packet::Frame frame;
  for (; queue.front(frame); queue.pop()) tcp.add(frame);
  if (!tcp.faults.empty()) RC_FAIL(tcp.faults.front());
  RC_ASSERT(outlet.counts.cut == 0u);
  std::vector<const event::ConnectionRecord*> records;
  for (const auto& r : out.records) {
    if (r.mptcp) records.push_back(&r);
  }
  RC_ASSERT(tcp.connections.size() == records.size());
  for (size_t i = 0; i < records.size(); ++i) {
    const event::ConnectionRecord& r = *records[i];
    const auto found = std::find_if(tcp.connections.begin(), tcp.connections.end(), [&](const NaiveTcp::Connection& c) {
      return c.client == r.subflows.front().src && c.server == r.subflows.front().dst;
    });
    RC_ASSERT(found != tcp.connections.end());
    for (const Direction d : {kToServer, kToClient}) {
      const NaiveTcp::Side& side = found->sides[d];
      uint64_t missing = 0;
      for (const auto& [offset, size] : side.holes) missing += size;
      if (fill) {
        RC_ASSERT(side.bytes.size() == r.stream[d].bytes + r.stream[d].missing_bytes);
        RC_ASSERT(missing == 0u);
      } else {
        RC_ASSERT(side.bytes == out.stream(r, d));
        RC_ASSERT(missing == r.stream[d].missing_bytes);
      }
    }
    const bool reset = r.end == event::End::kReset || r.end == event::End::kFastClose;
    RC_ASSERT((found->sides[0].rst || found->sides[1].rst) == reset);
  }
}

TEST(EgressProperty, IsTheEnginesStream) {
  EXPECT_TRUE(rc::check(
      [](const Plan& plan, const std::vector<Step>& steps, uint8_t burst) { agree(play(plan, steps, {}).wire, burst); }));
}

TEST(EgressProperty, IsTheEnginesStreamInAnyOrderOfSubflows) {
  EXPECT_TRUE(rc::check([](const Plan& plan, const std::vector<Step>& steps, const std::vector<uint16_t>& order) {
    Conversation c = play(plan, steps, {});
    shuffle_between_subflows(c.wire, order, 3);
    agree(c.wire, order.size());
  }));
}

TEST(EgressProperty, IsTheEnginesStreamWhereCopiesDiffer) {
  EXPECT_TRUE(rc::check([](const Plan& plan, const std::vector<Step>& steps, uint8_t burst) {
    agree(play(plan, steps, {.conflicts = true}).wire, burst);
  }));
}

TEST(EgressProperty, IsTheEnginesStreamWithItsHoles) {
  EXPECT_TRUE(rc::check([](const Plan& plan, const std::vector<Step>& steps, uint8_t burst) {
    agree(play(plan, steps, {.losses = true}).wire, burst);
  }));
}

TEST(EgressProperty, FillsAllHoles) {
  EXPECT_TRUE(rc::check([](const Plan& plan, const std::vector<Step>& steps, uint8_t burst) {
    agree(play(plan, steps, {.losses = true}).wire, burst, uint8_t{0});
  }));
}

TEST(EgressProperty, IsTheEnginesStreamOfPartsOfACapture) {
  EXPECT_TRUE(rc::check([](const Plan& plan, const std::vector<Step>& steps, uint8_t unseen, uint16_t cut) {
    Conversation c = play(plan, steps, {});
    const int hidden = unseen % c.subflows();
    if (hidden > 0) std::erase_if(c.wire, [hidden](const Sent& s) { return s.subflow == hidden; });
    const size_t least = std::min<size_t>(c.wire.size(), 5);
    c.wire.resize(std::max(least, c.wire.size() - cut % c.wire.size()));
    agree(c.wire, unseen);
  }));
}

}  // namespace
}  // namespace mptap::test
