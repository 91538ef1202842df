// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/process.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include <fmt/format.h>

extern char** environ;

namespace mptap::cli {
namespace {

struct Pipe {
  int ends[2] = {-1, -1};
  ~Pipe() {
    for (const int fd : ends)
      if (fd >= 0) close(fd);
  }
  bool open() { return pipe2(ends, O_CLOEXEC) == 0; }
  int take(int end) { return std::exchange(ends[end], -1); }
};

// The ends that the child gets must not be 0..2 themselves: dup2 onto the same number would keep close-on-exec.
tl::expected<int, std::string> spawn(const std::vector<std::string>& argv, int in, int out, int err) {
  std::vector<char*> args;
  for (const auto& a : argv) args.push_back(const_cast<char*>(a.c_str()));
  args.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, in, 0);
  posix_spawn_file_actions_adddup2(&files, out, 1);
  posix_spawn_file_actions_adddup2(&files, err, 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  // A group of its own: a terminal's Ctrl-C is ours to answer, and the child ends when we say so.
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  pid_t pid = 0;
  int failed = posix_spawnp(&pid, argv[0].c_str(), &files, &attributes, args.data(), environ);
  // The administrator's tools: not in the PATH of everybody who has become root.
  for (const char* folder : {"/usr/sbin/", "/sbin/"})
    if (failed == ENOENT || failed == EACCES)
      failed = posix_spawn(&pid, (folder + argv[0]).c_str(), &files, &attributes, args.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (failed) return tl::unexpected(fmt::format("cannot run {}: {}; is it installed?", argv[0], std::strerror(failed)));
  return pid;
}

int wait_for(int pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

bool may_administer_network() {
  __user_cap_header_struct head{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[2]{};
  return syscall(SYS_capget, &head, sets) == 0 && (sets[0].effective >> CAP_NET_ADMIN & 1) != 0;
}

tl::expected<Output, std::string> run(const std::vector<std::string>& argv, const std::string& input) {
  std::signal(SIGPIPE, SIG_IGN);
  Pipe in, out, err;
  if (!in.open() || !out.open() || !err.open())
    return tl::unexpected(fmt::format("cannot run {}: {}", argv[0], std::strerror(errno)));
  const auto pid = spawn(argv, in.ends[0], out.ends[1], err.ends[1]);
  if (!pid) return tl::unexpected(pid.error());
  for (const int fd : {in.take(0), out.take(1), err.take(1)}) close(fd);

  Output result;
  size_t written = 0;
  pollfd polls[3] = {{out.ends[0], POLLIN, 0}, {err.ends[0], POLLIN, 0}, {in.ends[1], POLLOUT, 0}};
  if (input.empty()) {
    close(in.take(1));
    polls[2].fd = -1;
  }
  fcntl(in.ends[1], F_SETFL, O_NONBLOCK);
  while (polls[0].fd >= 0 || polls[1].fd >= 0) {
    if (poll(polls, 3, -1) < 0 && errno != EINTR) break;
    for (int i = 0; i < 2; i++) {
      if (polls[i].fd < 0 || !polls[i].revents) continue;
      char buffer[65536];
      const ssize_t n = read(polls[i].fd, buffer, sizeof buffer);
      if (n > 0)
        (i == 0 ? result.out : result.err).append(buffer, static_cast<size_t>(n));
      else if (n == 0 || errno != EINTR)
        polls[i].fd = -1;
    }
    if (polls[2].fd >= 0 && polls[2].revents) {
      const ssize_t n = write(polls[2].fd, input.data() + written, input.size() - written);
      if (n > 0) written += static_cast<size_t>(n);
      if (written == input.size() || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        close(in.take(1));
        polls[2].fd = -1;
      }
    }
  }
  result.code = wait_for(*pid);
  return result;
}

tl::expected<Companion, std::string> Companion::start(const std::vector<std::string>& argv) {
  std::signal(SIGPIPE, SIG_IGN);
  Pipe in, out;
  if (!in.open() || !out.open()) return tl::unexpected(fmt::format("cannot run {}: {}", argv[0], std::strerror(errno)));
  const auto pid = spawn(argv, in.ends[0], out.ends[1], out.ends[1]);
  if (!pid) return tl::unexpected(pid.error());
  fcntl(out.ends[0], F_SETFL, O_NONBLOCK);
  return Companion(*pid, in.take(1), out.take(0));
}

Companion::Companion(Companion&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), in_(std::exchange(other.in_, -1)), out_(std::exchange(other.out_, -1)) {}

Companion::~Companion() {
  if (pid_ < 0) return;
  close(in_);
  wait_for(pid_);
  close(out_);
}

bool Companion::write(const std::string& text) {
  return ::write(in_, text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

std::string Companion::read(int milliseconds) {
  std::string text;
  pollfd p{out_, POLLIN, 0};
  while (poll(&p, 1, text.empty() ? milliseconds : 0) > 0) {
    char buffer[4096];
    const ssize_t n = ::read(out_, buffer, sizeof buffer);
    if (n <= 0) break;
    text.append(buffer, static_cast<size_t>(n));
  }
  return text;
}

}  // namespace mptap::cli
