// SPDX-License-Identifier: Apache-2.0
#include "worker/counters.h"

#include <cstring>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace mptap::worker {
namespace {

enum class Fruit { kApple, kPear };
const char* fruit_name(Fruit fruit) {
  return fruit == Fruit::kApple ? "apple" : "pear";
}

const Counter kEaten{"eaten_total", "things eaten"};
const CounterFamily<Fruit, 2> kFruit{"fruit_total", "fruit by kind", "kind", fruit_name};
const Counter kHungry{"hungry", "those who are hungry now", Metric::kGauge};

TEST(Counters, EachDeclarationIsItsOwn) {
  Counters counters;
  counters.add(kEaten);
  counters.add(kEaten, 41);
  counters.add(kFruit[Fruit::kPear], 7);
  counters.add(kHungry, 3);
  counters.subtract(kHungry);
  EXPECT_EQ(counters.value(kEaten), 42u);
  EXPECT_EQ(counters.value(kFruit[Fruit::kApple]), 0u);
  EXPECT_EQ(counters.value(kFruit[Fruit::kPear]), 7u);
  EXPECT_EQ(counters.value(kHungry), 2u);
}

TEST(Counters, RegistryDescribesThem) {
  const CounterInfo& pear = CounterRegistry::all()[kFruit[Fruit::kPear].index];
  EXPECT_STREQ(pear.name, "fruit_total");
  EXPECT_STREQ(pear.label, "kind");
  EXPECT_STREQ(pear.label_value, "pear");
  const CounterInfo& hungry = CounterRegistry::all()[static_cast<CounterId>(kHungry).index];
  EXPECT_EQ(hungry.metric, Metric::kGauge);
  EXPECT_EQ(hungry.label, nullptr);
}

TEST(Counters, WorkersAreSummedWhileTheyCount) {
  constexpr uint64_t kPerWorker = 100'000;
  Counters a, b;
  const std::vector<const Counters*> both{&a, &b};
  std::thread first([&] {
    for (uint64_t i = 0; i < kPerWorker; ++i) a.add(kEaten);
  });
  std::thread second([&] {
    for (uint64_t i = 0; i < kPerWorker; ++i) b.add(kEaten);
  });
  for (uint64_t last = 0; last < 2 * kPerWorker;) {
    const uint64_t seen = sum(both, kEaten);
    ASSERT_GE(seen, last);
    last = seen;
  }
  first.join();
  second.join();
  EXPECT_EQ(sum(both, kEaten), 2 * kPerWorker);
}

}  // namespace
}  // namespace mptap::worker
