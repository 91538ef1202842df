// SPDX-License-Identifier: Apache-2.0
// One answer to a scrape: families of samples, put together anew each time from numbers that stand elsewhere. Names are written
// without "mptap_", which is put in front, but for Prometheus' own process_*.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <prometheus/metric_family.h>

namespace mptap::metrics {

using Labels = std::vector<std::pair<std::string_view, std::string>>;

class Page {
 public:
  // Only grows; the name ends in _total.
  void counter(std::string_view name, std::string_view help, double value, const Labels& labels = {});
  void gauge(std::string_view name, std::string_view help, double value, const Labels& labels = {});
  // counts[i]: observations at most bounds[i]; one more than there are bounds, for those above. Not cumulative.
  void histogram(std::string_view name, std::string_view help, std::span<const double> bounds, std::span<const uint64_t> counts,
                 double sum, const Labels& labels = {});

  // In the order in which they were first named.
  std::vector<prometheus::MetricFamily> take() { return std::move(families_); }

 private:
  prometheus::ClientMetric& add(std::string_view name, std::string_view help, prometheus::MetricType type, const Labels& labels);

  std::vector<prometheus::MetricFamily> families_;
  std::unordered_map<std::string, size_t> by_name_;
};

// Prometheus' standard names for the process itself, from /proc/self.
void add_process(Page& page);

}  // namespace mptap::metrics
