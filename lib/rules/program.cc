// SPDX-License-Identifier: Apache-2.0
#include "rules/program.h"

#include <algorithm>

namespace mptap::rules {

namespace {

// Places of a content that nothing stands before: its own, or relative to the stream's beginning.
std::pair<uint64_t, uint64_t> own_places(const Content& c) {
  if (!c.relative) return {c.offset, c.depth ? uint64_t{c.offset} + *c.depth : kNoEnd};
  const auto min = static_cast<uint64_t>(std::max(0, c.distance));
  if (!c.within) return {min, kNoEnd};
  return {min, static_cast<uint64_t>(std::max(int64_t{0}, int64_t{c.distance} + *c.within))};
}

uint32_t positive(int64_t n) {
  return static_cast<uint32_t>(std::max(int64_t{0}, n));
}

// The longest that the chain can be; the window where a content may come as late as it likes.
uint64_t chain_span(const Chain& chain, uint32_t window) {
  uint64_t span = chain.nodes.front().content->bytes.size();
  for (size_t i = 1; i < chain.nodes.size(); ++i) {
    const Content& c = *chain.nodes[i].content;
    if (!c.within) return window;
    span += positive(int64_t{c.distance} + *c.within) + positive(-int64_t{c.distance});
  }
  return span;
}

void measure(Program& p, uint32_t window) {
  const uint64_t span = p.chains.size() == 1 ? chain_span(p.chains[0], window) : window;
  p.span = static_cast<uint32_t>(std::min<uint64_t>(span, window));
  p.back = p.negated.empty() && p.pcres.empty() && p.lead == nullptr ? p.span : p.window;
  if (!p.negated.empty() || !p.pcres.empty() || p.lead != nullptr) p.forward = p.reach;
  p.conditional = !p.negated.empty() || !p.pcres.empty() || p.lead != nullptr;
  for (Chain& chain : p.chains) {
    for (size_t i = 0; i < chain.nodes.size(); ++i) {
      const Node& node = chain.nodes[i];
      chain.conditional |= node.conditional();
      if (i > 0 && node.content->distance < -static_cast<int64_t>(node.content->bytes.size())) chain.ascending = false;
      if (node.content->endswith) p.forward = std::max(p.forward, 1u);
      if (!node.pcres.empty()) p.forward = std::max(p.forward, p.reach);
      for (const Content* c : node.negated) {
        p.forward = std::max(p.forward, c->within ? positive(int64_t{c->distance} + *c->within) : p.reach);
        p.back = std::max(p.back, p.span + positive(-int64_t{c->distance}));
      }
    }
    p.conditional |= chain.conditional;
  }
}

}  // namespace

bool Program::simple() const {
  return lead == nullptr && !conditional && chains.size() == 1 && chains[0].nodes.size() == 1;
}

Program make_program(const Rule& rule, const RuleOptions& options) {
  Program p;
  p.window = options.confirm_window;
  p.reach = options.reach;
  const bool contents = std::any_of(rule.elements.begin(), rule.elements.end(), [](const Element& e) {
    const auto* c = std::get_if<Content>(&e);
    return c != nullptr && !c->negated;
  });
  for (const Element& element : rule.elements) {
    Node* last = p.chains.empty() ? nullptr : &p.chains.back().nodes.back();
    if (const auto* pcre = std::get_if<Pcre>(&element)) {
      if (pcre->relative && last != nullptr) {
        last->pcres.push_back(pcre);
      } else if (!contents && !pcre->negated && p.lead == nullptr) {
        p.lead = pcre;
      } else {
        p.pcres.push_back(pcre);
      }
      continue;
    }
    const Content& c = std::get<Content>(element);
    const auto [min_start, max_end] = own_places(c);
    if (c.negated) {
      if (c.relative && last != nullptr) {
        last->negated.push_back(&c);
      } else {
        p.negated.push_back({&c, min_start, max_end});
      }
    } else if (c.relative && last != nullptr) {
      p.chains.back().nodes.push_back({&c, 0, kNoEnd, {}, {}});
    } else {
      p.chains.push_back({});
      p.chains.back().nodes.push_back({&c, min_start, max_end, {}, {}});
    }
  }
  measure(p, options.confirm_window);
  return p;
}

const Node* fast_node(const Program& program) {
  const Node* best = nullptr;
  for (const Chain& chain : program.chains) {
    for (const Node& node : chain.nodes) {
      if (node.content->fast_pattern) return &node;
      if (best == nullptr || node.content->bytes.size() > best->content->bytes.size()) best = &node;
    }
  }
  return best;
}

}  // namespace mptap::rules
