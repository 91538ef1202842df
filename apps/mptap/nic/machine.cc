// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/nic/machine.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

namespace mptap::nic {
namespace {

namespace fs = std::filesystem;

std::string line_of(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

template <typename Number>
Number number_of(const fs::path& path, Number otherwise) {
  const std::string text = line_of(path);
  Number value = otherwise;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

// Interfaces with a route, or an IPv6 address of more than link scope.
std::set<std::string> used_interfaces(const fs::path& root) {
  std::set<std::string> used;
  std::ifstream routes(root / "proc/net/route");
  std::string line;
  std::getline(routes, line);  // its titles
  while (std::getline(routes, line)) used.insert(line.substr(0, line.find_first_of("\t ")));
  std::ifstream v6(root / "proc/net/if_inet6");
  while (std::getline(v6, line)) {
    std::istringstream fields(line);
    std::string address, index, prefix, scope, flags, name;
    if (fields >> address >> index >> prefix >> scope >> flags >> name && scope == "00") used.insert(name);
  }
  return used;
}

std::string hex_id(const fs::path& device) {
  const auto digits = [&](const char* name) {
    const std::string text = line_of(device / name);
    return text.starts_with("0x") ? text.substr(2) : text;
  };
  return digits("vendor") + ":" + digits("device");
}

Nic read_nic(const fs::path& device, const std::set<std::string>& used) {
  std::error_code ignored;
  Nic nic{.address = device.filename().string(), .id = hex_id(device), .driver = {}, .node = 0, .iommu = false, .interfaces = {}};
  if (const fs::path driver = fs::read_symlink(device / "driver", ignored); !driver.empty())
    nic.driver = driver.filename().string();
  nic.node = std::max(number_of(device / "numa_node", 0), 0);
  nic.iommu = fs::is_symlink(device / "iommu_group", ignored);
  // virtio has a device of its own in between.
  std::vector<fs::path> folders{device / "net"};
  for (const fs::path& inside : entries(device))
    if (inside.filename().string().starts_with("virtio")) folders.push_back(inside / "net");
  for (const fs::path& folder : folders) {
    for (const fs::path& entry : entries(folder)) {
      const std::string name = entry.filename().string();
      nic.interfaces.push_back({.name = name,
                                .up = line_of(entry / "operstate") == "up",
                                .mbps = std::max(number_of(entry / "speed", 0), 0),
                                .in_use = used.contains(name) || fs::is_symlink(entry / "master", ignored)});
    }
  }
  return nic;
}

}  // namespace

std::vector<unsigned> cpu_list(const std::string& text) {
  std::vector<unsigned> list;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    unsigned first = 0, last = 0;
    const char* end = part.data() + part.size();
    auto [rest, error] = std::from_chars(part.data(), end, first);
    if (error != std::errc()) continue;
    last = first;
    if (rest != end && *rest == '-') std::from_chars(rest + 1, end, last);
    for (unsigned cpu = first; cpu <= last && list.size() < 4096; ++cpu) list.push_back(cpu);
  }
  return list;
}

Machine read_machine(const std::string& root_name) {
  const fs::path root(root_name);
  Machine m;
  m.root = root_name;
  const auto used = used_interfaces(root);
  for (const fs::path& device : entries(root / "sys/bus/pci/devices"))
    if (line_of(device / "class").starts_with("0x02")) m.nics.push_back(read_nic(device, used));

  const fs::path nodes = root / "sys/devices/system/node";
  const auto isolated = cpu_list(line_of(root / "sys/devices/system/cpu/isolated"));
  for (const fs::path& node : entries(nodes)) {
    const std::string name = node.filename().string();
    int number = 0;
    if (!name.starts_with("node") || std::from_chars(name.data() + 4, name.data() + name.size(), number).ec != std::errc())
      continue;
    for (const fs::path& size : entries(node / "hugepages")) {
      const std::string pages = size.filename().string();  // hugepages-2048kB
      uint64_t kb = 0;
      std::from_chars(pages.data() + std::min<size_t>(10, pages.size()), pages.data() + pages.size(), kb);
      m.huge_pages.push_back(
          {number, kb, number_of<uint64_t>(size / "nr_hugepages", 0), number_of<uint64_t>(size / "free_hugepages", 0)});
    }
    for (const unsigned cpu : cpu_list(line_of(node / "cpulist"))) {
      m.cpus.push_back(
          {.number = cpu,
           .node = number,
           .isolated = std::find(isolated.begin(), isolated.end(), cpu) != isolated.end(),
           .governor = line_of(root / ("sys/devices/system/cpu/cpu" + std::to_string(cpu)) / "cpufreq/scaling_governor")});
    }
  }
  std::error_code ignored;
  m.vfio = fs::exists(root / "sys/bus/pci/drivers/vfio-pci", ignored);
  m.no_iommu = line_of(root / "sys/module/vfio/parameters/enable_unsafe_noiommu_mode") == "Y";
  return m;
}

}  // namespace mptap::nic
