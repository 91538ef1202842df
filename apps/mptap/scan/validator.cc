// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/scan/validator.h"

#include <openssl/evp.h>

#include <cstring>

namespace mptap::scan {

struct Validator::Cipher {
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  ~Cipher() { EVP_CIPHER_CTX_free(context); }
  void block(std::array<uint8_t, 16>& b) const {
    int size = 0;
    EVP_EncryptUpdate(context, b.data(), &size, b.data(), 16);
  }
};

const char* kind_name(Kind kind) {
  static constexpr const char* kNames[] = {"v1", "v0", "join", "plain", "trace", "verify", "cookie"};
  return kNames[static_cast<size_t>(kind)];
}

Validator::Validator(const Key& key, PortRange ports)
    : cipher_(std::make_unique<Cipher>()),
      ports_(ports),
      per_kind_(static_cast<uint16_t>((ports.last - ports.first + 1) / kPortKinds)) {
  EVP_EncryptInit_ex(cipher_->context, EVP_aes_128_ecb(), nullptr, key.data(), nullptr);
  EVP_CIPHER_CTX_set_padding(cipher_->context, 0);
}

Validator::~Validator() = default;

// CBC-MAC over address, port and kind: the input has one length, so it is a sound MAC. One more block gives the rest.
Secret Validator::of(Kind kind, const packet::Endpoint& target) const {
  const Kind ports_of = kind == Kind::kCookie ? Kind::kV1 : kind;
  std::array<uint8_t, 16> b = target.address.bytes;
  cipher_->block(b);
  b[0] ^= static_cast<uint8_t>(target.port >> 8);
  b[1] ^= static_cast<uint8_t>(target.port & 0xff);
  b[2] ^= static_cast<uint8_t>(static_cast<uint8_t>(ports_of) + 1);
  cipher_->block(b);
  Secret s;
  uint16_t port = 0;
  std::memcpy(&port, &b[0], 2);
  std::memcpy(&s.seq, &b[2], 4);
  std::memcpy(&s.key, &b[6], 8);
  cipher_->block(b);
  std::memcpy(&s.token, &b[0], 4);
  std::memcpy(&s.nonce, &b[4], 4);
  s.source_port = static_cast<uint16_t>(ports_.first + static_cast<unsigned>(ports_of) * per_kind_ + port % per_kind_);
  if (kind == Kind::kCookie) s.seq += kCookieStep;
  return s;
}

std::optional<Kind> Validator::quoted(const packet::Endpoint& target, uint16_t our_port, uint32_t seq) const {
  if (!ports_.contains(our_port)) return std::nullopt;
  const unsigned number = static_cast<unsigned>(our_port - ports_.first) / per_kind_;
  if (number >= kPortKinds) return std::nullopt;
  const Kind kind = static_cast<Kind>(number);
  const Secret s = of(kind, target);
  if (s.source_port != our_port) return std::nullopt;
  if (seq == s.seq) return kind;
  if (kind == Kind::kV1 && seq == s.seq + kCookieStep) return Kind::kCookie;
  if ((kind == Kind::kTrace || kind == Kind::kVerify) && seq - s.seq < kSlack) return kind;
  return std::nullopt;
}

std::optional<Kind> Validator::answered(const packet::Endpoint& target, uint16_t our_port, uint32_t ack) const {
  return quoted(target, our_port, ack - 1);
}

}  // namespace mptap::scan
