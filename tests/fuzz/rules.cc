// SPDX-License-Identifier: Apache-2.0
// Rules and a stream: `RULES <zero byte> SEED BYTES`. Whatever loads is compiled and scans the bytes, once whole and once in
// pieces with holes between some of them; both must find the same, inside of the bytes.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "rules/load.h"
#include "rules/ruleset.h"
#include "rules/scanner.h"
#include "rules/scratch.h"

namespace {

using namespace mptap;

class Bytes : public rules::History {
 public:
  explicit Bytes(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  size_t copy(uint64_t offset, std::span<uint8_t> out) const override {
    if (offset >= bytes_.size()) return 0;
    const size_t n = std::min<size_t>(out.size(), bytes_.size() - offset);
    std::copy_n(bytes_.begin() + static_cast<ptrdiff_t>(offset), n, out.begin());
    return n;
  }
  uint64_t oldest() const override { return 0; }

 private:
  std::span<const uint8_t> bytes_;
};

using Found = std::set<std::tuple<uint32_t, uint64_t, uint64_t>>;  // sid, from, to

// hole: a byte of the stream that the scanner never sees; bytes.size(): none. seed chooses the pieces, 0: no cut.
Found scan(const std::shared_ptr<const rules::Ruleset>& ruleset, std::span<const uint8_t> bytes, size_t hole, uint32_t seed,
           rules::Scratch& scratch) {
  const rules::FlowContext flow{
      {*packet::IpAddress::parse("10.0.0.1"), 1025}, {*packet::IpAddress::parse("192.0.2.1"), 80}, true};
  rules::Scanner scanner(ruleset, flow);
  const Bytes history(bytes);
  std::vector<rules::Hit> hits;
  for (size_t at = 0; at < bytes.size();) {
    if (at == hole) {
      scanner.gap(++at);
      continue;
    }
    size_t size = (at < hole ? hole : bytes.size()) - at;
    if (seed != 0) {
      seed = seed * 1664525 + 1013904223;
      size = std::min<size_t>(size, 1 + (seed >> 24) % 9);
    }
    scanner.scan(at, bytes.subspan(at, size), history, scratch, hits);
    at += size;
  }
  scanner.finish(bytes.size(), history, scratch, hits);
  Found found;
  for (const rules::Hit& hit : hits) {
    if (hit.from >= hit.to || hit.to > bytes.size() || (hit.from <= hole && hole < hit.to)) std::abort();
    found.insert({hit.rule->sid, hit.from, hit.to});
  }
  return found;
}

void show(const char* name, const Found& found) {
  std::fprintf(stderr, "%s:", name);
  for (const auto& [sid, from, to] : found)
    std::fprintf(stderr, " %u:%zu-%zu", sid, static_cast<size_t>(from), static_cast<size_t>(to));
  std::fprintf(stderr, "\n");
}

bool gave_up(const rules::Scratch& scratch) {
  return scratch.stats().pcre_limit + scratch.stats().work_limit > 0;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const uint8_t> input(data, size);
  const auto zero = std::find(input.begin(), input.end(), 0);
  const auto text_size = static_cast<size_t>(zero - input.begin());
  rules::RuleOptions options;
  options.max_rules = 4;
  options.max_rule_bytes = 400;
  options.confirm_window = 40;
  options.reach = 6;
  options.pcre_match_limit = 2000;
  auto loaded = rules::load_rules_text({reinterpret_cast<const char*>(data), text_size}, "fuzz.rules", options);
  if (!loaded) std::abort();
  if (loaded->report.to_text().empty() || loaded->report.to_json().empty()) std::abort();
  if (text_size == size || loaded->rules.empty()) return 0;
  const std::span<const uint8_t> rest = input.subspan(text_size + 1);
  if (rest.empty() || rest.size() > 600) return 0;
  const uint32_t seed = rest[0];
  const std::span<const uint8_t> bytes = rest.subspan(1);
  const auto ruleset = rules::Ruleset::compile(std::move(loaded->rules), options, &loaded->report);
  if (!ruleset) return 0;
  rules::Scratch one, two;
  const size_t hole = seed % 3 == 0 && bytes.size() > 2 ? seed % bytes.size() : bytes.size();
  const Found whole = scan(*ruleset, bytes, hole, 0, one);
  const Found pieces = scan(*ruleset, bytes, hole, seed + 1, two);
  if (whole != pieces && !gave_up(one) && !gave_up(two)) {
    std::fprintf(stderr, "the answer depends on the chunks\n");
    show("whole", whole);
    show("pieces", pieces);
    std::abort();
  }
  return 0;
}
