// SPDX-License-Identifier: Apache-2.0
#include "event/syslog_sink.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>
#include <iterator>
#include <utility>

namespace mptap::event {
namespace {

constexpr auto kRetry = std::chrono::seconds(1);
constexpr int kPatienceMs = 100;  // with a daemon that is behind

using Names = std::pair<std::string_view, int>;
constexpr std::array kFacilities{Names{"auth", LOG_AUTH},     Names{"authpriv", LOG_AUTHPRIV}, Names{"daemon", LOG_DAEMON},
                                 Names{"user", LOG_USER},     Names{"local0", LOG_LOCAL0},     Names{"local1", LOG_LOCAL1},
                                 Names{"local2", LOG_LOCAL2}, Names{"local3", LOG_LOCAL3},     Names{"local4", LOG_LOCAL4},
                                 Names{"local5", LOG_LOCAL5}, Names{"local6", LOG_LOCAL6},     Names{"local7", LOG_LOCAL7}};
constexpr std::array kLevels{Names{"emerg", LOG_EMERG}, Names{"alert", LOG_ALERT},     Names{"crit", LOG_CRIT},
                             Names{"err", LOG_ERR},     Names{"warning", LOG_WARNING}, Names{"notice", LOG_NOTICE},
                             Names{"info", LOG_INFO},   Names{"debug", LOG_DEBUG}};

template <size_t N>
tl::expected<int, std::string> find(const std::array<Names, N>& names, std::string_view wanted, std::string_view what) {
  std::string known;
  for (const auto& [name, value] : names) {
    if (name == wanted) return value;
    fmt::format_to(std::back_inserter(known), "{}{}", known.empty() ? "" : ", ", name);
  }
  return tl::unexpected(fmt::format("unknown syslog {} \"{}\", known are {}", what, wanted, known));
}

// RFC 3164's local time, in English whatever the locale.
std::string stamp() {
  static constexpr std::array kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const time_t now = std::time(nullptr);
  tm local{};
  localtime_r(&now, &local);
  return fmt::format("{} {:2} {:02}:{:02}:{:02}", kMonths[static_cast<size_t>(local.tm_mon)], local.tm_mday, local.tm_hour,
                     local.tm_min, local.tm_sec);
}

}  // namespace

SyslogSink::SyslogSink(const SyslogOptions& options, int priority)
    : Sink("syslog " + options.path), options_(options), priority_(priority) {}

tl::expected<std::unique_ptr<SyslogSink>, std::string> SyslogSink::create(const SyslogOptions& options) {
  const auto facility = find(kFacilities, options.facility, "facility");
  if (!facility) return tl::unexpected(facility.error());
  const auto level = find(kLevels, options.level, "level");
  if (!level) return tl::unexpected(level.error());
  if (options.path.empty() || options.path.size() >= sizeof(sockaddr_un::sun_path)) {
    return tl::unexpected(fmt::format("\"{}\": not the path of a socket", options.path));
  }
  return std::unique_ptr<SyslogSink>(new SyslogSink(options, *facility | *level));
}

// On failure errno says why.
bool SyslogSink::connect() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  options_.path.copy(address.sun_path, sizeof address.sun_path - 1);
  socket_ = Descriptor(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (socket_ && ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return true;
  const int error = errno;
  socket_.reset();
  errno = error;
  return false;
}

// 0 or errno. A daemon that was started anew has a new socket under the same path: one more try.
int SyslogSink::send(std::string_view line) {
  message_.clear();
  fmt::format_to(std::back_inserter(message_), "<{}>{} {}[{}]: {}", priority_, stamp(), options_.ident, ::getpid(), line);
  for (int tries = 0; tries < 2; ++tries) {
    if (!socket_ && !connect()) return errno;
    while (true) {
      if (::send(socket_.get(), message_.data(), message_.size(), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return 0;
      if (errno == EINTR) continue;
      const bool behind = errno == EAGAIN || errno == EWOULDBLOCK;
      if (!behind) break;
      if (!healthy() || !wait_writable(socket_.get(), kPatienceMs, given_up())) return EAGAIN;
    }
    if (errno == EMSGSIZE || errno == ENOBUFS) return errno;
    socket_.reset();
  }
  return ECONNREFUSED;
}

void SyslogSink::send_or_lose(std::string_view line) {
  const auto now = std::chrono::steady_clock::now();
  if (!socket_ && !healthy() && now < next_try_) {
    lost(1);
    return;
  }
  const int error = send(line);
  if (error == 0) {
    wrote(1, line.size());
    recovered();
    return;
  }
  next_try_ = now + kRetry;
  fault(fmt::format("does not take the message, events are lost: {}", error_text(error)));
  lost(1);
}

void SyslogSink::write(std::string_view lines, size_t) {
  while (!lines.empty()) {
    const size_t end = lines.find('\n');
    send_or_lose(lines.substr(0, end));
    lines.remove_prefix(end == std::string_view::npos ? lines.size() : end + 1);
  }
}

}  // namespace mptap::event
