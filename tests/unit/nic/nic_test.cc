// SPDX-License-Identifier: Apache-2.0
// A machine made of files: two cards, one of them in use, two NUMA nodes.
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/mptap/nic/advice.h"

namespace mptap::nic {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using Kind = Finding::Kind;

class NicTest : public testing::Test {
 protected:
  NicTest() : root_(fs::temp_directory_path() / fmt::format("mptap-nic-{}", getpid())) {
    fs::remove_all(root_);
    card("0000:03:00.0", "0x1572", 1, "i40e", "eth2", "up", "10000");
    card("0000:04:00.0", "0x1521", 0, "igb", "eth0", "up", "1000");
    put("sys/bus/pci/devices/0000:00:00.0/class", "0x060000");  // no network card
    put("sys/bus/pci/drivers_probe", "");
    put("proc/net/route", "Iface\tDestination\neth0\t00000000\n");
    put("proc/net/if_inet6", "fe80 03 40 20 80 eth2\n");
    for (const char* node : {"node0", "node1"}) {
      put(fmt::format("sys/devices/system/node/{}/hugepages/hugepages-2048kB/nr_hugepages", node), "100");
      put(fmt::format("sys/devices/system/node/{}/hugepages/hugepages-2048kB/free_hugepages", node), "100");
    }
    put("sys/devices/system/node/node0/cpulist", "0-1");
    put("sys/devices/system/node/node1/cpulist", "2-3");
    put("sys/devices/system/cpu/isolated", "3");
    put("sys/devices/system/cpu/cpu2/cpufreq/scaling_governor", "powersave");
    put("sys/devices/system/cpu/cpu3/cpufreq/scaling_governor", "performance");
  }
  ~NicTest() override { fs::remove_all(root_); }

  void put(const std::string& name, const std::string& text) {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text << "\n";
  }
  std::string get(const std::string& name) const {
    std::ifstream file(root_ / name);
    std::string line;
    std::getline(file, line);
    return line;
  }
  void card(const std::string& address, const std::string& device, int node, const std::string& driver,
            const std::string& interface, const std::string& state, const std::string& speed) {
    const std::string folder = "sys/bus/pci/devices/" + address;
    put(folder + "/class", "0x020000");
    put(folder + "/vendor", "0x8086");
    put(folder + "/device", device);
    put(folder + "/numa_node", std::to_string(node));
    put(folder + "/driver_override", "(null)");
    put("sys/bus/pci/drivers/" + driver + "/unbind", "");
    fs::create_directory_symlink(root_ / "sys/bus/pci/drivers" / driver, root_ / folder / "driver");
    put(folder + "/net/" + interface + "/operstate", state);
    put(folder + "/net/" + interface + "/speed", speed);
  }
  Machine machine() const { return read_machine(root_.string()); }
  static const Finding* find(const std::vector<Finding>& list, const std::string& part) {
    for (const Finding& f : list)
      if (f.text.find(part) != std::string::npos) return &f;
    return nullptr;
  }

  const fs::path root_;
};

TEST_F(NicTest, ReadsCardsMemoryAndCpus) {
  const Machine m = machine();
  ASSERT_EQ(m.nics.size(), 2u);
  EXPECT_EQ(m.nics[0].address, "0000:03:00.0");
  EXPECT_EQ(m.nics[0].id, "8086:1572");
  EXPECT_EQ(m.nics[0].driver, "i40e");
  EXPECT_EQ(m.nics[0].node, 1);
  EXPECT_FALSE(m.nics[0].iommu);
  ASSERT_EQ(m.nics[0].interfaces.size(), 1u);
  EXPECT_TRUE(m.nics[0].interfaces[0].up);
  EXPECT_EQ(m.nics[0].interfaces[0].mbps, 10000);
  EXPECT_FALSE(m.nics[0].interfaces[0].in_use) << "an address of the link alone is no use";
  EXPECT_TRUE(m.nics[1].interfaces[0].in_use);
  EXPECT_EQ(m.huge_pages.size(), 2u);
  ASSERT_EQ(m.cpus.size(), 4u);
  EXPECT_TRUE(m.cpus[3].isolated);
  EXPECT_EQ(m.cpus[2].governor, "powersave");
}

TEST_F(NicTest, SaysWhatToChangeAndDoesIt) {
  const Machine m = machine();
  const Family* family = family_of("8086:1572", "i40e");
  ASSERT_NE(family, nullptr);
  EXPECT_EQ(family->name, "i40e");
  const auto found = judge(m, m.nics[0], *family, 1024);
  const Finding* bind = find(found, "driver i40e");
  ASSERT_NE(bind, nullptr);
  std::vector<std::string> shell;
  for (const Step& s : bind->steps) shell.push_back(s.shell());
  EXPECT_THAT(shell, ElementsAre("modprobe vfio-pci", "echo vfio-pci > /sys/bus/pci/devices/0000:03:00.0/driver_override",
                                 "echo 0000:03:00.0 > /sys/bus/pci/devices/0000:03:00.0/driver/unbind",
                                 "echo 0000:03:00.0 > /sys/bus/pci/drivers_probe"));
  ASSERT_NE(find(found, "no IOMMU"), nullptr);
  EXPECT_EQ(find(found, "no IOMMU")->kind, Kind::kByHand);
  const Finding* pages = find(found, "200 MB of huge pages");
  ASSERT_NE(pages, nullptr);
  EXPECT_EQ(pages->steps.at(0).shell(), "echo 512 > /sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages");
  EXPECT_EQ(find(found, "isolated")->text, "CPUs 3 of node 1 are isolated: workers.cpus = [3]");
  EXPECT_THAT(find(found, "save power")->text, HasSubstr("1 CPUs of node 1"));

  for (const Finding& f : found) ASSERT_TRUE(perform(m, f.steps).has_value());
  EXPECT_EQ(get("sys/bus/pci/devices/0000:03:00.0/driver_override"), "vfio-pci");
  EXPECT_EQ(get("sys/bus/pci/drivers/i40e/unbind"), "0000:03:00.0");
  EXPECT_EQ(get("sys/bus/pci/drivers_probe"), "0000:03:00.0");
  EXPECT_EQ(get("sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages"), "512");
  EXPECT_EQ(get("sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages"), "100") << "another node";
  EXPECT_EQ(get("sys/devices/system/cpu/cpu2/cpufreq/scaling_governor"), "performance");
}

TEST_F(NicTest, NothingToChangeWhenAllIsWell) {
  put("sys/bus/pci/drivers/vfio-pci/unbind", "");
  const fs::path folder = root_ / "sys/bus/pci/devices/0000:03:00.0";
  fs::remove(folder / "driver");
  fs::remove_all(folder / "net");
  fs::create_directory_symlink(root_ / "sys/bus/pci/drivers/vfio-pci", folder / "driver");
  fs::create_directories(root_ / "sys/kernel/iommu_groups/7");
  fs::create_directory_symlink(root_ / "sys/kernel/iommu_groups/7", folder / "iommu_group");
  put("sys/devices/system/node/node1/hugepages/hugepages-2048kB/free_hugepages", "512");
  put("sys/devices/system/cpu/cpu2/cpufreq/scaling_governor", "performance");
  const Machine m = machine();
  for (const Finding& f : judge(m, m.nics[0], *family_of("8086:1572", "vfio-pci"), 1024))
    EXPECT_EQ(f.kind, Kind::kGood) << f.text;
}

TEST_F(NicTest, ACardInUseIsNotTouched) {
  const Machine m = machine();
  const auto found = judge(m, m.nics[1], *family_of("8086:1521", "igb"), 1024);
  const Finding* stop = find(found, "eth0 has addresses or routes");
  ASSERT_NE(stop, nullptr);
  EXPECT_EQ(stop->kind, Kind::kStop);
  for (const Finding& f : found)
    for (const Step& s : f.steps) EXPECT_THAT(s.path, testing::Not(HasSubstr("0000:04:00.0")));
}

TEST_F(NicTest, APortOfABridgeIsInUse) {
  fs::create_directory_symlink(root_ / "sys", root_ / "sys/bus/pci/devices/0000:03:00.0/net/eth2/master");
  EXPECT_TRUE(machine().nics[0].interfaces[0].in_use);
}

TEST_F(NicTest, AStepThatFailsIsNamed) {
  const auto done = perform(machine(), {{"/sys/nowhere", "1"}});
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error(), "echo 1 > /sys/nowhere: No such file or directory");
}

TEST(Families, EachFileIsWholeAndNoDeviceIsInTwo) {
  std::vector<std::string> ids;
  for (const FamilyText& text : family_texts()) {
    const auto family = parse_family(text);
    ASSERT_TRUE(family.has_value()) << family.error();
    for (const std::string& id : family->pci_ids) {
      EXPECT_THAT(id, testing::MatchesRegex("[0-9a-f]{4}:[0-9a-f]{4}")) << text.name;
      EXPECT_THAT(ids, testing::Not(testing::Contains(id))) << text.name;
      ids.push_back(id);
    }
  }
  EXPECT_EQ(families().size(), 9u);
  EXPECT_EQ(family_of("1af4:1041", "vfio-pci")->name, "virtio");
  EXPECT_EQ(family_of("15b3:ffff", "mlx5_core")->name, "mlx5") << "a new device of a known driver";
  EXPECT_EQ(family_of("dead:beef", "nobody"), nullptr);
}

TEST(Families, WhatIsWrongIsNamed) {
  EXPECT_EQ(parse_family({"x", "title = \"a\""}).error(), "x: limits is missing");
  const char* kBinding =
      "title=\"a\"\ndpdk_driver=\"b\"\nbinding=\"uio\"\nqueues=\"\"\ndescriptors=\"\"\nrss=\"\"\noffloads=\"\"\n"
      "kernel_drivers=[]\npci_ids=[]\nlimits=[]";
  EXPECT_EQ(parse_family({"x", kBinding}).error(), "x: binding is \"uio\"; it must be vfio or kernel");
}

TEST(CpuList, Ranges) {
  EXPECT_THAT(cpu_list("0,2-4"), ElementsAre(0u, 2u, 3u, 4u));
  EXPECT_THAT(cpu_list(""), ElementsAre());
  EXPECT_THAT(cpu_list("(null)"), ElementsAre());
}

}  // namespace
}  // namespace mptap::nic
