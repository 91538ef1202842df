// SPDX-License-Identifier: Apache-2.0
// A file descriptor that closes itself, and writing to one without a signal.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace mptap::event {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Descriptor() { reset(); }

  void reset();
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

struct Written {
  size_t bytes = 0;
  int error = 0;  // errno of what stopped it, 0: all is written
};

// Writes on until all is written, an error stops it, or give_up is set while the descriptor takes nothing (then ETIMEDOUT). A
// pipe without a reader gives EPIPE and no SIGPIPE, whatever the process does about that signal. chunk: the most that goes into
// one write; PIPE_BUF keeps a write into a blocking pipe, once that polls as writable, from blocking.
Written write_all(int fd, std::string_view bytes, const std::atomic<bool>& give_up, size_t chunk = SIZE_MAX);

// True when fd takes bytes now, false when it did not for wait_ms, or give_up is set.
bool wait_writable(int fd, int wait_ms, const std::atomic<bool>& give_up);

}  // namespace mptap::event
