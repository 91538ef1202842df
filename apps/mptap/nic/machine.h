// SPDX-License-Identifier: Apache-2.0
// The machine as /sys and /proc describe it: network cards, memory, CPUs. Everything is read below a root, so that a copy of
// another machine's files does, too.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mptap::nic {

struct Interface {
  std::string name;
  bool up = false;
  int mbps = 0;         // 0: unknown
  bool in_use = false;  // has a route, an IPv6 address beyond its link, or a bridge or bond above it
};

struct Nic {
  std::string address;  // "0000:03:00.0"
  std::string id;       // "8086:1572"
  std::string driver;   // empty: none is bound
  int node = 0;         // NUMA
  bool iommu = false;   // in a group
  std::vector<Interface> interfaces;
};

struct HugePages {
  int node = 0;
  uint64_t kb = 0, total = 0, free = 0;
};

struct Cpu {
  unsigned number = 0;
  int node = 0;
  bool isolated = false;
  std::string governor;  // empty: no frequency scaling
};

struct Machine {
  std::string root;
  std::vector<Nic> nics;
  std::vector<HugePages> huge_pages;
  std::vector<Cpu> cpus;
  bool vfio = false;     // the module vfio-pci is there
  bool no_iommu = false;  // vfio without an IOMMU is switched on
};

Machine read_machine(const std::string& root = "/");
// "0,2-4" -> 0 2 3 4
std::vector<unsigned> cpu_list(const std::string& text);

}  // namespace mptap::nic
