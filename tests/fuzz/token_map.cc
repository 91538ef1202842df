// SPDX-License-Identifier: Apache-2.0
// Sequences of insert, claim, erase and quiescent on the token map do what a multimap does, within the map's bounds.
#include <algorithm>
#include <cstdlib>
#include <map>

#include "connection/token_map.h"

using namespace mptap::connection;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const size_t capacity = 1 + data[0] % 40;
  const bool reader = data[1] & 1;
  TokenMap map(capacity, 1);
  if (reader) map.readers().online(0);
  std::map<uint32_t, std::vector<Handle>> model;  // newest first
  std::map<uint32_t, bool> claimed;
  size_t count = 0, waiting = 0, claims = 0;                  // entries that the reader may still look at
  uint32_t generation = 0;
  for (size_t i = 2; i + 1 < size; i += 2) {
    const uint32_t token = data[i + 1] % 8;
    auto& bearers = model[token];
    Candidate c{.handle = {.slot = data[i + 1], .generation = ++generation}};
    const bool room = count + waiting < capacity;
    switch (data[i] % 4) {
      case 0: {
        Candidate displaced;
        const auto result = map.insert(token, c, &displaced);
        require(displaced.claim == claimed[token]);
        if (claimed[token]) {
          require(displaced.handle == bearers.front());
          bearers.clear();
          claimed[token] = false;
          --claims, --count;
          if (reader) ++waiting;
        }
        const bool fits = count + waiting < capacity && bearers.size() < TokenMap::kMaxCandidates;
        require((result == TokenMap::Inserted::kFull) == !fits);
        if (!fits) break;
        require((result == TokenMap::Inserted::kFirst) == bearers.empty());
        bearers.insert(bearers.begin(), c.handle);
        ++count;
        break;
      }
      case 1: {
        const Candidate owner = map.claim(token, c);
        if (!bearers.empty()) {
          require(owner.handle == bearers.front());
        } else {
          require(owner.handle == c.handle);
          if (room && claims < std::max<size_t>(1, capacity / 4)) {
            bearers.push_back(c.handle);
            claimed[token] = true;
            ++count, ++claims;
          }
        }
        break;
      }
      case 2: {
        const bool there = !bearers.empty();
        const Handle handle = there ? bearers[data[i] / 4 % bearers.size()] : c.handle;
        require(map.erase(token, handle) == there);
        require(!map.erase(token, handle));
        if (!there) break;
        std::erase(bearers, handle);
        if (claimed[token]) claimed[token] = false, --claims;
        --count;
        if (reader) ++waiting;
        break;
      }
      default:
        map.readers().quiescent(0);
        if (!reader) map.readers().offline(0);
        waiting = 0;
    }
    std::array<Candidate, TokenMap::kMaxCandidates> found;
    require(map.find(token, found) == bearers.size());
    for (size_t f = 0; f < bearers.size(); ++f) require(found[f].handle == bearers[f]);
    require(map.size() == count);
  }
  return 0;
}
