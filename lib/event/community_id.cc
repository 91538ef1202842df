// SPDX-License-Identifier: Apache-2.0
#include "event/community_id.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <utility>

namespace mptap::event {
namespace {

constexpr uint8_t kTcp = 6;
constexpr size_t kSha1Size = 20;
constexpr size_t kBase64Size = (kSha1Size + 2) / 3 * 4;

// Fetched once: an implicit fetch for each digest costs more than the digest itself.
const EVP_MD* sha1() {
  static const EVP_MD* md = EVP_MD_fetch(nullptr, "SHA1", nullptr);
  return md;
}

EVP_MD_CTX* context() {
  struct Free {
    void operator()(EVP_MD_CTX* c) const { EVP_MD_CTX_free(c); }
  };
  thread_local const std::unique_ptr<EVP_MD_CTX, Free> ctx{EVP_MD_CTX_new()};
  return ctx.get();
}

class Preimage {
 public:
  void add(const uint8_t* data, size_t size) {
    std::memcpy(&bytes_[size_], data, size);
    size_ += size;
  }
  void add_u16(uint16_t v) {
    bytes_[size_++] = static_cast<uint8_t>(v >> 8);
    bytes_[size_++] = static_cast<uint8_t>(v);
  }
  void add_u8(uint8_t v) { bytes_[size_++] = v; }
  const uint8_t* data() const { return bytes_.data(); }
  size_t size() const { return size_; }

 private:
  std::array<uint8_t, 2 + 16 + 16 + 2 + 4> bytes_{};
  size_t size_ = 0;
};

void add_address(Preimage& p, const packet::IpAddress& a, bool v4) {
  if (v4) {
    p.add(a.v4_bytes(), 4);
  } else {
    p.add(a.bytes.data(), a.bytes.size());
  }
}

}  // namespace

std::string community_id(const packet::Endpoint& a, const packet::Endpoint& b, uint16_t seed) {
  const auto& [low, high] = std::minmax(a, b);
  const bool v4 = low.address.is_v4() && high.address.is_v4();
  Preimage p;
  p.add_u16(seed);
  add_address(p, low.address, v4);
  add_address(p, high.address, v4);
  p.add_u8(kTcp);
  p.add_u8(0);
  p.add_u16(low.port);
  p.add_u16(high.port);

  std::array<uint8_t, kSha1Size> digest{};
  EVP_MD_CTX* ctx = context();
  if (sha1() == nullptr || EVP_DigestInit_ex2(ctx, sha1(), nullptr) != 1 || EVP_DigestUpdate(ctx, p.data(), p.size()) != 1 ||
      EVP_DigestFinal_ex(ctx, digest.data(), nullptr) != 1) {
    return {};  // an OpenSSL that refuses SHA-1, as FIPS modes may: the event then has no community_id
  }
  std::array<unsigned char, kBase64Size + 1> text{};
  EVP_EncodeBlock(text.data(), digest.data(), static_cast<int>(digest.size()));
  std::string out = "1:";
  out.append(reinterpret_cast<const char*>(text.data()), kBase64Size);
  return out;
}

}  // namespace mptap::event
