// SPDX-License-Identifier: Apache-2.0
// The audit log: one JSON object a line for each mutating and each denied call, on the disk before the call is answered. The file
// is only ever appended to (0600, O_APPEND; `chattr +a` holds); it is opened anew on SIGHUP, for logrotate.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include <tl/expected.hpp>

namespace mptap::control {

struct AuditEntry {
  std::string who, role, from;  // as in Caller
  std::string method;
  std::string request;  // JSON
  std::string before, after;  // JSON; empty: nothing to tell
  std::string result;  // "ok", "denied", or a gRPC code's name
  std::string message;  // of a call that failed
};

// Any thread.
class AuditLog {
 public:
  // Empty path: no log, every append is good.
  static tl::expected<std::unique_ptr<AuditLog>, std::string> open(const std::string& path);
  ~AuditLog();
  AuditLog(const AuditLog&) = delete;
  AuditLog& operator=(const AuditLog&) = delete;

  // Returns when the line is on the disk. The error is for the caller's answer.
  tl::expected<void, std::string> append(const AuditEntry& entry);
  // Whether a line could be written now: asked before something is done that then could not be told.
  tl::expected<void, std::string> ready();
  void reopen();

 private:
  explicit AuditLog(std::string path) : path_(std::move(path)) {}
  tl::expected<void, std::string> write_all(const std::string& line);

  const std::string path_;
  std::mutex mutex_;
  int fd_ = -1;
  bool torn_ = false;  // the last line is not whole
  std::string fault_;
};

}  // namespace mptap::control
