// SPDX-License-Identifier: Apache-2.0
#include "detect/options.h"

namespace mptap::detect {

tl::expected<Options, std::string> Options::from(const config::Config::Detect& limits) {
  Options options{limits, {}};
  for (const std::string& text : limits.critical_networks) {
    auto network = config::NamedPrefix::parse(text);
    if (!network) return tl::unexpected(network.error());
    options.critical.push_back(std::move(*network));
  }
  return options;
}

}  // namespace mptap::detect
