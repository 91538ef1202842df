// SPDX-License-Identifier: Apache-2.0
#include "rules/scratch.h"

#include <algorithm>

#include <fmt/format.h>
#include <hs/hs.h>

#include "rules/scratch_impl.h"

namespace mptap::rules {

Scratch::Scratch() : impl_(std::make_unique<Impl>()) {}
Scratch::~Scratch() = default;
Scratch::Scratch(Scratch&&) noexcept = default;
Scratch& Scratch::operator=(Scratch&&) noexcept = default;

tl::expected<void, std::string> Scratch::prepare(const Ruleset& ruleset) {
  return impl_->prepare(ruleset);
}
const Scratch::Stats& Scratch::stats() const {
  return impl_->stats;
}

Scratch::Impl::~Impl() {
  if (spare != nullptr) hs_close_stream(spare, nullptr, nullptr, nullptr);
  hs_free_scratch(hs);
}

bool Scratch::Impl::slow_ready(const Ruleset& ruleset) const {
  if (std::find(ready_ids.begin(), ready_ids.end(), ruleset.id()) == ready_ids.end()) return false;
  last_ready = ruleset.id();
  return true;
}

tl::expected<void, std::string> Scratch::Impl::prepare(const Ruleset& ruleset) {
  if (ready(ruleset)) return {};
  if (ruleset.database() != nullptr) {
    if (const hs_error_t error = hs_alloc_scratch(ruleset.database(), &hs); error != HS_SUCCESS) {
      return tl::unexpected(fmt::format("Hyperscan cannot allocate scratch space: error {}", error));
    }
  }
  marks.resize(std::max(marks.size(), ruleset.rules().size()));
  // Old rulesets leave with their streams; a forgotten one is prepared again, which costs nothing.
  if (ready_ids.size() >= 16) ready_ids.erase(ready_ids.begin());
  ready_ids.push_back(ruleset.id());
  last_ready = ruleset.id();
  return {};
}

hs_stream* Scratch::Impl::spare_stream(const std::shared_ptr<const Ruleset>& ruleset) {
  if (spare != nullptr && spare_ruleset->id() == ruleset->id()) {
    hs_reset_stream(spare, 0, nullptr, nullptr, nullptr);
    return spare;
  }
  if (spare != nullptr) hs_close_stream(spare, nullptr, nullptr, nullptr);
  spare = nullptr;
  spare_ruleset = ruleset;
  if (hs_open_stream(ruleset->database(), 0, &spare) != HS_SUCCESS) spare = nullptr;
  return spare;
}

}  // namespace mptap::rules
