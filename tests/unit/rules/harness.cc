// SPDX-License-Identifier: Apache-2.0
#include "harness.h"

#include <algorithm>

#include <fmt/format.h>

namespace mptap::rules {

size_t WholeHistory::copy(uint64_t offset, std::span<uint8_t> out) const {
  if (offset < oldest_ || offset >= bytes_.size()) return 0;
  return bytes_.copy(reinterpret_cast<char*>(out.data()), out.size(), offset);
}

void WholeHistory::put(uint64_t offset, std::string_view bytes) {
  bytes_.resize(std::max<size_t>(bytes_.size(), offset + bytes.size()));
  bytes_.replace(offset, bytes.size(), bytes);
}

std::shared_ptr<const Ruleset> compile(const std::string& text, const RuleOptions& options) {
  auto loaded = load_rules_text(text, "test.rules", options);
  if (!loaded) {
    ADD_FAILURE() << loaded.error().message;
    return compile("", {});
  }
  auto ruleset = Ruleset::compile(std::move(loaded->rules), options, &loaded->report);
  for (const Problem& p : loaded->report.left_out) ADD_FAILURE() << p.to_string() << "\n" << text;
  if (!ruleset) ADD_FAILURE() << ruleset.error();
  return *ruleset;
}

FlowContext flow(std::string_view src, uint16_t src_port, std::string_view dst, uint16_t dst_port, bool to_server) {
  return {{*packet::IpAddress::parse(src), src_port}, {*packet::IpAddress::parse(dst), dst_port}, to_server};
}

FlowContext any_flow() {
  return flow("10.0.0.1", 40000, "192.0.2.1", 80);
}

Stream::Stream(std::shared_ptr<const Ruleset> ruleset, const FlowContext& context) : scanner(std::move(ruleset), context) {}

Stream& Stream::feed(std::string_view bytes) {
  history.put(offset, bytes);
  scanner.scan(offset, {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, history, scratch, found);
  offset += bytes.size();
  return *this;
}

Stream& Stream::feed(std::string_view bytes, size_t chunk) {
  for (size_t at = 0; at < bytes.size(); at += chunk) feed(bytes.substr(at, chunk));
  return *this;
}

Stream& Stream::hole(uint64_t size) {
  offset += size;
  scanner.gap(offset);
  return *this;
}

Stream& Stream::finish() {
  scanner.finish(offset, history, scratch, found);
  return *this;
}

std::string Stream::hits() const {
  return to_string(found);
}

std::string to_string(const std::vector<Hit>& hits) {
  std::string out;
  for (const Hit& hit : hits) out += fmt::format("{}{}:{}-{}", out.empty() ? "" : " ", hit.rule->sid, hit.from, hit.to);
  return out;
}

}  // namespace mptap::rules
