// SPDX-License-Identifier: Apache-2.0
#include "reference/dissect.h"

#include <algorithm>

namespace mptap::test {

namespace {

// Offset of the IP header.
std::optional<size_t> ip_offset(const Bytes& f, uint32_t link) {
  size_t at = 0;
  uint64_t type = 0;
  switch (link) {
    case 1:
      if (f.size() < 14) return {};
      at = 14;
      type = number_at(&f[12], 2);
      while ((type == 0x8100 || type == 0x88a8) && f.size() >= at + 4) {
        type = number_at(&f[at + 2], 2);
        at += 4;
      }
      return type == 0x0800 || type == 0x86dd ? std::optional(at) : std::nullopt;
    case 9: return 4;
    case 101: return 0;
    case 113: return 16;
    default: return {};
  }
}

Address address_of(const uint8_t* p, bool v6) {
  Address a{};
  if (v6) {
    std::copy_n(p, 16, a.begin());
  } else {
    a[10] = a[11] = 0xff;
    std::copy_n(p, 4, a.begin() + 12);
  }
  return a;
}

void split_options(TcpPacket& t) {
  const Bytes& o = t.options;
  for (size_t i = 0; i < o.size();) {
    if (o[i] == 0) return;
    if (o[i] == 1) {
      ++i;
      continue;
    }
    if (i + 1 >= o.size() || o[i + 1] < 2 || i + o[i + 1] > o.size()) return;
    if (o[i] == 30 && o[i + 1] >= 3) {
      t.mptcp.emplace_back(o.begin() + static_cast<ptrdiff_t>(i), o.begin() + static_cast<ptrdiff_t>(i + o[i + 1]));
    }
    i += o[i + 1];
  }
}

}  // namespace

std::optional<TcpPacket> dissect(const Bytes& f, uint64_t ns, uint32_t link) {
  const auto ip = ip_offset(f, link);
  if (!ip || f.size() < *ip + 20) return {};
  const uint8_t* h = &f[*ip];
  const bool v6 = h[0] >> 4 == 6;
  TcpPacket t;
  t.ns = ns;
  size_t tcp = 0, end = 0;
  if (v6) {
    if (f.size() < *ip + 40 || h[6] != 6) return {};
    tcp = *ip + 40;
    end = tcp + number_at(h + 4, 2);
    t.src.address = address_of(h + 8, true);
    t.dst.address = address_of(h + 24, true);
  } else {
    if (h[9] != 6) return {};
    tcp = *ip + 4 * (h[0] & 15);
    end = *ip + number_at(h + 2, 2);
    t.ip_id = static_cast<uint16_t>(number_at(h + 4, 2));
    t.src.address = address_of(h + 12, false);
    t.dst.address = address_of(h + 16, false);
  }
  if (end > f.size() || tcp + 20 > end) return {};
  const uint8_t* p = &f[tcp];
  const size_t header = 4 * static_cast<size_t>(p[12] >> 4);
  if (header < 20 || tcp + header > end) return {};
  t.src.port = static_cast<uint16_t>(number_at(p, 2));
  t.dst.port = static_cast<uint16_t>(number_at(p + 2, 2));
  t.seq = static_cast<uint32_t>(number_at(p + 4, 4));
  t.ack = static_cast<uint32_t>(number_at(p + 8, 4));
  t.fin = p[13] & 1;
  t.syn = p[13] & 2;
  t.rst = p[13] & 4;
  t.has_ack = p[13] & 16;
  t.window = static_cast<uint16_t>(number_at(p + 14, 2));
  t.options.assign(p + 20, p + header);
  t.payload.assign(p + header, f.data() + end);
  split_options(t);
  return t;
}

}  // namespace mptap::test
