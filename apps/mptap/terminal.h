// SPDX-License-Identifier: Apache-2.0
// The two ends of the command line: standard output that notices when nobody reads any more, what the terminal can show, and
// Ctrl-C as a flag.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace mptap::cli {

// Buffered writes to a descriptor. After the first error it swallows what it is given: see error().
class Output {
 public:
  explicit Output(int fd = 1) : fd_(fd) {}
  ~Output() { flush(); }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  void write(std::string_view text) {
    buffer_ += text;
    if (buffer_.size() >= kFull) flush();
  }
  // To append to directly; call write("") or flush() afterwards.
  std::string& buffer() { return buffer_; }
  bool empty() const { return buffer_.empty(); }
  void flush();
  // errno of the write that failed; EPIPE: whoever read has gone, which is no failure of ours.
  int error() const { return error_; }

 private:
  static constexpr size_t kFull = 1 << 16;
  int fd_;
  int error_ = 0;
  std::string buffer_;
};

enum class Color { kAuto, kAlways, kNever };

struct Terminal {
  bool is_terminal = false;
  unsigned width = 0;  // columns; 0: not a terminal, nothing has to fit
  bool color = false;
};
// What fd is. kAuto: colours on a terminal, unless NO_COLOR is set or TERM is "dumb".
Terminal look_at(int fd, Color color);

// Escape sequences; empty strings where there is no colour.
struct Palette {
  explicit Palette(bool color);
  std::string_view bold, dim, red, yellow, reverse, reset;
};

// What cannot harm a terminal: control characters and what is not ASCII become '.'.
std::string printable(std::string_view text);
// 1,048,576
std::string grouped(uint64_t n);
// 1.2 GB
std::string rough_size(double bytes);

// From now on the first SIGINT or SIGTERM sets the flag, the second one kills; SIGPIPE shows as EPIPE.
void catch_signals();
const std::atomic<bool>& stop_requested();
void request_stop();

}  // namespace mptap::cli
