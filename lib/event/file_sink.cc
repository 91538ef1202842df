// SPDX-License-Identifier: Apache-2.0
#include "event/file_sink.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace mptap::event {
namespace {

constexpr mode_t kMode = 0640;
constexpr auto kRetry = std::chrono::seconds(1);

}  // namespace

FileSink::FileSink(std::string path) : Sink("file " + path), path_(std::move(path)) {}

tl::expected<std::unique_ptr<FileSink>, std::string> FileSink::open(const std::string& path) {
  std::unique_ptr<FileSink> sink(new FileSink(path));
  if (!sink->open_file()) return tl::unexpected(fmt::format("{}: {}", path, error_text(errno)));
  return sink;
}

// On failure the file that was open stays open and errno says why.
bool FileSink::open_file() {
  // O_NONBLOCK: a FIFO that nobody reads is an error, not a wait without end.
  Descriptor fresh(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, kMode));
  struct stat status {};
  if (!fresh || fstat(fresh.get(), &status) != 0) return false;
  regular_ = S_ISREG(status.st_mode);
  file_ = std::move(fresh);
  stale_ = torn_ = false;
  return true;
}

// Is there a file whose lines somebody can still read? Opens it again where not, and where reopen() could not.
bool FileSink::ready() {
  struct stat status {};
  const bool linked = file_ && fstat(file_.get(), &status) == 0 && status.st_nlink > 0;
  if (linked && !stale_) return true;
  const auto now = std::chrono::steady_clock::now();
  if (now < next_try_) return linked;
  next_try_ = now + kRetry;
  if (open_file()) {
    recovered();
    return true;
  }
  fault(
      fmt::format("cannot be {}: {}", linked ? "reopened, the old file goes on" : "opened, events are lost", error_text(errno)));
  return linked;
}

void FileSink::write(std::string_view lines, size_t count) {
  if (!ready()) {
    lost(count);
    return;
  }
  if (torn_ && write_all(file_.get(), "\n", given_up()).error == 0) torn_ = false;
  const off_t before = regular_ ? lseek(file_.get(), 0, SEEK_END) : -1;
  const Written result = torn_ ? Written{0, ENOSPC} : write_all(file_.get(), lines, given_up());
  if (result.error == 0) {
    wrote(count, lines.size());
    if (!stale_) recovered();
    return;
  }
  const size_t kept = whole_lines(lines, result.bytes);
  const size_t kept_lines = count_lines(lines.substr(0, kept));
  if (result.bytes > kept) torn_ = before < 0 || ftruncate(file_.get(), before + static_cast<off_t>(kept)) != 0;
  wrote(kept_lines, kept);
  fault(fmt::format("cannot be written, events are lost: {}", error_text(result.error)));
  lost(count - kept_lines);
}

void FileSink::tick() {
  ready();
}

void FileSink::reopen() {
  stale_ = true;
  next_try_ = {};
  ready();
}

}  // namespace mptap::event
