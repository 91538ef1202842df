// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/follow/follower.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace mptap::follow {

tl::expected<Wanted, std::string> Wanted::parse(std::string_view text) {
  const bool hex = !text.empty() && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  if (hex && text.size() == 16) return Wanted{0, std::string(text)};
  Wanted wanted;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), wanted.serial);
  if (error == std::errc{} && end == text.data() + text.size() && wanted.serial > 0) return wanted;
  return tl::unexpected(fmt::format(
      "--connection \"{}\": wants the number N of a connection in the table of mptap read, or its connection_id of 16 digits",
      text));
}

void Follower::begin(const connection::Connection& c) {
  found_ = true;
  if (begun_) return;
  begun_ = true;
  const connection::Member& first = *c.members.front();
  const bool mptcp = c.mode == connection::Mode::kMptcp;
  renderer_.heading(fmt::format("connection {}  {}  {} -> {}  {}", c.serial, c.id, first.client.to_string(),
                                first.server.to_string(), mptcp ? fmt::format("MPTCP v{}", c.version) : std::string("TCP")));
}

void Follower::on_record(const event::ConnectionRecord& r) {
  if (!is_wanted(r.head.serial, r.connection_id)) return;
  found_ = ended_ = true;
  renderer_.finish();
  out_.write({});
}

void Follower::on_stream_gap(const connection::Connection& c, int direction, uint64_t offset, uint64_t size) {
  if (!is_wanted(c.serial, c.id) || !directions_[direction]) return;
  begin(c);
  missing_ += size;
  const uint64_t origin = c.streams[direction]->start();
  renderer_.gap(direction, offset - std::min(origin, offset), size);
}

void Follower::on_stream(const connection::Connection& c, int direction, uint64_t offset, std::span<const uint8_t> bytes) {
  if (!is_wanted(c.serial, c.id) || !directions_[direction]) return;
  begin(c);
  const auto pieces = c.streams[direction]->history().pieces();
  // The first that reaches beyond offset; those that brought bytes stand in the stream's order, repeats anywhere between.
  size_t at = pieces.size();
  for (size_t i = pieces.size(); i-- > 0;) {
    if (pieces[i].repeat) continue;
    if (pieces[i].offset + pieces[i].size <= offset) break;
    at = i;
  }
  while (!bytes.empty()) {
    while (at < pieces.size() && (pieces[at].repeat || pieces[at].offset + pieces[at].size <= offset)) ++at;
    uint32_t subflow = Renderer::kUnknown;
    uint64_t n = bytes.size();
    if (at < pieces.size() && pieces[at].offset <= offset) {
      subflow = pieces[at].carrier.subflow;
      n = std::min(n, pieces[at].offset + pieces[at].size - offset);
    } else if (at < pieces.size()) {
      n = std::min(n, pieces[at].offset - offset);
    }
    show(c, direction, subflow, offset, bytes.first(n));
    offset += n;
    bytes = bytes.subspan(n);
  }
  out_.write({});
}

void Follower::show(const connection::Connection& c, int direction, uint32_t subflow, uint64_t offset,
                    std::span<const uint8_t> bytes) {
  if (subflow != Renderer::kUnknown && !renderer_.knows(subflow)) {
    const auto m = std::find_if(c.members.begin(), c.members.end(), [&](const auto& member) { return member->id == subflow; });
    if (m != c.members.end())
      renderer_.legend(subflow, fmt::format("{} -> {}", (*m)->client.to_string(), (*m)->server.to_string()));
  }
  const uint64_t origin = c.streams[direction]->start();
  renderer_.piece(direction, subflow, offset - std::min(origin, offset), bytes);
}

}  // namespace mptap::follow
