// SPDX-License-Identifier: Apache-2.0
#include "control/audit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace mptap::control {
namespace {

int open_log(const std::string& path) {
  return ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
}

std::string now_text() {
  const auto now = std::chrono::system_clock::now();
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count();
  const time_t seconds = us / 1'000'000;
  tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  return fmt::format("{}.{:06}Z", text, us % 1'000'000);
}

// Text of a caller is kept whatever its bytes are.
nlohmann::ordered_json parsed(const std::string& text) {
  auto value = nlohmann::ordered_json::parse(text, nullptr, false);
  return value.is_discarded() ? nlohmann::ordered_json(text) : value;
}

std::string line_of(const AuditEntry& e) {
  nlohmann::ordered_json line;
  line["time"] = now_text();
  line["who"] = e.who;
  line["role"] = e.role;
  line["from"] = e.from;
  line["method"] = e.method;
  if (!e.request.empty()) line["request"] = parsed(e.request);
  if (!e.before.empty()) line["before"] = parsed(e.before);
  if (!e.after.empty()) line["after"] = parsed(e.after);
  line["result"] = e.result;
  if (!e.message.empty()) line["message"] = e.message;
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace

tl::expected<std::unique_ptr<AuditLog>, std::string> AuditLog::open(const std::string& path) {
  std::unique_ptr<AuditLog> log(new AuditLog(path));
  if (path.empty()) return log;
  // Its folder is made where it is missing; what is then wrong shows with the file.
  if (const size_t slash = path.rfind('/'); slash != std::string::npos && slash != 0) mkdir(path.substr(0, slash).c_str(), 0750);
  log->fd_ = open_log(path);
  if (log->fd_ < 0) {
    return tl::unexpected(
        fmt::format("control.audit_log: {}: {}; give a file that can be made, or control.address = \"\" for no control plane",
                    path, std::strerror(errno)));
  }
  return log;
}

AuditLog::~AuditLog() {
  if (fd_ >= 0) close(fd_);
}

tl::expected<void, std::string> AuditLog::append(const AuditEntry& entry) {
  if (path_.empty()) return {};
  const std::string line = line_of(entry);
  const std::lock_guard lock(mutex_);
  return write_all(line);
}

tl::expected<void, std::string> AuditLog::ready() {
  const std::lock_guard lock(mutex_);
  if (fault_.empty()) return {};
  // After a fault nothing is done before a line can be written again.
  return write_all(line_of({.who = "mptapd",
                            .role = "",
                            .from = "",
                            .method = "",
                            .request = "",
                            .before = "",
                            .after = "",
                            .result = "resumed",
                            .message = "the log can be written again"}));
}

void AuditLog::reopen() {
  if (path_.empty()) return;
  const std::lock_guard lock(mutex_);
  const int fd = open_log(path_);
  if (fd < 0) return;  // the old one goes on
  close(std::exchange(fd_, fd));
  torn_ = false;
}

tl::expected<void, std::string> AuditLog::write_all(const std::string& line) {
  std::string rest = torn_ ? "\n" + line : line;
  while (!rest.empty()) {
    const ssize_t written = write(fd_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      torn_ = torn_ || rest.size() != line.size();
      fault_ = fmt::format("the audit log {} cannot be written: {}", path_, std::strerror(errno));
      return tl::unexpected(fault_);
    }
    rest.erase(0, static_cast<size_t>(written));
  }
  torn_ = false;
  // EINVAL, EROFS: a pipe or a device, which has no disk behind it.
  if (fdatasync(fd_) != 0 && errno != EINVAL && errno != EROFS) {
    fault_ = fmt::format("the audit log {} cannot be written: {}", path_, std::strerror(errno));
    return tl::unexpected(fault_);
  }
  fault_.clear();
  return {};
}

}  // namespace mptap::control
