// SPDX-License-Identifier: Apache-2.0
// mptap.toml's values as what each part takes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "config/config.h"
#include "event/outputs.h"
#include "event/writer.h"
#include "port/eal.h"
#include "port/port.h"
#include "rules/ruleset.h"
#include "worker/engine.h"
#include "worker/fabric.h"
#include "worker/router.h"

namespace mptap::daemon {

unsigned worker_count(const config::Config& config);
port::EalOptions eal_options(const config::Config& config);
port::PortOptions port_options(const config::Config& config);
// Its networks have been judged: config::parse is where that is an error.
worker::EngineConfig engine_config(const config::Config& config);
worker::FabricOptions fabric_options(const config::Config& config);
worker::RouterOptions router_options(const config::Config& config);
event::OutputChoice output_choice(const config::Config& config);
event::WriterOptions writer_options(const config::Config& config);

struct LoadedRules {
  std::shared_ptr<const rules::Ruleset> ruleset;  // null: no files are configured
  std::vector<std::string> messages;              // rules left out and warnings, each with its place
  size_t loaded = 0, left_out = 0;
};
tl::expected<LoadedRules, std::string> load_rules(const config::Config& config);

}  // namespace mptap::daemon
