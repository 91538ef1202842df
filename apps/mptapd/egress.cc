// SPDX-License-Identifier: Apache-2.0
#include "apps/mptapd/egress.h"

#include <fmt/format.h>

#include "egress/file_target.h"
#include "egress/port_target.h"

namespace mptap::daemon {
namespace {

constexpr uint64_t kSilenceMs = 60'000;

}  // namespace

tl::expected<std::unique_ptr<Egress>, std::string> Egress::open(const config::Config& c) {
  if (c.egress.port.empty() && c.egress.directory.empty()) return nullptr;
  std::unique_ptr<Egress> e(new Egress);
  e->outlet_.pass = c.egress.pass == "all" ? egress::Pass::kAll : egress::Pass::kMptcpOnly;
  if (c.egress.fill) e->outlet_.fill = static_cast<uint8_t>(c.egress.fill_byte);
  e->queue_bytes_ = c.egress.queue_bytes;
  std::unique_ptr<egress::Target> target;
  // A port sends at once; only a file needs the frames of all workers in order.
  egress::WriterOptions options;
  if (!c.egress.port.empty()) {
    auto port = port::Port::open(c.egress.port, {.tx_queues = 1, .promiscuous = false});
    if (!port) return tl::unexpected("egress: " + port.error());
    e->port_ = std::move(*port);
    if (e->port_->info().tx_queues == 0)
      return tl::unexpected(fmt::format("egress: port {} cannot send; take one that has a transmit queue", c.egress.port));
    target = std::make_unique<egress::PortTarget>(*e->port_);
    options.merge = false;
  } else {
    auto files = egress::RotatingTarget::open(
        {.directory = c.egress.directory, .bytes = c.egress.file_bytes, .seconds = c.egress.file_s, .files = c.egress.files});
    if (!files) return tl::unexpected("egress: " + files.error());
    target = std::move(*files);
  }
  e->writer_ = std::make_unique<egress::Writer>(std::move(target), options);
  return e;
}

egress::Outlet* Egress::add_outlet() {
  outlets_.push_back(std::make_unique<egress::Outlet>(outlet_, writer_->add_queue(queue_bytes_)));
  return outlets_.back().get();
}

std::optional<std::string> Egress::complaint(uint64_t connections, uint64_t now_ms) {
  const uint64_t frames = writer_->lost();
  if (now_ms < silent_until_ms_ || (frames == said_frames_ && connections == said_connections_)) return std::nullopt;
  silent_until_ms_ = now_ms + kSilenceMs;
  std::string said = fmt::format("the egress is too slow or does not take what it should: {} connections and {} frames lost",
                                 connections - said_connections_, frames - said_frames_);
  said_frames_ = frames;
  said_connections_ = connections;
  return said;
}

}  // namespace mptap::daemon
