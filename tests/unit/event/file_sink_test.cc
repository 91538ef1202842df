// SPDX-License-Identifier: Apache-2.0
#include "event/file_sink.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "sink_support.h"

namespace mptap::event {
namespace {

using Names = std::vector<std::string>;

std::unique_ptr<FileSink> open(const std::string& path) {
  auto sink = FileSink::open(path);
  EXPECT_TRUE(sink.has_value());
  return std::move(*sink);
}

// A file that cannot grow beyond so many bytes: a write is cut there, as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { lift(); }
  void lift() { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

TEST(FileSink, AppendsWithMode0640) {
  const TemporaryDirectory dir;
  const std::string path = dir / "eve.json";
  std::ofstream(path) << "old\n";
  std::filesystem::remove(path);
  const mode_t mask = umask(0);
  open(path)->write("a\nb\n", 2);
  umask(mask);
  open(path)->write("c\n", 1);
  EXPECT_EQ(contents(path), "a\nb\nc\n");
  struct stat status {};
  ASSERT_EQ(stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0640U);
}

TEST(FileSink, WrongPathShowsAtTheStart) {
  const auto sink = FileSink::open("/nonexistent/eve.json");
  ASSERT_FALSE(sink.has_value());
  EXPECT_EQ(sink.error(), "/nonexistent/eve.json: No such file or directory");
}

TEST(FileSink, FullDiskIsCountedAndSaidOnce) {
  const auto sink = open("/dev/full");
  const Reports reports(*sink);
  for (int i = 0; i < 5; ++i) sink->write("a\nb\n", 2);
  EXPECT_EQ(reports.names, Names{"sink_fault"});
  EXPECT_EQ(reports.last.message, "file /dev/full: cannot be written, events are lost: No space left on device");
  EXPECT_EQ(sink->counters().lost_lines, 10U);
  EXPECT_EQ(sink->counters().lines, 0U);
  EXPECT_FALSE(sink->counters().healthy);
}

TEST(FileSink, FullDiskLeavesNoHalfLineAndHeals) {
  const TemporaryDirectory dir;
  const auto sink = open(dir / "eve.json");
  const Reports reports(*sink);
  FileSizeLimit limit(10);
  sink->write("first\nsecond\nthird\n", 3);  // the limit is in "second"
  EXPECT_EQ(contents(dir / "eve.json"), "first\n");
  EXPECT_EQ(sink->counters().lines, 1U);
  EXPECT_EQ(sink->counters().lost_lines, 2U);
  sink->write("x\n", 1);
  sink->write("not this\n", 1);
  limit.lift();
  sink->write("last\n", 1);
  EXPECT_EQ(contents(dir / "eve.json"), "first\nx\nlast\n");
  EXPECT_EQ(sink->counters().lost_lines, 3U);
  EXPECT_TRUE(sink->counters().healthy);
  // x went through in between: trouble, over, trouble, over
  EXPECT_EQ(reports.names, (Names{"sink_fault", "sink_recovered", "sink_fault", "sink_recovered"}));
  EXPECT_EQ(reports.last.numbers.at(0).second, 1U);
}

TEST(FileSink, DeletedFileComesBackBeforeTheNextLine) {
  const TemporaryDirectory dir;
  const auto sink = open(dir / "eve.json");
  sink->write("a\n", 1);
  std::filesystem::remove(dir / "eve.json");
  sink->write("b\n", 1);
  EXPECT_EQ(contents(dir / "eve.json"), "b\n");
  EXPECT_EQ(sink->counters().lost_lines, 0U);
}

TEST(FileSink, DirectoryGoneAndBack) {
  const TemporaryDirectory dir;
  std::filesystem::create_directory(dir / "log");
  const auto sink = open(dir / "log/eve.json");
  const Reports reports(*sink);
  sink->write("a\n", 1);
  std::filesystem::remove_all(dir / "log");
  sink->write("b\nc\n", 2);
  sink->write("d\n", 1);
  EXPECT_EQ(sink->counters().lost_lines, 3U);
  EXPECT_EQ(reports.names, Names{"sink_fault"});

  std::filesystem::create_directory(dir / "log");
  EXPECT_TRUE(eventually([&] {
    sink->tick();
    return sink->counters().healthy;
  }));
  sink->write("e\n", 1);
  EXPECT_EQ(contents(dir / "log/eve.json"), "e\n");
  EXPECT_EQ(reports.names, (Names{"sink_fault", "sink_recovered"}));
  EXPECT_EQ(reports.last.numbers.at(0).second, 3U);
  EXPECT_EQ(sink->counters().lines, 2U);
}

TEST(FileSink, ReopenAfterAMoveStartsANewFile) {
  const TemporaryDirectory dir;
  const auto sink = open(dir / "eve.json");
  sink->write("a\n", 1);
  std::filesystem::rename(dir / "eve.json", dir / "eve.json.1");
  sink->write("b\n", 1);
  sink->reopen();
  sink->write("c\n", 1);
  EXPECT_EQ(contents(dir / "eve.json.1"), "a\nb\n");
  EXPECT_EQ(contents(dir / "eve.json"), "c\n");
}

TEST(FileSink, ReopenThatFailsKeepsTheOldFileUntilItWorks) {
  const TemporaryDirectory dir;
  const auto sink = open(dir / "eve.json");
  const Reports reports(*sink);
  std::filesystem::rename(dir / "eve.json", dir / "eve.json.1");
  std::filesystem::create_directory(dir / "eve.json");  // in the way
  sink->reopen();
  sink->write("a\n", 1);
  EXPECT_FALSE(sink->counters().healthy);
  EXPECT_EQ(contents(dir / "eve.json.1"), "a\n");
  std::filesystem::remove(dir / "eve.json");
  sink->reopen();
  sink->write("b\n", 1);
  EXPECT_EQ(contents(dir / "eve.json"), "b\n");
  EXPECT_EQ(sink->counters().lost_lines, 0U);
  EXPECT_EQ(reports.names, (Names{"sink_fault", "sink_recovered"}));
}

}  // namespace
}  // namespace mptap::event
