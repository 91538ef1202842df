// SPDX-License-Identifier: Apache-2.0
// Words that a user or a file brings to mptap scan: target files, ports, state files. What is taken must hold together.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "apps/mptap/scan/state_file.h"
#include "apps/mptap/scan/targets.h"

using namespace mptap::scan;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  // The part behind a zero byte is excluded.
  const size_t zero = text.find('\0');
  const auto in = parse_target_text(text.substr(0, zero), "in");
  const auto out = parse_target_text(zero == std::string_view::npos ? "" : text.substr(zero + 1), "out");
  if (in && out) {
    if (const auto set = TargetSet::make(*in, *out)) {
      if (set->size() == 0) std::abort();
      for (const uint64_t i : {uint64_t{0}, set->size() / 2, set->size() - 1}) {
        const auto address = set->at(i);
        bool inside = false;
        for (const auto& r : *in) inside = inside || (r.first <= address && address <= r.last);
        for (const auto& r : *out) inside = inside && !(r.first <= address && address <= r.last);
        if (!inside) std::abort();
      }
      if (!(set->at(0) <= set->at(set->size() - 1))) std::abort();
    }
  }
  if (const auto ports = parse_ports(text); ports && (ports->empty() || ports->front() == 0)) std::abort();
  if (const auto state = parse_state(std::string(text)); state && !parse_state(to_text(*state))) std::abort();
  return 0;
}
