// SPDX-License-Identifier: Apache-2.0
// Roles and permissions, the audit log, request ids, the ring of events, the Unix socket: each part alone.
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "control/access.h"
#include "control/audit.h"
#include "control/event_hub.h"
#include "control/managed_rules.h"
#include "control/request_cache.h"
#include "control/unix_listener.h"

namespace mptap::control {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using testing::HasSubstr;

class Parts : public testing::Test {
 protected:
  Parts() : folder_(std::filesystem::temp_directory_path() / fmt::format("mptap-control-{}", getpid())) {
    std::filesystem::create_directories(folder_);
  }
  ~Parts() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  static std::vector<nlohmann::json> lines(const std::string& name) {
    std::ifstream file(name);
    std::vector<nlohmann::json> all;
    for (std::string line; std::getline(file, line);) all.push_back(nlohmann::json::parse(line));
    return all;
  }
  const std::filesystem::path folder_;
};

TEST(Access, ThePermissionsTableIsSoundAndDeniesTheRest) {
  std::set<std::string_view> methods;
  for (const Permission& p : permissions()) {
    EXPECT_TRUE(methods.insert(p.method).second) << p.method << " twice";
    EXPECT_NE(p.role, Role::kNone) << p.method;
    EXPECT_TRUE(!p.mutates || p.role > Role::kViewer) << p.method << ": who looks must not change";
  }
  EXPECT_EQ(permission("/mptap.v1.ConnectionService/KillConnection")->role, Role::kOperator);
  EXPECT_EQ(permission("/mptap.v1.ConnectionService/NoSuchThing"), nullptr);
  EXPECT_EQ(permission(""), nullptr);
}

TEST(Access, TheHighestRoleThatFitsCounts) {
  const auto roles = Roles::make({{"uid:0", "admin"},
                                  {"gid:50", "viewer"},
                                  {"gid:60", "operator"},
                                  {"user:root", "viewer"},
                                  {"cn:analyst", "operator"},
                                  {"dns:soc.example", "viewer"},
                                  {"uri:spiffe://soc/admin", "admin"},
                                  {"cn:nobody", "none"}});
  ASSERT_TRUE(roles) << roles.error();
  const auto unix_role = [&](uint32_t uid, std::vector<uint32_t> groups) {
    return roles->of(UnixPeer{.uid = uid, .gid = groups.front(), .pid = 1, .groups = groups});
  };
  EXPECT_EQ(unix_role(0, {0}), Role::kAdmin);
  EXPECT_EQ(unix_role(7, {7, 50}), Role::kViewer);
  EXPECT_EQ(unix_role(7, {7, 50, 60}), Role::kOperator);
  EXPECT_EQ(unix_role(7, {7}), Role::kNone);
  EXPECT_EQ(roles->of(Certificate{"analyst", {}}), Role::kOperator);
  EXPECT_EQ(roles->of(Certificate{"analyst2", {}}), Role::kNone);
  EXPECT_EQ(roles->of(Certificate{"", {}}), Role::kNone);
  EXPECT_EQ(roles->of(Certificate{"x", {"soc.example"}}), Role::kViewer);
  EXPECT_EQ(roles->of(Certificate{"analyst", {"spiffe://soc/admin"}}), Role::kAdmin);
  // An alternative name is no common name, nor the other way round.
  EXPECT_EQ(roles->of(Certificate{"soc.example", {"analyst"}}), Role::kNone);
  EXPECT_EQ(roles->of(Certificate{"nobody", {}}), Role::kNone);
}

TEST(Access, WrongEntriesAreNamed) {
  EXPECT_THAT(Roles::make({{"cn:a", "boss"}}).error(), HasSubstr("\"boss\"; it must be one of none, viewer, operator, admin"));
  EXPECT_THAT(Roles::make({{"name:a", "admin"}}).error(), HasSubstr("names \"name:a\""));
  EXPECT_THAT(Roles::make({{"cn:", "admin"}}).error(), HasSubstr("\"cn:\""));
  EXPECT_THAT(Roles::make({{"uid:x", "admin"}}).error(), HasSubstr("is no number"));
  EXPECT_TRUE(Roles::make({{"user:no-such-user-here", "admin"}}));
}

TEST_F(Parts, TheAuditLogIsAppendedToAndPrivate) {
  const std::string name = path("audit.log");
  for (int i = 0; i < 2; ++i) {
    const auto log = AuditLog::open(name);
    ASSERT_TRUE(log) << log.error();
    ASSERT_TRUE((*log)->append({.who = "uid:0 root",
                                .role = "admin",
                                .from = "unix pid 1",
                                .method = "/m",
                                .request = R"({"name":"x"})",
                                .before = "",
                                .after = R"({"verdict":"CONFIRMED"})",
                                .result = "ok",
                                .message = "a\nb\xff"}));
  }
  const auto all = lines(name);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0]["request"]["name"], "x");
  EXPECT_EQ(all[0]["after"]["verdict"], "CONFIRMED");
  EXPECT_FALSE(all[0].contains("before"));
  EXPECT_THAT(all[0]["time"].get<std::string>(), testing::MatchesRegex("20..-..-..T..:..:..\\.......Z"));
  struct stat status {};
  ASSERT_EQ(stat(name.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(Parts, TheAuditLogFollowsARenameOnReopen) {
  const std::string name = path("audit.log");
  const auto log = AuditLog::open(name);
  ASSERT_TRUE((*log)->append({.who = "a",
                              .role = "",
                              .from = "",
                              .method = "",
                              .request = "",
                              .before = "",
                              .after = "",
                              .result = "ok",
                              .message = ""}));
  std::filesystem::rename(name, path("audit.log.1"));
  (*log)->reopen();
  ASSERT_TRUE((*log)->append({.who = "b",
                              .role = "",
                              .from = "",
                              .method = "",
                              .request = "",
                              .before = "",
                              .after = "",
                              .result = "ok",
                              .message = ""}));
  EXPECT_EQ(lines(path("audit.log.1"))[0]["who"], "a");
  EXPECT_EQ(lines(name)[0]["who"], "b");
}

TEST_F(Parts, AnAuditLogThatCannotBeWrittenSaysSoAndRefusesAhead) {
  EXPECT_THAT(AuditLog::open(path("no/such/folder")).error(), HasSubstr("control.audit_log: "));
  const auto log = AuditLog::open("/dev/full");
  ASSERT_TRUE(log) << log.error();
  EXPECT_TRUE((*log)->ready());  // nothing is known against it
  const auto written = (*log)->append({.who = "a",
                                       .role = "",
                                       .from = "",
                                       .method = "",
                                       .request = "",
                                       .before = "",
                                       .after = "",
                                       .result = "ok",
                                       .message = ""});
  ASSERT_FALSE(written);
  EXPECT_THAT(written.error(), HasSubstr("No space left on device"));
  EXPECT_FALSE((*log)->ready());
}

constexpr const char* kId = "123e4567-e89b-12d3-a456-426614174000";

TEST(RequestCache, TheSameCallIsDoneOnce) {
  RequestCache cache;
  int done = 0;
  const auto call = [&](const std::string& who, const std::string& id, const std::string& request) {
    return cache.run(who, "/kill", id, request, steady_clock::now() + 1s,
                     [&]() -> RequestCache::Answer { return fmt::format("answer {}", ++done); });
  };
  EXPECT_EQ(*call("a", kId, "x").answer, "answer 1");
  const auto again = call("a", kId, "x");
  EXPECT_EQ(*again.answer, "answer 1");
  EXPECT_TRUE(again.repeated);
  EXPECT_EQ(*call("b", kId, "x").answer, "answer 2");  // another caller
  EXPECT_EQ(*call("a", "", "x").answer, "answer 3");
  EXPECT_EQ(*call("a", "", "x").answer, "answer 4");
  EXPECT_EQ(call("a", kId, "y").answer.error().reason, "REQUEST_ID_REUSED");
  EXPECT_EQ(call("a", "12", "x").answer.error().reason, "REQUEST_ID_INVALID");
  EXPECT_EQ(done, 4);
}

TEST(RequestCache, WhatFailedIsTriedAgainAndWhatIsOldForgotten) {
  RequestCache cache(4, 2s);
  int tries = 0;
  const auto call = [&](const std::string& id) {
    return cache.run("a", "/kill", id, "x", steady_clock::now() + 1s, [&]() -> RequestCache::Answer {
      if (++tries == 1) return tl::unexpected(Error{Code::kUnavailable, "NOT_NOW", "not now"});
      return "done";
    });
  };
  EXPECT_EQ(call(kId).answer.error().reason, "NOT_NOW");
  EXPECT_EQ(*call(kId).answer, "done");
  EXPECT_TRUE(call(kId).repeated);
  std::this_thread::sleep_for(2500ms);
  EXPECT_FALSE(call(kId).repeated);
  for (int i = 0; i < 20; ++i) (void)call(fmt::format("123e4567-e89b-12d3-a456-4266141740{:02}", i));
  EXPECT_LE(cache.size(), 4u);
}

TEST(RequestCache, ManyAtOnceAreDoneOnceAndTheOthersWait) {
  RequestCache cache;
  std::atomic<int> done{0}, repeated{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      const auto result = cache.run("a", "/kill", kId, "x", steady_clock::now() + 20s, [&]() -> RequestCache::Answer {
        std::this_thread::sleep_for(50ms);
        ++done;
        return "answer";
      });
      EXPECT_EQ(*result.answer, "answer");
      repeated += result.repeated;
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(done, 1);
  EXPECT_EQ(repeated, 7);
}

TEST(EventHub, ASlowWatcherIsToldWhatItMissed) {
  EventHub hub({.lines = 4, .bytes = 1 << 20});
  const auto now = steady_clock::now();
  EXPECT_TRUE(hub.take(0, 10, now).lines.empty());
  hub.push("a\nb\n");
  auto batch = hub.take(0, 10, now);
  ASSERT_EQ(batch.lines.size(), 2u);
  EXPECT_EQ(*batch.lines[1], "b");
  EXPECT_EQ(batch.first, 1u);
  hub.push("c\nd\ne\nf\ng\n");
  batch = hub.take(2, 2, now);
  EXPECT_EQ(batch.missed, 1u);
  EXPECT_EQ(batch.first, 4u);
  EXPECT_EQ(*batch.lines[0], "d");
  EXPECT_EQ(batch.lines.size(), 2u);
}

TEST(EventHub, PositionsAreResumedAndJudged) {
  EventHub hub;
  hub.push("a\nb\nc\n");
  EXPECT_EQ(hub.position("")->after, 3u);
  EXPECT_EQ(hub.position("oldest")->after, 0u);
  EXPECT_EQ(hub.position(hub.text(2))->after, 2u);
  EXPECT_TRUE(hub.position("0-2")->restarted);
  EXPECT_THAT(hub.position("b").error(), HasSubstr("no position"));
  EXPECT_THAT(hub.position(hub.text(9)).error(), HasSubstr("behind the newest"));
}

TEST(EventHub, BytesAreBoundedAndCloseWakes) {
  EventHub hub({.lines = 1000, .bytes = 100});
  for (int i = 0; i < 50; ++i) hub.push(std::string(30, 'x') + "\n");
  EXPECT_EQ(hub.take(0, 1000, steady_clock::now()).lines.size(), 3u);
  std::thread watcher([&] { EXPECT_TRUE(hub.take(50, 1, steady_clock::now() + 60s).closed); });
  hub.close();
  watcher.join();
}

TEST_F(Parts, ManagedRulesAreReplacedAsAWhole) {
  EXPECT_EQ(rule_name({1, 77}), "rules/1-77");
  EXPECT_EQ(*parse_rule_name("rules/3-5"), (RuleKey{3, 5}));
  for (const char* wrong : {"", "rules/", "rules/1", "rules/1-", "rules/1-2x", "rule/1-2", "rules/-1-2"})
    EXPECT_FALSE(parse_rule_name(wrong)) << wrong;
  const std::string text = R"(alert tcp any any -> any any (msg:"a"; content:"x"; sid:77;))";
  EXPECT_EQ(*judge_rule(text, {}), (RuleKey{1, 77}));
  EXPECT_THAT(judge_rule("alert tcp any", {}).error().message, testing::Not(testing::IsEmpty()));
  EXPECT_THAT(judge_rule(text + "\n" + text, {}).error().message, HasSubstr("more than one line"));
  EXPECT_FALSE(judge_rule("# nothing", {}));

  const ManagedRules file(path("managed.rules"), {});
  EXPECT_TRUE(file.read()->empty());
  ASSERT_TRUE(file.write({{{1, 77}, text}}));
  ASSERT_EQ(file.read()->size(), 1u);
  EXPECT_EQ(file.read()->front().text, text);
  EXPECT_EQ(ManagedRules(path("no/folder"), {}).write({}).error().reason, "RULES_NOT_STORED");
}

int connected(const std::string& path) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  EXPECT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  return fd;
}

TEST_F(Parts, TheUnixSocketIsPrivateAndKnowsItsPeers) {
  const std::string name = path("sub/control.sock");
  auto listener = UnixListener::open(name, "");
  ASSERT_TRUE(listener) << listener.error();
  struct stat status {};
  ASSERT_EQ(stat(name.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0660u);
  EXPECT_THAT(UnixListener::open(name, "").error(), HasSubstr("another process listens"));

  std::mutex mutex;
  std::vector<int> numbers;
  (*listener)->start([&](int fd) {
    const std::lock_guard lock(mutex);
    numbers.push_back(fd);
  });
  const int a = connected(name), b = connected(name);
  // The second listener's look at the first is a connection, too.
  const auto all = [&] {
    const std::lock_guard lock(mutex);
    return numbers.size() == 3;
  };
  for (int i = 0; i < 1000 && !all(); ++i) std::this_thread::sleep_for(10ms);
  ASSERT_TRUE(all());
  const auto peer = (*listener)->peer(numbers[2]);
  ASSERT_TRUE(peer);
  EXPECT_EQ(peer->uid, getuid());
  EXPECT_EQ(peer->pid, getpid());
  EXPECT_FALSE((*listener)->peer(0));
  EXPECT_GT(numbers[0], 100);  // where nobody else's descriptors come
  for (const int fd : {a, b, numbers[0], numbers[1], numbers[2]}) close(fd);
  (*listener)->stop();
  EXPECT_FALSE(std::filesystem::exists(name));
}

// A number is gRPC's only name for a connection: one that bore root's calls must never bear another's.
TEST_F(Parts, ANumberOnceUsedForOneIsNeverUsedForAnother) {
  if (getuid() != 0) GTEST_SKIP() << "only root can be somebody else";
  const std::string name = path("control.sock");
  auto listener = UnixListener::open(name, "");
  ASSERT_TRUE(listener) << listener.error();
  ASSERT_EQ(chmod(name.c_str(), 0666), 0);
  ASSERT_EQ(chmod(folder_.c_str(), 0755), 0);
  std::atomic<int> number{-1};
  (*listener)->start([&](int fd) { number = fd; });
  const auto number_of = [&](uid_t uid, gid_t group) {
    number = -1;
    const pid_t child = fork();
    if (child == 0) {
      if (setgroups(1, &group) != 0 || setgid(5000) != 0 || setuid(uid) != 0) _exit(9);
      const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
      sockaddr_un address{};
      address.sun_family = AF_UNIX;
      name.copy(address.sun_path, sizeof address.sun_path - 1);
      _exit(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 0 : 8);
    }
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(WEXITSTATUS(status), 0);
    for (int i = 0; i < 1000 && number < 0; ++i) std::this_thread::sleep_for(10ms);
    const int fd = number;
    close(fd);  // as gRPC does at a connection's end
    return fd;
  };
  const int first = number_of(5001, 4321);
  const auto peer = (*listener)->peer(first);
  ASSERT_TRUE(peer);
  EXPECT_EQ(peer->uid, 5001u);
  EXPECT_EQ(peer->gid, 5000u);
  EXPECT_THAT(peer->groups, testing::ElementsAre(4321u, 5000u));
  EXPECT_EQ(number_of(5001, 4321), first);
  const int second = number_of(5002, 4321);
  EXPECT_NE(second, first);
  const int third = number_of(5001, 4322);  // the same user with other groups
  EXPECT_NE(third, first);
  EXPECT_NE(third, second);
  EXPECT_EQ(number_of(5002, 4321), second);
  EXPECT_EQ((*listener)->peer(first)->uid, 5001u);
}

TEST_F(Parts, AStaleSocketIsReplacedAndAFileIsNot) {
  const std::string name = path("control.sock");
  { std::ofstream(name) << "precious"; }
  EXPECT_THAT(UnixListener::open(name, "").error(), HasSubstr("is no socket"));
  std::filesystem::remove(name);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  name.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  close(fd);
  EXPECT_TRUE(UnixListener::open(name, ""));
  EXPECT_THAT(UnixListener::open(std::string(200, 'x'), "").error(), HasSubstr("107 bytes"));
}

}  // namespace
}  // namespace mptap::control
