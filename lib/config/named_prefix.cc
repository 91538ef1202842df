// SPDX-License-Identifier: Apache-2.0
#include "config/named_prefix.h"

namespace mptap::config {
namespace {

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t"), end = text.find_last_not_of(" \t");
  return begin == std::string_view::npos ? std::string_view() : text.substr(begin, end - begin + 1);
}

}  // namespace

tl::expected<NamedPrefix, std::string> NamedPrefix::parse(std::string_view text) {
  const size_t equals = text.find('=');
  auto prefix = packet::Prefix::parse(trimmed(text.substr(0, equals)));
  if (!prefix) return tl::unexpected(prefix.error());
  const std::string_view name = equals == std::string_view::npos ? std::string_view() : trimmed(text.substr(equals + 1));
  return NamedPrefix{*prefix, name.empty() ? prefix->to_string() : std::string(name)};
}

}  // namespace mptap::config
