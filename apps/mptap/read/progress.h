// SPDX-License-Identifier: Apache-2.0
// One line on standard error, if that is a terminal, once reading takes more than two seconds.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace mptap::read {

// "big.pcap  45%  1.3 GB/s  812,000 packets"; without a size the share is left out.
std::string progress_line(const std::string& name, uint64_t position, std::optional<uint64_t> size, double bytes_per_second,
                          uint64_t packets, unsigned width);

class Progress {
 public:
  using Clock = std::chrono::steady_clock;
  Progress();
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Cheap enough for every burst: looks at the clock every 64th time.
  void update(const std::string& name, uint64_t position, std::optional<uint64_t> size, uint64_t packets) {
    if (on_ && ++calls_ % 64 == 0) draw(name, position, size, packets);
  }
  // A file begins.
  void restart() { file_began_ = Clock::now(); }
  // Takes the line away, so that something else can be said.
  void clear();

 private:
  void draw(const std::string& name, uint64_t position, std::optional<uint64_t> size, uint64_t packets);

  bool on_;
  bool shown_ = false;
  uint64_t calls_ = 0;
  Clock::time_point began_, file_began_, next_;
};

}  // namespace mptap::read
