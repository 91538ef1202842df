// SPDX-License-Identifier: Apache-2.0
#include "egress/file_target.h"

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <vector>

#include <fmt/chrono.h>
#include <fmt/format.h>

namespace mptap::egress {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kRecordHeader = 16, kFileHeader = 24;

}  // namespace

tl::expected<std::unique_ptr<FileTarget>, std::string> FileTarget::open(const std::string& path) {
  auto writer = port::CaptureWriter::open(path);
  if (!writer) return tl::unexpected(writer.error());
  return std::unique_ptr<FileTarget>(new FileTarget(std::move(*writer)));
}

bool FileTarget::put(const packet::Frame& frame) {
  if (auto done = writer_.write(frame); !done) {
    error_ = done.error();
    ++lost_;
  }
  return true;
}

void FileTarget::flush() {
  if (auto done = writer_.flush(); !done) error_ = done.error();
}

tl::expected<std::unique_ptr<RotatingTarget>, std::string> RotatingTarget::open(const Rotation& rotation) {
  std::error_code error;
  std::filesystem::create_directories(rotation.directory, error);
  if (error) return tl::unexpected(fmt::format("{}: the directory cannot be made: {}", rotation.directory, error.message()));
  std::unique_ptr<RotatingTarget> target(new RotatingTarget(rotation));
  std::vector<std::string> old;
  for (const auto& entry : std::filesystem::directory_iterator(rotation.directory, error)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("egress-") && name.ends_with(".pcap")) old.push_back(entry.path());
  }
  if (error) return tl::unexpected(fmt::format("{}: cannot be read: {}", rotation.directory, error.message()));
  std::sort(old.begin(), old.end());
  target->kept_.assign(old.begin(), old.end());
  return target;
}

void RotatingTarget::fail(const std::string& why, uint64_t ns) {
  error_ = why;
  writer_.reset();
  retry_ns_ = ns + kSecond;
  ++lost_;
}

bool RotatingTarget::begin(uint64_t ns) {
  if (ns < retry_ns_) {
    ++lost_;
    return false;
  }
  writer_.reset();
  std::error_code ignored;
  while (kept_.size() >= rotation_.files) {
    std::filesystem::remove(kept_.front(), ignored);
    kept_.pop_front();
  }
  const auto path = fmt::format("{}/egress-{:%Y%m%dT%H%M%SZ}-{:06}.pcap", rotation_.directory,
                                fmt::gmtime(static_cast<std::time_t>(ns / kSecond)), ++number_);
  auto writer = port::CaptureWriter::open(path);
  if (!writer) {
    fail(writer.error(), ns);
    return false;
  }
  writer_ = std::make_unique<port::CaptureWriter>(std::move(*writer));
  kept_.push_back(path);
  size_ = kFileHeader;
  began_ns_ = ns;
  retry_ns_ = 0;
  return true;
}

bool RotatingTarget::put(const packet::Frame& frame) {
  const uint64_t need = kRecordHeader + frame.captured;
  const bool old = rotation_.seconds != 0 && frame.timestamp_ns >= began_ns_ + rotation_.seconds * kSecond;
  const bool full = size_ > kFileHeader && size_ + need > rotation_.bytes;
  if (!writer_ || old || full) {
    flush();
    if (!begin(frame.timestamp_ns)) return true;
  }
  size_ += need;
  if (auto done = writer_->write(frame); !done) fail(done.error(), frame.timestamp_ns);
  return true;
}

void RotatingTarget::flush() {
  if (!writer_) return;
  if (auto done = writer_->flush(); !done) fail(done.error(), began_ns_);
}

}  // namespace mptap::egress
