// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/scan/scan.h"

#include <fcntl.h>
#include <openssl/rand.h>
#include <poll.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include <fmt/format.h>

#include "apps/mptap/scan/guard.h"
#include "apps/mptap/scan/pace.h"
#include "apps/mptap/scan/report.h"
#include "apps/mptap/scan/state_file.h"
#include "apps/mptap/scan/ways.h"

namespace mptap::scan {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

uint64_t steady_ns() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * kSecond + static_cast<uint64_t>(t.tv_nsec);
}

uint64_t random64() {
  uint64_t r = 0;
  RAND_bytes(reinterpret_cast<uint8_t*>(&r), sizeof r);
  return r >> 1;  // JSON readers with signed numbers take it as well
}

// A scan that was killed may have left half a line at the end of the file that this one appends to; its target is done again.
void drop_half_line(int fd) {
  struct stat s {};
  if (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode) || s.st_size == 0) return;
  std::string tail(static_cast<size_t>(std::min<off_t>(s.st_size, 65536)), '\0');
  const int in = open(fmt::format("/proc/self/fd/{}", fd).c_str(), O_RDONLY | O_CLOEXEC);
  const ssize_t n = in < 0 ? -1 : pread(in, tail.data(), tail.size(), s.st_size - static_cast<off_t>(tail.size()));
  if (in >= 0) close(in);
  const size_t newline = tail.rfind('\n');
  if (n != static_cast<ssize_t>(tail.size()) || newline == std::string::npos) return;
  const auto half = static_cast<off_t>(tail.size() - newline - 1);
  if (half > 0 && ftruncate(fd, s.st_size - half) != 0) fmt::print(stderr, "mptap scan: cannot take half a line away\n");
}

class Scan {
 public:
  Scan(const ScanSpec& spec, Ways ways, EngineConfig config)
      : spec_(spec),
        ways_(std::move(ways)),
        engine_(std::move(config), [this](const Result& r) { print(r); }),
        sender_([this](const packet::IpAddress& target) { return find_way(target); },
                {.sent = [this](const Outgoing& o, uint64_t now) { engine_.sent(o, now); },
                 .unreachable = [this](const Outgoing& o, const std::string& why,
                                       uint64_t now) { engine_.unreachable(o, why, now); }}),
        decoder_({.verify_ip_checksum = true,
                  .verify_tcp_checksum = false,
                  .gre = false,
                  .erspan = false,
                  .vxlan = false,
                  .geneve = false,
                  .ip_in_ip = false}),
        pace_(spec.rate, steady_ns()) {
    for (const auto& s : spec.sources) sender_.answer_for(s);
  }

  Engine& engine() { return engine_; }

  tl::expected<End, std::string> run(State state, const std::atomic<int>& stop) {
    // Whole lines leave, four times a second: one that is killed leaves no half line for the next run to write behind.
    std::setvbuf(stdout, nullptr, _IOFBF, 1 << 20);
    if (!spec_.json) fmt::print("{}", table_head());
    const uint64_t began = steady_ns();
    uint64_t next_tell = began, next_save = began + kSecond;
    std::string trouble;
    while (!engine_.finished() && trouble.empty() && stop < 2) {
      if (stop > 0) engine_.stop();
      const uint64_t now = steady_ns();
      receive(now);
      engine_.expire(now);
      if (auto ok = sender_.expire(now); !ok) trouble = ok.error();
      send(now);
      if (!fatal_.empty()) trouble = fatal_;
      if (now >= next_tell) {
        tell(now);
        next_tell = now + kSecond / 4;
      }
      if (now >= next_save) {
        if (auto ok = save(state); !ok) trouble = ok.error();
        next_save = now + kSecond;
      }
      wait(now);
    }
    // The last resets leave, at the same pace.
    for (const uint64_t until = steady_ns() + kSecond; trouble.empty() && sender_.has_ready() && steady_ns() < until;
         wait(steady_ns()))
      send(steady_ns());
    if (spec_.progress) fmt::print(stderr, "\r\x1b[K");
    if (auto ok = save(state); !ok && trouble.empty()) trouble = ok.error();
    if (!trouble.empty()) return tl::unexpected(trouble);
    const bool complete = engine_.progress().complete();
    const Summary summary{engine_.progress(), sender_.frames(), static_cast<double>((steady_ns() - began) / 1000) / 1e6,
                          !complete};
    fmt::print("{}", spec_.json ? json_summary(summary) : table_summary(summary));
    std::fflush(stdout);
    return complete ? End::kComplete : End::kStopped;
  }

 private:
  void print(const Result& r) {
    if (spec_.json) {
      fmt::print("{}", json_row(r));
    } else if (spec_.all || (r.verdict != Verdict::kClosed && r.verdict != Verdict::kFiltered) ||
               r.evidence.plain == Seen::kPlain) {
      if (spec_.progress) fmt::print(stderr, "\r\x1b[K");
      fmt::print("{}", table_row(r));
      std::fflush(stdout);
    }
  }

  tl::expected<Way, std::string> find_way(const packet::IpAddress& target) {
    auto way = ways_.to(target);
    // A socket that cannot be opened is the scan's end, not this target's.
    if (!way && way.error().find("packet socket") != std::string::npos) fatal_ = way.error();
    return way;
  }

  void receive(uint64_t now) {
    for (const auto& [index, link] : ways_.links()) {
      const bool ethernet = link->interface().ethernet;
      link->receive([&, l = link.get()](std::span<const uint8_t> bytes) { take(*l, ethernet, bytes, now); });
    }
  }

  void take(Link& link, bool ethernet, std::span<const uint8_t> bytes, uint64_t now) {
    if (ethernet) {
      if (const auto message = parse_neighbour(bytes)) return sender_.on_neighbour(link, *message);
      if (bytes.size() < 34) return;
    }
    const auto ip = ethernet ? bytes.subspan(14) : bytes;
    if (ip.size() < 20) return;
    const bool v4 = ip[0] >> 4 == 4;
    if (v4 ? ip[9] == 1 : ip[6] == 58) {
      if (const auto error = parse_icmp(ip)) engine_.on_icmp(*error, now);
      return;
    }
    // A port without the socket's filter sees all kinds; answers come whole and untunnelled.
    if (v4 ? (ip[9] != 6 || (ip[6] & 0x3f) != 0 || ip[7] != 0) : ip[6] != 6) return;
    packet::Frame frame{
        .data = bytes.data(), .captured = static_cast<uint32_t>(bytes.size()), .wire = static_cast<uint32_t>(bytes.size())};
    frame.link = ethernet ? packet::LinkType::kEthernet : packet::LinkType::kRawIp;
    frame.timestamp_ns = now;
    packet::TcpSegment segment;
    if (decoder_.decode(frame, segment) == packet::Reason::kTcp) engine_.on_segment(segment, now);
  }

  void send(uint64_t now) {
    while (pace_.wait_ns(now) == 0) {
      while (!sender_.has_ready() && sender_.can_take() && fatal_.empty()) {
        const auto segment = engine_.next();
        if (!segment) break;
        sender_.submit(*segment, now);
      }
      if (!sender_.emit(now)) return;
      pace_.take(now);
    }
  }

  void wait(uint64_t now) {
    uint64_t until = now + kSecond / 4;
    for (const auto deadline : {engine_.next_deadline(), sender_.next_deadline()})
      if (deadline) until = std::min(until, *deadline);
    const bool more = sender_.has_ready() || engine_.progress().started < engine_.progress().total;
    if (more) until = std::min(until, now + std::max<uint64_t>(pace_.wait_ns(now), 100'000));
    std::vector<pollfd> fds;
    for (const auto& [index, link] : ways_.links()) {
      if (link->fd() < 0) until = std::min<uint64_t>(until, now + 100'000);
      if (link->fd() >= 0) fds.push_back({link->fd(), POLLIN, 0});
    }
    const uint64_t left = until > now ? until - now : 0;
    const timespec t{static_cast<time_t>(left / kSecond), static_cast<long>(left % kSecond)};
    ppoll(fds.data(), fds.size(), &t, nullptr);
  }

  void tell(uint64_t now) {
    std::fflush(stdout);
    if (!spec_.progress) return;
    const double seconds = told_ns_ ? static_cast<double>(now - told_ns_) / 1e9 : 0;
    const double recent = seconds > 0 ? static_cast<double>(sender_.frames() - told_frames_) / seconds : 0;
    told_ns_ = now;
    told_frames_ = sender_.frames();
    fmt::print(stderr, "\r\x1b[K{}", progress_line(engine_.progress(), sender_.frames(), recent, spec_.rate));
    std::fflush(stderr);
  }

  tl::expected<void, std::string> save(State& state) {
    if (spec_.state_file.empty()) return {};
    std::fflush(stdout);  // what the state calls done has been told
    state.at = engine_.checkpoint();
    return write_state(spec_.state_file, state);
  }

  const ScanSpec& spec_;
  Ways ways_;
  Engine engine_;
  Sender sender_;
  packet::Decoder decoder_;
  Pace pace_;
  std::string fatal_;
  uint64_t told_ns_ = 0, told_frames_ = 0;
};

}  // namespace

tl::expected<End, std::string> run_scan(const ScanSpec& spec, const std::atomic<int>& stop) {
  State state{fingerprint(spec.targets, spec.ports), random64(), {}};
  if (!spec.state_file.empty()) {
    auto old = read_state(spec.state_file);
    if (!old) return tl::unexpected(old.error());
    if (*old) {
      if ((*old)->fingerprint != state.fingerprint)
        return tl::unexpected(
            fmt::format("{} is the state of a scan of other targets or ports; remove it, or name another file", spec.state_file));
      state = std::move(**old);
      drop_half_line(STDOUT_FILENO);
    }
  }
  if (spec.device.empty()) {
    if (auto ok = check_sockets(spec.interface); !ok) return tl::unexpected(ok.error());
  }
  // Addresses that nobody has cannot be reset by this host's kernel, and a DPDK port it does not see.
  std::optional<Guard> guard;
  if (spec.sources.empty()) {
    if (auto ok = check_ports_unused(spec.source_ports); !ok) return tl::unexpected(ok.error());
    auto raised = Guard::raise(spec.source_ports);
    if (!raised) return tl::unexpected(raised.error());
    guard.emplace(std::move(*raised));
  }
  auto ways = Ways::make(spec);
  if (!ways) return tl::unexpected(ways.error());
  EngineConfig config;
  config.targets = spec.targets;
  config.ports = spec.ports;
  config.source_ports = spec.source_ports;
  config.seed = state.seed;
  config.policy = spec.policy;
  config.retries = spec.retries;
  config.timeout_ns = uint64_t{spec.timeout_ms} * 1'000'000;
  RAND_bytes(config.key.data(), static_cast<int>(config.key.size()));
  Scan scan(spec, std::move(*ways), std::move(config));
  scan.engine().resume(state.at);
  return scan.run(std::move(state), stop);
}

}  // namespace mptap::scan
