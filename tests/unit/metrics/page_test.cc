// SPDX-License-Identifier: Apache-2.0
#include "metrics/page.h"

#include <cmath>
#include <ctime>

#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

namespace mptap::metrics {
namespace {

std::string text(Page& page) {
  return prometheus::TextSerializer().Serialize(page.take());
}

TEST(Page, SamplesOfOneNameAreOneFamily) {
  Page page;
  page.counter("frames_total", "frames received", 7, {{"worker", "0"}});
  page.gauge("workers", "workers that run", 2);
  page.counter("frames_total", "frames received", 0, {{"worker", "1"}});
  EXPECT_EQ(text(page),
            "# HELP mptap_frames_total frames received\n# TYPE mptap_frames_total counter\n"
            "mptap_frames_total{worker=\"0\"} 7\nmptap_frames_total{worker=\"1\"} 0\n"
            "# HELP mptap_workers workers that run\n# TYPE mptap_workers gauge\nmptap_workers 2\n");
}

TEST(Page, LabelsMayBearAnything) {
  Page page;
  page.gauge("port_up", "link", 1, {{"port", "a\"b\\c\nd"}});
  EXPECT_NE(text(page).find("mptap_port_up{port=\"a\\\"b\\\\c\\nd\"} 1\n"), std::string::npos);
}

TEST(Page, HistogramsAreCumulative) {
  Page page;
  page.histogram("wait_seconds", "waits", std::array{0.1, 1.0}, std::array<uint64_t, 3>{4, 2, 1}, 3.5);
  const std::string out = text(page);
  EXPECT_NE(out.find("mptap_wait_seconds_count 7\n"), std::string::npos) << out;
  EXPECT_NE(out.find("mptap_wait_seconds_sum 3.5\n"), std::string::npos) << out;
  EXPECT_NE(out.find("mptap_wait_seconds_bucket{le=\"0.1\"} 4\n"), std::string::npos) << out;
  EXPECT_NE(out.find("mptap_wait_seconds_bucket{le=\"1\"} 6\n"), std::string::npos) << out;
  EXPECT_NE(out.find("mptap_wait_seconds_bucket{le=\"+Inf\"} 7\n"), std::string::npos) << out;
}

TEST(Page, ProcessHasPrometheusNames) {
  Page page;
  add_process(page);
  double started = 0, resident = 0, files = 0;
  for (const auto& family : page.take()) {
    if (family.name == "process_start_time_seconds") started = family.metric.at(0).gauge.value;
    if (family.name == "process_resident_memory_bytes") resident = family.metric.at(0).gauge.value;
    if (family.name == "process_open_fds") files = family.metric.at(0).gauge.value;
  }
  EXPECT_NEAR(started, static_cast<double>(std::time(nullptr)), 600);
  EXPECT_GT(resident, 1e6);
  EXPECT_GE(files, 3);
}

}  // namespace
}  // namespace mptap::metrics
