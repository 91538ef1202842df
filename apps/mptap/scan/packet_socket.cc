// SPDX-License-Identifier: Apache-2.0
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <pcap/pcap.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>

#include <array>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "apps/mptap/scan/link.h"

namespace mptap::scan {
namespace {

class PacketSocket final : public Link {
 public:
  PacketSocket(int fd, Interface interface) : fd_(fd), interface_(std::move(interface)) {}
  ~PacketSocket() override { close(fd_); }
  PacketSocket(const PacketSocket&) = delete;
  PacketSocket& operator=(const PacketSocket&) = delete;

  const Interface& interface() const override { return interface_; }
  int fd() const override { return fd_; }

  bool send(std::span<const uint8_t> frame) override {
    sockaddr_ll to{};
    to.sll_family = AF_PACKET;
    to.sll_ifindex = interface_.index;
    const bool v6 = !interface_.ethernet && !frame.empty() && frame[0] >> 4 == 6;
    to.sll_protocol = htons(v6 ? ETH_P_IPV6 : ETH_P_IP);
    while (true) {
      if (sendto(fd_, frame.data(), frame.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) >= 0) return true;
      if (errno != EINTR) return errno != ENOBUFS && errno != EAGAIN;
    }
  }

  void receive(const Handler& handler) override {
    // A bound, so that a flood of answers cannot keep the sender from its turn.
    for (int i = 0; i < 4096; i++) {
      const ssize_t n = recv(fd_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
      if (n > 0)
        handler({buffer_.data(), static_cast<size_t>(n)});
      else if (n < 0 && errno == EINTR)
        continue;
      else
        return;
    }
  }

 private:
  int fd_;
  Interface interface_;
  std::array<uint8_t, 65536> buffer_;
};

}  // namespace

tl::expected<std::unique_ptr<Link>, std::string> open_packet_socket(const Interface& interface, PortRange ports) {
  const auto no = [&](const std::string& what) {
    return tl::unexpected(
        fmt::format("{}: {}: {}", interface.name, what, errno == EPERM ? "root is needed (CAP_NET_RAW)" : std::strerror(errno)));
  };
  // Without a protocol nothing comes in before filter and interface are set.
  const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd < 0) return no("cannot open a packet socket");
  auto link = std::make_unique<PacketSocket>(fd, interface);

  pcap_t* dead = pcap_open_dead(interface.ethernet ? DLT_EN10MB : DLT_RAW, 65535);
  const auto text = fmt::format("{}icmp or icmp6 or (tcp and dst portrange {}-{})", interface.ethernet ? "arp or " : "",
                                ports.first, ports.last);
  bpf_program program{};
  const bool compiled = pcap_compile(dead, &program, text.c_str(), 1, PCAP_NETMASK_UNKNOWN) == 0;
  pcap_close(dead);
  if (!compiled) return tl::unexpected(fmt::format("cannot compile the filter \"{}\"", text));
  const sock_fprog filter{static_cast<unsigned short>(program.bf_len), reinterpret_cast<sock_filter*>(program.bf_insns)};
  const int attached = setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
  pcap_freecode(&program);
  if (attached < 0) return no("cannot attach a filter");

  const int buffer = 16 << 20, on = 1;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
  setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on);
  sockaddr_ll here{};
  here.sll_family = AF_PACKET;
  here.sll_protocol = htons(ETH_P_ALL);
  here.sll_ifindex = interface.index;
  if (bind(fd, reinterpret_cast<const sockaddr*>(&here), sizeof here) < 0) return no("cannot listen");
  return std::unique_ptr<Link>(std::move(link));
}

}  // namespace mptap::scan
