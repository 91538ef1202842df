// SPDX-License-Identifier: Apache-2.0
#include "rules/find.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace mptap::rules {
namespace {

size_t plain_find(const Content& content, const std::string& bytes, size_t from) {
  const auto same = [&](char have, char want) {
    return (content.nocase && have >= 'A' && have <= 'Z' ? static_cast<char>(have + 32) : have) == want;
  };
  if (from > bytes.size()) return kNotFound;
  const auto it =
      std::search(bytes.begin() + static_cast<ptrdiff_t>(from), bytes.end(), content.bytes.begin(), content.bytes.end(), same);
  return it == bytes.end() ? kNotFound : static_cast<size_t>(it - bytes.begin());
}

TEST(Find, IsWhatAPlainSearchFinds) {
  std::mt19937 random(7);
  for (int round = 0; round < 20000; ++round) {
    const size_t letters = 2 + random() % 3;
    std::string bytes(random() % 150, ' ');
    for (char& c : bytes) c = "abAB"[random() % letters];
    Content content;
    content.nocase = random() % 2;
    content.bytes.resize(1 + random() % 12);
    for (char& c : content.bytes) c = (content.nocase ? "abab" : "abAB")[random() % letters];
    const size_t from = random() % 40;
    // An own block of memory, so that a sanitizer sees a read past its end.
    const std::vector<uint8_t> exact(bytes.begin(), bytes.end());
    ASSERT_EQ(find(content, exact, from), plain_find(content, bytes, from)) << bytes << " " << content.bytes << " " << from;
  }
}

}  // namespace
}  // namespace mptap::rules
