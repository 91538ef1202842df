// SPDX-License-Identifier: Apache-2.0
#include "port/capture_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "port/link_type.h"

namespace mptap::port {

namespace {
constexpr size_t kBuffer = size_t{256} << 10;
constexpr uint32_t kSnapLength = 262144;
}  // namespace

CaptureWriter::CaptureWriter(int fd, std::string name, packet::LinkType link) : fd_(fd), name_(std::move(name)), link_(link) {
  buffer_.reserve(kBuffer);
  put32(0xa1b23c4d);
  put32(4u << 16 | 2u);  // version 2.4
  put32(0);
  put32(0);
  put32(kSnapLength);
  put32(link_type_to_file(link));
}

CaptureWriter::CaptureWriter(CaptureWriter&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      name_(std::move(other.name_)),
      link_(other.link_),
      buffer_(std::move(other.buffer_)),
      error_(std::move(other.error_)) {}

CaptureWriter& CaptureWriter::operator=(CaptureWriter&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
    name_ = std::move(other.name_);
    link_ = other.link_;
    buffer_ = std::move(other.buffer_);
    error_ = std::move(other.error_);
  }
  return *this;
}

CaptureWriter::~CaptureWriter() {
  close();
}

void CaptureWriter::close() {
  if (fd_ < 0) return;
  static_cast<void>(flush());
  ::close(fd_);
  fd_ = -1;
}

tl::expected<CaptureWriter, std::string> CaptureWriter::open(const std::string& path, packet::LinkType link) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return tl::unexpected(fmt::format("{}: cannot be opened for writing: {}", path, std::strerror(errno)));
  return CaptureWriter(fd, path, link);
}

tl::expected<CaptureWriter, std::string> CaptureWriter::from_fd(int fd, packet::LinkType link) {
  if (::fcntl(fd, F_GETFD) < 0) return tl::unexpected(fmt::format("descriptor {}: {}", fd, std::strerror(errno)));
  return CaptureWriter(fd, fmt::format("descriptor {}", fd), link);
}

void CaptureWriter::put32(uint32_t v) {
  const auto* p = reinterpret_cast<const uint8_t*>(&v);
  buffer_.insert(buffer_.end(), p, p + sizeof v);
}

tl::expected<void, std::string> CaptureWriter::write(const packet::Frame& frame) {
  if (frame.link != link_) {
    return tl::unexpected(fmt::format("{}: a frame of link type {} does not fit into a file of link type {}", name_,
                                      link_type_to_file(frame.link), link_type_to_file(link_)));
  }
  if (buffer_.size() + 16 + frame.captured > kBuffer) {
    if (auto done = flush(); !done) return done;
  }
  put32(static_cast<uint32_t>(frame.timestamp_ns / 1'000'000'000));
  put32(static_cast<uint32_t>(frame.timestamp_ns % 1'000'000'000));
  put32(frame.captured);
  put32(frame.wire);
  buffer_.insert(buffer_.end(), frame.data, frame.data + frame.captured);
  return {};
}

tl::expected<void, std::string> CaptureWriter::flush() {
  if (!error_.empty()) return tl::unexpected(error_);
  size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t n = ::write(fd_, buffer_.data() + done, buffer_.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      error_ = fmt::format("{}: cannot be written: {}", name_, std::strerror(errno));
      buffer_.clear();
      return tl::unexpected(error_);
    }
    done += static_cast<size_t>(n);
  }
  buffer_.clear();
  return {};
}

}  // namespace mptap::port
