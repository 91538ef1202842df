// SPDX-License-Identifier: Apache-2.0
#include "apps/mptapd/privileges.h"

#include <cap-ng.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include <fmt/format.h>

namespace mptap::daemon {
namespace {

constexpr auto kPatience = std::chrono::seconds(5);
constexpr auto kStep = std::chrono::milliseconds(1);

// In a signal's handler: nothing but the system call.
void give_up_capabilities(int) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3]{};
  const int kept = errno;
  syscall(SYS_capset, &header, none);
  errno = kept;
}

// Threads of this process, by their numbers, that have a capability.
std::vector<pid_t> capable_threads() {
  std::vector<pid_t> found;
  std::error_code ignored;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task", ignored)) {
    std::ifstream file(thread.path() / "status");
    for (std::string line; std::getline(file, line);) {
      if (!line.starts_with("CapPrm:")) continue;
      if (line.find_first_not_of("CapPrm:\t 0") != std::string::npos)
        found.push_back(static_cast<pid_t>(std::stol(thread.path().filename().string())));
      break;
    }
  }
  return found;
}

// Only a thread itself can give up what it may: those that exist already (DPDK's, the event writer's) are asked by a signal.
tl::expected<void, std::string> drop_threads() {
  struct sigaction ask {
  }, before{};
  ask.sa_handler = give_up_capabilities;
  ask.sa_flags = SA_RESTART;
  sigaction(SIGRTMIN, &ask, &before);
  const auto end = std::chrono::steady_clock::now() + kPatience;
  std::vector<pid_t> left;
  while (!(left = capable_threads()).empty() && std::chrono::steady_clock::now() < end) {
    for (const pid_t thread : left) syscall(SYS_tgkill, getpid(), thread, SIGRTMIN);
    std::this_thread::sleep_for(kStep);
  }
  sigaction(SIGRTMIN, &before, nullptr);
  if (!left.empty()) return tl::unexpected(fmt::format("{} threads do not give up their capabilities", left.size()));
  return {};
}

tl::expected<void, std::string> drop_own(const std::string& user) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return tl::unexpected(fmt::format("no_new_privs: {}", std::strerror(errno)));
  capng_clear(CAPNG_SELECT_BOTH);
  if (!user.empty()) {
    const passwd* entry = getpwnam(user.c_str());
    if (entry == nullptr) return tl::unexpected(fmt::format("process.user: there is no user \"{}\"", user));
    if (geteuid() != entry->pw_uid) {
      const int result = capng_change_id(static_cast<int>(entry->pw_uid), static_cast<int>(entry->pw_gid),
                                         static_cast<capng_flags_t>(CAPNG_INIT_SUPP_GRP | CAPNG_CLEAR_BOUNDING));
      if (result != 0) return tl::unexpected(fmt::format("cannot become user \"{}\" (capng_change_id: {})", user, result));
      return {};
    }
  }
  // Without CAP_SETPCAP the bounding set stays, which matters to nobody who cannot gain privileges.
  const bool root = geteuid() == 0;
  if (const int result = capng_apply(root ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS); result != 0)
    return tl::unexpected(fmt::format("cannot give up capabilities (capng_apply: {})", result));
  return {};
}

}  // namespace

tl::expected<void, std::string> drop_privileges(const std::string& user) {
  if (auto dropped = drop_own(user); !dropped) return dropped;
  return drop_threads();
}

void drop_thread_capabilities() {
  capng_clear(CAPNG_SELECT_BOTH);
  capng_apply(CAPNG_SELECT_CAPS);
}

}  // namespace mptap::daemon
