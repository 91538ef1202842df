// SPDX-License-Identifier: Apache-2.0
// mptap.toml from any bytes: a Config or faults that name the file, never a crash; and what is accepted is within its ranges.
#include <cstdlib>
#include <string_view>

#include "config/config.h"
#include "config/keys.h"

using namespace mptap::config;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto config = parse(std::string_view(reinterpret_cast<const char*>(data), size), "fuzz.toml");
  if (!config) {
    if (config.error().empty()) std::abort();
    for (const std::string& fault : config.error())
      if (!fault.starts_with("fuzz.toml:")) std::abort();
    return 0;
  }
  for (const Key& key : keys()) {
    if (const auto* number = std::get_if<uint64_t& (*)(Config&)>(&key.field)) {
      const uint64_t value = (*number)(*config);
      if (value < key.min || value > key.max) std::abort();
    }
  }
  if (config->ports.empty()) std::abort();
  return 0;
}
