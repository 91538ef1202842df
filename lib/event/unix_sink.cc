// SPDX-License-Identifier: Apache-2.0
#include "event/unix_sink.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

namespace mptap::event {
namespace {

constexpr std::chrono::milliseconds kFirstDelay{100}, kLastDelay{5000}, kStep{20};
constexpr size_t kForgetAt = 1U << 20;

}  // namespace

UnixSink::UnixSink(const std::string& path, const UnixSinkOptions& options)
    : Sink("socket " + path), path_(path), options_(options), delay_(kFirstDelay) {
  backlog_.reserve(options_.backlog_bytes + kForgetAt);  // untouched pages cost nothing, doubling would
}

tl::expected<std::unique_ptr<UnixSink>, std::string> UnixSink::create(const std::string& path, const UnixSinkOptions& options) {
  constexpr size_t kLongest = sizeof(sockaddr_un::sun_path) - 1;
  if (path.empty() || path.size() > kLongest) {
    return tl::unexpected(fmt::format("\"{}\": the path of a socket has 1 to {} bytes", path, kLongest));
  }
  return std::unique_ptr<UnixSink>(new UnixSink(path, options));
}

bool UnixSink::connect() {
  const auto now = Clock::now();
  if (now < next_try_) return false;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path_.copy(address.sun_path, sizeof address.sun_path - 1);
  Descriptor fresh(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (fresh && ::connect(fresh.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    socket_ = std::move(fresh);
    delay_ = kFirstDelay;
    return true;
  }
  fault(fmt::format("cannot connect, events wait: {}", error_text(errno)));
  next_try_ = now + delay_;
  delay_ = std::min(delay_ * 2, kLastDelay);
  return false;
}

void UnixSink::disconnect(int error) {
  socket_.reset();
  backlog_.erase(0, done_);
  sent_ = done_ = 0;
  next_try_ = Clock::now() + kFirstDelay;
  fault(fmt::format("the connection broke, events wait: {}", error_text(error)));
}

void UnixSink::forget_sent() {
  if (done_ == backlog_.size()) {
    backlog_.clear();
  } else if (done_ >= kForgetAt) {
    backlog_.erase(0, done_);
  } else {
    return;
  }
  sent_ -= done_;
  done_ = 0;
}

// Sends what the socket takes; waits up to wait_ms for it to take more.
void UnixSink::pump(int wait_ms) {
  while (sent_ < backlog_.size()) {
    if (!socket_ && !connect()) return;
    const ssize_t n = ::send(socket_.get(), backlog_.data() + sent_, backlog_.size() - sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) {
      sent_ += static_cast<size_t>(n);
      const size_t whole = whole_lines(backlog_, sent_);
      if (whole > done_) {
        wrote(count_lines(std::string_view(backlog_).substr(done_, whole - done_)), whole - done_);
        done_ = whole;
      }
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      if (wait_ms == 0 || !wait_writable(socket_.get(), wait_ms, given_up())) return;
    } else if (errno != EINTR) {
      disconnect(errno);
      return;
    }
    forget_sent();
  }
  if (socket_) recovered();
}

void UnixSink::write(std::string_view lines, size_t) {
  while (!lines.empty()) {
    const size_t room = options_.backlog_bytes - std::min(options_.backlog_bytes, backlog_.size() - done_);
    size_t fits = lines.size() <= room ? lines.size() : whole_lines(lines, room);
    const bool nothing_waits = backlog_.size() == done_;
    if (fits == 0 && nothing_waits && options_.lossless) fits = lines.find('\n') + 1;  // one line above the bound
    backlog_.append(lines.substr(0, fits));
    lines.remove_prefix(fits);
    const int wait_ms = options_.lossless && !lines.empty() ? static_cast<int>(kStep.count()) : 0;
    pump(wait_ms);
    if (lines.empty()) return;
    if (!options_.lossless || given_up().load(std::memory_order_relaxed)) {
      fault("the backlog is full, events are lost");
      lost(count_lines(lines));
      return;
    }
    if (!socket_) std::this_thread::sleep_for(kStep);
  }
}

void UnixSink::flush(std::chrono::milliseconds limit) {
  const auto end = Clock::now() + limit;
  pump(0);
  while (waiting() && Clock::now() < end && !given_up().load(std::memory_order_relaxed)) {
    if (!socket_) std::this_thread::sleep_for(kStep);
    pump(static_cast<int>(kStep.count()));
  }
  lost(count_lines(std::string_view(backlog_).substr(done_)));
  backlog_.clear();
  sent_ = done_ = 0;
}

}  // namespace mptap::event
