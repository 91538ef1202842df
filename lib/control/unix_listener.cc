// SPDX-License-Identifier: Apache-2.0
#include "control/unix_listener.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

namespace mptap::control {
namespace {

constexpr rlim_t kDescriptors = 8192;

tl::unexpected<std::string> fault(const std::string& what) {
  return tl::unexpected(fmt::format("{}: {}", what, std::strerror(errno)));
}

bool somebody_listens(const sockaddr_un& address) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool connected = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return connected;
}

}  // namespace

std::optional<UnixPeer> peer_of(int fd) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return std::nullopt;
  UnixPeer peer;
  peer.uid = credentials.uid;
  peer.gid = credentials.gid;
  peer.pid = credentials.pid;
  size = 0;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, nullptr, &size) != 0 && errno == ERANGE) {
    peer.groups.resize(size / sizeof(gid_t));
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, peer.groups.data(), &size) != 0) return std::nullopt;
  }
  peer.groups.push_back(peer.gid);
  std::sort(peer.groups.begin(), peer.groups.end());
  peer.groups.erase(std::unique(peer.groups.begin(), peer.groups.end()), peer.groups.end());
  return peer;
}

tl::expected<std::unique_ptr<UnixListener>, std::string> UnixListener::open(const std::string& path,
                                                                            const std::string& group_name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return tl::unexpected(fmt::format("control.address: a socket's path has 1 to {} bytes, this one has {}",
                                      sizeof address.sun_path - 1, path.size()));
  std::memcpy(address.sun_path, path.data(), path.size());

  std::unique_ptr<UnixListener> listener(new UnixListener);
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return fault("RLIMIT_NOFILE");
  limit.rlim_cur = std::max(limit.rlim_cur, std::min(limit.rlim_max, kDescriptors));
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return fault("RLIMIT_NOFILE");
  listener->lowest_ = static_cast<int>(std::min(limit.rlim_cur, kDescriptors) / 2);

  const group* group_entry = group_name.empty() ? nullptr : getgrnam(group_name.c_str());
  const gid_t gid = group_entry == nullptr ? static_cast<gid_t>(-1) : group_entry->gr_gid;
  if (const size_t slash = path.rfind('/'); slash != std::string::npos && slash != 0) {
    const std::string folder = path.substr(0, slash);
    if (mkdir(folder.c_str(), 0750) == 0) {
      if (chown(folder.c_str(), static_cast<uid_t>(-1), gid) != 0) return fault("control.address: " + folder);
    } else if (struct stat there{}; errno != EEXIST || stat(folder.c_str(), &there) != 0 || !S_ISDIR(there.st_mode)) {
      if (errno == EEXIST) errno = ENOTDIR;
      return tl::unexpected(fmt::format(
          "control.address: {}: {}; make the folder, give another path, or control.address = \"\" for no control plane", folder,
          std::strerror(errno)));
    }
  }
  struct stat status {};
  if (lstat(path.c_str(), &status) == 0) {
    if (!S_ISSOCK(status.st_mode)) return tl::unexpected(fmt::format("control.address: {} is there and is no socket", path));
    if (somebody_listens(address)) return tl::unexpected(fmt::format("control.address: another process listens on {}", path));
    unlink(path.c_str());
  }
  listener->socket_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  listener->wake_ = eventfd(0, EFD_CLOEXEC);
  if (listener->socket_ < 0 || listener->wake_ < 0) return fault("control.address");
  // Nobody may come between bind and chmod: listen() is last.
  if (bind(listener->socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fault("control.address: " + path);
  listener->path_ = path;
  if (gid != static_cast<gid_t>(-1) && chown(path.c_str(), static_cast<uid_t>(-1), gid) != 0)
    return fault("control.group: " + path);
  if (chmod(path.c_str(), 0660) != 0 || listen(listener->socket_, 128) != 0) return fault("control.address: " + path);
  return listener;
}

UnixListener::~UnixListener() {
  stop();
  if (socket_ >= 0) close(socket_);
  if (wake_ >= 0) close(wake_);
}

void UnixListener::start(std::function<void(int)> take) {
  take_ = std::move(take);
  thread_ = std::thread([this] { run(); });
}

void UnixListener::stop() {
  if (thread_.joinable()) {
    const uint64_t one = 1;
    while (write(wake_, &one, sizeof one) < 0 && errno == EINTR) {
    }
    thread_.join();
  }
  if (!path_.empty()) unlink(path_.c_str());
  path_.clear();
}

void UnixListener::run() {
  for (;;) {
    pollfd waits[2] = {{socket_, POLLIN, 0}, {wake_, POLLIN, 0}};
    if (poll(waits, 2, -1) < 0 && errno != EINTR) return;
    if (waits[1].revents != 0) return;
    if (waits[0].revents != 0) accept_one();
  }
}

void UnixListener::accept_one() {
  const int fd = accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) {
    // Without descriptors the connection stays in the queue: not so fast again.
    if (errno == EMFILE || errno == ENFILE) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    return;
  }
  const auto peer = peer_of(fd);
  const int number = peer ? numbered(fd, *peer) : -1;
  close(fd);
  if (number < 0) {
    refused_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  take_(number);
}

int UnixListener::numbered(int fd, const UnixPeer& peer) {
  const std::lock_guard lock(mutex_);
  for (int from = lowest_;;) {
    const int number = fcntl(fd, F_DUPFD_CLOEXEC, from);
    if (number < 0) return -1;
    const auto known = peers_.find(number);
    if (known == peers_.end() || known->second.same_rights(peer)) {
      peers_[number] = peer;
      return number;
    }
    close(number);
    from = number + 1;
  }
}

std::optional<UnixPeer> UnixListener::peer(int number) const {
  const std::lock_guard lock(mutex_);
  const auto found = peers_.find(number);
  return found == peers_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace mptap::control
