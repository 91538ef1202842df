// SPDX-License-Identifier: Apache-2.0
// Rules as text, a stream as text, hits as `sid:from-to`.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rules/load.h"
#include "rules/ruleset.h"
#include "rules/scanner.h"
#include "rules/scratch.h"

namespace mptap::rules {

// Keeps every byte, with zeroes in the holes.
class WholeHistory : public History {
 public:
  size_t copy(uint64_t offset, std::span<uint8_t> out) const override;
  uint64_t oldest() const override { return oldest_; }

  void put(uint64_t offset, std::string_view bytes);
  void forget_before(uint64_t offset) { oldest_ = offset; }

 private:
  std::string bytes_;
  uint64_t oldest_ = 0;
};

std::shared_ptr<const Ruleset> compile(const std::string& text, const RuleOptions& options = {});
FlowContext flow(std::string_view src, uint16_t src_port, std::string_view dst, uint16_t dst_port, bool to_server = true);
FlowContext any_flow();

// A stream under test: bytes are scanned as they are put in.
class Stream {
 public:
  explicit Stream(std::shared_ptr<const Ruleset> ruleset, const FlowContext& context = any_flow());

  Stream& feed(std::string_view bytes);
  Stream& feed(std::string_view bytes, size_t chunk);  // in chunks of so many bytes
  Stream& hole(uint64_t size);
  Stream& finish();

  // `sid:from-to` of all hits so far, in order, with spaces.
  std::string hits() const;

  Scanner scanner;
  Scratch scratch;
  WholeHistory history;
  std::vector<Hit> found;
  uint64_t offset = 0;
};

std::string to_string(const std::vector<Hit>& hits);

}  // namespace mptap::rules
