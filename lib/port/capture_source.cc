// SPDX-License-Identifier: Apache-2.0
#include "port/capture_source.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "port/shrink_guard.h"

namespace mptap::port {

namespace {

constexpr size_t kPage = 4096;

size_t round_up(size_t n) {
  return (n + kPage - 1) & ~(kPage - 1);
}

class MemorySource : public Source {
 public:
  explicit MemorySource(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  bool fill(Window& window, size_t n) override {
    if (window.cursor == nullptr) window.cursor = bytes_.data();
    window.end = bytes_.data() + bytes_.size();
    end_offset_ = bytes_.size();
    return window.size() >= n;
  }
  std::optional<uint64_t> size() const override { return bytes_.size(); }

 private:
  std::span<const uint8_t> bytes_;
};

class FileSource : public Source {
 public:
  FileSource(const uint8_t* base, size_t size, const ReaderOptions& options)
      : base_(base),
        size_(size),
        guard_(base, size),
        keep_(round_up(options.keep_bytes)),
        step_(round_up(std::max(options.step_bytes, kPage))) {
    ask(0, step_);
  }
  ~FileSource() override {
    guard_.release();
    ::munmap(const_cast<uint8_t*>(base_), size_);
  }
  FileSource(const FileSource&) = delete;
  FileSource& operator=(const FileSource&) = delete;

  bool fill(Window& window, size_t n) override {
    if (window.cursor == nullptr) window.cursor = window.end = base_;
    const auto at = static_cast<size_t>(window.cursor - base_);
    while (window.size() < n && end_offset_ < size_) {
      const size_t from = end_offset_, to = std::min(size_, from + step_);
      // The disk works a step ahead; the pages of this one are mapped by one call, so that prefetching them does not come to
      // nothing.
      ask(to, to + step_);
      ::madvise(page(from), round_up(to - from), MADV_POPULATE_READ);
      end_offset_ = to;
      window.end = base_ + to;
    }
    if (at > keep_ + released_ && at - keep_ - released_ >= step_) {
      const size_t until = (at - keep_) & ~(kPage - 1);
      ::madvise(page(released_), until - released_, MADV_DONTNEED);
      released_ = until;
    }
    return window.size() >= n;
  }
  std::optional<uint64_t> size() const override { return size_; }
  bool shrunk() const override { return guard_.shrunk(); }

 private:
  void* page(size_t at) const { return const_cast<uint8_t*>(base_ + (at & ~(kPage - 1))); }
  void ask(size_t from, size_t to) const {
    to = std::min(to, size_);
    if (from < to) ::madvise(page(from), to - from, MADV_WILLNEED);
  }

  const uint8_t* const base_;
  const size_t size_;
  ShrinkGuard guard_;
  const size_t keep_, step_;
  size_t released_ = 0;
};

// A ring that is mapped twice, one copy behind the other, so that every packet lies in one piece and nothing is ever moved.
class PipeSource : public Source {
 public:
  static tl::expected<std::unique_ptr<Source>, std::string> open(int fd, const std::string& name, const ReaderOptions& options) {
    const size_t size = round_up(options.keep_bytes) + 2 * kMaxFill;
    const int memory = ::memfd_create("mptap-pipe", MFD_CLOEXEC);
    void* base = MAP_FAILED;
    bool ok = memory >= 0 && ::ftruncate(memory, static_cast<off_t>(size)) == 0;
    if (ok) {
      base = ::mmap(nullptr, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      ok = base != MAP_FAILED;
      for (size_t half = 0; ok && half < 2; ++half) {
        ok = ::mmap(static_cast<uint8_t*>(base) + half * size, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memory, 0) !=
             MAP_FAILED;
      }
    }
    const int error = errno;
    if (memory >= 0) ::close(memory);
    if (!ok) {
      if (base != MAP_FAILED) ::munmap(base, 2 * size);
      if (fd != STDIN_FILENO) ::close(fd);
      return tl::unexpected(fmt::format("{}: no memory for a buffer of {} bytes: {}", name, size, std::strerror(error)));
    }
    return std::unique_ptr<Source>(new PipeSource(fd, static_cast<uint8_t*>(base), size, options.stop));
  }
  ~PipeSource() override {
    ::munmap(base_, 2 * size_);
    if (fd_ != STDIN_FILENO) ::close(fd_);
  }
  PipeSource(const PipeSource&) = delete;
  PipeSource& operator=(const PipeSource&) = delete;

  bool fill(Window& window, size_t n) override {
    if (window.cursor == nullptr) window.cursor = window.end = base_;
    if (window.cursor >= base_ + size_) {
      window.cursor -= size_;
      window.end -= size_;
    }
    while (window.size() < n && !ended_) {
      if (!wait()) break;
      const ssize_t got = ::read(fd_, const_cast<uint8_t*>(window.end), 2 * kMaxFill - window.size());
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) {
        ended_ = true;
        if (got < 0) error_ = errno;
        break;
      }
      window.end += got;
      end_offset_ += static_cast<uint64_t>(got);
    }
    return window.size() >= n;
  }

 private:
  PipeSource(int fd, uint8_t* base, size_t size, const std::atomic<bool>* stop)
      : fd_(fd), base_(base), size_(size), stop_(stop) {}

  // Until there is something to read; false: the caller wants no more. A signal may come just before a read that would wait, so
  // the flag is looked at again and again.
  bool wait() {
    if (stop_ == nullptr) return true;
    pollfd p{fd_, POLLIN, 0};
    while (!stop_->load(std::memory_order_relaxed)) {
      if (::poll(&p, 1, 100) != 0 && p.revents != 0) return true;
    }
    ended_ = true;
    return false;
  }

  const int fd_;
  uint8_t* const base_;
  const size_t size_;
  const std::atomic<bool>* const stop_;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<Source> memory_source(std::span<const uint8_t> bytes) {
  return std::make_unique<MemorySource>(bytes);
}

tl::expected<std::unique_ptr<Source>, std::string> open_source(const std::string& path, const ReaderOptions& options) {
  const bool standard_input = path == "-";
  const std::string name = standard_input ? "standard input" : path;
  const int fd = standard_input ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return tl::unexpected(fmt::format("{}: cannot be opened: {}", name, std::strerror(errno)));
  const auto close_fd = [&] {
    if (!standard_input) ::close(fd);
  };
  const auto failed = [&](std::string_view what) {
    const int error = errno;
    close_fd();
    return tl::unexpected(fmt::format("{}: {}: {}", name, what, std::strerror(error)));
  };
  struct stat info {};
  if (::fstat(fd, &info) != 0) return failed("cannot be examined");
  if (S_ISDIR(info.st_mode)) {
    close_fd();
    return tl::unexpected(fmt::format("{}: is a directory; name a capture file in pcap or pcapng format", name));
  }
  // Redirected input that was read before has to go on from where it stands.
  if (!S_ISREG(info.st_mode) || (standard_input && ::lseek(fd, 0, SEEK_CUR) != 0)) return PipeSource::open(fd, name, options);
  const auto size = static_cast<size_t>(info.st_size);
  if (size == 0) {
    close_fd();
    return memory_source({});
  }
  void* base = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (base == MAP_FAILED) return failed("cannot be mapped");
  ::madvise(base, size, MADV_SEQUENTIAL);
  close_fd();
  return std::make_unique<FileSource>(static_cast<const uint8_t*>(base), size, options);
}

}  // namespace mptap::port
