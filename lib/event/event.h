// SPDX-License-Identifier: Apache-2.0
// Any event as one value, for queues and writers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <variant>

#include "event/record.h"

namespace mptap::event {

using Event = std::variant<ConnectionRecord, Alert, Anomaly, SubflowJoined, EngineEvent, Stats>;

// The index of the variant; names are labels of metrics and keys of the configuration.
enum class EventType : uint8_t { kConnection, kAlert, kAnomaly, kSubflowJoined, kEngine, kStats };
inline constexpr size_t kEventTypes = std::variant_size_v<Event>;
inline constexpr std::array<std::string_view, kEventTypes> kEventTypeNames{"connection",     "alert",  "anomaly",
                                                                           "subflow_joined", "engine", "stats"};

inline EventType type(const Event& event) {
  return static_cast<EventType>(event.index());
}
constexpr std::string_view name(EventType type) {
  return kEventTypeNames[static_cast<size_t>(type)];
}

// One count per event type.
using EventCounts = std::array<uint64_t, kEventTypes>;

// Bytes that the event holds in memory, itself and what it owns: what the bounds of a queue count.
size_t memory_size(const Event& event);

}  // namespace mptap::event
