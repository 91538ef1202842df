// SPDX-License-Identifier: Apache-2.0
#include "port/port.h"

#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>

#include "port/captured_log.h"
#include "port/device.h"

namespace mptap::port {
namespace {

constexpr uint64_t kTcpFields = RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP | RTE_ETH_RSS_IPV6_TCP_EX;
// What is not TCP is spread too, by addresses: tunnels and fragments, which the workers sort out by the inner flow.
constexpr uint64_t kOtherFields = RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_FRAG_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_OTHER | RTE_ETH_RSS_IPV6 |
                                  RTE_ETH_RSS_FRAG_IPV6 | RTE_ETH_RSS_NONFRAG_IPV6_OTHER;
constexpr uint32_t kLinkHeader = RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN + 2 * RTE_VLAN_HLEN;

std::string error_text(int code) {
  return std::strerror(code < 0 ? -code : code);
}

struct Opening {
  const Device& device;
  const PortOptions& options;
  PortInfo& info;
  rte_eth_dev_info dev{};
  rte_eth_conf conf{};
  uint16_t rx_descriptors = 0, tx_descriptors = 0;
  uint32_t data_room = RTE_MBUF_DEFAULT_BUF_SIZE;

  tl::unexpected<std::string> fail(std::string_view what, int code, CapturedLog& log) const {
    const std::string said = log.first_line();
    return tl::unexpected(
        fmt::format("port {}: {}: {}{}", info.name, what, error_text(code), said.empty() ? said : fmt::format(" ({})", said)));
  }
};

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Devices without RSS whose queues are given by their parameters: all of them must be polled, or packets are lost.
bool queues_are_given(const Opening& o) {
  return is_one_of(o.info.driver, {"net_af_packet", "net_af_xdp", "net_pcap", "net_ring"});
}

void choose_queues(Opening& o) {
  RssSetup& rss = o.info.rss;
  rss.port = o.info.name;
  const bool has_rss = (o.dev.flow_type_rss_offloads & (kTcpFields | RTE_ETH_RSS_IPV4)) != 0 && o.dev.max_rx_queues > 1;
  if (has_rss && o.options.queues > 1) {
    rss.in_software = false;
    rss.queues = std::min(o.options.queues, o.dev.max_rx_queues);
    rss.fields = o.dev.flow_type_rss_offloads & (kTcpFields | kOtherFields);
    rss.key = symmetric_key(o.dev.hash_key_size == 0 ? 40 : o.dev.hash_key_size);
    o.conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    o.conf.rx_adv_conf.rss_conf.rss_key = rss.key.data();
    o.conf.rx_adv_conf.rss_conf.rss_key_len = static_cast<uint8_t>(rss.key.size());
    o.conf.rx_adv_conf.rss_conf.rss_hf = rss.fields;
  } else {
    rss.in_software = true;
    rss.queues = queues_are_given(o) ? std::max<uint16_t>(1, o.dev.max_rx_queues) : 1;
  }
  o.info.tx_queues = std::min(o.options.tx_queues, o.dev.max_tx_queues);
}

// Frames up to the MTU must fit: into several mbufs where the device can do that, else into one.
void choose_sizes(Opening& o) {
  uint16_t mtu = 0;
  rte_eth_dev_get_mtu(o.info.id, &mtu);
  if (o.device.kind == Device::Kind::kPci) {
    mtu = std::min(o.options.mtu, o.dev.max_mtu == 0 ? o.options.mtu : o.dev.max_mtu);
    o.conf.rxmode.mtu = mtu;
  }
  o.info.mtu = mtu;

  uint32_t frame = mtu + kLinkHeader;
  if (o.info.driver == "net_af_packet") {
    // The driver copies a slot of the kernel's ring into one mbuf and insists that it fits.
    const std::string framesz(o.device.argument("framesz"));
    if (!framesz.empty()) frame = std::max<uint32_t>(frame, static_cast<uint32_t>(std::strtoul(framesz.c_str(), nullptr, 10)));
  }
  const uint32_t room = RTE_MBUF_DEFAULT_BUF_SIZE - RTE_PKTMBUF_HEADROOM;
  if (frame > room) {
    if ((o.dev.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER) != 0) {
      o.conf.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_SCATTER;
    } else if (o.info.driver != "net_pcap") {  // which always chains mbufs
      o.data_room = std::min<uint32_t>(RTE_ALIGN_CEIL(frame + RTE_PKTMBUF_HEADROOM, 64u), UINT16_MAX);
    }
  }
}

void choose_offloads(Opening& o) {
  constexpr uint64_t kChecksums = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
  if ((o.dev.rx_offload_capa & kChecksums) == kChecksums) {
    o.conf.rxmode.offloads |= kChecksums;
    o.info.rx_checksum = true;
  }
  if (o.dev.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE) o.conf.txmode.offloads |= RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
  o.info.timestamps = o.info.driver == "net_pcap" && !o.device.argument("rx_pcap").empty();
}

tl::expected<rte_mempool*, std::string> make_pool(Opening& o) {
  const uint32_t wanted =
      o.info.rss.queues * (o.rx_descriptors + RxBurst::kSize) + o.info.tx_queues * o.tx_descriptors + o.options.extra_mbufs;
  constexpr uint32_t kCache = 256;
  const uint32_t count = std::max(wanted, 2 * kCache) | 1023;  // 2^k - 1 is what a mempool's ring holds best
  const std::string name = fmt::format("mptap_rx_{}", o.info.id);
  rte_mempool* pool = rte_pktmbuf_pool_create(name.c_str(), count, kCache, 0, static_cast<uint16_t>(o.data_room), o.info.socket);
  if (pool == nullptr) {
    return tl::unexpected(
        fmt::format("port {}: no memory for {} buffers of {} bytes ({} MB): {}; give DPDK more memory, or the port fewer queues "
                    "or descriptors",
                    o.info.name, count, o.data_room, uint64_t{count} * (o.data_room + 256) >> 20, rte_strerror(rte_errno)));
  }
  o.info.mbufs = count;
  return pool;
}

tl::expected<void, std::string> set_up_queues(Opening& o, rte_mempool* pool, CapturedLog& log) {
  rte_eth_rxconf rx = o.dev.default_rxconf;
  rx.offloads = o.conf.rxmode.offloads;
  for (uint16_t q = 0; q < o.info.rss.queues; ++q)
    if (const int rc = rte_eth_rx_queue_setup(o.info.id, q, o.rx_descriptors, static_cast<unsigned>(o.info.socket), &rx, pool))
      return o.fail(fmt::format("setting up RX queue {} of {}", q, o.info.rss.queues), rc, log);
  rte_eth_txconf tx = o.dev.default_txconf;
  tx.offloads = o.conf.txmode.offloads;
  for (uint16_t q = 0; q < o.info.tx_queues; ++q)
    if (const int rc = rte_eth_tx_queue_setup(o.info.id, q, o.tx_descriptors, static_cast<unsigned>(o.info.socket), &tx))
      return o.fail(fmt::format("setting up TX queue {} of {}", q, o.info.tx_queues), rc, log);
  return {};
}

tl::expected<void, std::string> configure(Opening& o, CapturedLog& log) {
  if (const int rc = rte_eth_dev_info_get(o.info.id, &o.dev)) return o.fail("asking the device what it can do", rc, log);
  o.info.driver = o.dev.driver_name;
  o.info.socket = std::max(0, rte_eth_dev_socket_id(o.info.id));
  choose_queues(o);
  choose_sizes(o);
  choose_offloads(o);
  if (const int rc = rte_eth_dev_configure(o.info.id, o.info.rss.queues, o.info.tx_queues, &o.conf)) {
    return o.fail(fmt::format("configuring {} RX and {} TX queues (the device has up to {} and {})", o.info.rss.queues,
                              o.info.tx_queues, o.dev.max_rx_queues, o.dev.max_tx_queues),
                  rc, log);
  }
  o.rx_descriptors = o.options.rx_descriptors;
  o.tx_descriptors = o.options.tx_descriptors;
  if (const int rc = rte_eth_dev_adjust_nb_rx_tx_desc(o.info.id, &o.rx_descriptors, &o.tx_descriptors))
    return o.fail("choosing the number of descriptors", rc, log);
  return {};
}

// Sets the redirection table, then reads back what the device made of all of it.
tl::expected<void, std::string> settle_rss(Opening& o, CapturedLog& log) {
  RssSetup& rss = o.info.rss;
  if (rss.in_software) return {};
  if (o.dev.reta_size != 0) {
    const std::vector<uint16_t> table = uniform_table(o.dev.reta_size, rss.queues);
    std::vector<rte_eth_rss_reta_entry64> entries((o.dev.reta_size + RTE_ETH_RETA_GROUP_SIZE - 1) / RTE_ETH_RETA_GROUP_SIZE);
    for (size_t i = 0; i < table.size(); ++i) {
      entries[i / RTE_ETH_RETA_GROUP_SIZE].mask |= uint64_t{1} << (i % RTE_ETH_RETA_GROUP_SIZE);
      entries[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE] = table[i];
    }
    if (const int rc = rte_eth_dev_rss_reta_update(o.info.id, entries.data(), o.dev.reta_size))
      return o.fail("setting the redirection table", rc, log);
    if (const int rc = rte_eth_dev_rss_reta_query(o.info.id, entries.data(), o.dev.reta_size))
      return o.fail("reading back the redirection table", rc, log);
    rss.table.resize(o.dev.reta_size);
    for (size_t i = 0; i < rss.table.size(); ++i)
      rss.table[i] = entries[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE];
  }
  rte_eth_rss_conf read{};
  read.rss_key = rss.key.data();
  read.rss_key_len = static_cast<uint8_t>(rss.key.size());
  if (rte_eth_dev_rss_hash_conf_get(o.info.id, &read) == 0) rss.fields = read.rss_hf;
  return {};
}

uint16_t find_port(const std::string& name) {
  uint16_t id = RTE_MAX_ETHPORTS;
  return rte_eth_dev_get_port_by_name(name.c_str(), &id) == 0 ? id : RTE_MAX_ETHPORTS;
}

tl::unexpected<std::string> unknown_port(const std::string& name, std::string_view why) {
  const auto have = Port::existing();
  return tl::unexpected(fmt::format("port {}: {}; ports: {}; network interfaces: {}", name, why,
                                    have.empty() ? "none" : fmt::to_string(fmt::join(have, ", ")),
                                    fmt::join(kernel_interfaces(), ", ")));
}

// Drivers that sit on an interface of the kernel say "up" whatever its state is.
bool carrier(const std::string& interface) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return true;
  ifreq request{};
  interface.copy(request.ifr_name, IFNAMSIZ - 1);
  const bool up = ioctl(fd, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_RUNNING) != 0;
  close(fd);
  return up;
}

// The kernel's interface is promiscuous as long as this socket lives. What the drivers do instead, IFF_PROMISC, would stay
// behind when the process has given up its privileges, or dies.
int promiscuous_socket(const std::string& interface) {
  const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  packet_mreq request{};
  request.mr_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
  request.mr_type = PACKET_MR_PROMISC;
  if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof request) == 0) return fd;
  close(fd);
  return -1;
}

// Makes DPDK create a virtual device; returns its id.
tl::expected<uint16_t, std::string> plug(const std::string& name, const Device& device, CapturedLog& log) {
  if (find_port(device.name) != RTE_MAX_ETHPORTS)
    return tl::unexpected(fmt::format("port {}: {} is in use already; give it another number", name, device.name));
  const int rc = rte_eal_hotplug_add("vdev", device.name.c_str(), driver_arguments(device).c_str());
  const uint16_t id = find_port(device.name);
  if (rc == 0 && id != RTE_MAX_ETHPORTS) return id;
  const std::string said = log.first_line();
  std::string text = fmt::format("port {}: {} refuses it{}", name, device.driver, said.empty() ? said : ": " + said);
  if (said.find("failed to parse device") != std::string::npos)  // so it says when no driver knows the name
    text = fmt::format("port {}: DPDK has no driver \"{}\"", name, device.driver);
  if (is_one_of(device.driver, {"net_af_packet", "net_af_xdp", "net_tap"})) text += "; it needs CAP_NET_RAW and CAP_NET_ADMIN";
  return tl::unexpected(text);
}

}  // namespace

struct Port::State {
  PortInfo info;
  Device device;
  rte_mempool* pool = nullptr;
  bool plugged = false, configured = false, started = false;
  int promiscuous = -1;

  ~State() {
    if (promiscuous >= 0) close(promiscuous);
    if (started) rte_eth_dev_stop(info.id);
    if (configured) rte_eth_dev_close(info.id);
    if (plugged) rte_eal_hotplug_remove("vdev", device.name.c_str());
    rte_mempool_free(pool);
  }
};

Port::Port(std::unique_ptr<State> state) : state_(std::move(state)) {}
Port::Port(Port&&) noexcept = default;
Port& Port::operator=(Port&&) noexcept = default;
Port::~Port() = default;

tl::expected<Port, std::string> Port::open(const std::string& name, const PortOptions& options) {
  auto device = parse_device(name);
  if (!device) return tl::unexpected("port " + device.error());

  CapturedLog log;
  auto state = std::make_unique<State>();
  state->device = *device;
  PortInfo& info = state->info;
  info.name = name;
  info.device = device->name;
  if (device->kind == Device::Kind::kVirtual) {
    auto id = plug(name, *device, log);
    if (!id) return tl::unexpected(id.error());
    state->plugged = true;
    info.id = *id;
  } else {
    info.id = find_port(device->name);
    if (info.id == RTE_MAX_ETHPORTS) {
      return unknown_port(name, device->kind == Device::Kind::kPci
                                    ? "DPDK does not drive this PCI device; bind it to vfio-pci (dpdk-devbind.py --bind=vfio-pci)"
                                    : "there is no such port; give a PCI address, a vdev or an interface of the kernel");
    }
  }

  Opening o{.device = state->device, .options = options, .info = info};
  if (auto done = configure(o, log); !done) return tl::unexpected(done.error());
  state->configured = true;
  auto pool = make_pool(o);
  if (!pool) return tl::unexpected(pool.error());
  state->pool = *pool;
  if (auto done = set_up_queues(o, *pool, log); !done) return tl::unexpected(done.error());
  if (const int rc = rte_eth_dev_start(info.id)) return o.fail("starting the device", rc, log);
  state->started = true;
  if (auto done = settle_rss(o, log); !done) return tl::unexpected(done.error());
  if (options.promiscuous) {
    if (const std::string interface(state->device.argument("iface"));
        !interface.empty() && if_nametoindex(interface.c_str()) != 0) {
      state->promiscuous = promiscuous_socket(interface);
      if (state->promiscuous < 0) return o.fail("switching promiscuous mode on", errno, log);
    } else if (const int rc = rte_eth_promiscuous_enable(info.id); rc != 0 && rc != -ENOTSUP) {
      return o.fail("switching promiscuous mode on", rc, log);
    }
  }
  return Port(std::move(state));
}

const PortInfo& Port::info() const {
  return state_->info;
}
uint16_t Port::id() const {
  return state_->info.id;
}
rte_mempool* Port::pool() const {
  return state_->pool;
}

LinkState Port::link() const {
  rte_eth_link link{};
  if (rte_eth_link_get_nowait(id(), &link) != 0) return {};
  const std::string interface(state_->device.argument("iface"));
  return {.up = link.link_status == RTE_ETH_LINK_UP && (interface.empty() || carrier(interface)),
          .mbps = link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN ? 0 : link.link_speed};
}

PortStats Port::stats() const {
  rte_eth_stats s{};
  if (rte_eth_stats_get(id(), &s) != 0) return {};
  return {.packets = s.ipackets,
          .bytes = s.ibytes,
          .missed = s.imissed,
          .errors = s.ierrors,
          .no_buffer = s.rx_nombuf,
          .sent = s.opackets,
          .send_errors = s.oerrors};
}

std::vector<std::string> Port::existing() {
  std::vector<std::string> names;
  for (uint64_t id = rte_eth_find_next(0); id < RTE_MAX_ETHPORTS; id = rte_eth_find_next(static_cast<uint16_t>(id + 1))) {
    char name[RTE_ETH_NAME_MAX_LEN];
    if (rte_eth_dev_get_name_by_port(static_cast<uint16_t>(id), name) == 0) names.emplace_back(name);
  }
  return names;
}

}  // namespace mptap::port
