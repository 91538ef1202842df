// SPDX-License-Identifier: Apache-2.0
// Where the bytes of a capture come from: a mapped file, memory, or a pipe. All three look like one long run of bytes of which a
// window [cursor, end) is there to be read.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include <tl/expected.hpp>

namespace mptap::port {

struct ReaderOptions {
  // Frames within so many bytes of the capture behind the reading position stay readable. A mapped file's stay readable longer,
  // as long as the reader lives, but the pages behind this are given back to the system and may have to be read again.
  size_t keep_bytes = size_t{16} << 20;
  // A file is asked for from the disk, a step ahead, and given back in steps of so many bytes.
  size_t step_bytes = size_t{2} << 20;
  // Looked at while a pipe is waited for: once it is true, the input has ended.
  const std::atomic<bool>* stop = nullptr;
};

struct Window {
  const uint8_t* cursor = nullptr;
  const uint8_t* end = nullptr;

  size_t size() const { return static_cast<size_t>(end - cursor); }
};

class Source {
 public:
  // The most that fill() can be asked for.
  static constexpr size_t kMaxFill = size_t{2} << 20;

  virtual ~Source() = default;

  // Makes at least n bytes (at most kMaxFill) from the cursor readable, in one piece. False if the source has less: the window
  // then holds all that is left. May move the window to other addresses.
  virtual bool fill(Window& window, size_t n) = 0;

  virtual std::optional<uint64_t> size() const { return std::nullopt; }
  uint64_t end_offset() const { return end_offset_; }  // of window.end, from the start of the source
  int error() const { return error_; }  // errno of the read that failed, 0 if none
  // A mapped file was cut short under the reader: the frames of the last calls may be zeros.
  virtual bool shrunk() const { return false; }

 protected:
  uint64_t end_offset_ = 0;
  int error_ = 0;
};

// "-" is standard input. The error is a sentence that names the path.
tl::expected<std::unique_ptr<Source>, std::string> open_source(const std::string& path, const ReaderOptions& options);
std::unique_ptr<Source> memory_source(std::span<const uint8_t> bytes);

}  // namespace mptap::port
