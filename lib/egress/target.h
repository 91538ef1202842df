// SPDX-License-Identifier: Apache-2.0
// Where the egress writer puts frames. One thread uses it.
#pragma once

#include <cstdint>
#include <string>

#include "packet/frame.h"

namespace mptap::egress {

class Target {
 public:
  virtual ~Target() = default;
  // True: taken, or lost for good and counted. False: the output is busy; come again with the same frame.
  virtual bool put(const packet::Frame& frame) = 0;
  // Nothing more comes for the moment.
  virtual void flush() = 0;
  // Frames that could not be written, and why the last of them could not; empty: none.
  uint64_t lost() const { return lost_; }
  const std::string& error() const { return error_; }

 protected:
  uint64_t lost_ = 0;
  std::string error_;
};

}  // namespace mptap::egress
