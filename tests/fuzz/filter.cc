// SPDX-License-Identifier: Apache-2.0
// Filter text from anybody: parsed or refused with a column inside of it, and what is printed means the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "control/appliance.h"
#include "control/event_record.h"
#include "control/filter.h"

namespace {

using namespace mptap::control;

struct Anything final : Record {
  bool any(const Comparison& c) const override { return (c.text.size() + c.id) % 2 == 0; }
};

void demand(bool what) {
  if (!what) std::abort();
}

void look(const tl::expected<Filter, FilterError>& filter, const std::string& text, bool open) {
  if (!filter) {
    demand(filter.error().column >= 1 && filter.error().column <= text.size() + 1 && !filter.error().message.empty());
    return;
  }
  const std::string printed = filter->to_string();
  // Quotes and parentheses make it longer.
  if (printed.size() > Filter::kMaxBytes) return;
  const auto again = open ? Filter::parse_open(printed) : Filter::parse(printed, connection_fields());
  // Its parentheses are all there, and may be too many.
  if (!again && again.error().message.find("levels") != std::string::npos) return;
  demand(again && again->to_string() == printed);
  demand(again->matches(Anything()) == filter->matches(Anything()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  look(Filter::parse(text, connection_fields()), text, false);
  const auto open = Filter::parse_open(text);
  look(open, text, true);
  static const EventRecord kEvent(R"({"event_type":"alert","dest_ip":"10.0.0.1","n":1,"a":{"b":[true,"x",{"c":2}]}})");
  if (open) (void)open->matches(kEvent);
  return 0;
}
