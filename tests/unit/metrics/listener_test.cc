// SPDX-License-Identifier: Apache-2.0
#include "metrics/listener.h"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace mptap::metrics {
namespace {

std::string get(int port, const std::string& path) {
  const int s = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  if (connect(s, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0) {
    const std::string request = "GET " + path + " HTTP/1.0\r\n\r\n";
    if (write(s, request.data(), request.size()) > 0) {
      char part[4096];
      for (ssize_t n; (n = read(s, part, sizeof part)) > 0;) answer.append(part, static_cast<size_t>(n));
    }
  }
  close(s);
  return answer;
}

TEST(Listener, EachScrapeAsksAnew) {
  std::atomic<int> asked{0};
  const auto listener = Listener::open("127.0.0.1:0", [&](Page& page) { page.counter("asked_total", "scrapes", ++asked); });
  ASSERT_TRUE(listener.has_value()) << listener.error();
  EXPECT_NE(get((*listener)->port(), "/metrics").find("mptap_asked_total 1\n"), std::string::npos);
  const std::string second = get((*listener)->port(), "/metrics");
  EXPECT_NE(second.find("mptap_asked_total 2\n"), std::string::npos) << second;
  EXPECT_NE(second.find("text/plain"), std::string::npos) << second;
  EXPECT_NE(get((*listener)->port(), "/secret").find("404"), std::string::npos);
  EXPECT_EQ(asked, 2);
}

TEST(Listener, ScrapesTakeTurns) {
  std::atomic<int> inside{0}, met{0};
  const auto listener = Listener::open("127.0.0.1:0", [&](Page&) {
    if (++inside > 1) ++met;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    --inside;
  });
  ASSERT_TRUE(listener.has_value()) << listener.error();
  std::vector<std::thread> askers;
  for (int i = 0; i < 4; ++i) askers.emplace_back([&] { get((*listener)->port(), "/metrics"); });
  for (std::thread& asker : askers) asker.join();
  EXPECT_EQ(met, 0);
}

TEST(Listener, ATakenAddressIsAnErrorThatSaysSo) {
  const auto first = Listener::open("127.0.0.1:0", [](Page&) {});
  ASSERT_TRUE(first.has_value()) << first.error();
  const std::string address = fmt::format("127.0.0.1:{}", (*first)->port());
  const auto second = Listener::open(address, [](Page&) {});
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error(), address + ": Address already in use");
}

TEST(Listener, NamesAreLookedUp) {
  const auto good = Listener::open("localhost:0", [](Page&) {});
  EXPECT_TRUE(good.has_value()) << good.error();
  const auto bad = Listener::open("nowhere.invalid:9472", [](Page&) {});
  ASSERT_FALSE(bad.has_value());
  EXPECT_TRUE(bad.error().starts_with("nowhere.invalid:9472: ")) << bad.error();
  EXPECT_EQ(Listener::open("9472", [](Page&) {}).error(), "\"9472\"; it must be HOST:PORT");
}

TEST(Listener, PortIsFreeWhenItHasEnded) {
  for (int i = 0; i < 2; ++i) {
    static std::string address = "127.0.0.1:0";
    const auto listener = Listener::open(address, [](Page&) {});
    ASSERT_TRUE(listener.has_value()) << listener.error();
    address = fmt::format("127.0.0.1:{}", (*listener)->port());
  }
}

}  // namespace
}  // namespace mptap::metrics
