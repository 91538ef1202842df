// SPDX-License-Identifier: Apache-2.0
#include "mptcp/write.h"

#include <cstring>

#include "mptcp/wire.h"

namespace mptap::mptcp {
namespace {

uint8_t subtype_byte(Subtype s, uint8_t low) {
  return static_cast<uint8_t>(static_cast<uint8_t>(s) << 4 | low);
}

}  // namespace

uint8_t* OptionWriter::claim(uint8_t size) {
  if (size_ + size > static_cast<int>(bytes_.size())) return nullptr;
  uint8_t* p = &bytes_[size_];
  size_ = static_cast<uint8_t>(size_ + size);
  return p;
}

bool OptionWriter::timestamps(uint32_t tsval, uint32_t tsecr) {
  uint8_t* p = claim(12);
  if (!p) return false;
  store32(store32(store32(p, 0x0101080a), tsval), tsecr);
  return true;
}

bool OptionWriter::mss(uint16_t value) {
  uint8_t* p = claim(4);
  if (!p) return false;
  p[0] = 2;
  p[1] = 4;
  store16(p + 2, value);
  return true;
}

bool OptionWriter::window_scale(uint8_t shift) {
  uint8_t* p = claim(3);
  if (!p) return false;
  p[0] = 3;
  p[1] = 3;
  p[2] = shift;
  return true;
}

bool OptionWriter::sack_permitted() {
  uint8_t* p = claim(2);
  if (!p) return false;
  p[0] = 4;
  p[1] = 2;
  return true;
}

bool OptionWriter::capable(const Capable& c) {
  uint8_t* p = claim(c.length);
  if (!p) return false;
  p[0] = kOptionKind;
  p[1] = c.length;
  p[2] = subtype_byte(Subtype::kCapable, c.version);
  p[3] = c.flags;
  if (c.length >= 12) store64(p + 4, c.sender_key);
  if (c.length >= 20) store64(p + 12, c.receiver_key);
  if (c.length >= 22) store16(p + 20, c.data_length);
  if (c.length == 24) std::memcpy(p + 22, &c.checksum, 2);
  return true;
}

bool OptionWriter::join(const Join& j) {
  uint8_t* p = claim(j.length);
  if (!p) return false;
  p[0] = kOptionKind;
  p[1] = j.length;
  p[2] = subtype_byte(Subtype::kJoin, j.backup ? 1 : 0);
  p[3] = j.address_id;
  if (j.length == 12) {
    store32(store32(p + 4, j.token), j.nonce);
  } else if (j.length == 16) {
    std::memcpy(p + 4, j.hmac.data(), 8);
    store32(p + 12, j.nonce);
  } else {
    std::memcpy(p + 4, j.hmac.data(), 20);
  }
  return true;
}

bool OptionWriter::dss(const Dss& d) {
  const int size = 4 + (d.has_ack ? (d.ack8 ? 8 : 4) : 0) + (d.has_map ? (d.dsn8 ? 14 : 10) + (d.has_checksum ? 2 : 0) : 0);
  uint8_t* p = claim(static_cast<uint8_t>(size));
  if (!p) return false;
  p[0] = kOptionKind;
  p[1] = static_cast<uint8_t>(size);
  p[2] = subtype_byte(Subtype::kDss, 0);
  p[3] = static_cast<uint8_t>(d.has_ack | d.ack8 << 1 | d.has_map << 2 | d.dsn8 << 3 | d.data_fin << 4);
  uint8_t* q = p + 4;
  if (d.has_ack) q = d.ack8 ? store64(q, d.ack) : store32(q, static_cast<uint32_t>(d.ack));
  if (d.has_map) {
    q = d.dsn8 ? store64(q, d.dsn) : store32(q, static_cast<uint32_t>(d.dsn));
    q = store16(store32(q, d.ssn), d.length);
    if (d.has_checksum) std::memcpy(q, &d.checksum, 2);
  }
  return true;
}

bool OptionWriter::remove_addr(uint8_t address_id) {
  uint8_t* p = claim(4);
  if (!p) return false;
  p[0] = kOptionKind;
  p[1] = 4;
  p[2] = subtype_byte(Subtype::kRemoveAddr, 0);
  p[3] = address_id;
  return true;
}

bool OptionWriter::fast_close(uint64_t receiver_key) {
  uint8_t* p = claim(12);
  if (!p) return false;
  p[0] = kOptionKind;
  p[1] = 12;
  p[2] = subtype_byte(Subtype::kFastClose, 0);
  p[3] = 0;
  store64(p + 4, receiver_key);
  return true;
}

bool OptionWriter::tcp_rst(bool transient, uint8_t reason) {
  uint8_t* p = claim(4);
  if (!p) return false;
  p[0] = kOptionKind;
  p[1] = 4;
  p[2] = subtype_byte(Subtype::kTcpRst, transient ? 1 : 0);
  p[3] = reason;
  return true;
}

std::span<const uint8_t> OptionWriter::finish() {
  while (size_ % 4 != 0) bytes_[size_++] = 1;
  return {bytes_.data(), size_};
}

}  // namespace mptap::mptcp
