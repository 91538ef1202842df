// SPDX-License-Identifier: Apache-2.0
// Any bytes as a capture file: frames lie inside it, the reader always comes to an end and says which, and reading in bursts
// gives what reading one by one gives.
#include <algorithm>
#include <cstdlib>

#include "port/capture_reader.h"

using mptap::packet::Frame;
using namespace mptap::port;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto single = CaptureReader::open_memory({data, size}, "fuzz");
  auto bursts = CaptureReader::open_memory({data, size}, "fuzz");
  require(single.has_value() == bursts.has_value());
  if (!single) {
    require(single.error() == bursts.error() && single.error().starts_with("fuzz: "));
    return 0;
  }
  Frame frames[3], f;
  while (const size_t n = bursts->next_burst(frames)) {
    for (size_t i = 0; i < n; ++i) {
      const uint64_t before = single->position();
      require(single->next(f));
      require(single->position() > before && single->position() <= size);
      require(f.data >= data && f.data + f.captured <= data + size && f.wire >= f.captured);
      require(f.data == frames[i].data && f.captured == frames[i].captured && f.wire == frames[i].wire &&
              f.link == frames[i].link && f.timestamp_ns == frames[i].timestamp_ns && f.number == frames[i].number);
    }
  }
  require(!single->next(f));
  const ReadStatus &a = single->status(), &b = bursts->status();
  require(a.end != ReadEnd::kOpen && a.end != ReadEnd::kFailed);
  require(a.end == b.end && a.message == b.message && a.offset == b.offset && a.packets == b.packets);
  require((a.end == ReadEnd::kComplete) == (a.offset == size) || a.end == ReadEnd::kCorrupt);
  return 0;
}
