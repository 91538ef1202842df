// SPDX-License-Identifier: Apache-2.0
// Picks one connection out of what the engine says, and finds out which subflow brought which of its bytes.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "apps/mptap/follow/render.h"
#include "apps/mptap/terminal.h"
#include "worker/engine.h"

namespace mptap::follow {

// By the number in the table of mptap read, or by connection_id.
struct Wanted {
  uint64_t serial = 0;  // 0: by id
  std::string id;

  // The error says what would be right.
  static tl::expected<Wanted, std::string> parse(std::string_view text);
};

class Follower final : public worker::Listener {
 public:
  // directions: which of toserver, toclient are shown.
  Follower(Wanted wanted, std::array<bool, 2> directions, Renderer& renderer, cli::Output& out)
      : wanted_(std::move(wanted)), directions_(directions), renderer_(renderer), out_(out) {}

  void on_record(const event::ConnectionRecord& record) override;
  void on_alert(const event::Alert&) override {}
  void on_anomaly(const event::Anomaly&) override {}
  void on_stream(const connection::Connection& c, int direction, uint64_t offset, std::span<const uint8_t> bytes) override;
  void on_stream_gap(const connection::Connection& c, int direction, uint64_t offset, uint64_t size) override;

  bool found() const { return found_; }
  bool ended() const { return ended_; }
  uint64_t missing() const { return missing_; }

 private:
  bool is_wanted(uint64_t serial, const std::string& id) const {
    return wanted_.serial != 0 ? serial == wanted_.serial : id == wanted_.id;
  }
  void begin(const connection::Connection& c);
  void show(const connection::Connection& c, int direction, uint32_t subflow, uint64_t offset, std::span<const uint8_t> bytes);

  Wanted wanted_;
  std::array<bool, 2> directions_;
  Renderer& renderer_;
  cli::Output& out_;
  bool found_ = false, begun_ = false, ended_ = false;
  uint64_t missing_ = 0;
};

}  // namespace mptap::follow
