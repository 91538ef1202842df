// SPDX-License-Identifier: Apache-2.0
#include "packet/fragment.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <string>
#include <vector>

// DPDK's headers are C and not clean under this project's warnings; they come in as system headers.
#include <rte_errno.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <rte_ip.h>
#include <rte_ip_frag.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include "packet/parse.h"

namespace mptap::packet {

namespace {

constexpr uint32_t kMaxPieces = RTE_LIBRTE_IP_FRAG_MAX_FRAG;  // of one datagram; the library's limit, its first and last included
constexpr uint32_t kIpv4Header = 20;
constexpr uint32_t kMaxDatagram = 0xffff - kIpv4Header;
constexpr uint32_t kNone = UINT32_MAX;
constexpr uint32_t kMinBuffers = 512;

struct Key {
  std::array<uint8_t, 16> src, dst;
  uint32_t id;
  uint8_t protocol, depth, v6, zero;
};
static_assert(sizeof(Key) == 40);

// Bytes that arrived one behind the other.
struct Run {
  uint32_t begin, end;
};

struct Slot {
  uint64_t start = 0;
  Key key{};
  uint32_t generation = 0;
  uint32_t older = kNone, newer = kNone;  // by start
  uint32_t pieces = 0, runs = 0;
  uint32_t length = 0;  // highest end seen
  bool last_seen = false;
  uint8_t next = 0, ttl = 0, dscp_ecn = 0;
  std::array<Run, kMaxPieces> run{};  // sorted
};

enum class Fit { kNew, kCopy, kOverlap };

// Linux's rules (net/ipv4/inet_fragment.c behaves so): within one run it is a copy, touching more than that is an overlap.
Fit fit(const Slot& s, uint32_t begin, uint32_t end) {
  for (uint32_t i = 0; i < s.runs; ++i) {
    const Run& r = s.run[i];
    if (end <= r.begin || begin >= r.end) continue;
    return begin >= r.begin && end <= r.end ? Fit::kCopy : Fit::kOverlap;
  }
  return Fit::kNew;
}

void note(Slot& s, uint32_t begin, uint32_t end) {
  ++s.pieces;
  if (s.runs != 0 && s.run[s.runs - 1].end == begin) {
    s.run[s.runs - 1].end = end;
    return;
  }
  uint32_t at = s.runs++;
  for (; at > 0 && s.run[at - 1].begin > begin; --at) s.run[at] = s.run[at - 1];
  s.run[at] = {begin, end};
}

}  // namespace

struct Fragments::Table {
  rte_mempool* pool = nullptr;
  rte_hash* index = nullptr;
  rte_ip_frag_tbl* frags = nullptr;
  rte_mbuf* spare = nullptr;  // so that a datagram can always be taken out of the library's table
  rte_ip_frag_death_row dead{};
  std::vector<Slot> slots;
  uint32_t oldest = kNone, newest = kNone;
  uint32_t generation = 0;
  std::vector<uint8_t> whole;

  ~Table() {
    if (frags != nullptr) rte_ip_frag_table_destroy(frags);
    if (spare != nullptr) rte_pktmbuf_free(spare);
    rte_hash_free(index);
    rte_mempool_free(pool);
  }

  static std::unique_ptr<Table> make(uint32_t max_flows, uint64_t timeout_ns);
  int32_t slot_of(const Key& key) const { return rte_hash_lookup(index, &key); }
  int32_t open(const Key& key, uint64_t now);
  void close(uint32_t at);
  void discard(uint32_t at);
  rte_mbuf* copy_in(uint32_t at, uint32_t offset, bool more, const uint8_t* data, uint32_t size);
  rte_mbuf* hand_over(rte_mbuf* piece);
  void write_header(rte_mbuf* m, uint32_t at, uint32_t offset, bool more, uint32_t size) const;
  void bury() { rte_ip_frag_free_death_row(&dead, 0); }
};

std::unique_ptr<Fragments::Table> Fragments::Table::make(uint32_t max_flows, uint64_t timeout_ns) {
  if (rte_lcore_count() == 0) return nullptr;  // no EAL
  static std::atomic<unsigned> made{0};
  const std::string name = "fragments" + std::to_string(made++);
  auto t = std::make_unique<Table>();
  const uint32_t flows = std::max(max_flows, 1u);
  t->pool =
      rte_pktmbuf_pool_create(name.c_str(), std::max(flows * 2, kMinBuffers) + 1, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
  rte_hash_parameters parameters{};
  parameters.name = name.c_str();
  parameters.entries = std::max(flows, 8u);
  parameters.key_len = sizeof(Key);
  parameters.hash_func = rte_hash_crc;
  parameters.socket_id = SOCKET_ID_ANY;
  parameters.extra_flag = RTE_HASH_EXTRA_FLAGS_EXT_TABLE;
  t->index = rte_hash_create(&parameters);
  // Four times as many entries as datagrams, so that a bucket that is full by chance stays rare.
  constexpr uint32_t kBucketEntries = 4;
  t->frags = rte_ip_frag_table_create((flows + 1) / 2, kBucketEntries, flows, timeout_ns, SOCKET_ID_ANY);
  if (t->pool == nullptr || t->index == nullptr || t->frags == nullptr) return nullptr;
  t->spare = rte_pktmbuf_alloc(t->pool);
  if (t->spare == nullptr) return nullptr;
  t->slots.resize(static_cast<size_t>(rte_hash_max_key_id(t->index)) + 1);
  t->whole.resize(kMaxDatagram);
  return t;
}

int32_t Fragments::Table::open(const Key& key, uint64_t now) {
  const int32_t at = rte_hash_add_key(index, &key);
  if (at < 0) return at;
  Slot& s = slots[static_cast<uint32_t>(at)];
  s = Slot{};
  s.start = now;
  s.key = key;
  s.generation = ++generation;
  s.older = newest;
  (newest == kNone ? oldest : slots[newest].newer) = static_cast<uint32_t>(at);
  newest = static_cast<uint32_t>(at);
  return at;
}

void Fragments::Table::close(uint32_t at) {
  Slot& s = slots[at];
  (s.older == kNone ? oldest : slots[s.older].newer) = s.newer;
  (s.newer == kNone ? newest : slots[s.newer].older) = s.older;
  rte_hash_del_key(index, &s.key);
}

// The library has no call to give a datagram up. A last fragment that ends at byte 16 makes it do so: either it is the second
// last one, or at least as many bytes are there as the datagram then has room for.
void Fragments::Table::discard(uint32_t at) {
  if (slots[at].pieces != 0) {
    constexpr uint32_t kSize = 8, kOffset = 8;
    rte_pktmbuf_append(spare, kIpv4Header + kSize);
    write_header(spare, at, kOffset, false, kSize);
    rte_mbuf* out = hand_over(spare);
    if (out != nullptr) rte_pktmbuf_free(out);
    bury();
    spare = rte_pktmbuf_alloc(pool);
  }
  close(at);
}

// The library sees every fragment as one of IPv4 whose addresses are slot and generation: no datagram can take another's place.
void Fragments::Table::write_header(rte_mbuf* m, uint32_t at, uint32_t offset, bool more, uint32_t size) const {
  auto* h = rte_pktmbuf_mtod(m, rte_ipv4_hdr*);
  std::memset(h, 0, sizeof *h);
  h->version_ihl = 0x45;
  h->total_length = rte_cpu_to_be_16(static_cast<uint16_t>(kIpv4Header + size));
  h->fragment_offset = rte_cpu_to_be_16(static_cast<uint16_t>(offset / 8 | (more ? RTE_IPV4_HDR_MF_FLAG : 0)));
  h->src_addr = at;
  h->dst_addr = slots[at].generation;
  m->l2_len = 0;
  m->l3_len = kIpv4Header;
}

rte_mbuf* Fragments::Table::copy_in(uint32_t at, uint32_t offset, bool more, const uint8_t* data, uint32_t size) {
  rte_mbuf* first = rte_pktmbuf_alloc(pool);
  if (first == nullptr) return nullptr;
  rte_pktmbuf_append(first, kIpv4Header);
  write_header(first, at, offset, more, size);
  rte_mbuf* tail = first;
  for (uint32_t done = 0; done < size;) {
    if (rte_pktmbuf_tailroom(tail) == 0) {
      rte_mbuf* more_room = rte_pktmbuf_alloc(pool);
      if (more_room == nullptr || rte_pktmbuf_chain(first, more_room) != 0) {
        rte_pktmbuf_free(more_room);
        rte_pktmbuf_free(first);
        return nullptr;
      }
      tail = more_room;
    }
    const uint32_t n = std::min<uint32_t>(size - done, rte_pktmbuf_tailroom(tail));
    std::memcpy(rte_pktmbuf_mtod_offset(tail, uint8_t*, tail->data_len), data + done, n);
    tail->data_len = static_cast<uint16_t>(tail->data_len + n);
    first->pkt_len += n;
    done += n;
  }
  return first;
}

rte_mbuf* Fragments::Table::hand_over(rte_mbuf* piece) {
  auto* h = rte_pktmbuf_mtod(piece, rte_ipv4_hdr*);
  return rte_ipv4_frag_reassemble_packet(frags, &dead, piece, slots[h->src_addr].start, h);
}

Fragments::Fragments(const DecodeConfig& config)
    : max_flows_(std::max(config.max_fragment_flows, 1u)), timeout_ns_(uint64_t{config.fragment_timeout_ms} * 1'000'000) {}
Fragments::~Fragments() = default;

Reason Fragments::add(const Fragment& f, uint64_t now, Datagram& whole) {
  if (!tried_) {
    tried_ = true;
    table_ = Table::make(max_flows_, timeout_ns_);
  }
  if (table_ == nullptr) return Reason::kFragmentDropped;
  Table& t = *table_;

  while (t.oldest != kNone && t.slots[t.oldest].start + timeout_ns_ < now) {
    t.discard(t.oldest);
    ++losses_.timed_out;
  }

  uint32_t size = f.size;
  if (f.more && size % 8 != 0) {
    if (f.v6) return Reason::kFragmentBad;
    size &= ~7u;  // as Linux does
  }
  const uint32_t end = f.offset + size;
  if (size == 0 || end > kMaxDatagram) return Reason::kFragmentBad;

  const Key key{f.src.bytes, f.dst.bytes, f.id, f.protocol, f.depth, f.v6, 0};
  int32_t found = t.slot_of(key);
  if (found < 0) {
    if (rte_hash_count(t.index) >= static_cast<int32_t>(max_flows_)) {
      t.discard(t.oldest);
      ++losses_.evicted;
    }
    found = t.open(key, now);
    if (found < 0) return Reason::kFragmentDropped;
  }
  const auto at = static_cast<uint32_t>(found);
  Slot& s = t.slots[at];

  const Fit fits = fit(s, f.offset, end);
  const bool past_the_end = s.last_seen && end > s.length;
  const bool other_end = !f.more && (end < s.length || (s.last_seen && end != s.length));
  if (fits == Fit::kOverlap || past_the_end || other_end) {
    t.discard(at);
    ++losses_.discarded;
    return Reason::kFragmentBad;
  }
  if (fits == Fit::kCopy) return Reason::kFragmentHeld;
  if (s.pieces == kMaxPieces) {
    t.discard(at);
    ++losses_.discarded;
    return Reason::kFragmentDropped;
  }

  rte_mbuf* piece = t.copy_in(at, f.offset, f.more, f.data, size);
  while (piece == nullptr && t.oldest != at) {
    t.discard(t.oldest);
    ++losses_.evicted;
    piece = t.copy_in(at, f.offset, f.more, f.data, size);
  }
  if (piece == nullptr) {
    t.discard(at);
    return Reason::kFragmentDropped;
  }
  note(s, f.offset, end);
  s.length = std::max(s.length, end);
  s.last_seen |= !f.more;
  if (f.offset == 0) {
    s.next = f.next;
    s.ttl = f.ttl;
    s.dscp_ecn = f.dscp_ecn;
  }

  rte_mbuf* done = t.hand_over(piece);
  if (done == nullptr) {
    if (t.dead.cnt == 0) return Reason::kFragmentHeld;
    t.bury();  // more pieces than it holds, or no room in its bucket
    t.close(at);
    ++losses_.discarded;
    return Reason::kFragmentDropped;
  }
  uint32_t copied = 0;
  rte_pktmbuf_adj(done, kIpv4Header);
  for (const rte_mbuf* m = done; m != nullptr; m = m->next) {
    std::memcpy(t.whole.data() + copied, rte_pktmbuf_mtod(m, const uint8_t*), m->data_len);
    copied += m->data_len;
  }
  rte_pktmbuf_free(done);
  whole = {t.whole.data(), copied, s.next, s.ttl, s.dscp_ecn};
  t.close(at);
  return Reason::kTcp;
}

namespace {

Reason reassemble(Parse& p, Fragment& f, View contents, Datagram& whole) {
  if (contents.captured != contents.wire) return Reason::kIpTruncated;
  f.src = p.out.src.address;
  f.dst = p.out.dst.address;
  f.depth = p.out.tunnel_depth;
  f.ttl = p.out.ttl;
  f.dscp_ecn = p.out.dscp_ecn;
  f.data = contents.data;
  f.size = contents.wire;
  const Reason reason = p.fragments.add(f, p.out.timestamp_ns, whole);
  if (reason == Reason::kTcp) {
    p.out.ttl = whole.ttl;
    p.out.dscp_ecn = whole.dscp_ecn;
    p.verify_tcp = p.config.verify_tcp_checksum;
  }
  return reason;
}

// Only what can lead to TCP takes up room.
bool worth_holding(const DecodeConfig& c, uint8_t protocol) {
  switch (protocol) {
    case 6:
    case 51: return true;
    case 17: return c.vxlan || c.geneve;
    case 47: return c.gre || c.erspan;
    case 4:
    case 41:
    case 137: return c.ip_in_ip;
    default: return false;
  }
}

}  // namespace

Reason parse_ipv4_fragment(Parse& p, View v, uint32_t header_size) {
  const uint8_t* h = v.data;
  Fragment f;
  f.protocol = f.next = h[9];
  if (!worth_holding(p.config, f.protocol)) return Reason::kNotTcp;
  f.id = p.out.ip_id;
  f.offset = (be16(h + 6) & 0x1fffu) * 8;
  f.more = (be16(h + 6) & 0x2000) != 0;
  v.skip(header_size);
  Datagram whole;
  const Reason reason = reassemble(p, f, v, whole);
  if (reason != Reason::kTcp) return reason;
  return parse_upper(p, whole.next, {whole.data, whole.size, whole.size});
}

Reason parse_ipv6_fragment(Parse& p, View v) {
  const uint8_t* h = v.data;
  Fragment f;
  f.v6 = true;
  f.next = h[0];
  f.offset = be16(h + 2) & 0xfff8u;
  f.more = (h[3] & 1) != 0;
  f.id = be32(h + 4);
  v.skip(8);
  Datagram whole;
  const Reason reason = reassemble(p, f, v, whole);
  if (reason != Reason::kTcp) return reason;
  return parse_ipv6_payload(p, whole.next, {whole.data, whole.size, whole.size}, true);
}

}  // namespace mptap::packet
