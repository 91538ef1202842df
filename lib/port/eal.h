// SPDX-License-Identifier: Apache-2.0
// DPDK's environment (EAL), started once per process and quietly.
//
//   auto eal = port::Eal::start({.memory_mb = 256});
//   if (!eal) return fail(eal.error());
//
// Everything that uses rte_hash, rte_ring, rte_malloc or a port needs it alive. The thread that starts it becomes the main
// lcore; workers are lcores 1, 2, … in the order of worker_cpus. DPDK allows one start per process, ever: a second start()
// is an error, also after the first Eal is gone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <tl/expected.hpp>

namespace mptap::port {

struct EalOptions {
  // true: memory from huge pages, no file left behind (--in-memory). false: ordinary pages, works everywhere (--no-huge).
  bool huge_pages = false;
  // Ordinary pages: all that DPDK can ever hand out; untouched pages cost no RAM, but about 15 ms of start a GiB.
  // Huge pages: what is taken at the start; more comes on demand.
  uint32_t memory_mb = 256;
  // One worker lcore per entry, pinned to that CPU. The main lcore is not pinned: it keeps the caller's CPU set.
  std::vector<unsigned> worker_cpus;
  // The only PCI devices that DPDK may touch, "0000:03:00.0". Empty: the PCI bus is left alone.
  std::vector<std::string> pci_devices;
  // DPDK's own messages of this level and worse go to stderr: 1 (emergency) to 8 (debug). At level 4 (error) and
  // while starting they go into the error text instead.
  unsigned log_level = 4;
};

class Eal {
 public:
  // The error is one sentence that says what is missing and how to provide it.
  static tl::expected<Eal, std::string> start(const EalOptions& options = {});
  static bool started();
  // CPUs that this process may run on, ascending.
  static std::vector<unsigned> usable_cpus();

  Eal(Eal&& other) noexcept : owner_(other.owner_) { other.owner_ = false; }
  Eal& operator=(Eal&&) = delete;
  ~Eal();

 private:
  Eal() = default;
  bool owner_ = true;
};

}  // namespace mptap::port
