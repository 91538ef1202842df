// SPDX-License-Identifier: Apache-2.0
#include "worker/timer_wheel.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace mptap::worker {
namespace {

constexpr uint64_t kMs = 1'000'000, kSecond = 1000 * kMs, kDay = 86400 * kSecond;
constexpr uint64_t kStart = 1'700'000'000 * kSecond + 123;

TEST(TimerWheel, NeverEarlyAndAtMostOneTickLate) {
  TimerWheel wheel(kStart);
  Timer timer;
  wheel.arm(timer, kStart + 10 * kMs);
  EXPECT_TRUE(timer.armed());
  EXPECT_EQ(wheel.advance(kStart + 10 * kMs - 1, [](Timer&) {}), 0u);
  EXPECT_EQ(wheel.advance(kStart + 11 * kMs, [](Timer&) {}), 1u);
  EXPECT_FALSE(timer.armed());
}

TEST(TimerWheel, DisarmedAndMovedTimers) {
  TimerWheel wheel(kStart);
  Timer a, b;
  wheel.arm(a, kStart + kSecond);
  wheel.arm(b, kStart + kSecond);
  wheel.disarm(a);
  wheel.arm(b, kStart + 100 * kSecond);
  EXPECT_EQ(wheel.advance(kStart + 99 * kSecond, [](Timer&) {}), 0u);
  EXPECT_EQ(wheel.advance(kStart + 101 * kSecond, [&](Timer& t) { EXPECT_EQ(&t, &b); }), 1u);
}

TEST(TimerWheel, PastDeadlineFiresWithTheNextTick) {
  TimerWheel wheel(kStart);
  Timer timer;
  wheel.arm(timer, 5);
  EXPECT_EQ(wheel.advance(kStart, [](Timer&) {}), 0u);
  EXPECT_EQ(wheel.advance(kStart + kMs, [](Timer&) {}), 1u);
}

TEST(TimerWheel, TimeRunningBackwardsStandsStill) {
  TimerWheel wheel(kStart);
  wheel.advance(kStart + kSecond, [](Timer&) {});
  Timer timer;
  wheel.arm(timer, kStart + 2 * kSecond);
  EXPECT_EQ(wheel.advance(kStart - kDay, [](Timer&) {}), 0u);
  EXPECT_EQ(wheel.advance(kStart + 2 * kSecond + kMs, [](Timer&) {}), 1u);
}

TEST(TimerWheel, CallbackMayArmDisarmAndDestroy) {
  TimerWheel wheel(kStart);
  auto first = std::make_unique<Timer>();
  auto second = std::make_unique<Timer>();
  Timer third, fourth;
  wheel.arm(*first, kStart + kSecond);
  wheel.arm(*second, kStart + kSecond);
  wheel.arm(third, kStart + kSecond);
  std::vector<Timer*> fired;
  const Timer* first_address = first.get();
  wheel.advance(kStart + 10 * kSecond, [&](Timer& t) {
    fired.push_back(&t);
    if (&t == first_address) {
      second.reset();                           // due in the same tick: must not fire any more
      wheel.disarm(third);                      // the same
      wheel.arm(fourth, kStart + 5 * kSecond);  // due within this advance
      first.reset();
    }
  });
  ASSERT_EQ(fired.size(), 2u);
  EXPECT_EQ(fired[0], first_address);
  EXPECT_EQ(fired[1], &fourth);
}

TEST(TimerWheel, EmptyTimeIsJumpedOver) {
  TimerWheel wheel(0);
  Timer timer;
  wheel.arm(timer, 20'000 * kDay);
  const auto before = std::chrono::steady_clock::now();
  size_t fired = 0;
  for (uint64_t day = 0; day <= 20'001; ++day) fired += wheel.advance(day * kDay, [](Timer&) {});
  EXPECT_EQ(fired, 1u);
  // Stepping through 1.7e12 ticks would take an hour.
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(2));
}

TEST(TimerWheel, ReachesTheEndOfTime) {
  TimerWheel wheel(UINT64_MAX - 10, 1);
  Timer timer;
  wheel.arm(timer, UINT64_MAX);
  EXPECT_EQ(wheel.advance(UINT64_MAX - 1, [](Timer&) {}), 0u);
  EXPECT_EQ(wheel.advance(UINT64_MAX, [](Timer&) {}), 1u);
}

TEST(TimerWheel, WheelMayDieBeforeItsTimers) {
  Timer timer;
  {
    TimerWheel wheel(kStart);
    wheel.arm(timer, kStart + kSecond);
  }
  EXPECT_FALSE(timer.armed());
}

// Any sequence of arm, disarm and advance does what a sorted map does.
RC_GTEST_PROP(TimerWheelProperty, FiresWhatAMultimapFires, ()) {
  const uint64_t tick = *rc::gen::element<uint64_t>(1, 7, kMs);
  const uint64_t start = *rc::gen::element<uint64_t>(0, 63, 64 * tick * 64 - 1, kStart);
  const size_t count = *rc::gen::inRange<size_t>(1, 64);
  const int reach = *rc::gen::inRange(1, 30);  // deadlines up to 2^reach ticks away
  std::mt19937_64 random(*rc::gen::arbitrary<uint64_t>());
  auto below = [&](uint64_t bound) { return random() % bound; };
  auto distance = [&] { return below(tick << below(static_cast<uint64_t>(reach) + 1)) + below(2); };

  TimerWheel wheel(start, tick);
  uint64_t now = start;
  std::vector<std::unique_ptr<Timer>> timers;
  for (uint32_t i = 0; i < count; ++i) {
    timers.push_back(std::make_unique<Timer>());
    timers[i]->slot = i;
  }
  std::multimap<uint64_t, uint32_t> model;  // tick -> timer
  for (int step = 0; step < 500; ++step) {
    const auto timer = static_cast<uint32_t>(below(count));
    auto forget = [&] { std::erase_if(model, [&](const auto& entry) { return entry.second == timer; }); };
    switch (below(5)) {
      case 0:
      case 1:
      case 2: {
        const uint64_t deadline = now + distance();
        forget();
        wheel.arm(*timers[timer], deadline);
        model.emplace(std::max((deadline + tick - 1) / tick, now / tick + 1), timer);
        break;
      }
      case 3:
        forget();
        wheel.disarm(*timers[timer]);
        break;
      default: {
        now += distance();
        std::map<uint32_t, uint64_t> due;
        while (!model.empty() && model.begin()->first <= now / tick) {
          due[model.begin()->second] = model.begin()->first;
          model.erase(model.begin());
        }
        uint64_t last = 0;
        wheel.advance(now, [&](Timer& fired) {
          const auto it = due.find(fired.slot);
          RC_ASSERT(it != due.end());
          RC_ASSERT(it->second >= last);
          last = it->second;
          due.erase(it);
        });
        RC_ASSERT(due.empty());
        if (!model.empty()) RC_ASSERT(wheel.next_ns() <= model.begin()->first * tick);
      }
    }
    const bool armed = std::any_of(model.begin(), model.end(), [&](const auto& entry) { return entry.second == timer; });
    RC_ASSERT(timers[timer]->armed() == armed);
  }
}

}  // namespace
}  // namespace mptap::worker
