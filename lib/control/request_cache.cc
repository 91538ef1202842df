// SPDX-License-Identifier: Apache-2.0
#include "control/request_cache.h"

#include <cctype>

#include <fmt/format.h>

namespace mptap::control {

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : std::isxdigit(static_cast<unsigned char>(text[i])) == 0) return false;
  }
  return true;
}

RequestCache::Result RequestCache::run(const std::string& caller, const std::string& method, const std::string& id,
                                       const std::string& request, Clock::time_point deadline,
                                       const std::function<Answer()>& work) {
  if (id.empty()) return {work()};
  if (!is_uuid(id)) {
    return {tl::unexpected(Error{
        Code::kInvalidArgument, "REQUEST_ID_INVALID",
        fmt::format("request_id is \"{}\"; it must be a UUID, as in 123e4567-e89b-12d3-a456-426614174000", id.substr(0, 64))})};
  }
  const std::string key = fmt::format("{}\n{}\n{}", caller, method, id);
  std::unique_lock lock(mutex_);
  forget_old(Clock::now());
  for (;;) {
    const auto found = requests_.find(key);
    if (found == requests_.end()) break;
    if (found->second.request != request) {
      return {tl::unexpected(Error{Code::kInvalidArgument, "REQUEST_ID_REUSED",
                                   "this request_id was used for another request; each new request wants an id of its own"})};
    }
    if (found->second.answer) return {*found->second.answer, true};
    if (changed_.wait_until(lock, deadline) == std::cv_status::timeout) {
      return {tl::unexpected(
                  Error{Code::kDeadlineExceeded, "REQUEST_AT_WORK", "the first call with this request_id is still at work"}),
              true};
    }
  }
  if (requests_.size() >= entries_ && order_.empty()) {
    return {
        tl::unexpected(Error{Code::kResourceExhausted, "TOO_MANY_REQUESTS", "too many mutations are at work; try again later"})};
  }
  if (requests_.size() >= entries_) {
    requests_.erase(order_.front());
    order_.pop_front();
  }
  requests_[key] = {request, std::nullopt, {}};
  lock.unlock();
  Answer answer = work();
  lock.lock();
  if (answer) {
    Entry& entry = requests_[key];
    entry.answer = *answer;
    entry.done = Clock::now();
    order_.push_back(key);
  } else {
    requests_.erase(key);
  }
  changed_.notify_all();
  return {std::move(answer)};
}

void RequestCache::forget_old(Clock::time_point now) {
  while (!order_.empty() && now - requests_[order_.front()].done > age_) {
    requests_.erase(order_.front());
    order_.pop_front();
  }
}

size_t RequestCache::size() const {
  const std::lock_guard lock(mutex_);
  return requests_.size();
}

}  // namespace mptap::control
