// SPDX-License-Identifier: Apache-2.0
#include "reference/reference.h"

#include <openssl/evp.h>

#include <algorithm>

#include "reference/flows.h"

namespace mptap::test {

namespace {

// Stream offsets from here on are taken for numbers out of any window.
constexpr uint64_t kBeyondWindow = uint64_t{1} << 28;

struct Cell {
  bool seen = false, delivered = false, conflict = false;
  uint8_t first = 0;  // the copy seen first
  uint8_t value = 0;  // the one delivered
  uint32_t copies = 0;
};

// One direction of the connection.
struct Stream {
  explicit Stream(Policy policy) : data(policy, 0) {}
  Overlap data;
  Bytes fast_open;
  std::vector<Cell> cells;
  std::optional<uint64_t> base;  // DSN of offset 0
  std::optional<uint64_t> fin;
  uint64_t acked = 0;
  bool ack_seen = false;  // any packet of the other direction
  std::vector<bool> lost;  // offsets that a subflow's own numbers show as lost by the tap
  uint64_t lost_unmapped = 0;
  uint64_t duplicates_before = 0;

  Cell& cell(uint64_t offset) {
    if (cells.size() <= offset) cells.resize(offset + 1);
    return cells[offset];
  }
  void take(const std::vector<Chunk>& chunks) {
    for (const Chunk& c : chunks) {
      for (size_t i = 0; i < c.bytes.size(); ++i) {
        Cell& x = cell(c.start + i);
        x.delivered = true;
        x.value = c.bytes[i];
      }
    }
  }
};

struct Mapping {
  uint64_t ssn, offset, length;
};

// One direction of a subflow.
struct Half {
  explicit Half(Policy policy) : tcp(policy, 1) {}
  Overlap tcp;
  std::optional<uint32_t> zero;          // sequence number of SSN 0
  std::map<uint64_t, Mapping> mappings;  // disjoint, the first one holds
  std::vector<Chunk> ready;              // in TCP order, waiting for a mapping
  std::vector<Chunk> copies;             // every payload as it was seen
  uint64_t acked = 1;                    // SSN
  bool ack_seen = false;
  bool fin = false, rst = false;
  uint64_t fin_at = 0;  // SSN of the FIN
  uint64_t bytes = 0;
};

struct Run {
  const Mapping* mapping;
  uint64_t start, end;
};

// Splits [start, end) of SSNs at the borders of mappings; nullptr where there is none.
std::vector<Run> split(const std::map<uint64_t, Mapping>& mappings, uint64_t start, uint64_t end) {
  std::vector<Run> out;
  while (start < end) {
    auto next = mappings.upper_bound(start);
    const Mapping* m = nullptr;
    if (next != mappings.begin()) {
      const Mapping& before = std::prev(next)->second;
      if (start < before.ssn + before.length) m = &before;
    }
    uint64_t stop = m != nullptr ? m->ssn + m->length : (next == mappings.end() ? end : next->second.ssn);
    stop = std::min(stop, end);
    out.push_back({m, start, stop});
    start = stop;
  }
  return out;
}

Chunk cut(const Chunk& c, uint64_t start, uint64_t end, uint64_t place) {
  return {place, Bytes(c.bytes.begin() + static_cast<ptrdiff_t>(start - c.start),
                       c.bytes.begin() + static_cast<ptrdiff_t>(end - c.start))};
}

class Connection {
 public:
  Connection(const Group& group, const std::vector<TcpPacket>& packets, Policy policy)
      : group_(group), packets_(packets), stream_{Stream(policy), Stream(policy)} {
    for (const Member& m : group.members) {
      (void)m;
      half_.push_back({Half(policy), Half(policy)});
    }
    for (const int d : {0, 1}) {
      if (group.keys_known) stream_[d].base = group.numbers[d].idsn + 1;
      if (!group.mptcp) stream_[d].base = 0;
    }
  }

  Judged run() {
    std::vector<std::pair<size_t, size_t>> order;  // packet, member
    for (size_t m = 0; m < group_.members.size(); ++m) {
      for (const size_t p : group_.members[m].flow->packets) order.emplace_back(p, m);
    }
    std::sort(order.begin(), order.end());
    for (const auto& [p, m] : order) packet(packets_[p], m);
    return finish();
  }

 private:
  int direction(const TcpPacket& p, const Member& m) const {
    const bool by_opener = p.src == m.flow->opener;
    return by_opener != m.by_server ? 0 : 1;
  }

  void packet(const TcpPacket& p, size_t index) {
    const Member& member = group_.members[index];
    const int d = direction(p, member);
    Half& mine = half_[index][d];
    Half& other = half_[index][1 - d];
    mine.bytes += p.payload.size();
    mine.rst |= p.rst;
    if (member.join == "failed") return;
    if (!p.rst) {
      other.ack_seen = true;
      stream_[1 - d].ack_seen = true;
    }
    const bool by_opener = p.src == member.flow->opener;
    if (p.syn && by_opener) {
      mine.zero = p.seq + static_cast<uint32_t>(p.payload.size());
      pending_fast_open_ = p.payload;
      return;
    }
    if (p.syn) {
      mine.zero = p.seq;
      // What the server acknowledges of Fast Open data was delivered; the rest comes again as usual data.
      const auto accepted = static_cast<uint32_t>(p.ack - member.flow->syn_seq - 1);
      if (accepted <= pending_fast_open_.size() && !pending_fast_open_.empty() && group_.members[index].join == "initial") {
        other.zero = member.flow->syn_seq + accepted;
        stream_[1 - d].fast_open.assign(pending_fast_open_.begin(), pending_fast_open_.begin() + accepted);
        pending_fast_open_.clear();
      }
      return;
    }
    if (!mine.zero) mine.zero = p.seq - 1;
    const uint64_t ssn = p.seq - *mine.zero;
    options(p, d, mine);
    if (!p.payload.empty() && ssn < kBeyondWindow) {
      const Chunk whole{ssn, p.payload};
      mine.copies.push_back(whole);
      if (!group_.mptcp) add_mapping(mine, {ssn, ssn - 1, p.payload.size()});
      ready(mine, mine.tcp.insert(whole));
    }
    hand_up(mine, d);
    if (p.fin) {
      mine.fin = true;
      mine.fin_at = ssn + p.payload.size();
      if (!group_.mptcp && !stream_[d].fin) stream_[d].fin = ssn + p.payload.size() - 1;
    }
    if (p.has_ack && other.zero && !p.rst) {
      const uint64_t acked = p.ack - *other.zero;
      if (acked < kBeyondWindow && acked > other.acked) other.acked = acked;
      if (other.acked > other.tcp.edge() && !other.tcp.held().empty()) {
        ready(other, other.tcp.skip_to(other.acked));
        hand_up(other, 1 - d);
      }
      if (!group_.mptcp) data_ack(1 - d, other.acked - 1);
    }
  }

  void options(const TcpPacket& p, int d, Half& mine) {
    for (const Bytes& o : p.mptcp) {
      const int type = o[2] >> 4;
      if (type == 0 && o.size() >= 22) {
        if (stream_[d].base) add_mapping(mine, {1, 0, number_at(&o[20], 2)});
      } else if (type == 2) {
        dss(o, d, mine);
      } else if (type == 7 && o.size() == 12) {
        fast_closed_ |= !group_.keys_known || number_at(&o[4], 8) == group_.key[1 - d];
      }
    }
  }

  static uint64_t nearest(uint64_t base, uint64_t low) {
    return base + static_cast<uint64_t>(int64_t{static_cast<int32_t>(static_cast<uint32_t>(low) - static_cast<uint32_t>(base))});
  }

  void dss(const Bytes& o, int d, Half& mine) {
    const int flags = o[3];
    size_t at = 4;
    if (flags & 1) {
      Stream& other = stream_[1 - d];
      const int size = flags & 2 ? 8 : 4;
      uint64_t number = number_at(&o[at], size);
      at += size;
      if (other.base) {
        if (size == 4) number = nearest(*other.base + other.data.edge(), number);
        const uint64_t offset = number - *other.base;
        if (offset < kBeyondWindow) data_ack(1 - d, offset);
      }
    }
    if ((flags & 4) == 0) return;
    Stream& s = stream_[d];
    const int size = flags & 8 ? 8 : 4;
    uint64_t dsn = number_at(&o[at], size);
    at += size;
    const uint64_t ssn = number_at(&o[at], 4);
    uint64_t length = number_at(&o[at + 4], 2);
    if (length == 0) return;
    if (!s.base) s.base = dsn;
    if (size == 4) dsn = nearest(*s.base + s.data.edge(), dsn);
    const uint64_t offset = dsn - *s.base;
    if (flags & 16) {
      --length;
      if (!s.fin && offset + length < kBeyondWindow) s.fin = offset + length;
    }
    if (length > 0 && ssn > 0) add_mapping(mine, {ssn, offset, length});
  }

  static void add_mapping(Half& h, const Mapping& m) {
    for (const Run& r : split(h.mappings, m.ssn, m.ssn + m.length)) {
      if (r.mapping == nullptr) {
        Mapping piece{r.start, m.offset + (r.start - m.ssn), r.end - r.start};
        // One mapping that repeats and grows is one mapping.
        if (auto next = h.mappings.lower_bound(r.start); next != h.mappings.begin() && r.start > m.ssn) {
          Mapping& before = std::prev(next)->second;
          if (before.ssn >= m.ssn && before.ssn + before.length == r.start && before.offset + before.length == piece.offset) {
            before.length += piece.length;
            continue;
          }
        }
        h.mappings[r.start] = piece;
      }
    }
  }

  static void ready(Half& h, const std::vector<Chunk>& chunks) { h.ready.insert(h.ready.end(), chunks.begin(), chunks.end()); }

  void hand_up(Half& h, int d) {
    std::vector<Chunk> left;
    for (const Chunk& c : h.ready) {
      for (const Run& r : split(h.mappings, c.start, c.end())) {
        // Under a DSS checksum the host reads a mapping when it has all of it.
        if (r.mapping == nullptr || (group_.checksum && h.tcp.edge() < r.mapping->ssn + r.mapping->length)) {
          left.push_back(cut(c, r.start, r.end, r.start));
        } else {
          to_stream(d, cut(c, r.start, r.end, r.mapping->offset + (r.start - r.mapping->ssn)));
        }
      }
    }
    h.ready = left;
  }

  void to_stream(int d, const Chunk& c) {
    if (c.start >= kBeyondWindow) return;
    stream_[d].take(stream_[d].data.insert(c));
  }

  void data_ack(int d, uint64_t offset) {
    Stream& s = stream_[d];
    if (s.fin) offset = std::min(offset, *s.fin);
    if (offset <= s.acked) return;
    s.acked = offset;
    if (offset > s.data.edge() && !s.data.held().empty()) s.take(s.data.skip_to(offset));
  }

  // What a TCP-level hole still holds back when the capture ends: the host read it if an ACK of either level passed it, or if
  // the ACKs of that subflow were not captured.
  void flush_subflows(int d) {
    for (auto& halves : half_) {
      Half& h = halves[d];
      // What waits for the rest of its mapping, whose checksum is not verified yet.
      for (const Chunk& waiting : h.ready) {
        for (const Run& r : split(h.mappings, waiting.start, waiting.end())) {
          if (r.mapping == nullptr) continue;
          const uint64_t offset = r.mapping->offset + (r.start - r.mapping->ssn);
          read_up_to(d, cut(waiting, r.start, r.end, offset), stream_[d].acked);
        }
      }
      for (const auto& [ssn, bytes] : std::map<uint64_t, Bytes>(h.tcp.held())) {
        for (const Run& r : split(h.mappings, ssn, ssn + bytes.size())) {
          if (r.mapping == nullptr) continue;
          const uint64_t offset = r.mapping->offset + (r.start - r.mapping->ssn);
          read_up_to(d, cut({ssn, bytes}, r.start, r.end, offset), h.ack_seen ? stream_[d].acked : UINT64_MAX);
        }
      }
    }
  }

  // What an acknowledgement shows as read goes into the stream, the rest is held back.
  void read_up_to(int d, const Chunk& c, uint64_t acked) {
    const uint64_t middle = std::clamp(acked, c.start, c.end());
    if (middle > c.start) to_stream(d, cut(c, c.start, middle, c.start));
    if (middle < c.end()) held_back_[d].push_back(cut(c, middle, c.end(), middle));
  }

  void write_down_copies(int d) {
    Stream& s = stream_[d];
    for (auto& halves : half_) {
      Half& h = halves[d];
      Ranges seen;
      for (const Chunk& c : h.copies) {
        seen.add(c.start, c.end());
        for (const Run& r : split(h.mappings, c.start, c.end())) {
          if (r.mapping == nullptr) continue;
          for (uint64_t at = r.start; at < r.end; ++at) {
            const uint64_t offset = r.mapping->offset + (at - r.mapping->ssn);
            if (offset >= kBeyondWindow || (s.fin && offset >= *s.fin)) continue;
            Cell& x = s.cell(offset);
            const uint8_t value = c.bytes[at - c.start];
            if (!x.seen) x.first = value;
            x.conflict |= x.seen && value != x.first;
            x.seen = true;
            ++x.copies;
          }
        }
      }
      count_lost(h, seen, s);
    }
  }

  // SSNs that were passed but never seen.
  static void count_lost(const Half& h, const Ranges& seen, Stream& s) {
    uint64_t top = h.acked;
    if (!h.ack_seen) {
      for (const Chunk& c : h.copies) top = std::max(top, c.end());
    }
    if (h.fin) top = std::min(top, h.fin_at);
    for (uint64_t at = 1; at < top; ++at) {
      if (seen.edge(at) > at) {
        at = seen.edge(at) - 1;
        continue;
      }
      const Run r = split(h.mappings, at, at + 1).front();
      const uint64_t offset = r.mapping == nullptr ? kBeyondWindow : r.mapping->offset + (at - r.mapping->ssn);
      if (offset >= kBeyondWindow) {
        ++s.lost_unmapped;
        continue;
      }
      if (s.lost.size() <= offset) s.lost.resize(offset + 1);
      s.lost[offset] = true;
    }
  }

  JudgedStream finish_stream(int d) {
    Stream& s = stream_[d];
    JudgedStream out;
    flush_subflows(d);
    write_down_copies(d);
    // Without a DATA_FIN the sender's FINs, which follow one, say that the last number acknowledged was none of a byte's.
    bool closed = true;
    for (size_t i = 0; i < half_.size(); ++i) closed &= group_.members[i].join == "failed" || half_[i][d].fin;
    if (!s.fin && closed && s.acked > s.cells.size()) --s.acked;
    out.assumed = !s.ack_seen && !s.cells.empty();
    uint64_t limit = s.fin.value_or(UINT64_MAX);
    uint64_t end = std::min<uint64_t>(out.assumed ? s.cells.size() : s.acked, limit);
    s.take(s.data.skip_to(out.assumed ? s.cells.size() : s.acked));
    const uint64_t contiguous = s.data.edge();
    for (const auto& [start, bytes] : s.data.held()) held_back_[d].push_back({start, bytes});
    out.bytes = s.fast_open;
    for (uint64_t at = 0; at < std::min<uint64_t>(std::max(contiguous, end), limit); ++at) {
      Cell& x = s.cell(at);
      if (x.delivered) {
        out.bytes.push_back(x.value);
      } else if (at < end) {
        ++out.missing;
        out.missing_tap += at < s.lost.size() && s.lost[at] ? 1 : 0;
      }
    }
    Ranges pending;
    for (const Chunk& c : held_back_[d]) {
      for (uint64_t at = c.start; at < std::min(c.end(), limit); ++at) {
        if (s.cell(at).delivered || pending.edge(at) > at) continue;
        pending.add(at, at + 1);
        ++out.pending;
      }
    }
    for (const Cell& x : s.cells) {
      if (x.copies > 1) out.duplicate += x.copies - 1;
      if (x.conflict) ++out.conflicting;
    }
    // A mapping that was lost whole leaves no trace of where its bytes belong.
    out.missing_tap += std::min(out.missing - out.missing_tap, s.lost_unmapped);
    return out;
  }

  std::string end() const {
    if (fast_closed_) return "fast_close";
    bool closed = true, reset = true, any_fin = false;
    for (size_t i = 0; i < half_.size(); ++i) {
      if (group_.members[i].join == "failed") continue;
      const auto& h = half_[i];
      const bool rst = h[0].rst || h[1].rst;
      closed &= rst || (h[0].fin && h[1].fin);
      reset &= rst;
      any_fin |= h[0].fin && h[1].fin;
    }
    if (!group_.mptcp) return reset ? "reset" : (any_fin ? "fin" : "open");
    const bool one = stream_[0].fin || stream_[1].fin, both = stream_[0].fin && stream_[1].fin;
    if (both || (one && closed)) return "data_fin";
    return reset ? "reset" : "open";
  }

  Judged finish() {
    Judged out;
    out.mptcp = group_.mptcp;
    out.version = group_.version;
    out.checksum = group_.checksum;
    if (group_.keys_known) {
      out.token_client = group_.numbers[0].token;
      out.token_server = group_.numbers[1].token;
    } else if (group_.orphan_token) {
      out.token_server = group_.orphan_token;
    }
    out.end = end();
    uint64_t seen = 0, missing = 0;
    for (const int d : {0, 1}) {
      out.stream[d] = finish_stream(d);
      seen += out.stream[d].bytes.size();
      missing += out.stream[d].missing;
    }
    if (seen + missing > 0) out.visibility = static_cast<double>(seen) / static_cast<double>(seen + missing);
    for (size_t i = 0; i < half_.size(); ++i) {
      const Member& m = group_.members[i];
      JudgedSubflow s;
      s.client = m.by_server ? m.flow->answerer : m.flow->opener;
      s.server = m.by_server ? m.flow->opener : m.flow->answerer;
      s.by_server = m.by_server;
      s.join = m.join;
      if (m.flow->syn_option && (*m.flow->syn_option)[2] >> 4 == 1) {
        s.backup = (*m.flow->syn_option)[2] & 1;
        s.address_id = (*m.flow->syn_option)[3];
      }
      s.bytes = {half_[i][0].bytes, half_[i][1].bytes};
      out.subflows.push_back(s);
      out.span_duplicates += m.flow->span_copies;
    }
    return out;
  }

  const Group& group_;
  const std::vector<TcpPacket>& packets_;
  std::array<Stream, 2> stream_;
  std::vector<std::array<Half, 2>> half_;
  std::array<std::vector<Chunk>, 2> held_back_;
  Bytes pending_fast_open_;
  bool fast_closed_ = false;
};

}  // namespace

std::vector<Judged> judge(const std::vector<TcpPacket>& packets, Policy policy) {
  const std::vector<Flow> flows = flows_of(packets);
  std::vector<Judged> out;
  for (const Group& g : groups_of(flows)) out.push_back(Connection(g, packets, policy).run());
  return out;
}

std::vector<Judged> judge(const std::vector<Sent>& wire, Policy policy) {
  std::vector<TcpPacket> packets;
  for (const Sent& s : wire) {
    if (auto p = dissect(s.frame, s.ns)) packets.push_back(std::move(*p));
  }
  return judge(packets, policy);
}

std::string sha256_hex(const Bytes& bytes) {
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_sha256(), nullptr);
  std::string out;
  for (unsigned i = 0; i < size; ++i) {
    out += "0123456789abcdef"[digest[i] >> 4];
    out += "0123456789abcdef"[digest[i] & 15];
  }
  return out;
}

}  // namespace mptap::test
