// SPDX-License-Identifier: Apache-2.0
#include "world.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <stdexcept>

namespace mptap::judge {

using packet::Endpoint;
using packet::IpAddress;

namespace {

constexpr int kMptcp = 262;

void set(const std::string& name, const std::string& value) {
  std::ofstream out("/proc/sys/net/" + name);
  out << value;
  out.flush();
  if (!out) throw std::runtime_error("cannot set net/" + name + " to " + value);
}

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  sockaddr* any() { return reinterpret_cast<sockaddr*>(&storage); }
};

Address address_of(const Endpoint& e) {
  Address a;
  if (e.address.is_v4()) {
    auto* in = reinterpret_cast<sockaddr_in*>(&a.storage);
    in->sin_family = AF_INET;
    in->sin_port = htons(e.port);
    std::memcpy(&in->sin_addr, e.address.v4_bytes(), 4);
    a.size = sizeof *in;
  } else {
    auto* in = reinterpret_cast<sockaddr_in6*>(&a.storage);
    in->sin6_family = AF_INET6;
    in->sin6_port = htons(e.port);
    std::memcpy(&in->sin6_addr, e.address.bytes.data(), 16);
    a.size = sizeof *in;
  }
  return a;
}

Endpoint endpoint_of(const sockaddr_storage& a) {
  if (a.ss_family == AF_INET) {
    const auto* in = reinterpret_cast<const sockaddr_in*>(&a);
    return {IpAddress::v4(&in->sin_addr), ntohs(in->sin_port)};
  }
  const auto* in = reinterpret_cast<const sockaddr_in6*>(&a);
  return {IpAddress::v6(&in->sin6_addr), ntohs(in->sin6_port)};
}

int listen_on(bool v6) {
  const int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, kMptcp);
  if (fd < 0) throw std::runtime_error("no MPTCP socket");
  const int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (v6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
  Address a = address_of({World::kernel_address(v6), kListenPort});
  const int backlog = 64;
  setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &backlog, sizeof backlog);
  if (bind(fd, a.any(), a.size) != 0 || listen(fd, backlog) != 0) throw std::runtime_error("cannot listen");
  return fd;
}

}  // namespace

std::string World::missing() {
  if (geteuid() != 0) return "a network namespace needs root";
  if (access("/dev/net/tun", R_OK | W_OK) != 0) return "there is no /dev/net/tun";
  const int fd = socket(AF_INET, SOCK_STREAM, kMptcp);
  if (fd < 0) return "the kernel has no MPTCP";
  close(fd);
  return {};
}

World::World() {
  if (unshare(CLONE_NEWNET) != 0) throw std::runtime_error("unshare: " + std::string(std::strerror(errno)));
  tun_ = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  ifreq request{};
  std::strcpy(request.ifr_name, "judge0");
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (tun_ < 0 || ioctl(tun_, TUNSETIFF, &request) != 0)
    throw std::runtime_error("no TUN device: " + std::string(std::strerror(errno)));
  set("mptcp/enabled", "1");
  set("ipv4/tcp_invalid_ratelimit", "0");
  set("ipv4/tcp_challenge_ack_limit", "1000000");
  set("ipv4/tcp_fastopen", "1539");  // also without a cookie
  set("ipv4/tcp_no_metrics_save", "1");
  set("ipv4/conf/all/rp_filter", "0");
  set("ipv6/conf/all/accept_dad", "0");
  set("ipv6/conf/default/accept_dad", "0");
  if (std::system("ip link set lo up && ip link set judge0 mtu 1500 txqueuelen 5000 up && ip addr add 10.99.0.1/16 dev judge0 && "
                  "ip -6 addr add fd99::1/64 dev judge0 nodad && ip mptcp limits set subflows 8 add_addr_accepted 8") != 0) {
    throw std::runtime_error("ip failed");
  }
  listen4_ = listen_on(false);
  listen6_ = listen_on(true);
}

World::~World() {
  for (const int fd : {tun_, listen4_, listen6_}) close(fd);
}

IpAddress World::kernel_address(bool v6) {
  return *IpAddress::parse(v6 ? "fd99::1" : "10.99.0.1");
}

IpAddress World::new_peer(bool v6) {
  const uint32_t n = 2 + peers_++ % 65000;
  IpAddress a = kernel_address(v6);
  a.bytes[14] = static_cast<uint8_t>(n >> 8);
  a.bytes[15] = static_cast<uint8_t>(n);
  return a;
}

void World::inject(const Bytes& frame) {
  const auto size = static_cast<ssize_t>(frame.size() - kEthernet);
  if (write(tun_, frame.data() + kEthernet, static_cast<size_t>(size)) != size) {
    throw std::runtime_error("the TUN device refused a packet: " + std::string(std::strerror(errno)));
  }
}

std::optional<Bytes> World::take() {
  Bytes frame(2048);
  const ssize_t n = read(tun_, frame.data() + kEthernet, frame.size() - kEthernet);
  if (n <= 0) return std::nullopt;
  frame.resize(kEthernet + static_cast<size_t>(n));
  const bool v6 = frame[kEthernet] >> 4 == 6;
  const uint8_t header[kEthernet] = {
      2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, static_cast<uint8_t>(v6 ? 0x86 : 0x08), static_cast<uint8_t>(v6 ? 0xdd : 0)};
  std::memcpy(frame.data(), header, kEthernet);
  return frame;
}

bool World::wait(int milliseconds) {
  pollfd p{tun_, POLLIN, 0};
  return poll(&p, 1, milliseconds) == 1;
}

void World::want_checksums(bool on) {
  if (on == checksums_) return;
  set("mptcp/checksum_enabled", on ? "1" : "0");
  checksums_ = on;
}

void App::connect(bool v6, const Endpoint& to) {
  fd_ = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, kMptcp);
  if (fd_ < 0) throw std::runtime_error("no MPTCP socket");
  Address a = address_of(to);
  if (::connect(fd_, a.any(), a.size) != 0 && errno != EINPROGRESS)
    throw std::runtime_error("connect: " + std::string(std::strerror(errno)));
  end = End::kOpen;
}

void App::accept(int listener, const Endpoint& peer) {
  while (fd_ < 0) {
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    const int fd = accept4(listener, reinterpret_cast<sockaddr*>(&from), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    if (endpoint_of(from) == peer) {
      fd_ = fd;
      end = End::kOpen;
      return;
    }
    close(fd);  // of an earlier run
  }
}

void App::drain() {
  if (fd_ < 0 || end != End::kOpen) return;
  uint8_t buffer[16384];
  for (;;) {
    const ssize_t n = recv(fd_, buffer, sizeof buffer, 0);
    if (n > 0) {
      got.insert(got.end(), buffer, buffer + n);
    } else if (n == 0) {
      end = End::kEof;
      return;
    } else if (errno == EAGAIN || errno == EINTR || errno == ENOTCONN) {
      return;
    } else {
      error = errno;
      end = End::kReset;
      return;
    }
  }
}

bool App::write(const Bytes& bytes) {
  return fd_ >= 0 && send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
}

void App::shutdown() {
  if (fd_ >= 0) ::shutdown(fd_, SHUT_WR);
}

void App::kill() {
  if (fd_ < 0) return;
  const linger now{1, 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close(fd_);
  fd_ = -1;
}

const char* end_name(App::End end) {
  switch (end) {
    case App::End::kOpen: return "open";
    case App::End::kEof: return "eof";
    case App::End::kReset: return "reset";
    case App::End::kNone: return "none";
  }
  return "";
}

}  // namespace mptap::judge
