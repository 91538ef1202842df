// SPDX-License-Identifier: Apache-2.0
#include "mptcp/crypto.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstring>

#include "mptcp/sequence.h"

namespace mptap::mptcp {
namespace {

// The kernel's own vector (net/mptcp/crypto_test.c), which takes the digits of its strings as bytes.
TEST(Crypto, JoinHmacOfTheKernelsVector) {
  const auto h = join_hmac(1, 0x3062306230623062ull, 0x3062306230623062ull, 0x34383639, 0x32303534);
  const uint8_t want[20] = {0x83, 0x85, 0xe2, 0x4f, 0xb4, 0x23, 0x5a, 0xc3, 0x75, 0x56,
                            0xb6, 0xb8, 0x86, 0xdb, 0x10, 0x62, 0x84, 0xa1, 0xda, 0x67};
  EXPECT_EQ(std::memcmp(h.data(), want, 20), 0);
}

// Measured on Linux 6.18: the IDSN of a connection whose client had this key.
TEST(Crypto, IdsnThatTheKernelUsed) {
  EXPECT_EQ(digest_key(1, 0x1122334456826b64ull).idsn, 10189713522103942968ull);
}

TEST(Crypto, VersionZeroUsesSha1) {
  const uint64_t key = 0x0102030405060708ull;
  const uint8_t wire[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  uint8_t digest[20];
  unsigned size = 0;
  ASSERT_TRUE(EVP_Digest(wire, 8, digest, &size, EVP_sha1(), nullptr));
  const KeyDigest d = digest_key(0, key);
  EXPECT_EQ(d.token, uint32_t{digest[0]} << 24 | uint32_t{digest[1]} << 16 | uint32_t{digest[2]} << 8 | digest[3]);
  uint64_t idsn = 0;
  for (int i = 12; i < 20; ++i) idsn = idsn << 8 | digest[i];
  EXPECT_EQ(d.idsn, idsn);

  const uint8_t hmac_key[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
  const uint8_t message[8] = {0xa, 0xb, 0xc, 0xd, 0x1, 0x2, 0x3, 0x4};
  uint8_t want[20];
  HMAC(EVP_sha1(), hmac_key, 16, message, 8, want, &size);
  const auto h = join_hmac(0, key, 0x090a0b0c0d0e0f10ull, 0x0a0b0c0d, 0x01020304);
  EXPECT_EQ(std::memcmp(h.data(), want, 20), 0);
}

TEST(Crypto, AddAddrHmacCoversIdAddressAndPort) {
  const auto address = *packet::IpAddress::parse("10.0.1.2");
  const uint8_t key[16] = {0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2};
  const uint8_t message[7] = {3, 10, 0, 1, 2, 0x1f, 0x90};
  uint8_t want[32];
  unsigned size = 0;
  HMAC(EVP_sha256(), key, 16, message, 7, want, &size);
  uint64_t right = 0, left = 0;
  for (int i = 24; i < 32; ++i) right = right << 8 | want[i];
  for (int i = 0; i < 8; ++i) left = left << 8 | want[i];
  const auto h = add_addr_hmac(1, 2, 3, address, 8080);
  EXPECT_EQ(h.rightmost, right);
  EXPECT_EQ(h.leftmost, left);
}

TEST(Sequence, ExpandsToTheNearestNumber) {
  EXPECT_EQ(expand(0x1fffffff0ull, 0x10), 0x200000010ull);
  EXPECT_EQ(expand(0x200000010ull, 0xfffffff0), 0x1fffffff0ull);
  EXPECT_EQ(expand(5, 0xffffffff), ~0ull);  // below zero wraps: the caller sees a number before its first
  EXPECT_EQ(expand(1ull << 40, 1000), (1ull << 40) + 1000);
}

}  // namespace
}  // namespace mptap::mptcp
