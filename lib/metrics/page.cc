// SPDX-License-Identifier: Apache-2.0
#include "metrics/page.h"

#include <limits>

namespace mptap::metrics {

prometheus::ClientMetric& Page::add(std::string_view name, std::string_view help, prometheus::MetricType type,
                                    const Labels& labels) {
  std::string full(name.starts_with("process_") ? "" : "mptap_");
  full += name;
  const auto [it, fresh] = by_name_.try_emplace(full, families_.size());
  if (fresh) families_.push_back({std::move(full), std::string(help), type, {}});
  prometheus::ClientMetric& metric = families_[it->second].metric.emplace_back();
  for (const auto& [label, value] : labels) metric.label.push_back({std::string(label), value});
  return metric;
}

void Page::counter(std::string_view name, std::string_view help, double value, const Labels& labels) {
  add(name, help, prometheus::MetricType::Counter, labels).counter.value = value;
}

void Page::gauge(std::string_view name, std::string_view help, double value, const Labels& labels) {
  add(name, help, prometheus::MetricType::Gauge, labels).gauge.value = value;
}

void Page::histogram(std::string_view name, std::string_view help, std::span<const double> bounds,
                     std::span<const uint64_t> counts, double sum, const Labels& labels) {
  prometheus::ClientMetric::Histogram& h = add(name, help, prometheus::MetricType::Histogram, labels).histogram;
  uint64_t total = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    total += counts[i];
    h.bucket.push_back({total, i < bounds.size() ? bounds[i] : std::numeric_limits<double>::infinity()});
  }
  h.sample_count = total;
  h.sample_sum = sum;
}

}  // namespace mptap::metrics
