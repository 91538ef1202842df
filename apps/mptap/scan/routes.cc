// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/scan/routes.h"

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

namespace mptap::scan {
namespace {

using packet::IpAddress;

struct Socket {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ~Socket() { close(fd); }
};

// A request with attributes behind it.
struct Request {
  nlmsghdr header{};
  rtmsg route{};
  char attributes[128]{};

  void add(uint16_t type, const void* data, uint16_t size) {
    auto* a = reinterpret_cast<rtattr*>(reinterpret_cast<char*>(this) + NLMSG_ALIGN(header.nlmsg_len));
    a->rta_type = type;
    a->rta_len = static_cast<uint16_t>(RTA_LENGTH(size));
    std::memcpy(RTA_DATA(a), data, size);
    header.nlmsg_len = static_cast<uint32_t>(NLMSG_ALIGN(header.nlmsg_len) + RTA_ALIGN(a->rta_len));
  }
};

IpAddress address_of(const rtattr* a) {
  return RTA_PAYLOAD(a) == 4 ? IpAddress::v4(RTA_DATA(a)) : IpAddress::v6(RTA_DATA(a));
}

}  // namespace

tl::expected<Interface, std::string> find_interface(const std::string& name) {
  const Socket s;
  ifreq request{};
  std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  Interface i;
  i.name = name;
  i.index = static_cast<int>(if_nametoindex(name.c_str()));
  if (i.index == 0) return tl::unexpected(fmt::format("there is no interface \"{}\"", name));
  if (ioctl(s.fd, SIOCGIFFLAGS, &request) == 0) {
    i.up = (request.ifr_flags & IFF_UP) != 0;
    i.resolves = (request.ifr_flags & (IFF_NOARP | IFF_LOOPBACK | IFF_POINTOPOINT)) == 0;
  }
  if (ioctl(s.fd, SIOCGIFHWADDR, &request) == 0) {
    std::memcpy(i.mac.data(), request.ifr_hwaddr.sa_data, 6);
    const auto type = request.ifr_hwaddr.sa_family;
    i.ethernet = type == ARPHRD_ETHER || type == ARPHRD_LOOPBACK;
    if (!i.ethernet && type != ARPHRD_NONE && type != ARPHRD_PPP)
      return tl::unexpected(fmt::format("interface {} is of a kind that cannot be scanned from (hardware type {})", name, type));
  }
  if (!i.up) return tl::unexpected(fmt::format("interface {} is down", name));
  return i;
}

tl::expected<Interface, std::string> find_interface(int index) {
  char name[IF_NAMESIZE] = "";
  if (!if_indextoname(static_cast<unsigned>(index), name))
    return tl::unexpected(fmt::format("there is no interface number {}", index));
  return find_interface(std::string(name));
}

tl::expected<Routes, std::string> Routes::open(int interface) {
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) return tl::unexpected(fmt::format("cannot ask the kernel for routes: {}", std::strerror(errno)));
  return Routes(fd, interface);
}

Routes::Routes(Routes&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), interface_(other.interface_), sequence_(other.sequence_) {}

Routes::~Routes() {
  if (fd_ >= 0) close(fd_);
}

tl::expected<Route, std::string> Routes::to(const IpAddress& address) {
  const bool v4 = address.is_v4();
  const auto no_route = [&](int why) {
    return tl::unexpected(fmt::format("no route to {}: {}", address.to_string(), std::strerror(why)));
  };
  Request q;
  q.header.nlmsg_len = NLMSG_LENGTH(sizeof(rtmsg));
  q.header.nlmsg_type = RTM_GETROUTE;
  q.header.nlmsg_flags = NLM_F_REQUEST;
  q.header.nlmsg_seq = ++sequence_;
  q.route.rtm_family = v4 ? AF_INET : AF_INET6;
  q.route.rtm_dst_len = v4 ? 32 : 128;
  q.add(RTA_DST, v4 ? address.v4_bytes() : address.bytes.data(), v4 ? 4 : 16);
  if (interface_) q.add(RTA_OIF, &interface_, sizeof interface_);
  if (send(fd_, &q, q.header.nlmsg_len, 0) < 0) return no_route(errno);
  alignas(nlmsghdr) char buffer[8192];
  ssize_t got = 0;
  const nlmsghdr* m = nullptr;
  do {
    got = recv(fd_, buffer, sizeof buffer, 0);
    if (got < 0 && errno != EINTR) return no_route(errno);
    m = reinterpret_cast<const nlmsghdr*>(buffer);
  } while (got < 0 || !NLMSG_OK(m, static_cast<size_t>(got)) || m->nlmsg_seq != sequence_);
  if (m->nlmsg_type == NLMSG_ERROR) return no_route(-static_cast<const nlmsgerr*>(NLMSG_DATA(m))->error);
  const auto* r = static_cast<const rtmsg*>(NLMSG_DATA(m));
  if (r->rtm_type != RTN_UNICAST && r->rtm_type != RTN_LOCAL)
    return no_route(r->rtm_type == RTN_BROADCAST ? EACCES : ENETUNREACH);
  // Linux takes no IPv4 packet from the wire, its own loopback's included, that comes from one of its own addresses.
  if (r->rtm_type == RTN_LOCAL && v4)
    return tl::unexpected(fmt::format("{} is this host itself: scan it from another", address.to_string()));
  Route route;
  route.next = address;
  bool source = false;
  auto left = static_cast<int>(RTM_PAYLOAD(m));
  for (const rtattr* a = RTM_RTA(r); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
    if (a->rta_type == RTA_OIF) std::memcpy(&route.interface, RTA_DATA(a), sizeof route.interface);
    if (a->rta_type == RTA_GATEWAY) route.next = address_of(a);
    if (a->rta_type == RTA_VIA) {  // a gateway of the other family
      const auto* via = static_cast<const rtvia*>(RTA_DATA(a));
      route.next = via->rtvia_family == AF_INET6 ? IpAddress::v6(via->rtvia_addr) : IpAddress::v4(via->rtvia_addr);
    }
    if (a->rta_type == RTA_PREFSRC) {
      route.source = address_of(a);
      source = true;
    }
  }
  if (!source) return tl::unexpected(fmt::format("this host has no address to reach {} from", address.to_string()));
  return route;
}

}  // namespace mptap::scan
