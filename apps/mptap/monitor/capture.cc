// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/monitor/capture.h"

#include <pcap/pcap.h>

#include <csignal>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "apps/mptap/monitor/bytecode.h"

namespace mptap::monitor {
namespace {

pcap_t* running = nullptr;

std::optional<Link> link_of(int dlt) {
  if (dlt == DLT_EN10MB) return Link::kEthernet;
  if (dlt == DLT_RAW || dlt == DLT_IPV4 || dlt == DLT_IPV6) return Link::kRawIp;
  return std::nullopt;
}

struct Closer {
  void operator()(pcap_t* p) const { pcap_close(p); }
  void operator()(pcap_dumper_t* d) const { pcap_dump_close(d); }
};

}  // namespace

tl::expected<CaptureResult, std::string> capture(const CaptureSpec& spec, Subtypes wanted) {
  char why[PCAP_ERRBUF_SIZE] = "";
  const bool live = !spec.interface.empty();
  const std::unique_ptr<pcap_t, Closer> source(live ? pcap_create(spec.interface.c_str(), why)
                                                    : pcap_open_offline(spec.read_file.c_str(), why));
  if (!source) return tl::unexpected(fmt::format("{}: {}", live ? spec.interface : spec.read_file, why));
  if (live) {
    pcap_set_snaplen(source.get(), 262144);
    pcap_set_promisc(source.get(), 1);
    pcap_set_timeout(source.get(), 100);
    if (const int code = pcap_activate(source.get()); code < 0) {
      if (code == PCAP_ERROR_PERM_DENIED)
        return tl::unexpected(fmt::format("{}: capturing needs root, or the capability CAP_NET_RAW", spec.interface));
      if (code == PCAP_ERROR_NO_SUCH_DEVICE)
        return tl::unexpected(fmt::format("there is no interface \"{}\"; ip link lists them", spec.interface));
      return tl::unexpected(fmt::format("{}: {}", spec.interface, pcap_geterr(source.get())));
    }
  }
  const auto link = link_of(pcap_datalink(source.get()));
  if (!link)
    return tl::unexpected(fmt::format("{}: link type {} is none of Ethernet and raw IP", live ? spec.interface : spec.read_file,
                                      pcap_datalink_val_to_name(pcap_datalink(source.get()))));
  auto program = option_filter(wanted, *link);
  bpf_program filter{static_cast<u_int>(program.size()), program.data()};
  if (pcap_setfilter(source.get(), &filter) < 0)
    return tl::unexpected(fmt::format("the filter was refused: {}", pcap_geterr(source.get())));

  std::unique_ptr<pcap_dumper_t, Closer> sink;
  if (!spec.write_file.empty()) {
    sink.reset(pcap_dump_open(source.get(), spec.write_file.c_str()));
    if (!sink) return tl::unexpected(fmt::format("{}: {}", spec.write_file, pcap_geterr(source.get())));
  }
  running = source.get();
  for (const int s : {SIGINT, SIGTERM}) std::signal(s, [](int) { pcap_breakloop(running); });

  struct State {
    CaptureResult result;
    pcap_dumper_t* sink;
    bool live;
  } state{{}, sink.get(), live};
  const auto take = [](u_char* user, const pcap_pkthdr* header, const u_char* bytes) {
    auto& s = *reinterpret_cast<State*>(user);
    s.result.matched++;
    if (!s.sink) return;
    pcap_dump(reinterpret_cast<u_char*>(s.sink), header, bytes);
    if (s.live) pcap_dump_flush(s.sink);
  };
  const int code = pcap_loop(source.get(), static_cast<int>(spec.count), take, reinterpret_cast<u_char*>(&state));
  if (code == PCAP_ERROR)
    return tl::unexpected(fmt::format("{}: {}", live ? spec.interface : spec.read_file, pcap_geterr(source.get())));
  return state.result;
}

}  // namespace mptap::monitor
