// SPDX-License-Identifier: Apache-2.0
#include "event/sink.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

namespace mptap::event {
namespace {

void add(std::atomic<uint64_t>& counter, uint64_t n) {
  counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

}  // namespace

SinkCounters Sink::counters() const {
  return {lines_.load(std::memory_order_relaxed), bytes_.load(std::memory_order_relaxed),
          lost_lines_.load(std::memory_order_relaxed), faults_.load(std::memory_order_relaxed), healthy()};
}

void Sink::wrote(size_t lines, size_t bytes) {
  add(lines_, lines);
  add(bytes_, bytes);
}

void Sink::lost(size_t lines) {
  add(lost_lines_, lines);
}

void Sink::fault(const std::string& what) {
  if (!healthy()) return;
  healthy_.store(false, std::memory_order_relaxed);
  add(faults_, 1);
  lost_before_fault_ = lost_lines_.load(std::memory_order_relaxed);
  report(Level::kError, "sink_fault", fmt::format("{}: {}", name_, what), 0);
}

void Sink::recovered() {
  if (healthy()) return;
  healthy_.store(true, std::memory_order_relaxed);
  const uint64_t n = lost_lines_.load(std::memory_order_relaxed) - lost_before_fault_;
  report(Level::kInfo, "sink_recovered", fmt::format("{}: works again, {} lines were lost", name_, n), n);
}

void Sink::report(Level level, const char* event, const std::string& message, uint64_t lost_lines) {
  if (!reporter_) return;
  using namespace std::chrono;
  const auto now = duration_cast<nanoseconds>(system_clock::now().time_since_epoch()).count();
  reporter_({static_cast<uint64_t>(now), level, event, message, {{"lost_lines", lost_lines}}});
}

std::string error_text(int error) {
  return std::generic_category().message(error);
}

size_t whole_lines(std::string_view text, size_t limit) {
  const size_t end = text.substr(0, limit).rfind('\n');
  return end == std::string_view::npos ? 0 : end + 1;
}

size_t count_lines(std::string_view text) {
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace mptap::event
