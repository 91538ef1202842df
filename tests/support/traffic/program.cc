// SPDX-License-Identifier: Apache-2.0
#include "traffic/program.h"

#include <algorithm>
#include <array>

namespace mptap::test {

namespace {

constexpr uint64_t kMaxStream = 40000;  // per direction: within what an inspector keeps to compare copies with
constexpr uint64_t kBeforeRepeat = 10'000'000;

struct Written {  // one mapping
  int subflow = 0;
  Direction direction = kToServer;
  uint32_t ssn = 0;
  uint64_t offset = 0;
  Bytes bytes;
  bool dsn8 = true;
};

struct Segment {
  int subflow = 0;
  Direction direction = kToServer;
  uint64_t offset = 0;
  Bytes bytes;
  DataSpec spec;
};

struct Range {
  uint64_t start = 0, end = 0;
};

class Player {
 public:
  Player(const Plan& plan, const Rules& rules) : rules_(rules), c_(config(plan)) {
    c_.handshake();
    capable_data_ = plan.capable_data && plan.version % 2 == 1;
    const int subflows = 1 + (plan.subflows + 7) % 8;
    // The first data confirms the keys; hosts send joins after that.
    write({StepKind::kWrite, 0, 0, 10, 0, 1500, 0});
    c_.ack(0, kToClient);
    for (int i = 1; i < subflows; ++i) c_.join({.by_server = (plan.by_server >> i & 1) != 0});
  }

  void step(const Step& s) {
    switch (s.kind) {
      case StepKind::kWrite: write(s); break;
      case StepKind::kReserve: reserve(s); break;
      case StepKind::kFill: fill(s); break;
      case StepKind::kRetransmit: retransmit(s); break;
      case StepKind::kReinject: reinject(s); break;
      case StepKind::kAck: c_.ack(subflow(s), direction(s), {.ack8 = (s.flags & kNarrowAck) == 0}); break;
      case StepKind::kDelay: delay_ = 1 + s.size % 3; break;
      case StepKind::kUndelay: undelay(s.place); break;
      case StepKind::kCopy:
        if (rules_.copies) c_.span_copy();
        break;
      case StepKind::kLose: lose_ = rules_.losses ? 1 + s.size % 2 : 0; break;
      case StepKind::kDrop: drop_ = rules_.losses ? 1 : 0; break;
      case StepKind::kCount: break;
    }
    if ((s.flags & kEager) != 0) c_.ack(subflow(s), opposite(direction(s)));
  }

  Conversation finish() {
    delay_ = lose_ = drop_ = 0;
    while (!delayed_.empty()) undelay(0);
    for (const Direction d : {kToServer, kToClient}) {
      while (!reserved_[d].empty()) fill({StepKind::kFill, 0, static_cast<uint8_t>(d), 60000, 0, 1000, 0});
    }
    for (const Segment& again : dropped_) {
      c_.now_ns += kBeforeRepeat;
      c_.data(again.subflow, again.direction, again.offset, again.bytes, again.spec);
    }
    for (int i = 0; i < c_.subflows(); ++i) {
      c_.ack(i, kToServer);
      c_.ack(i, kToClient);
    }
    c_.close();
    return std::move(c_);
  }

 private:
  static Conversation::Config config(const Plan& s) {
    Conversation::Config c;
    c.version = s.version % 2;
    c.v6 = s.v6;
    c.client_wants_checksum = s.checksum;
    c.timestamps = s.timestamps || s.v6;  // without an IP identification only these tell a repetition from a tap's copy
    // Keys whose IDSNs' low 32 bits wrap within the stream's first 4,000 bytes; found by search, see key_with_idsn_low().
    static constexpr std::array<std::array<uint64_t, 2>, 2> kWrapping{
        {{0x100005cc79c, 0x200000083c1}, {0x100000e1495, 0x20000004c3b}}};
    if (s.wrap & 1) c.client_key = kWrapping[c.version][0];
    if (s.wrap & 2) c.server_key = kWrapping[c.version][1];
    return c;
  }

  int subflow(const Step& s) const { return s.subflow % c_.subflows(); }
  static Direction direction(const Step& s) { return s.direction % 2 == 0 ? kToServer : kToClient; }

  static Bytes stream(Direction d, uint64_t start, uint64_t end) {
    Bytes out;
    for (; start < end; ++start) out.push_back(stream_byte(d, start));
    return out;
  }

  void write(const Step& s) {
    const Direction d = direction(s);
    const uint64_t size = std::min<uint64_t>(1 + s.size % 3000, kMaxStream - fresh_[d]);
    if (size == 0) return;
    map(s, d, fresh_[d], stream(d, fresh_[d], fresh_[d] + size));
    fresh_[d] += size;
  }

  void reserve(const Step& s) {
    const Direction d = direction(s);
    const uint64_t size = std::min<uint64_t>(1 + s.size % 2000, kMaxStream - fresh_[d]);
    if (size == 0) return;
    reserved_[d].push_back({fresh_[d], fresh_[d] + size});
    fresh_[d] += size;
  }

  void fill(const Step& s) {
    const Direction d = direction(s);
    if (reserved_[d].empty()) return;
    const size_t which = s.place % reserved_[d].size();
    const Range r = reserved_[d][which];
    const uint64_t end = std::min<uint64_t>(r.end, r.start + 1 + s.size);
    if (end == r.end) {
      reserved_[d].erase(reserved_[d].begin() + static_cast<ptrdiff_t>(which));
    } else {
      reserved_[d][which].start = end;
    }
    map(s, d, r.start, stream(d, r.start, end));
  }

  void change(const Step& s, Bytes& bytes) const {
    if (!rules_.conflicts || (s.flags & kOtherBytes) == 0) return;
    for (uint8_t& b : bytes) b = static_cast<uint8_t>(b ^ (1 + s.piece % 255));
  }

  void reinject(const Step& s) {
    const Direction d = direction(s);
    if (fresh_[d] == 0) return;
    const uint64_t start = s.place % fresh_[d];
    const uint64_t end = std::min<uint64_t>(fresh_[d], start + 1 + s.size % 3000);
    if (was_lost(d, start, end)) return;
    Bytes bytes = stream(d, start, end);
    change(s, bytes);
    map(s, d, start, bytes);
  }

  void retransmit(const Step& s) {
    if (written_.empty()) return;
    const Written& w = written_[s.place % written_.size()];
    const auto from = static_cast<uint32_t>(s.piece % w.bytes.size());
    const auto to = static_cast<uint32_t>(std::min<size_t>(w.bytes.size(), from + 1 + s.size % 1400));
    if (was_lost(w.direction, w.offset + from, w.offset + to)) return;
    Bytes bytes(w.bytes.begin() + from, w.bytes.begin() + to);
    // Under a DSS checksum other bytes would make the host reject the mapping: a case of its own.
    if (!c_.checksums()) change(s, bytes);
    c_.now_ns += kBeforeRepeat;
    c_.data(w.subflow, w.direction, w.offset + from, bytes, part_of(w, from, s.flags, true));
  }

  // What the tap missed never comes again: whether a hole's late bytes still count depends on the time.
  bool was_lost(Direction d, uint64_t start, uint64_t end) const {
    return std::any_of(lost_[d].begin(), lost_[d].end(), [start, end](const Range& r) { return r.start < end && start < r.end; });
  }

  static DataSpec part_of(const Written& w, uint32_t from, uint8_t flags, bool with_map) {
    DataSpec spec;
    spec.ssn = w.ssn + from;
    spec.map = with_map;
    spec.map_ssn = w.ssn;
    spec.map_offset = w.offset;
    spec.map_length = static_cast<uint16_t>(w.bytes.size());
    spec.map_bytes = w.bytes;
    spec.dsn8 = w.dsn8;
    spec.data_ack = (flags & kWithoutAck) == 0;
    spec.ack8 = (flags & kNarrowAck) == 0;
    return spec;
  }

  void map(const Step& s, Direction d, uint64_t offset, const Bytes& bytes) {
    Written w{subflow(s), d, 0, offset, bytes, (s.flags & kNarrowDsn) == 0};
    w.ssn = next_ssn(w.subflow, d);
    const auto piece = static_cast<uint32_t>(1 + s.piece % 1400);
    // Not more than 16 segments, so that tiny pieces do not make the test slow.
    const auto step = std::max(piece, static_cast<uint32_t>((bytes.size() + 15) / 16));
    std::vector<Segment> segments;
    for (uint32_t at = 0; at < bytes.size(); at += step) {
      const auto end = std::min<size_t>(bytes.size(), at + step);
      Segment segment{w.subflow, d, offset + at, Bytes(bytes.begin() + at, bytes.begin() + static_cast<ptrdiff_t>(end)),
                      part_of(w, at, s.flags, at == 0 || (s.flags & kFirstOnly) == 0 || rules_.losses || rules_.mapped)};
      if (capable_data_ && w.subflow == 0 && d == kToServer && w.ssn == 1) segment.spec.in_capable = true;
      segments.push_back(std::move(segment));
    }
    if ((s.flags & kReversed) != 0) std::reverse(segments.begin(), segments.end());
    reached_[w.subflow][d] = w.ssn + static_cast<uint32_t>(bytes.size());
    written_.push_back(std::move(w));
    for (Segment& segment : segments) emit(std::move(segment));
  }

  uint32_t next_ssn(int sf, Direction d) const { return std::max(reached_[sf][d], c_.next_ssn(sf, d)); }

  void emit(Segment segment) {
    if (delay_ > 0) {
      --delay_;
      delayed_.push_back(std::move(segment));
      return;
    }
    if (lose_ > 0) {
      --lose_;
      segment.spec.fate = Fate::kTapLost;
      lost_[segment.direction].push_back({segment.offset, segment.offset + segment.bytes.size()});
    } else if (drop_ > 0) {
      --drop_;
      dropped_.push_back(segment);
      segment.spec.fate = Fate::kHostLost;
    }
    c_.data(segment.subflow, segment.direction, segment.offset, segment.bytes, segment.spec);
  }

  void undelay(uint16_t place) {
    if (delayed_.empty()) return;
    const auto which = delayed_.begin() + static_cast<ptrdiff_t>(place % delayed_.size());
    Segment segment = std::move(*which);
    delayed_.erase(which);
    c_.data(segment.subflow, segment.direction, segment.offset, segment.bytes, segment.spec);
  }

  Rules rules_;
  Conversation c_;
  bool capable_data_ = false;
  std::array<uint64_t, 2> fresh_{0, 0};
  std::array<std::vector<Range>, 2> reserved_, lost_;
  std::array<std::array<uint32_t, 2>, 8> reached_{};
  std::vector<Written> written_;
  std::vector<Segment> delayed_, dropped_;
  int delay_ = 0, lose_ = 0, drop_ = 0;
};

}  // namespace

uint8_t stream_byte(Direction d, uint64_t offset) {
  uint64_t x = (offset / 8 + 1) * 0x9e3779b97f4a7c15 + d;
  x ^= x >> 31;
  x *= 0xbf58476d1ce4e5b9;
  return static_cast<uint8_t>(x >> (8 * (offset % 8)));
}

Conversation play(const Plan& plan, const std::vector<Step>& steps, const Rules& rules) {
  Player player(plan, rules);
  for (const Step& s : steps) player.step(s);
  return player.finish();
}

void shuffle_between_subflows(std::vector<Sent>& wire, const std::vector<uint16_t>& keys, size_t first_frame) {
  std::vector<std::vector<Sent>> queues;
  for (size_t i = first_frame; i < wire.size(); ++i) {
    const auto sf = static_cast<size_t>(wire[i].subflow);
    if (queues.size() <= sf) queues.resize(sf + 1);
    queues[sf].push_back(wire[i]);
  }
  std::vector<size_t> at(queues.size(), 0);
  size_t key = 0;
  for (size_t out = first_frame; out < wire.size();) {
    std::vector<size_t> live;
    for (size_t q = 0; q < queues.size(); ++q) {
      if (at[q] < queues[q].size()) live.push_back(q);
    }
    const size_t q = live[keys.empty() ? 0 : (keys[key % keys.size()] + key / std::max<size_t>(keys.size(), 1)) % live.size()];
    ++key;
    // A tap's copy stays behind its original.
    do {
      wire[out++] = queues[q][at[q]++];
    } while (at[q] < queues[q].size() && queues[q][at[q]].ns - queues[q][at[q] - 1].ns < 5000);
  }
  retime(wire);
}

std::vector<Step> steps_from(const uint8_t* b, size_t size) {
  std::vector<Step> steps;
  for (; size >= 8; b += 8, size -= 8) {
    Step s;
    s.kind = static_cast<StepKind>(b[0] % static_cast<int>(StepKind::kCount));
    s.subflow = b[1] & 7;
    s.direction = b[1] >> 3 & 1;
    s.flags = b[2];
    s.size = static_cast<uint16_t>(b[3] | (b[4] & 15) << 8);
    s.place = static_cast<uint16_t>(b[5] << 4 | b[4] >> 4);
    s.piece = static_cast<uint16_t>(b[6] | b[7] << 8);
    steps.push_back(s);
  }
  return steps;
}

Plan plan_from(const uint8_t* b) {
  Plan s;
  s.version = b[0] & 1;
  s.v6 = b[0] & 2;
  s.checksum = b[0] & 4;
  s.timestamps = b[0] & 8;
  s.capable_data = b[0] & 16;
  s.wrap = b[0] >> 6;
  s.subflows = b[1] % 8 + 1;
  s.by_server = b[2];
  return s;
}

std::ostream& operator<<(std::ostream& out, const Step& s) {
  static constexpr std::array<const char*, static_cast<size_t>(StepKind::kCount)> kNames{
      "Write", "Reserve", "Fill", "Retransmit", "Reinject", "Ack", "Delay", "Undelay", "Copy", "Lose", "Drop"};
  return out << "{k" << kNames[static_cast<size_t>(s.kind)] << ", " << int{s.subflow} << ", " << int{s.direction} << ", "
             << s.size << ", " << s.place << ", " << s.piece << ", " << int{s.flags} << "}";
}

std::ostream& operator<<(std::ostream& out, const Plan& s) {
  return out << "{version " << int{s.version} << ", subflows " << int{s.subflows} << ", by_server " << int{s.by_server} << ", v6 "
             << s.v6 << ", checksum " << s.checksum << ", timestamps " << s.timestamps << ", capable_data " << s.capable_data
             << ", wrap " << int{s.wrap} << "}";
}

}  // namespace mptap::test
