// SPDX-License-Identifier: Apache-2.0
// TCP option lists: first byte TCP flags, second whether there is payload, the rest is the list. What was parsed as a DSS must
// come out the same after it is written and parsed again.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "mptcp/option.h"
#include "mptcp/write.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mptap::mptcp;
  if (size < 2 || size > 42) return 0;
  const std::vector<uint8_t> list(data + 2, data + size);  // its own allocation: ASan sees a byte too far
  Options o;
  parse_options(list, data[0], data[1] & 1, o);
  if (!o.has(Options::kDss) || o.dss.from_capable) return 0;
  OptionWriter w;
  if (!w.dss(o.dss)) std::abort();
  Options again;
  parse_options(w.finish(), 0x10, true, again);
  Dss expected = o.dss;
  if (!expected.has_ack) expected.ack8 = false;
  Dss got = again.dss;
  if (!got.has_ack) got.ack8 = false;
  if (!(got == expected)) std::abort();
  return 0;
}
