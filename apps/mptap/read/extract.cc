// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/read/extract.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

namespace mptap::read {
namespace {

constexpr const char* kSuffix[] = {".toserver", ".toclient"};

}  // namespace

tl::expected<Extractor, std::string> Extractor::open(const std::string& directory, size_t max_open) {
  if (::mkdir(directory.c_str(), 0777) != 0 && errno != EEXIST)
    return tl::unexpected(fmt::format("--extract {}: the directory cannot be made: {}", directory, std::strerror(errno)));
  struct stat s {};
  if (::stat(directory.c_str(), &s) != 0 || !S_ISDIR(s.st_mode))
    return tl::unexpected(fmt::format("--extract {}: is not a directory; name one, or one that can be made", directory));
  if (::access(directory.c_str(), W_OK | X_OK) != 0)
    return tl::unexpected(fmt::format("--extract {}: nothing can be written there: {}", directory, std::strerror(errno)));
  return Extractor(directory, std::max<size_t>(max_open, 1));
}

Extractor::~Extractor() {
  for (const Open& o : open_) ::close(o.fd);
}

int Extractor::descriptor(const std::string& name) {
  if (const auto it = by_name_.find(name); it != by_name_.end()) {
    open_.splice(open_.begin(), open_, it->second);
    return it->second->fd;
  }
  if (open_.size() >= max_open_) close(open_.back().name);
  const bool fresh = begun_.insert(name).second;
  const std::string path = directory_ + "/" + name;
  // A link that somebody has put there is not followed.
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_APPEND | (fresh ? O_TRUNC : 0), 0666);
  if (fd < 0) {
    error_ = fmt::format("{}: cannot be written: {}", path, std::strerror(errno));
    return -1;
  }
  files_ += fresh;
  open_.push_front({name, fd});
  by_name_[name] = open_.begin();
  return fd;
}

void Extractor::close(const std::string& name) {
  const auto it = by_name_.find(name);
  if (it == by_name_.end()) return;
  if (::close(it->second->fd) != 0 && error_.empty())
    error_ = fmt::format("{}/{}: cannot be written: {}", directory_, name, std::strerror(errno));
  open_.erase(it->second);
  by_name_.erase(it);
}

void Extractor::write(const std::string& id, int direction, std::span<const uint8_t> bytes) {
  if (!error_.empty() || bytes.empty()) return;
  const std::string name = id + kSuffix[direction];
  const int fd = descriptor(name);
  while (fd >= 0 && !bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      error_ = fmt::format("{}/{}: cannot be written: {}", directory_, name, std::strerror(errno));
      return;
    }
    bytes_ += static_cast<uint64_t>(n);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
}

void Extractor::finish(const std::string& id, bool keep) {
  for (const char* suffix : kSuffix) {
    const std::string name = id + suffix;
    close(name);
    if (begun_.erase(name) == 0 || keep) continue;
    ::unlink((directory_ + "/" + name).c_str());
    --files_;
  }
}

}  // namespace mptap::read
