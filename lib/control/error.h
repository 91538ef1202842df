// SPDX-License-Identifier: Apache-2.0
// What a call that fails says: google.rpc.Status with one ErrorInfo of domain "mptap".
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace mptap::control {

inline constexpr const char* kErrorDomain = "mptap";

// google.rpc.Code's numbers.
enum class Code : uint8_t {
  kCancelled = 1,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kInternal = 13,
  kUnavailable = 14,
};

struct Error {
  Code code = Code::kInternal;
  std::string reason;   // UPPER_SNAKE
  std::string message;  // what is wrong and what would be right
  std::vector<std::pair<std::string, std::string>> metadata = {};
};

}  // namespace mptap::control
