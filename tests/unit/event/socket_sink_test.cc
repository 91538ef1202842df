// SPDX-License-Identifier: Apache-2.0
// Standard output, the Unix socket and syslog: the sinks with somebody at the other end who may go away.
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "event/stdout_sink.h"
#include "event/syslog_sink.h"
#include "event/unix_sink.h"
#include "sink_support.h"

namespace mptap::event {
namespace {

using Names = std::vector<std::string>;

struct Pipe {
  Pipe() {
    int fds[2];
    EXPECT_EQ(pipe2(fds, O_CLOEXEC), 0);
    reader = Descriptor(fds[0]);
    writer = Descriptor(fds[1]);
  }
  Descriptor reader, writer;
};

std::string read_all(int fd) {
  std::string all;
  char buffer[65536];
  ssize_t n;
  while ((n = read(fd, buffer, sizeof buffer)) > 0) all.append(buffer, static_cast<size_t>(n));
  return all;
}

// What comes until `size` bytes are there.
std::string read_bytes(int fd, size_t size) {
  std::string all(size, '\0');
  size_t got = 0;
  while (got < size) {
    const ssize_t n = recv(fd, all.data() + got, size - got, 0);
    if (n <= 0) break;
    got += static_cast<size_t>(n);
  }
  all.resize(got);
  return all;
}

std::string numbered_lines(int from, int to) {
  std::string lines;
  for (int i = from; i < to; ++i) lines += fmt::format("{{\"number\":{}}}\n", i);
  return lines;
}

TEST(StdoutSink, ReaderThatGoesAwayIsNoSignal) {
  ASSERT_NE(signal(SIGPIPE, SIG_DFL), SIG_ERR);  // the process would die of it
  Pipe pipe;
  StdoutSink sink(pipe.writer.get());
  const Reports reports(sink);
  sink.write("a\n", 1);
  EXPECT_FALSE(sink.closed());
  pipe.reader.reset();
  sink.write("b\nc\n", 2);
  sink.write("d\n", 1);
  EXPECT_TRUE(sink.closed());
  EXPECT_EQ(sink.counters().lines, 1U);
  EXPECT_EQ(sink.counters().lost_lines, 3U);
  EXPECT_EQ(reports.names, Names{"sink_fault"});
  sigset_t pending;
  sigpending(&pending);
  EXPECT_EQ(sigismember(&pending, SIGPIPE), 0);
}

TEST(StdoutSink, SlowReaderGetsEverything) {
  for (const int flags : {0, O_NONBLOCK}) {
    Pipe pipe;
    ASSERT_EQ(fcntl(pipe.writer.get(), F_SETFL, flags), 0);
    const std::string lines = numbered_lines(0, 50000);
    std::string got;
    std::thread reader([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      got = read_all(pipe.reader.get());
    });
    StdoutSink sink(pipe.writer.get());
    sink.write(lines, 50000);
    pipe.writer.reset();
    reader.join();
    EXPECT_EQ(got, lines);
    EXPECT_EQ(sink.counters().lines, 50000U);
  }
}

TEST(StdoutSink, GivingUpEndsTheWait) {
  Pipe pipe;
  StdoutSink sink(pipe.writer.get());
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    sink.give_up();
  });
  sink.write(numbered_lines(0, 50000), 50000);  // nobody reads
  later.join();
  EXPECT_EQ(sink.counters().lines + sink.counters().lost_lines, 50000U);
  EXPECT_GT(sink.counters().lost_lines, 0U);
}

std::unique_ptr<UnixSink> unix_sink(const std::string& path, const UnixSinkOptions& options = {}) {
  auto sink = UnixSink::create(path, options);
  EXPECT_TRUE(sink.has_value());
  return std::move(*sink);
}

TEST(UnixSink, LinesWaitForThePeer) {
  const TemporaryDirectory dir;
  const auto sink = unix_sink(dir / "s");
  const Reports reports(*sink);
  sink->write("a\nb\n", 2);
  EXPECT_TRUE(sink->waiting());
  EXPECT_FALSE(sink->counters().healthy);
  const Descriptor server = unix_server(dir / "s", SOCK_STREAM);
  EXPECT_TRUE(eventually([&] {
    sink->tick();
    return !sink->waiting();
  }));
  const Descriptor peer(accept(server.get(), nullptr, nullptr));
  EXPECT_EQ(read_bytes(peer.get(), 4), "a\nb\n");
  EXPECT_EQ(sink->counters().lines, 2U);
  EXPECT_EQ(sink->counters().lost_lines, 0U);
  EXPECT_EQ(reports.names, (Names{"sink_fault", "sink_recovered"}));
}

TEST(UnixSink, PeerAwayAndBackLosesNothingItHadNotTaken) {
  ASSERT_NE(signal(SIGPIPE, SIG_DFL), SIG_ERR);
  const TemporaryDirectory dir;
  const Descriptor server = unix_server(dir / "s", SOCK_STREAM);
  const auto sink = unix_sink(dir / "s");
  sink->write("a\n", 1);
  Descriptor peer(accept(server.get(), nullptr, nullptr));
  EXPECT_EQ(read_bytes(peer.get(), 2), "a\n");
  peer.reset();
  sink->write("b\n", 1);
  sink->write("c\n", 1);
  EXPECT_TRUE(sink->waiting());
  EXPECT_TRUE(eventually([&] {
    sink->tick();
    return !sink->waiting();
  }));
  peer = Descriptor(accept(server.get(), nullptr, nullptr));
  EXPECT_EQ(read_bytes(peer.get(), 4), "b\nc\n");
  EXPECT_EQ(sink->counters().faults, 1U);
}

TEST(UnixSink, LineThatWasCutComesAgainAsAWhole) {
  const TemporaryDirectory dir;
  const Descriptor server = unix_server(dir / "s", SOCK_STREAM);
  const auto sink = unix_sink(dir / "s");
  const std::string line = std::string(4U << 20, 'x') + "\n";  // more than any socket's buffer
  sink->write("first\n" + line, 2);
  Descriptor peer(accept(server.get(), nullptr, nullptr));
  EXPECT_EQ(read_bytes(peer.get(), 1000).size(), 1000U);
  peer.reset();
  std::string got;
  std::thread reader([&] {
    peer = Descriptor(accept(server.get(), nullptr, nullptr));
    got = read_bytes(peer.get(), line.size());
  });
  sink->flush(std::chrono::seconds(10));
  reader.join();
  EXPECT_TRUE(got == line);
  EXPECT_EQ(sink->counters().lines, 2U);
}

TEST(UnixSink, BacklogIsBoundedAndTheNewestAreLost) {
  const TemporaryDirectory dir;
  const auto sink = unix_sink(dir / "s", {.backlog_bytes = 8, .lossless = false});
  sink->write("aa\nbb\ncc\n", 3);
  sink->write("dd\n", 1);
  sink->write("e\n", 1);  // fits the last two bytes
  EXPECT_EQ(sink->counters().lost_lines, 2U);
  const Descriptor server = unix_server(dir / "s", SOCK_STREAM);
  sink->flush(std::chrono::seconds(5));
  const Descriptor peer(accept(server.get(), nullptr, nullptr));
  EXPECT_EQ(read_bytes(peer.get(), 8), "aa\nbb\ne\n");
}

TEST(UnixSink, LosslessWaitsForASlowPeer) {
  const TemporaryDirectory dir;
  const Descriptor server = unix_server(dir / "s", SOCK_STREAM);
  const auto sink = unix_sink(dir / "s", {.backlog_bytes = 4096, .lossless = true});
  const std::string lines = numbered_lines(0, 100000);
  std::string got;
  std::thread reader([&] {
    const Descriptor peer(accept(server.get(), nullptr, nullptr));
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    got = read_bytes(peer.get(), lines.size());
  });
  sink->write(lines, 100000);
  sink->flush(std::chrono::seconds(10));
  reader.join();
  EXPECT_TRUE(got == lines);
  EXPECT_EQ(sink->counters().lines, 100000U);
  EXPECT_EQ(sink->counters().lost_lines, 0U);
}

TEST(UnixSink, WhatFlushCannotGetOutIsCounted) {
  const TemporaryDirectory dir;
  const auto sink = unix_sink(dir / "nobody");
  sink->write("a\nb\n", 2);
  sink->flush(std::chrono::milliseconds(50));
  EXPECT_FALSE(sink->waiting());
  EXPECT_EQ(sink->counters().lost_lines, 2U);
}

TEST(UnixSink, PathThatNoSocketCanHave) {
  const auto sink = UnixSink::create(std::string(200, 'p'));
  ASSERT_FALSE(sink.has_value());
  EXPECT_THAT(sink.error(), testing::HasSubstr("1 to 107 bytes"));
}

std::unique_ptr<SyslogSink> syslog_sink(const std::string& path) {
  auto sink = SyslogSink::create({.facility = "local5", .level = "info", .ident = "mptap", .path = path});
  EXPECT_TRUE(sink.has_value());
  return std::move(*sink);
}

std::string message(const Descriptor& server) {
  char buffer[65536];
  const ssize_t n = recv(server.get(), buffer, sizeof buffer, MSG_DONTWAIT);
  return n < 0 ? "" : std::string(buffer, static_cast<size_t>(n));
}

TEST(SyslogSink, OneMessageALine) {
  const TemporaryDirectory dir;
  const Descriptor server = unix_server(dir / "log", SOCK_DGRAM);
  const auto sink = syslog_sink(dir / "log");
  sink->write("{\"a\":1}\n{\"b\":2}\n", 2);
  // local5.info = 21 * 8 + 6
  EXPECT_THAT(message(server),
              testing::MatchesRegex("<174>[A-Z][a-z][a-z] [ 0-9][0-9] [0-9:]{8} mptap\\[[0-9]+\\]: \\{\"a\":1\\}"));
  EXPECT_THAT(message(server), testing::EndsWith(": {\"b\":2}"));
  EXPECT_EQ(sink->counters().lines, 2U);
}

TEST(SyslogSink, DaemonAwayIsCountedAndDaemonBackIsUsed) {
  const TemporaryDirectory dir;
  const auto sink = syslog_sink(dir / "log");
  const Reports reports(*sink);
  sink->write("{}\n{}\n", 2);
  EXPECT_EQ(sink->counters().lost_lines, 2U);
  EXPECT_EQ(reports.names, Names{"sink_fault"});
  {
    const Descriptor server = unix_server(dir / "log", SOCK_DGRAM);
    EXPECT_TRUE(eventually([&] {
      sink->write("{}\n", 1);
      return sink->counters().healthy;
    }));
    EXPECT_NE(message(server), "");
  }
  std::filesystem::remove(dir / "log");
  const Descriptor anew = unix_server(dir / "log", SOCK_DGRAM);
  const uint64_t lost = sink->counters().lost_lines;
  sink->write("{\"after\":1}\n", 1);
  EXPECT_THAT(message(anew), testing::EndsWith("{\"after\":1}"));
  EXPECT_EQ(sink->counters().lost_lines, lost);
}

TEST(SyslogSink, DaemonThatDoesNotReadCostsLinesAndLittleTime) {
  const TemporaryDirectory dir;
  const Descriptor server = unix_server(dir / "log", SOCK_DGRAM);
  const auto sink = syslog_sink(dir / "log");
  const auto start = std::chrono::steady_clock::now();
  sink->write(numbered_lines(0, 20000), 20000);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  EXPECT_GT(sink->counters().lost_lines, 0U);
  EXPECT_EQ(sink->counters().lines + sink->counters().lost_lines, 20000U);
}

TEST(SyslogSink, UnknownFacilityNamesTheKnownOnes) {
  const auto sink = SyslogSink::create({.facility = "local9"});
  ASSERT_FALSE(sink.has_value());
  EXPECT_THAT(sink.error(), testing::StartsWith("unknown syslog facility \"local9\", known are auth, authpriv, daemon"));
}

}  // namespace
}  // namespace mptap::event
