// SPDX-License-Identifier: Apache-2.0
#include "port/shrink_guard.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <mutex>

namespace mptap::port {

namespace {

struct Range {
  std::atomic<uintptr_t> begin{0}, end{0};  // end is 0 while the slot is free or half made
  std::atomic<bool> taken{false}, shrunk{false};
};
static_assert(std::atomic<uintptr_t>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

std::array<Range, 64> ranges;
struct sigaction previous;
uintptr_t page_size;

// Only what may be done in a signal handler: atomics that are lock-free, and system calls.
void on_bus_error(int signal, siginfo_t* info, void* context) {
  const int saved = errno;
  const auto at = reinterpret_cast<uintptr_t>(info->si_addr);
  for (Range& r : ranges) {
    const uintptr_t end = r.end.load(std::memory_order_acquire);
    if (end == 0 || at < r.begin.load(std::memory_order_relaxed) || at >= end) continue;
    // What lies behind is gone, too.
    const uintptr_t from = at & ~(page_size - 1);
    void* made = ::mmap(reinterpret_cast<void*>(from), end - from, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (made == MAP_FAILED) break;
    r.shrunk.store(true, std::memory_order_release);
    errno = saved;
    return;
  }
  errno = saved;
  if (previous.sa_flags & SA_SIGINFO) return previous.sa_sigaction(signal, info, context);
  if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) return previous.sa_handler(signal);
  // The instruction runs again and ends the program as it would have without us.
  ::signal(SIGBUS, SIG_DFL);
}

void install() {
  static std::once_flag once;
  std::call_once(once, [] {
    page_size = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
    struct sigaction action {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    ::sigaction(SIGBUS, &action, &previous);
  });
}

}  // namespace

ShrinkGuard::ShrinkGuard(const uint8_t* base, size_t size) {
  install();
  for (size_t i = 0; i < ranges.size(); ++i) {
    if (ranges[i].taken.exchange(true)) continue;
    slot_ = static_cast<int>(i);
    ranges[i].shrunk.store(false);
    ranges[i].begin.store(reinterpret_cast<uintptr_t>(base));
    // The last page is mapped whole.
    ranges[i].end.store((reinterpret_cast<uintptr_t>(base) + size + page_size - 1) & ~(page_size - 1));
    return;
  }
}

void ShrinkGuard::release() {
  if (slot_ < 0) return;
  Range& r = ranges[static_cast<size_t>(slot_)];
  slot_ = -1;
  r.end.store(0);
  r.taken.store(false);
}

bool ShrinkGuard::shrunk() const {
  return slot_ >= 0 && ranges[static_cast<size_t>(slot_)].shrunk.load(std::memory_order_acquire);
}

}  // namespace mptap::port
