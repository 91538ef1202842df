// SPDX-License-Identifier: Apache-2.0
// GET /metrics over HTTP, in the text format of Prometheus. The page is made by a function of the caller's on the listener's own
// threads, one scrape at a time; nothing that it reads may need a lock that a worker takes. No authentication.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <tl/expected.hpp>

#include "metrics/page.h"

namespace prometheus {
class Exposer;
}

namespace mptap::metrics {

using Fill = std::function<void(Page&)>;

class Listener {
 public:
  // address: HOST:PORT, [HOST]:PORT for IPv6. The error is one line.
  static tl::expected<std::unique_ptr<Listener>, std::string> open(const std::string& address, Fill fill);
  // No scrape runs any longer when it returns.
  ~Listener();

  int port() const;

 private:
  class Collector;
  Listener(std::unique_ptr<prometheus::Exposer> exposer, std::shared_ptr<Collector> collector);

  std::shared_ptr<Collector> collector_;
  std::unique_ptr<prometheus::Exposer> exposer_;  // ends first
};

}  // namespace mptap::metrics
