// SPDX-License-Identifier: Apache-2.0
// Lists of connections out of the workers' tables, a slice at a time: each slice is one message, short enough for a burst not to
// notice, and the next one is sent only when the worker has had fifty times as long for its packets (at once where it has none).
// So a list of a million connections takes its time, and the data path keeps its own.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "control/appliance.h"
#include "worker/live_worker.h"

namespace mptap::daemon {

using Workers = std::span<const std::unique_ptr<worker::LiveWorker>>;

control::Result<control::Page> list_connections(Workers workers, std::shared_ptr<const control::ListQuery> query,
                                                const control::Deadline& deadline);
control::Result<control::ConnectionInfo> find_connection(Workers workers, const std::string& id,
                                                         const control::Deadline& deadline);

// A connection as a filter sees it.
class ConnectionView final : public control::Record {
 public:
  ConnectionView(const connection::Connection& c, uint32_t worker, uint64_t now_ns) : c_(c), worker_(worker), now_(now_ns) {}
  bool any(const control::Comparison& comparison) const override;

 private:
  const connection::Connection& c_;
  const uint32_t worker_;
  const uint64_t now_;
};

}  // namespace mptap::daemon
