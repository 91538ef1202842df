// SPDX-License-Identifier: Apache-2.0
#include "control/event_hub.h"

#include <unistd.h>

#include <charconv>

#include <fmt/format.h>

namespace mptap::control {
namespace {

std::string make_life() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return fmt::format("{:x}",
                     std::chrono::duration_cast<std::chrono::microseconds>(now).count() ^ (static_cast<int64_t>(getpid()) << 48));
}

}  // namespace

EventHub::EventHub(const HubLimits& limits) : limits_(limits), life_(make_life()) {}

void EventHub::push(std::string_view lines) {
  {
    const std::lock_guard lock(mutex_);
    while (!lines.empty()) {
      const size_t end = std::min(lines.find('\n'), lines.size());
      ring_.push_back(std::make_shared<const std::string>(lines.substr(0, end)));
      bytes_ += end;
      ++last_;
      lines.remove_prefix(std::min(end + 1, lines.size()));
      while (ring_.size() > limits_.lines || (bytes_ > limits_.bytes && ring_.size() > 1)) {
        bytes_ -= ring_.front()->size();
        ring_.pop_front();
      }
    }
  }
  changed_.notify_all();
}

void EventHub::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  changed_.notify_all();
}

tl::expected<EventHub::Position, std::string> EventHub::position(const std::string& text) const {
  const std::lock_guard lock(mutex_);
  const uint64_t oldest = last_ - ring_.size();
  if (text.empty()) return Position{last_};
  if (text == "oldest") return Position{oldest};
  const size_t dash = text.find('-');
  uint64_t number = 0;
  const char* end = text.data() + text.size();
  if (dash == std::string::npos || std::from_chars(text.data() + dash + 1, end, number).ptr != end)
    return tl::unexpected(fmt::format("\"{}\" is no position; take the position of an event, or oldest", text.substr(0, 64)));
  if (text.substr(0, dash) != life_) return Position{oldest, true};
  if (number > last_) return tl::unexpected(fmt::format("\"{}\" lies behind the newest event", text.substr(0, 64)));
  return Position{number};
}

std::string EventHub::text(uint64_t number) const {
  return fmt::format("{}-{}", life_, number);
}

EventHub::Batch EventHub::take(uint64_t after, size_t most, std::chrono::steady_clock::time_point until) {
  Batch batch;
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, until, [&] { return closed_ || last_ > after; });
  batch.closed = closed_;
  if (last_ <= after) return batch;
  const uint64_t oldest = last_ - ring_.size() + 1;
  batch.first = std::max(after + 1, oldest);
  batch.missed = batch.first - after - 1;
  const size_t from = batch.first - oldest;
  const size_t count = std::min(most, ring_.size() - from);
  batch.lines.assign(ring_.begin() + static_cast<long>(from), ring_.begin() + static_cast<long>(from + count));
  return batch;
}

}  // namespace mptap::control
