// SPDX-License-Identifier: Apache-2.0
// Mutations are done once per request id (AIP-155): the same call with the same id gets the answer of the first. What failed is
// forgotten, so that it can be tried again.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "control/error.h"

namespace mptap::control {

// "123e4567-e89b-12d3-a456-426614174000", either case.
bool is_uuid(std::string_view text);

// Any thread.
class RequestCache {
 public:
  using Clock = std::chrono::steady_clock;
  using Answer = tl::expected<std::string, Error>;  // the response, serialised
  explicit RequestCache(size_t entries = 4096, Clock::duration age = std::chrono::minutes(10)) : entries_(entries), age_(age) {}

  // work runs on this thread, unless the same call was made before: then its answer, for which another thread's work is waited
  // until the deadline. caller: another caller's ids are others. request: what must be the same. Empty id: work always runs.
  struct Result {
    Answer answer;
    bool repeated = false;  // work did not run
  };
  Result run(const std::string& caller, const std::string& method, const std::string& id, const std::string& request,
             Clock::time_point deadline, const std::function<Answer()>& work);
  size_t size() const;

 private:
  struct Entry {
    std::string request;
    std::optional<std::string> answer;  // none: at work
    Clock::time_point done{};
  };
  void forget_old(Clock::time_point now);

  const size_t entries_;
  const Clock::duration age_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Entry> requests_;
  std::deque<std::string> order_;  // answered ones, oldest first
};

}  // namespace mptap::control
