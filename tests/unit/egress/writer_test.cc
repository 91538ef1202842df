// SPDX-License-Identifier: Apache-2.0
// From the workers' queues to files.
#include "egress/writer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <mutex>

#include "egress/ethernet.h"
#include "egress/file_target.h"
#include "egress/outlet.h"
#include "port/capture_reader.h"

namespace mptap::egress {
namespace {

class Directory {
 public:
  Directory() {
    char name[] = "/tmp/mptap-egress-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Keeps the times of what it gets; busy until it is opened.
class Keeper final : public Target {
 public:
  struct Kept {
    std::mutex lock;
    std::vector<uint64_t> times;
    std::atomic<bool> open{true};
  };
  explicit Keeper(Kept& kept) : kept_(kept) {}
  bool put(const packet::Frame& frame) override {
    if (!kept_.open) return false;
    const std::lock_guard guard(kept_.lock);
    kept_.times.push_back(frame.timestamp_ns);
    return true;
  }
  void flush() override {}

 private:
  Kept& kept_;
};

void push(FrameQueue& queue, uint32_t size, uint64_t ns, uint8_t byte = 7) {
  uint8_t* out = queue.reserve(size);
  ASSERT_NE(out, nullptr);
  std::memset(out, byte, size);
  queue.commit(size, size, ns);
}

TEST(FrameQueue, GivesBackWhatWentInAroundTheEnd) {
  FrameQueue queue(1);
  EXPECT_EQ(queue.capacity(), FrameQueue::kLeast);
  uint64_t in = 0, out = 0;
  for (int round = 0; round < 3000; ++round) {
    for (int i = 0; i < 3; ++i, ++in) push(queue, static_cast<uint32_t>(1 + in * 997 % 9000), in, static_cast<uint8_t>(in));
    packet::Frame frame;
    for (; queue.front(frame); queue.pop(), ++out) {
      ASSERT_EQ(frame.timestamp_ns, out);
      ASSERT_EQ(frame.captured, 1 + out * 997 % 9000);
      ASSERT_EQ(frame.data[frame.captured - 1], static_cast<uint8_t>(out));
    }
  }
  EXPECT_EQ(in, out);
  EXPECT_EQ(queue.used(), 0u);
  while (queue.reserve(1000) != nullptr) push(queue, 1000, 0);
  EXPECT_GT(queue.used(), queue.capacity() / 10 * 9);
  EXPECT_EQ(queue.reserve(static_cast<uint32_t>(queue.capacity())), nullptr);
}

TEST(FrameQueue, CrossesThreads) {
  FrameQueue queue(FrameQueue::kLeast);
  std::thread producer([&] {
    for (uint64_t i = 0; i < 100000;) {
      uint8_t* out = queue.reserve(100);
      if (out == nullptr) {
        std::this_thread::yield();
        continue;
      }
      std::memset(out, static_cast<int>(i & 0xff), 100);
      queue.commit(100, 100, i++);
    }
  });
  packet::Frame frame;
  for (uint64_t i = 0; i < 100000;) {
    if (!queue.front(frame)) {
      std::this_thread::yield();
      continue;
    }
    ASSERT_EQ(frame.timestamp_ns, i);
    ASSERT_EQ(frame.data[99], static_cast<uint8_t>(i & 0xff));
    queue.pop();
    ++i;
  }
  producer.join();
}

TEST(Writer, MergesQueuesByTime) {
  Keeper::Kept kept;
  Writer writer(std::make_unique<Keeper>(kept), {.patience_ms = 60000});
  FrameQueue& a = writer.add_queue(1 << 20);
  FrameQueue& b = writer.add_queue(1 << 20);
  writer.start();
  for (uint64_t i = 0; i < 1000; ++i) push(a, 60, 10 * i);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  {
    // The other worker may still bring older ones.
    const std::lock_guard guard(kept.lock);
    EXPECT_LE(kept.times.size(), 1u);
  }
  for (uint64_t i = 0; i < 1000; ++i) push(b, 60, 10 * i + 5);
  a.set_clock(10000);
  b.set_clock(10000);
  writer.close();
  EXPECT_EQ(kept.times.size(), 2000u);
  EXPECT_TRUE(std::is_sorted(kept.times.begin(), kept.times.end()));
  EXPECT_EQ(writer.written(), 2000u);
}

TEST(Writer, WaitsForNoQueueLongerThanItsPatience) {
  Keeper::Kept kept;
  Writer writer(std::make_unique<Keeper>(kept), {.patience_ms = 10});
  FrameQueue& a = writer.add_queue(1 << 20);
  writer.add_queue(1 << 20);
  writer.start();
  push(a, 60, 1000);
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (writer.written() == 0 && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  EXPECT_EQ(writer.written(), 1u);
  writer.close();
}

TEST(Writer, LeavesWhatABusyTargetDoesNotTake) {
  Keeper::Kept kept;
  kept.open = false;
  Writer writer(std::make_unique<Keeper>(kept), {.drain_ms = 20});
  FrameQueue& queue = writer.add_queue(1 << 20);
  writer.start();
  for (uint64_t i = 0; i < 10; ++i) push(queue, 60, i);
  writer.close();
  EXPECT_EQ(writer.left(), 10u);
  EXPECT_EQ(writer.written(), 0u);
}

TEST(RotatingTarget, KeepsTheNewestFilesWithinTheirSize) {
  Directory dir;
  std::filesystem::create_directory(dir / "sub");
  const std::vector<uint8_t> bytes(1000);
  packet::Frame frame{.data = bytes.data(), .captured = 1000, .wire = 1000, .timestamp_ns = 1'700'000'000'000'000'000};
  {
    auto target = RotatingTarget::open({.directory = dir / "sub", .bytes = 4000, .files = 3});
    ASSERT_TRUE(target) << target.error();
    for (int i = 0; i < 20; ++i) {
      frame.timestamp_ns += 1'000'000;
      EXPECT_TRUE((*target)->put(frame));
    }
    (*target)->flush();
    EXPECT_EQ((*target)->lost(), 0u);
  }
  const auto files = [&] {
    std::vector<std::string> names;
    for (const auto& e : std::filesystem::directory_iterator(dir / "sub")) names.push_back(e.path());
    std::sort(names.begin(), names.end());
    return names;
  };
  ASSERT_EQ(files().size(), 3u);
  for (const std::string& name : files()) EXPECT_LE(std::filesystem::file_size(name), 4000u);
  EXPECT_NE(files()[0].find("egress-20231114T221320Z-000005.pcap"), std::string::npos) << files()[0];
  // By time, and files of earlier runs count.
  auto target = RotatingTarget::open({.directory = dir / "sub", .seconds = 10, .files = 3});
  ASSERT_TRUE(target);
  for (int i = 0; i < 4; ++i) {
    frame.timestamp_ns += 6'000'000'000;
    EXPECT_TRUE((*target)->put(frame));
  }
  (*target)->flush();
  EXPECT_EQ(files().size(), 3u);
  auto reader = port::CaptureReader::open(files().back());
  ASSERT_TRUE(reader);
  std::array<packet::Frame, 8> read;
  EXPECT_EQ(reader->next_burst(read), 2u);
  EXPECT_EQ(read[1].timestamp_ns, frame.timestamp_ns);
}

TEST(RotatingTarget, ThatCannotWriteLosesAndCounts) {
  Directory dir;
  auto target = RotatingTarget::open({.directory = dir.path(), .files = 2});
  ASSERT_TRUE(target);
  std::filesystem::remove_all(dir.path());
  const std::vector<uint8_t> bytes(100);
  packet::Frame frame{.data = bytes.data(), .captured = 100, .wire = 100, .timestamp_ns = 5'000'000'000};
  EXPECT_TRUE((*target)->put(frame));
  EXPECT_TRUE((*target)->put(frame));
  EXPECT_EQ((*target)->lost(), 2u);
  EXPECT_NE((*target)->error().find(dir.path()), std::string::npos);
  std::filesystem::create_directory(dir.path());
  frame.timestamp_ns += 1'000'000'000;
  EXPECT_TRUE((*target)->put(frame));
  EXPECT_EQ((*target)->lost(), 2u);
  auto nowhere = RotatingTarget::open({.directory = "/proc/no/where"});
  ASSERT_FALSE(nowhere);
  EXPECT_NE(nowhere.error().find("/proc/no/where"), std::string::npos);
}

TEST(EthernetHeader, TakesThePlaceOfOtherLinkHeaders) {
  std::vector<uint8_t> ip(40);
  ip[0] = 0x45;
  const auto wrapped = [&](packet::LinkType link, std::vector<uint8_t> head, const std::vector<uint8_t>& rest) {
    head.insert(head.end(), rest.begin(), rest.end());
    return ethernet_header({.data = head.data(), .captured = static_cast<uint32_t>(head.size()), .wire = 0, .link = link});
  };
  std::vector<uint8_t> cooked(16), cooked2(20);
  cooked[14] = cooked2[0] = 0x08;
  const std::pair<packet::LinkType, std::vector<uint8_t>> kinds[] = {{packet::LinkType::kRawIp, {}},
                                                                     {packet::LinkType::kNull, {2, 0, 0, 0}},
                                                                     {packet::LinkType::kPpp, {0xff, 0x03, 0, 0x21}},
                                                                     {packet::LinkType::kPpp, {0, 0x21}},
                                                                     {packet::LinkType::kLinuxCooked, cooked},
                                                                     {packet::LinkType::kLinuxCookedV2, cooked2}};
  for (const auto& [link, head] : kinds) {
    const auto h = wrapped(link, head, ip);
    ASSERT_TRUE(h) << static_cast<int>(link);
    EXPECT_EQ(h->size, 14u);
    EXPECT_EQ(h->replaces, head.size());
    EXPECT_EQ(h->bytes[12], 0x08);
    EXPECT_EQ(h->bytes[13], 0x00);
  }
  ip[0] = 0x60;
  EXPECT_EQ(wrapped(packet::LinkType::kRawIp, {}, ip)->bytes[12], 0x86);
  EXPECT_FALSE(wrapped(packet::LinkType::kRawIp, {}, {}));
  EXPECT_FALSE(wrapped(packet::LinkType::kLinuxCooked, {0, 1}, {}));
  EXPECT_EQ(ethernet_header({})->size, 0u);
}

}  // namespace
}  // namespace mptap::egress
