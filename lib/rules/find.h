// SPDX-License-Identifier: Apache-2.0
// Finding a content in bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "rules/rule.h"

namespace mptap::rules {

constexpr size_t kNotFound = SIZE_MAX;

// The first place at from or later where content stands in bytes.
size_t find(const Content& content, std::span<const uint8_t> bytes, size_t from);

}  // namespace mptap::rules
