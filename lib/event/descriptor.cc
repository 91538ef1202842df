// SPDX-License-Identifier: Apache-2.0
#include "event/descriptor.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>

namespace mptap::event {
namespace {

// Holds SIGPIPE off this thread and takes away the one that a write may have raised meanwhile.
class NoSigpipe {
 public:
  NoSigpipe() {
    sigemptyset(&sigpipe_);
    sigaddset(&sigpipe_, SIGPIPE);
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &sigpipe_, &before_);
  }
  ~NoSigpipe() {
    const timespec now{};
    if (!was_pending_) {
      while (sigtimedwait(&sigpipe_, nullptr, &now) == -1 && errno == EINTR) {
      }
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  NoSigpipe(const NoSigpipe&) = delete;
  NoSigpipe& operator=(const NoSigpipe&) = delete;

 private:
  sigset_t sigpipe_{}, before_{};
  bool was_pending_ = false;
};

}  // namespace

void Descriptor::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

bool wait_writable(int fd, int wait_ms, const std::atomic<bool>& give_up) {
  constexpr int kStepMs = 50;
  int left = wait_ms;
  while (true) {
    const bool last = left <= 0 || give_up.load(std::memory_order_relaxed);
    pollfd wait{fd, POLLOUT, 0};
    if (::poll(&wait, 1, last ? 0 : std::min(kStepMs, left)) > 0) return true;
    if (last) return false;
    left -= kStepMs;
  }
}

Written write_all(int fd, std::string_view bytes, const std::atomic<bool>& give_up, size_t chunk) {
  constexpr int kForever = std::numeric_limits<int>::max();
  const bool cautious = chunk != SIZE_MAX;
  const NoSigpipe guard;
  Written result;
  bool wait = cautious;
  while (result.bytes < bytes.size()) {
    if (wait && !wait_writable(fd, kForever, give_up)) {
      result.error = ETIMEDOUT;
      break;
    }
    wait = cautious;
    const ssize_t n = ::write(fd, bytes.data() + result.bytes, std::min(chunk, bytes.size() - result.bytes));
    if (n > 0) {
      result.bytes += static_cast<size_t>(n);
    } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      wait = true;
    } else if (n == 0 || errno != EINTR) {
      result.error = n == 0 ? EIO : errno;
      break;
    }
  }
  return result;
}

}  // namespace mptap::event
