// SPDX-License-Identifier: Apache-2.0
#include "rules/scanner.h"

#include <algorithm>
#include <array>
#include <optional>

#include <hs/hs.h>

#include "rules/confirm.h"
#include "rules/ruleset.h"
#include "rules/scratch.h"
#include "rules/scratch_impl.h"

namespace mptap::rules {

namespace {

using User = Ruleset::User;

constexpr size_t kMaxTriggers = 65536;  // of rules to confirm, per chunk: a pcre can end at every byte

// Contiguous bytes between two holes, and the rules that wait in it.
struct Run {
  uint64_t start = 0, end = 0;
  std::vector<Armed> armed;  // by rule
  struct LastFrom {
    uint32_t rule;
    uint64_t from;
  };
  std::vector<LastFrom> exact;  // per pcre that Hyperscan matches alone: where the last match began

  void reset(uint64_t offset) {
    start = end = offset;
    armed.clear();
    exact.clear();
  }
};

// What one call works on.
struct Job {
  const Ruleset& ruleset;
  std::span<const uint64_t> groups;
  Scratch::Impl& scratch;
  std::vector<Hit>& hits;
  Run& run;
  bool overflow = false;
};

void take_trigger(Job& job, const User& user, uint64_t from, uint64_t to) {
  const bool pile_up = user.kind == User::Kind::kConfirm && job.ruleset.program(user.rule).lead == nullptr;
  if (pile_up) {
    Scratch::Impl::Mark& mark = job.scratch.marks[user.rule];
    if (mark.epoch == job.scratch.epoch) {
      job.scratch.triggers[mark.at].last = to;
      return;
    }
    mark = {job.scratch.epoch, static_cast<uint32_t>(job.scratch.triggers.size())};
  } else if (job.scratch.triggers.size() >= kMaxTriggers) {
    if (!job.overflow) ++job.scratch.stats.work_limit;
    job.overflow = true;
    return;
  }
  job.scratch.triggers.push_back({&user, from, to, to});
}

int on_match(unsigned id, unsigned long long som, unsigned long long eom, unsigned, void* context) {
  Job& job = *static_cast<Job*>(context);
  const uint64_t to = job.run.start + eom;
  for (const User& user : job.ruleset.users(id)) {
    if (!bit_set(job.groups, user.group)) continue;
    const uint64_t from = user.kind == User::Kind::kExact ? job.run.start + som : to - user.size;
    if (from < user.min_start || to > user.max_end) continue;
    if (user.kind == User::Kind::kSimple) {
      job.hits.push_back({&job.ruleset.rules()[user.rule], from, to});
    } else {
      take_trigger(job, user, from, to);
    }
  }
  return 0;
}

Armed& armed_rule(Run& run, uint32_t rule, uint64_t decided_to) {
  auto it = std::lower_bound(run.armed.begin(), run.armed.end(), rule, [](const Armed& a, uint32_t r) { return a.rule < r; });
  if (it == run.armed.end() || it->rule != rule) {
    it = run.armed.emplace(it);
    it->rule = rule;
    it->decided_to = decided_to;
  }
  return *it;
}

// Hyperscan promises no order between patterns.
void take_exact(Job& job, const Trigger& trigger) {
  const uint32_t rule = trigger.user->rule;
  auto it = std::find_if(job.run.exact.begin(), job.run.exact.end(), [&](const Run::LastFrom& l) { return l.rule == rule; });
  if (it == job.run.exact.end()) it = job.run.exact.insert(it, {rule, kNoEnd});
  if (it->from == trigger.from) return;
  it->from = trigger.from;
  job.hits.push_back({&job.ruleset.rules()[rule], trigger.from, trigger.last});
}

void take_triggers(Job& job) {
  std::vector<Trigger>& triggers = job.scratch.triggers;
  if (triggers.empty()) return;
  std::stable_sort(triggers.begin(), triggers.end(), [](const Trigger& a, const Trigger& b) { return a.last < b.last; });
  for (const Trigger& trigger : triggers) {
    if (trigger.user->kind == User::Kind::kExact) {
      take_exact(job, trigger);
      continue;
    }
    const Program& program = job.ruleset.program(trigger.user->rule);
    Armed& armed = armed_rule(job.run, trigger.user->rule, trigger.first - 1);
    if (program.lead != nullptr) {
      // A $ before a newline is reported with the newline, one at the stream's end by its end: late, but not too late.
      armed.decided_to = std::min(armed.decided_to, trigger.last - 1);
      armed.lead_ends.insert(std::upper_bound(armed.lead_ends.begin(), armed.lead_ends.end(), trigger.last), trigger.last);
      armed.until = trigger.last + program.window;
    } else {
      armed.until = std::max(armed.until, trigger.last - trigger.user->size + program.span);
    }
  }
  triggers.clear();
}

// The bytes from lo to the run's end: chunk alone where it holds them all, else history and chunk side by side.
View make_view(Scratch::Impl& scratch, const Run& run, uint64_t lo, uint64_t offset, std::span<const uint8_t> chunk,
               const History* history) {
  lo = std::max(lo, run.start);
  if (lo > offset || (lo == offset && lo == 0)) return {chunk.data() + (lo - offset), lo, chunk.size() - (lo - offset)};
  // One byte before lo, too, where it belongs to the run.
  uint64_t begin = lo > run.start ? lo - 1 : lo;
  std::vector<uint8_t>& buffer = scratch.buffer;
  size_t kept = 0;
  if (history != nullptr && begin < offset) begin = std::clamp(history->oldest(), begin, offset);
  const auto wanted = static_cast<size_t>(offset - begin);
  if (buffer.size() < 1 + wanted + chunk.size()) buffer.resize(1 + wanted + chunk.size());
  buffer[0] = 0;
  if (history != nullptr && wanted > 0) kept = history->copy(begin, {buffer.data() + 1, wanted});
  if (kept < wanted) begin = offset;
  std::copy(chunk.begin(), chunk.end(), buffer.begin() + 1 + static_cast<ptrdiff_t>(offset - begin));
  const bool before = begin < lo;
  const uint64_t base = begin + (before ? 1 : 0);
  return {buffer.data() + 1 + (before ? 1 : 0), base, static_cast<size_t>(run.end - base)};
}

uint64_t full_look(const Ruleset& ruleset, const Armed& armed) {
  return armed.decided_to + 1 - std::min<uint64_t>(armed.decided_to + 1, ruleset.program(armed.rule).back);
}

// Where looking for new ends begins; the first time it is as far back as confirming them.
uint64_t first_look(const Ruleset& ruleset, const Armed& armed) {
  if (armed.seen.empty()) return full_look(ruleset, armed);
  uint64_t longest = 1;
  for (const Chain& chain : ruleset.program(armed.rule).chains) {
    for (const Node& node : chain.nodes) longest = std::max<uint64_t>(longest, node.content->bytes.size());
  }
  return armed.seen_to - std::min(armed.seen_to, longest - 1);
}

void confirm_armed(Job& job, RunEnd run_end, uint64_t offset, std::span<const uint8_t> chunk, const History* history) {
  Run& run = job.run;
  if (run.armed.empty()) return;
  uint64_t lo = UINT64_MAX;
  for (const Armed& armed : run.armed) lo = std::min(lo, first_look(job.ruleset, armed));
  View view = make_view(job.scratch, run, lo, offset, chunk, history);
  lo = UINT64_MAX;
  const auto upto = [&](const Armed& armed) { return std::min(run.end, armed.until); };
  for (Armed& armed : run.armed) {
    if (job.scratch.confirmer.possible(job.ruleset.program(armed.rule), armed, view, upto(armed))) {
      lo = std::min(lo, full_look(job.ruleset, armed));
    } else {
      armed.decided_to = upto(armed);
    }
  }
  if (lo != UINT64_MAX) {
    view = make_view(job.scratch, run, lo, offset, chunk, history);
    for (Armed& armed : run.armed) {
      if (armed.decided_to >= upto(armed)) continue;
      job.scratch.spans.clear();
      job.scratch.confirmer.confirm(job.ruleset.program(armed.rule), armed, view, run.start, run_end, upto(armed),
                                    job.scratch.pcre, job.scratch.stats, job.scratch.spans);
      for (const MatchSpan& span : job.scratch.spans) job.hits.push_back({&job.ruleset.rules()[armed.rule], span.from, span.to});
    }
  }
  std::erase_if(run.armed, [](const Armed& armed) { return armed.decided_to >= armed.until; });
}

void scan_run(Job& job, hs_stream_t* stream, uint64_t offset, std::span<const uint8_t> chunk, const History* history,
              RunEnd run_end) {
  if (++job.scratch.epoch == 0) {
    std::fill(job.scratch.marks.begin(), job.scratch.marks.end(), Scratch::Impl::Mark{});
    job.scratch.epoch = 1;
  }
  job.run.end = offset + chunk.size();
  if (stream != nullptr && !chunk.empty()) {
    if (hs_scan_stream(stream, reinterpret_cast<const char*>(chunk.data()), static_cast<unsigned>(chunk.size()), 0,
                       job.scratch.hs, on_match, &job) != HS_SUCCESS) {
      ++job.scratch.stats.engine_errors;
    }
  }
  take_triggers(job);
  confirm_armed(job, run_end, offset, chunk, history);
}

}  // namespace

struct Scanner::State {
  std::shared_ptr<const Ruleset> ruleset;
  FlowContext flow;
  hs_stream_t* stream = nullptr;
  bool asked = false, any = false;  // the header question
  bool header_rules_hit = false, dead = false;
  uint64_t passed_at = kNoEnd;
  Run run;
  std::unique_ptr<Run> before_gap;  // what waited there for bytes
  std::array<uint64_t, 2> few_groups{};
  std::vector<uint64_t> many_groups;

  ~State() {
    if (stream != nullptr) hs_close_stream(stream, nullptr, nullptr, nullptr);
  }

  std::span<uint64_t> groups() {
    const size_t words = ruleset->headers().words();
    if (words <= few_groups.size()) return {few_groups.data(), words};
    many_groups.resize(words);
    return many_groups;
  }

  bool active() {
    if (dead) return false;
    if (!asked) {
      any = ruleset->headers().groups() > 0 && ruleset->headers().match(flow, groups());
      asked = true;
    }
    return any;
  }

  bool open_stream(Scratch::Impl& scratch) {
    if (!scratch.ready(*ruleset) && !scratch.prepare(*ruleset)) return false;
    return stream != nullptr || ruleset->database() == nullptr || hs_open_stream(ruleset->database(), 0, &stream) == HS_SUCCESS;
  }

  void settle_before_gap(Scratch::Impl& scratch, const History& history, std::vector<Hit>& hits) {
    Job job{*ruleset, groups(), scratch, hits, *before_gap};
    if (history.oldest() >= before_gap->end) {
      scratch.stats.dropped += before_gap->armed.size();
    } else {
      confirm_armed(job, RunEnd::kGap, before_gap->end, {}, &history);
    }
    before_gap.reset();
  }

  // Everything between the call and the caller's hits: order, and what pass rules suppress.
  void deliver(std::vector<Hit>& hits, size_t first) {
    if (hits.size() == first) return;
    const auto begin = hits.begin() + static_cast<ptrdiff_t>(first);
    std::stable_sort(begin, hits.end(),
                     [](const Hit& a, const Hit& b) { return std::tie(a.to, a.rule) < std::tie(b.to, b.rule); });
    for (auto it = begin; it != hits.end(); ++it) {
      if (it->rule->action == Action::kPass) passed_at = std::min(passed_at, it->to);
    }
    hits.erase(
        std::remove_if(begin, hits.end(), [&](const Hit& h) { return h.rule->action == Action::kPass || h.to >= passed_at; }),
        hits.end());
    if (passed_at <= run.end && run.armed.empty() && before_gap == nullptr) dead = true;
  }
};

Scanner::Scanner(std::shared_ptr<const Ruleset> ruleset, const FlowContext& flow) : state_(std::make_unique<State>()) {
  state_->ruleset = std::move(ruleset);
  state_->flow = flow;
}
Scanner::~Scanner() = default;
Scanner::Scanner(Scanner&&) noexcept = default;
Scanner& Scanner::operator=(Scanner&&) noexcept = default;

bool Scanner::active() const {
  return state_->active();
}
bool Scanner::passed() const {
  return state_->passed_at != kNoEnd;
}

size_t Scanner::memory() const {
  const State& s = *state_;
  size_t bytes = sizeof s + s.many_groups.capacity() * sizeof(uint64_t) + s.run.armed.capacity() * sizeof(Armed);
  if (s.stream != nullptr) bytes += s.ruleset->stream_size();
  return bytes;
}

void Scanner::scan(uint64_t offset, std::span<const uint8_t> bytes, const History& history, Scratch& scratch,
                   std::vector<Hit>& hits) {
  State& s = *state_;
  if (bytes.empty() || !s.active()) return;
  if (offset != s.run.end) gap(offset);
  if (!s.open_stream(scratch.impl())) {
    ++scratch.impl().stats.engine_errors;
    s.dead = true;
    return;
  }
  const size_t first = hits.size();
  if (s.before_gap != nullptr) s.settle_before_gap(scratch.impl(), history, hits);
  if (!s.header_rules_hit) {
    s.header_rules_hit = true;
    for (const User& user : s.ruleset->header_only()) {
      if (bit_set(s.groups(), user.group)) hits.push_back({&s.ruleset->rules()[user.rule], offset, offset + 1});
    }
  }
  Job job{*s.ruleset, s.groups(), scratch.impl(), hits, s.run};
  scan_run(job, s.stream, offset, bytes, &history, RunEnd::kOpen);
  s.deliver(hits, first);
}

void Scanner::gap(uint64_t offset) {
  State& s = *state_;
  std::erase_if(s.run.armed, [&](const Armed& armed) { return s.ruleset->program(armed.rule).forward == 0; });
  if (!s.run.armed.empty()) s.before_gap = std::make_unique<Run>(std::move(s.run));
  s.run.reset(offset);
  if (s.stream != nullptr) hs_reset_stream(s.stream, 0, nullptr, nullptr, nullptr);
}

void Scanner::finish(uint64_t offset, const History& history, Scratch& scratch, std::vector<Hit>& hits) {
  State& s = *state_;
  if (!s.active() || !s.open_stream(scratch.impl())) return;
  const size_t first = hits.size();
  if (s.before_gap != nullptr) s.settle_before_gap(scratch.impl(), history, hits);
  const bool whole = offset == s.run.end;
  Job job{*s.ruleset, s.groups(), scratch.impl(), hits, s.run};
  if (s.stream != nullptr) {
    // Closing reports what matches at the end of the stream only.
    hs_close_stream(s.stream, scratch.impl().hs, whole && s.ruleset->at_end() ? on_match : nullptr, &job);
    s.stream = nullptr;
  }
  scan_run(job, nullptr, s.run.end, {}, &history, whole ? RunEnd::kStream : RunEnd::kGap);
  s.deliver(hits, first);
  s.run.reset(s.run.end);
  s.dead = true;
}

void Scanner::scan_candidate(uint64_t offset, std::span<const uint8_t> bytes, Scratch& scratch, std::vector<Hit>& hits) {
  State& s = *state_;
  if (bytes.empty() || !s.active() || s.ruleset->database() == nullptr) return;
  Scratch::Impl& impl = scratch.impl();
  if (!impl.ready(*s.ruleset) && !impl.prepare(*s.ruleset)) return;
  hs_stream_t* stream = impl.spare_stream(s.ruleset);
  if (stream == nullptr) {
    ++impl.stats.engine_errors;
    return;
  }
  const size_t first = hits.size();
  Run run;
  run.reset(offset);
  Job job{*s.ruleset, s.groups(), impl, hits, run};
  scan_run(job, stream, offset, bytes, nullptr, RunEnd::kGap);
  const auto begin = hits.begin() + static_cast<ptrdiff_t>(first);
  std::stable_sort(begin, hits.end(), [](const Hit& a, const Hit& b) { return std::tie(a.to, a.rule) < std::tie(b.to, b.rule); });
  hits.erase(
      std::remove_if(begin, hits.end(), [&](const Hit& h) { return h.rule->action == Action::kPass || h.to >= s.passed_at; }),
      hits.end());
}

}  // namespace mptap::rules
