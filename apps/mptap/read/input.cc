// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/read/input.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>

#include <fmt/format.h>

#include "apps/mptap/read/progress.h"
#include "apps/mptap/terminal.h"
#include "port/capture_reader.h"
#include "port/device.h"
#include "port/live_source.h"

namespace mptap::read {
namespace {

using Clock = std::chrono::steady_clock;

bool stopped() {
  return cli::stop_requested().load(std::memory_order_relaxed);
}

bool is_regular(const std::string& file) {
  struct stat s {};
  return stat(file.c_str(), &s) == 0 && S_ISREG(s.st_mode);
}

// When to stop apart from the input's end.
class Bounds {
 public:
  explicit Bounds(const InputOptions& input) : left_(input.count), counted_(input.count > 0) {
    if (input.duration_s > 0)
      until_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(input.duration_s));
  }
  // How many of n packets still count.
  size_t take(size_t n) {
    if (!counted_) return n;
    const size_t taken = std::min<uint64_t>(n, left_);
    left_ -= taken;
    return taken;
  }
  bool reached() const { return (counted_ && left_ == 0) || (timed() && Clock::now() >= until_); }

 private:
  bool timed() const { return until_ != Clock::time_point::max(); }

  uint64_t left_;
  bool counted_;
  Clock::time_point until_ = Clock::time_point::max();
};

tl::expected<InputResult, std::string> run_files(const InputOptions& input, worker::Engine& engine, size_t burst,
                                                 const std::function<void()>& settle,
                                                 const std::function<void(const std::string&)>& tell) {
  port::ReaderOptions options;
  options.stop = &cli::stop_requested();
  // A name that is wrong is said before an hour is spent on the others.
  for (const std::string& file : input.files) {
    if (file == "-" || (!is_regular(file) && ::access(file.c_str(), F_OK) == 0 && !std::filesystem::is_directory(file))) continue;
    if (auto reader = port::CaptureReader::open(file, options); !reader) return tl::unexpected(reader.error());
  }
  InputResult result;
  Progress progress;
  Bounds bounds(input);
  std::array<packet::Frame, 256> frames;
  const std::span<packet::Frame> room = std::span(frames).first(std::min(burst, frames.size()));
  for (const std::string& file : input.files) {
    auto reader = port::CaptureReader::open(file, options);
    if (!reader) {
      if (stopped()) {
        result.interrupted = true;
        break;
      }
      if (result.summary.packets == 0) return tl::unexpected(reader.error());
      tell(reader.error());
      result.partly = true;
      continue;
    }
    progress.restart();
    const bool pipe = !reader->size();
    const uint64_t before = result.summary.packets;
    bool enough = false;
    while (!enough && !stopped()) {
      const size_t n = bounds.take(reader->next_burst(room));
      if (n == 0) break;
      if (before > 0) {
        for (packet::Frame& f : room.first(n)) f.number += before;
      }
      engine.process(room.first(n));
      result.summary.packets += n;
      settle();
      progress.update(file, reader->position(), reader->size(), result.summary.packets);
      enough = bounds.reached();
    }
    progress.clear();
    result.summary.left_out += reader->left_out();
    if (stopped() && (pipe || reader->status().end != port::ReadEnd::kComplete)) {
      result.interrupted = true;
      break;
    }
    if (enough || bounds.reached()) break;
    const port::ReadStatus& status = reader->status();
    if (!status.message.empty()) tell(status.message);
    if (status.end != port::ReadEnd::kComplete) result.partly = true;
  }
  return result;
}

std::string port_line(const port::Port& port) {
  const port::PortStats s = port.stats();
  std::string line = fmt::format("port {}: {} packets received", port.info().name, cli::grouped(s.packets));
  line += fmt::format(", {} dropped by the device", cli::grouped(s.missed));
  if (s.no_buffer > 0) line += fmt::format(", {} dropped for want of buffers", cli::grouped(s.no_buffer));
  if (s.errors > 0) line += fmt::format(", {} malformed on the wire", cli::grouped(s.errors));
  return line;
}

tl::expected<InputResult, std::string> run_ports(const InputOptions& input, worker::Engine& engine,
                                                 const std::function<void()>& settle,
                                                 const std::function<void(const std::string&)>& tell) {
  std::vector<port::Port> ports;
  for (const std::string& name : input.ports) {
    auto port = port::Port::open(name);
    if (!port) return tl::unexpected(port.error());
    ports.push_back(std::move(*port));
  }
  InputResult result;
  // Said after a while: an interface that has just been set up is down for a moment.
  auto look_at_links = Clock::now() + std::chrono::seconds(2);
  {
    port::LiveSource source(std::move(ports));
    Bounds bounds(input);
    while (!stopped() && !bounds.reached() && !source.drained()) {
      const auto frames = source.poll();
      const size_t n = bounds.take(frames.size());
      if (n > 0) {
        engine.process(frames.first(n));
        result.summary.packets += n;
      }
      if (Clock::now() >= look_at_links) {
        look_at_links = Clock::time_point::max();
        for (const port::Port& port : source.ports()) {
          if (!port.info().timestamps && !port.link().up) tell(fmt::format("port {}: the link is down", port.info().name));
        }
      }
      if (!source.ports().front().info().timestamps) engine.advance(source.now_ns());
      settle();
    }
    for (const port::Port& port : source.ports()) result.summary.ports.push_back(port_line(port));
  }
  return result;
}

}  // namespace

tl::expected<port::Eal, std::string> start_eal(const InputOptions& input, uint32_t max_subflows) {
  port::EalOptions options;
  options.memory_mb = eal_memory_mb(max_subflows, input.ports.size());
  for (const std::string& name : input.ports) {
    const auto device = port::parse_device(name);
    if (!device) return tl::unexpected("port " + device.error());
    if (device->kind == port::Device::Kind::kPci) options.pci_devices.push_back(device->name);
  }
  return port::Eal::start(options);
}

tl::expected<InputResult, std::string> run_input(const InputOptions& input, worker::Engine& engine, size_t burst,
                                                 const std::function<void()>& settle,
                                                 const std::function<void(const std::string&)>& tell) {
  return input.live() ? run_ports(input, engine, settle, tell) : run_files(input, engine, burst, settle, tell);
}

bool is_endless(const InputOptions& input) {
  if (input.live()) return true;
  return std::any_of(input.files.begin(), input.files.end(), [](const std::string& f) {
    struct stat s {};
    return (f == "-" ? fstat(0, &s) : stat(f.c_str(), &s)) == 0 &&
           (S_ISFIFO(s.st_mode) || S_ISSOCK(s.st_mode) || S_ISCHR(s.st_mode));
  });
}

}  // namespace mptap::read
