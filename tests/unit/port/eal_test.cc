// SPDX-License-Identifier: Apache-2.0
#include "port/eal.h"

#include <sched.h>
#include <time.h>

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_lcore.h>

namespace mptap::port {
namespace {

using testing::HasSubstr;

double now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC_RAW, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// Options are judged before DPDK is touched, so these leave the one start of this process unused.
TEST(EalOptions, CpuThatDoesNotExist) {
  auto eal = Eal::start({.worker_cpus = {4000}});
  ASSERT_FALSE(eal);
  EXPECT_THAT(eal.error(), HasSubstr("worker CPU 4000"));
  EXPECT_FALSE(Eal::started());
}

TEST(EalOptions, CpuGivenTwice) {
  const unsigned cpu = Eal::usable_cpus().front();
  auto eal = Eal::start({.worker_cpus = {cpu, cpu}});
  ASSERT_FALSE(eal);
  EXPECT_THAT(eal.error(), HasSubstr("twice"));
}

TEST(EalOptions, NotAPciAddress) {
  auto eal = Eal::start({.pci_devices = {"eth0"}});
  ASSERT_FALSE(eal);
  EXPECT_THAT(eal.error(), HasSubstr("\"eth0\" is not a PCI address"));
}

TEST(EalOptions, MoreHugePagesThanThereAre) {
  auto eal = Eal::start({.huge_pages = true, .memory_mb = 1u << 30});
  ASSERT_FALSE(eal);
  EXPECT_THAT(eal.error(), HasSubstr("huge pages: 1073741824 MB wanted"));
}

TEST(Eal, StartsOnceQuietlyAndLeavesNothing) {
  cpu_set_t before, after;
  CPU_ZERO(&before);
  CPU_ZERO(&after);
  sched_getaffinity(0, sizeof before, &before);
  std::string runtime_dir;
  {
    testing::internal::CaptureStderr();
    testing::internal::CaptureStdout();
    auto eal = Eal::start({.memory_mb = 64});
    const std::string said = testing::internal::GetCapturedStdout() + testing::internal::GetCapturedStderr();
    ASSERT_TRUE(eal) << eal.error();
    EXPECT_EQ(said, "");
    EXPECT_EQ(rte_lcore_count(), 1u);

    sched_getaffinity(0, sizeof after, &after);
    EXPECT_TRUE(CPU_EQUAL(&before, &after)) << "the main thread must stay free to move";

    // The shortened calibration must still give the TSC's frequency; DPDK rounds it to 10 MHz.
    const uint64_t tsc = rte_rdtsc();
    const double start = now();
    while (now() - start < 0.2) {
    }
    const double measured = static_cast<double>(rte_rdtsc() - tsc) / (now() - start);
    EXPECT_NEAR(measured, static_cast<double>(rte_get_tsc_hz()), 15e6);

    auto second = Eal::start({.memory_mb = 64});
    ASSERT_FALSE(second);
    EXPECT_THAT(second.error(), HasSubstr("once per process"));
    runtime_dir = rte_eal_get_runtime_dir();
    EXPECT_TRUE(std::filesystem::exists(runtime_dir));
  }
  EXPECT_FALSE(std::filesystem::exists(runtime_dir));
}

}  // namespace
}  // namespace mptap::port
