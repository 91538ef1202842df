// SPDX-License-Identifier: Apache-2.0
#include "worker/message.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace mptap::worker {
namespace {

Engine& no_engine() {
  static char place = 0;
  return reinterpret_cast<Engine&>(place);  // only passed on
}

struct Log {
  std::vector<int> steps, dropped;
  std::atomic<int> freed{0};
};

class Note final : public Message {
 public:
  Note(Log& log, int value, int steps = 1) : log_(log), value_(value), left_(steps) {}
  ~Note() override { ++log_.freed; }
  bool step(Engine&, uint64_t) override {
    log_.steps.push_back(value_);
    return --left_ == 0;
  }
  void dropped() override { log_.dropped.push_back(value_); }

 private:
  Log& log_;
  int value_, left_;
};

TEST(Mailbox, RunsMessagesInOrderOneStepAtATime) {
  Log log;
  Mailbox box;
  EXPECT_FALSE(box.run(no_engine(), 0));
  EXPECT_TRUE(box.post(std::make_unique<Note>(log, 1, 2)));
  EXPECT_TRUE(box.post(std::make_unique<Note>(log, 2)));
  EXPECT_TRUE(box.run(no_engine(), 0));
  EXPECT_TRUE(box.post(std::make_unique<Note>(log, 3)));
  while (box.run(no_engine(), 0)) {
  }
  EXPECT_EQ(log.steps, (std::vector<int>{1, 1, 2, 3}));
}

TEST(Mailbox, IsBoundedAndTakesMoreWhenSomeAreDone) {
  Log log;
  Mailbox box(2);
  EXPECT_TRUE(box.post(std::make_unique<Note>(log, 1)));
  EXPECT_TRUE(box.post(std::make_unique<Note>(log, 2)));
  EXPECT_FALSE(box.post(std::make_unique<Note>(log, 3)));
  EXPECT_TRUE(box.run(no_engine(), 0));
  EXPECT_TRUE(box.post(std::make_unique<Note>(log, 4)));
  EXPECT_EQ(log.freed, 2);  // the refused one and the finished one
}

TEST(Mailbox, DropsWhatWaitsWhenItClosesAndTakesNothingThen) {
  Log log;
  {
    Mailbox box;
    box.post(std::make_unique<Note>(log, 1, 5));
    box.post(std::make_unique<Note>(log, 2));
    box.run(no_engine(), 0);
    box.post(std::make_unique<Note>(log, 3));
    box.close();
    EXPECT_EQ(log.dropped, (std::vector<int>{1, 2, 3}));
    EXPECT_FALSE(box.post(std::make_unique<Note>(log, 4)));
  }
  EXPECT_EQ(log.freed, 4);
}

TEST(Mailbox, ManyPostersLoseNothing) {
  constexpr int kPosters = 4, kEach = 2000;
  Log log;
  {
    Mailbox box(64);
    std::vector<std::thread> posters;
    for (int p = 0; p < kPosters; ++p) {
      posters.emplace_back([&, p] {
        for (int i = 0; i < kEach; ++i)
          while (!box.post(std::make_unique<Note>(log, p * kEach + i))) std::this_thread::yield();
      });
    }
    while (log.steps.size() < size_t{kPosters} * kEach)
      if (!box.run(no_engine(), 0)) std::this_thread::yield();
    for (auto& t : posters) t.join();
  }
  std::vector<int> last(kPosters, -1);
  for (const int value : log.steps) {
    EXPECT_GT(value % kEach, last[static_cast<size_t>(value / kEach)]);
    last[static_cast<size_t>(value / kEach)] = value % kEach;
  }
  for (const int value : last) EXPECT_EQ(value, kEach - 1);
}

}  // namespace
}  // namespace mptap::worker
