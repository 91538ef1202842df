// SPDX-License-Identifier: Apache-2.0
#include "port/eal.h"

#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_pci.h>

#include "port/captured_log.h"

namespace {

constexpr long kCalibrationNs = 100'000'000, kShortCalibrationNs = 10'000'000;
thread_local bool shorten_calibration = false;

}  // namespace

// Where the CPU does not name its TSC frequency (most virtual machines), rte_eal_init sleeps 100 ms to measure it against
// CLOCK_MONOTONIC_RAW, two thirds of what `mptap read` needs to start. The result is rounded to 10 MHz, for which 10 ms are
// plenty. DPDK has no option for it, so this definition stands before libc's; it changes that one sleep and no other.
extern "C" int nanosleep(const timespec* wanted, timespec* rest) {
  timespec time = *wanted;
  if (shorten_calibration && time.tv_sec == 0 && time.tv_nsec == kCalibrationNs) {
    shorten_calibration = false;
    time.tv_nsec = kShortCalibrationNs;
  }
  if (const int error = clock_nanosleep(CLOCK_REALTIME, 0, &time, rest)) {
    errno = error;
    return -1;
  }
  return 0;
}

namespace mptap::port {
namespace {

std::atomic<bool> was_started{false};

std::string join(const std::vector<unsigned>& numbers) {
  return fmt::format("{}", fmt::join(numbers, ","));
}

uint64_t free_huge_page_mb() {
  uint64_t kb = 0;
  std::error_code ignored;
  for (const auto& size : std::filesystem::directory_iterator("/sys/kernel/mm/hugepages", ignored)) {
    const std::string name = size.path().filename().string();  // hugepages-2048kB
    const size_t dash = name.find('-');
    uint64_t count = 0;
    if (dash == std::string::npos || !(std::ifstream(size.path() / "free_hugepages") >> count)) continue;
    kb += count * std::strtoull(name.c_str() + dash + 1, nullptr, 10);
  }
  return kb / 1024;
}

tl::expected<void, std::string> check(const EalOptions& options) {
  const std::vector<unsigned> usable = Eal::usable_cpus();
  for (size_t i = 0; i < options.worker_cpus.size(); ++i) {
    const unsigned cpu = options.worker_cpus[i];
    if (std::find(usable.begin(), usable.end(), cpu) == usable.end())
      return tl::unexpected(fmt::format("worker CPU {}: this process may not run there; usable are {}", cpu, join(usable)));
    if (std::count(options.worker_cpus.begin(), options.worker_cpus.end(), cpu) > 1)
      return tl::unexpected(fmt::format("worker CPU {} is given twice; each worker needs a CPU of its own", cpu));
  }
  if (options.worker_cpus.size() + 1 > RTE_MAX_LCORE)
    return tl::unexpected(fmt::format("{} workers: DPDK takes at most {}", options.worker_cpus.size(), RTE_MAX_LCORE - 1));
  for (const std::string& device : options.pci_devices) {
    rte_pci_addr address;
    if (rte_pci_addr_parse(device.c_str(), &address) != 0)
      return tl::unexpected(fmt::format("\"{}\" is not a PCI address; one looks like 0000:03:00.0", device));
  }
  if (options.memory_mb < 16) return tl::unexpected(fmt::format("{} MB of memory: DPDK needs 16 at least", options.memory_mb));
  if (options.huge_pages) {
    const uint64_t available = free_huge_page_mb();
    if (available < options.memory_mb) {
      return tl::unexpected(fmt::format(
          "huge pages: {} MB wanted, {} MB free; reserve them (echo {} > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages) "
          "or run without huge pages",
          options.memory_mb, available, (options.memory_mb + 1) / 2));
    }
  }
  return {};
}

std::vector<std::string> arguments(const EalOptions& options) {
  std::string lcores = fmt::format("--lcores=0@({})", join(Eal::usable_cpus()));
  for (size_t i = 0; i < options.worker_cpus.size(); ++i) lcores += fmt::format(",{}@{}", i + 1, options.worker_cpus[i]);

  std::vector<std::string> args{"mptap", lcores, "--main-lcore=0", "-m", std::to_string(options.memory_mb), "--no-telemetry"};
  args.push_back(fmt::format("--log-level={}", options.log_level));
  args.push_back(fmt::format("--file-prefix=mptap-{}", getpid()));
  if (options.huge_pages) {
    args.push_back("--in-memory");
  } else {
    args.insert(args.end(), {"--no-huge", "--no-shconf"});
  }
  if (options.pci_devices.empty()) {
    args.insert(args.end(), {"--no-pci", "--iova-mode=va"});
  } else {
    for (const std::string& device : options.pci_devices) args.insert(args.end(), {"-a", device});
  }
  return args;
}

std::string failure(int error, const std::string& said) {
  std::string text = fmt::format("DPDK did not start: {}", std::strerror(error));
  if (!said.empty()) text += fmt::format(" ({})", said);
  if (error == EACCES || error == EPERM) text += "; run as root or grant the capabilities that deploy/mptapd.service lists";
  if (error == ENOMEM) text += "; less memory than asked for is available";
  return text;
}

}  // namespace

tl::expected<Eal, std::string> Eal::start(const EalOptions& options) {
  if (auto valid = check(options); !valid) return tl::unexpected(valid.error());
  if (was_started.exchange(true)) return tl::unexpected(std::string("DPDK was started before: it starts once per process"));

  std::vector<std::string> args = arguments(options);
  std::vector<char*> argv;
  argv.reserve(args.size());
  for (std::string& arg : args) argv.push_back(arg.data());

  CapturedLog log;
  // Drivers of real devices sleep while they are probed, and mean it.
  shorten_calibration = options.pci_devices.empty();
  const int result = rte_eal_init(static_cast<int>(argv.size()), argv.data());
  shorten_calibration = false;
  if (result < 0) return tl::unexpected(failure(rte_errno, log.last_line()));
  return Eal();
}

bool Eal::started() {
  return was_started.load();
}

std::vector<unsigned> Eal::usable_cpus() {
  std::vector<unsigned> cpus;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return {0};
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  return cpus;
}

Eal::~Eal() {
  if (!owner_) return;
  const std::string runtime_dir = rte_eal_get_runtime_dir();
  rte_eal_cleanup();
  std::error_code ignored;
  std::filesystem::remove(runtime_dir, ignored);  // empty: nothing is shared with other processes
}

}  // namespace mptap::port
