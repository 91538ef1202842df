// SPDX-License-Identifier: Apache-2.0
// --egress: the connections as TCP, in a capture file.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <tl/expected.hpp>

#include "egress/outlet.h"
#include "egress/writer.h"

namespace CLI {
class App;
}

namespace mptap::read {

struct EgressOptions {
  std::string file;  // empty: none
  egress::Pass pass = egress::Pass::kMptcpOnly;
  std::optional<uint8_t> fill;
};

void add_egress_options(CLI::App& sub, EgressOptions& options);

class EgressFile {
 public:
  // The error names the file.
  static tl::expected<std::unique_ptr<EgressFile>, std::string> open(const EgressOptions& options);

  egress::Outlet& outlet() { return *outlet_; }
  bool failed() const { return writer_->failed(); }
  // Writes what is left. The error says why the file is not complete.
  tl::expected<void, std::string> close();

 private:
  EgressFile() = default;
  std::unique_ptr<egress::Writer> writer_;
  std::optional<egress::Outlet> outlet_;
};

}  // namespace mptap::read
