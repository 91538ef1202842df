// SPDX-License-Identifier: Apache-2.0
// What the outside asks of an engine: connections by name and in lists.
#include <charconv>

#include "worker/engine_state.h"

namespace mptap::worker {

const connection::Connection* Engine::find(std::string_view id) const {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), number, 16);
  if (id.size() != 16 || error != std::errc() || end != id.data() + id.size()) return nullptr;
  const auto it = named_.find(number);
  return it == named_.end() ? nullptr : &slots_[it->second]->connection;
}

size_t Engine::visit(size_t from, size_t count, const std::function<void(const connection::Connection&)>& see) const {
  const size_t end = std::min(slots_.size(), from + count);
  for (size_t i = from; i < end; ++i)
    if (slots_[i]) see(slots_[i]->connection);
  return end < slots_.size() ? end : 0;
}

}  // namespace mptap::worker
