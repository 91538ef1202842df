// SPDX-License-Identifier: Apache-2.0
#include "event/event.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace mptap::event {
namespace {

// What lies in the string object itself is part of its owner.
size_t owned(const std::string& s) {
  return s.capacity() > 15 ? s.capacity() : 0;
}
size_t owned(uint32_t) {
  return 0;
}
size_t owned(const std::pair<std::string, std::string>& p) {
  return owned(p.first) + owned(p.second);
}
size_t owned(const std::pair<std::string, uint64_t>& p) {
  return owned(p.first);
}
size_t owned(const SubflowRecord& s) {
  return owned(s.reset_reason);
}
size_t owned(const StreamRecord& s) {
  return s.sha256 ? owned(*s.sha256) : 0;
}

template <class T>
size_t owned(const std::vector<T>& v) {
  size_t size = v.capacity() * sizeof(T);
  for (const T& x : v) size += owned(x);
  return size;
}

size_t owned(const ConnectionRecord& r) {
  return owned(r.connection_id) + owned(r.fallback_reason) + owned(r.subflows) + owned(r.stream[0]) + owned(r.stream[1]);
}
size_t owned(const Alert& a) {
  return owned(a.signature) + owned(a.category) + owned(a.action) + owned(a.metadata) + owned(a.references) +
         owned(a.connection_id) + owned(a.subflows) + owned(a.payload);
}
size_t owned(const Anomaly& a) {
  return owned(a.connection_id) + owned(a.numbers) + owned(a.detail);
}
size_t owned(const SubflowJoined& j) {
  return owned(j.connection_id) + owned(j.subflows);
}
size_t owned(const EngineEvent& e) {
  return owned(e.event) + owned(e.message) + owned(e.numbers);
}
size_t owned(const Stats& s) {
  return owned(s.counters);
}

}  // namespace

size_t memory_size(const Event& event) {
  return sizeof(Event) + std::visit([](const auto& e) { return owned(e); }, event);
}

}  // namespace mptap::event
