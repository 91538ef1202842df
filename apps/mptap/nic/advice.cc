// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/nic/advice.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "apps/mptap/process.h"

namespace mptap::nic {
namespace {

using Kind = Finding::Kind;

void judge_driver(const Machine& m, const Nic& nic, const Family& family, std::vector<Finding>& out) {
  const std::string device = "/sys/bus/pci/devices/" + nic.address;
  if (!family.vfio) {
    const auto& own = family.kernel_drivers;
    if (std::find(own.begin(), own.end(), nic.driver) != own.end())
      out.push_back({Kind::kGood, fmt::format("driver {}: it stays with it", nic.driver)});
    else
      out.push_back({Kind::kFix,
                     fmt::format("driver {}: it has to be {}", nic.driver.empty() ? "none" : nic.driver, own.front()),
                     {{device + "/driver_override", ""}, {"/sys/bus/pci/drivers_probe", nic.address}}});
    return;
  }
  if (nic.driver == "vfio-pci") {
    out.push_back({Kind::kGood, "bound to vfio-pci"});
  } else {
    const auto used = std::find_if(nic.interfaces.begin(), nic.interfaces.end(), [](const Interface& i) { return i.in_use; });
    if (used != nic.interfaces.end()) {
      out.push_back(
          {Kind::kStop, fmt::format("{} has addresses or routes: the machine talks over it. Take another card, or take its "
                                    "addresses away first",
                                    used->name)});
      return;
    }
    Finding bind{Kind::kFix, fmt::format("driver {}: it has to be vfio-pci", nic.driver.empty() ? "none" : nic.driver), {}};
    if (!m.vfio) bind.steps.push_back({"", "", {"modprobe", "vfio-pci"}});
    bind.steps.push_back({device + "/driver_override", "vfio-pci"});
    if (!nic.driver.empty()) bind.steps.push_back({device + "/driver/unbind", nic.address});
    bind.steps.push_back({"/sys/bus/pci/drivers_probe", nic.address});
    out.push_back(std::move(bind));
  }
  if (nic.iommu)
    out.push_back({Kind::kGood, "behind an IOMMU"});
  else if (m.no_iommu)
    out.push_back(
        {Kind::kGood, "no IOMMU, and vfio goes without: the card may write anywhere in memory, and mptapd has to be root"});
  else
    out.push_back(
        {Kind::kByHand,
         "no IOMMU: switch it on in the firmware (VT-d, AMD-Vi) and boot with intel_iommu=on iommu=pt; in a virtual machine "
         "without one, and unsafe: echo 1 > /sys/module/vfio/parameters/enable_unsafe_noiommu_mode"});
}

void judge_memory(const Machine& m, const Nic& nic, uint64_t memory_mb, std::vector<Finding>& out) {
  uint64_t free_mb = 0;
  const HugePages* small = nullptr;
  for (const HugePages& h : m.huge_pages) {
    if (h.node != nic.node) continue;
    free_mb += h.free * h.kb / 1024;
    if (h.kb == 2048) small = &h;
  }
  if (free_mb >= memory_mb) {
    out.push_back({Kind::kGood, fmt::format("{} MB of huge pages are free on node {}", free_mb, nic.node)});
  } else if (small == nullptr) {
    out.push_back({Kind::kByHand, fmt::format("node {} has no huge pages of 2 MB: the kernel was built without them", nic.node)});
  } else {
    const uint64_t more = (memory_mb - free_mb + 1) / 2;
    out.push_back(
        {Kind::kFix,
         fmt::format("{} MB of huge pages are free on node {}, {} MB are wanted (workers.memory_mb, with workers.huge_pages = "
                     "true); to last, vm.nr_hugepages in sysctl.d",
                     free_mb, nic.node, memory_mb),
         {{fmt::format("/sys/devices/system/node/node{}/hugepages/hugepages-2048kB/nr_hugepages", nic.node),
           std::to_string(small->total + more)}}});
  }
}

void judge_cpus(const Machine& m, const Nic& nic, std::vector<Finding>& out) {
  std::string isolated, local;
  Finding slow{Kind::kFix, "", {}};
  for (const Cpu& cpu : m.cpus) {
    if (cpu.node != nic.node) continue;
    std::string& list = cpu.isolated ? isolated : local;
    list += fmt::format("{}{}", list.empty() ? "" : ",", cpu.number);
    if (!cpu.governor.empty() && cpu.governor != "performance")
      slow.steps.push_back({fmt::format("/sys/devices/system/cpu/cpu{}/cpufreq/scaling_governor", cpu.number), "performance"});
  }
  if (!isolated.empty())
    out.push_back(
        {Kind::kGood, fmt::format("CPUs {} of node {} are isolated: workers.cpus = [{}]", isolated, nic.node, isolated)});
  else
    out.push_back(
        {Kind::kByHand, fmt::format("no CPU of node {} is isolated; its CPUs are {}: boot with isolcpus=LIST nohz_full=LIST, and "
                                    "give the same to workers.cpus",
                                    nic.node, local)});
  if (slow.steps.empty()) return;
  slow.text = fmt::format("{} CPUs of node {} save power (their governor is not performance)", slow.steps.size(), nic.node);
  out.push_back(std::move(slow));
}

}  // namespace

std::string Step::shell() const {
  if (!argv.empty()) return fmt::format("{}", fmt::join(argv, " "));
  return fmt::format("echo {} > {}", value.empty() ? "\"\"" : value, path);
}

std::vector<Finding> judge(const Machine& m, const Nic& nic, const Family& family, uint64_t memory_mb) {
  std::vector<Finding> out;
  judge_driver(m, nic, family, out);
  for (const Interface& i : nic.interfaces) {
    if (family.vfio && nic.driver != "vfio-pci") continue;
    if (i.up)
      out.push_back({Kind::kGood, fmt::format("{} is up{}", i.name, i.mbps == 0 ? "" : fmt::format(", {} Mbit/s", i.mbps))});
    else
      out.push_back({Kind::kFix,
                     fmt::format("{} has no link, or is switched off", i.name),
                     {{"", "", {"ip", "link", "set", "dev", i.name, "up"}}}});
  }
  judge_memory(m, nic, memory_mb, out);
  judge_cpus(m, nic, out);
  return out;
}

tl::expected<void, std::string> perform(const Machine& machine, const std::vector<Step>& steps) {
  for (const Step& step : steps) {
    if (!step.argv.empty()) {
      if (machine.root != "/") continue;
      const auto done = cli::run(step.argv);
      if (!done) return tl::unexpected(done.error());
      if (done->code != 0) return tl::unexpected(fmt::format("{}: {}", step.shell(), done->err));
      continue;
    }
    const std::string path = machine.root == "/" ? step.path : machine.root + step.path;
    const std::string text = step.value + "\n";
    const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
    const bool good = fd >= 0 && write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    const int error = errno;
    if (fd >= 0) close(fd);
    if (!good) return tl::unexpected(fmt::format("{}: {}", step.shell(), std::strerror(error)));
  }
  return {};
}

}  // namespace mptap::nic
