// SPDX-License-Identifier: Apache-2.0
// What each family of NICs needs: the files of drivers-config/, built into the program.
#pragma once

#include <span>
#include <string>
#include <vector>

#include <tl/expected.hpp>

namespace mptap::nic {

struct FamilyText {
  const char* name;  // of the file
  const char* text;  // TOML
};
std::span<const FamilyText> family_texts();

struct Family {
  std::string name, title, dpdk_driver;
  std::vector<std::string> kernel_drivers, pci_ids;  // "8086:1572"
  bool vfio = false;                                 // bound to vfio-pci; else it stays with its kernel driver
  std::string queues, descriptors, rss, offloads;
  std::vector<std::string> limits;
};

// The error names the file and the key.
tl::expected<Family, std::string> parse_family(const FamilyText& text);
// All that are built in. A fault in one of them is a test's business: it is left out.
const std::vector<Family>& families();
// nullptr: none of them knows this device.
const Family* family_of(const std::string& pci_id, const std::string& kernel_driver);

}  // namespace mptap::nic
