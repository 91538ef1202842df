// SPDX-License-Identifier: Apache-2.0
#include "rules/header_index.h"

#include <algorithm>

namespace mptap::rules {

namespace {

template <typename T>
uint32_t intern(std::vector<T>& all, const T& one) {
  const auto it = std::find(all.begin(), all.end(), one);
  if (it != all.end()) return static_cast<uint32_t>(it - all.begin());
  all.push_back(one);
  return static_cast<uint32_t>(all.size() - 1);
}

// Of every set: does it hold the value? Bits on the stack for all but huge collections.
template <typename Set, typename Value>
class Answers {
 public:
  Answers(const std::vector<Set>& sets, Value value) : sets_(sets), value_(value) {}
  // Asked lazily and remembered for the first sets only: the later ones are rare by order of appearance.
  bool operator[](uint32_t i) {
    if (i >= kRemembered) return sets_[i].contains(value_);
    if (known_[i] == 0) known_[i] = sets_[i].contains(value_) ? 2 : 1;
    return known_[i] == 2;
  }

 private:
  static constexpr uint32_t kRemembered = 256;
  const std::vector<Set>& sets_;
  Value value_;
  uint8_t known_[kRemembered] = {};
};

}  // namespace

uint32_t HeaderIndex::add(const Header& header, FlowDirection flow) {
  return intern(groups_, Group{intern(addresses_, header.src), intern(ports_, header.src_port), intern(addresses_, header.dst),
                               intern(ports_, header.dst_port), header.bidirectional, flow});
}

bool HeaderIndex::match(const FlowContext& flow, std::span<uint64_t> bits) const {
  const FlowDirection direction = flow.to_server ? FlowDirection::kToServer : FlowDirection::kToClient;
  Answers<AddressSet, AddressValue> src(addresses_, address_value(flow.src.address));
  Answers<AddressSet, AddressValue> dst(addresses_, address_value(flow.dst.address));
  Answers<PortSet, uint16_t> src_port(ports_, flow.src.port);
  Answers<PortSet, uint16_t> dst_port(ports_, flow.dst.port);
  bool any = false;
  for (uint32_t i = 0; i < groups_.size(); ++i) {
    const Group& g = groups_[i];
    if (g.flow != FlowDirection::kBoth && g.flow != direction) continue;
    const bool forth = dst_port[g.dst_port] && src_port[g.src_port] && dst[g.dst] && src[g.src];
    if (!forth && !(g.bidirectional && src_port[g.dst_port] && dst_port[g.src_port] && src[g.dst] && dst[g.src])) continue;
    bits[i / 64] |= uint64_t{1} << (i % 64);
    any = true;
  }
  return any;
}

}  // namespace mptap::rules
