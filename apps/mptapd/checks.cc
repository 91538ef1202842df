// SPDX-License-Identifier: Apache-2.0
#include "apps/mptapd/checks.h"

#include <pwd.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>

namespace mptap::daemon {
namespace {

using Checked = tl::expected<void, std::string>;

Checked wrong(const std::string& message) {
  return tl::unexpected(message);
}

Checked readable(const char* key, const std::string& path) {
  if (path.empty() || access(path.c_str(), R_OK) == 0) return {};
  return wrong(fmt::format("{} is \"{}\": {}", key, path, std::strerror(errno)));
}

// A file that will be made or appended to.
Checked writable(const char* key, const std::string& path) {
  if (path.empty()) return {};
  struct stat info {};
  if (stat(path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) return wrong(fmt::format("{} is \"{}\", a directory; a file is wanted", key, path));
    if (access(path.c_str(), W_OK) != 0) return wrong(fmt::format("{} is \"{}\": {}", key, path, std::strerror(errno)));
    return {};
  }
  std::filesystem::path directory = std::filesystem::path(path).parent_path();
  if (directory.empty()) directory = ".";
  if (access(directory.c_str(), W_OK | X_OK) != 0)
    return wrong(fmt::format("{} is \"{}\": its directory {}: {}", key, path, directory.string(), std::strerror(errno)));
  return {};
}

Checked socket_path(const char* key, const std::string& path) {
  constexpr size_t kMost = sizeof(sockaddr_un::sun_path) - 1;
  if (path.empty()) return {};
  if (path[0] != '/') return wrong(fmt::format("{} is \"{}\"; an absolute path is wanted", key, path));
  if (path.size() > kMost) return wrong(fmt::format("{} has {} bytes; a socket's path has at most {}", key, path.size(), kMost));
  return {};
}

}  // namespace

Checked check_surroundings(const config::Config& c) {
  if (!c.process.user.empty() && getpwnam(c.process.user.c_str()) == nullptr)
    return wrong(fmt::format("process.user: there is no user \"{}\"", c.process.user));
  for (const uint64_t cpu : c.workers.cpus) {
    if (access(fmt::format("/sys/devices/system/cpu/cpu{}", cpu).c_str(), F_OK) != 0)
      return wrong(fmt::format("workers.cpus: there is no CPU {} on this machine", cpu));
  }
  if (auto r = writable("events.file", c.events.file); !r) return r;
  if (auto r = socket_path("events.unix_socket", c.events.unix_socket); !r) return r;
  if (c.control.address.starts_with("unix:")) {
    if (auto r = socket_path("control.address", c.control.address.substr(5)); !r) return r;
  } else if (!c.control.address.empty()) {
    if (auto r = readable("control.certificate", c.control.certificate); !r) return r;
    if (auto r = readable("control.key", c.control.key); !r) return r;
    if (auto r = readable("control.client_ca", c.control.client_ca); !r) return r;
  }
  return {};
}

}  // namespace mptap::daemon
