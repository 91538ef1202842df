// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/scan/targets.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>

#include <fmt/format.h>

#include "packet/prefix.h"

namespace mptap::scan {
namespace {

using packet::IpAddress;
__extension__ using Number = unsigned __int128;

constexpr uint64_t kMostAddresses = uint64_t{1} << 40;

Number to_number(const IpAddress& a) {
  Number n = 0;
  for (const uint8_t b : a.bytes) n = n << 8 | b;
  return n;
}

IpAddress to_address(Number n) {
  IpAddress a;
  for (size_t i = 16; i-- > 0; n >>= 8) a.bytes[i] = static_cast<uint8_t>(n & 0xff);
  return a;
}

AddressRange of_prefix(const packet::Prefix& p) {
  const unsigned host_bits = (p.v4() ? 32 : 128) - p.length;
  const Number mask = host_bits == 128 ? ~Number{0} : (Number{1} << host_bits) - 1;
  return {p.base, to_address(to_number(p.base) | mask)};
}

template <typename T>
std::optional<T> number(std::string_view text) {
  T value{};
  const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (bad != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

tl::unexpected<std::string> no(std::string text) {
  return tl::unexpected(std::move(text));
}

tl::expected<AddressRange, std::string> parse_range(std::string_view word, size_t dash) {
  const auto first = IpAddress::parse(word.substr(0, dash));
  if (!first) return no(fmt::format("\"{}\": \"{}\" is no IP address", word, word.substr(0, dash)));
  const std::string_view tail = word.substr(dash + 1);
  std::optional<IpAddress> last = IpAddress::parse(tail);
  if (!last && first->is_v4()) {
    if (const auto octet = number<unsigned>(tail); octet && *octet <= 255) {
      last = first;
      last->bytes[15] = static_cast<uint8_t>(*octet);
    }
  }
  if (!last) return no(fmt::format("\"{}\": \"{}\" is neither an IP address nor a last octet of 0 to 255", word, tail));
  if (first->is_v4() != last->is_v4()) return no(fmt::format("\"{}\": both ends must be of one family", word));
  if (*last < *first) return no(fmt::format("\"{}\" ends before it begins", word));
  return AddressRange{*first, *last};
}

// What no host answers from, or what would reach many at once.
std::vector<AddressRange> never() {
  std::vector<AddressRange> out;
  for (const char* text : {"0.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "::/128", "ff00::/8"})
    out.push_back(of_prefix(*packet::Prefix::parse(text)));
  return out;
}

// Sorted, and joined where they overlap or touch.
std::vector<AddressRange> merged(std::vector<AddressRange> ranges) {
  std::sort(ranges.begin(), ranges.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<AddressRange> out;
  for (const auto& r : ranges) {
    // ::ffff:255.255.255.255 and the next address are of two families.
    const bool touches =
        !out.empty() && r.first.is_v4() == out.back().last.is_v4() && to_number(r.first) <= to_number(out.back().last) + 1;
    if (touches)
      out.back().last = std::max(out.back().last, r.last);
    else
      out.push_back(r);
  }
  return out;
}

std::vector<AddressRange> without(const std::vector<AddressRange>& ranges, const std::vector<AddressRange>& holes) {
  std::vector<AddressRange> out;
  for (const auto& r : ranges) {
    Number from = to_number(r.first);
    const Number to = to_number(r.last);
    bool rest = true;
    for (const auto& h : holes) {
      const Number hole_from = to_number(h.first), hole_to = to_number(h.last);
      if (hole_to < from || hole_from > to) continue;
      if (hole_from > from) out.push_back({to_address(from), to_address(hole_from - 1)});
      if (hole_to >= to) {
        rest = false;
        break;
      }
      from = hole_to + 1;
    }
    if (rest) out.push_back({to_address(from), r.last});
  }
  return out;
}

}  // namespace

tl::expected<AddressRange, std::string> parse_target(std::string_view word) {
  if (word.empty()) return no("an empty target; wanted is one like 10.0.0.0/24, 10.0.0.1-9 or fd00::/120");
  if (const size_t dash = word.find('-'); dash != std::string_view::npos && IpAddress::parse(word.substr(0, dash)))
    return parse_range(word, dash);
  const auto prefix = packet::Prefix::parse(word);
  if (prefix) return of_prefix(*prefix);
  if (!IpAddress::parse(word.substr(0, word.find('/'))))
    return no(fmt::format(
        "\"{}\" is no address: wanted is one like 10.0.0.0/24, 10.0.0.1-9 or fd00::/120; names are not looked up", word));
  return no(prefix.error());
}

tl::expected<std::vector<AddressRange>, std::string> parse_target_text(std::string_view text, const std::string& file) {
  std::vector<AddressRange> out;
  for (size_t line = 1; !text.empty(); line++) {
    std::string_view words = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), words.size() + 1));
    words = words.substr(0, words.find('#'));
    while (true) {
      const size_t start = words.find_first_not_of(" \t\r");
      if (start == std::string_view::npos) break;
      words.remove_prefix(start);
      const std::string_view word = words.substr(0, words.find_first_of(" \t\r"));
      words.remove_prefix(word.size());
      const auto range = parse_target(word);
      if (!range) return no(fmt::format("{}:{}: {}", file, line, range.error()));
      out.push_back(*range);
    }
  }
  return out;
}

tl::expected<std::vector<AddressRange>, std::string> read_target_file(const std::string& file) {
  std::ifstream in(file);
  if (!in) return no(fmt::format("cannot read {}: {}", file, std::strerror(errno)));
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  if (in.bad()) return no(fmt::format("cannot read {}", file));
  return parse_target_text(text, file);
}

tl::expected<std::vector<uint16_t>, std::string> parse_ports(std::string_view text) {
  std::vector<uint16_t> out;
  while (true) {
    const std::string_view word = text.substr(0, text.find(','));
    const size_t dash = word.find('-');
    const auto first = number<uint16_t>(word.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : number<uint16_t>(word.substr(dash + 1));
    if (!first || !last || *first == 0)
      return no(fmt::format("ports \"{}\": wanted are numbers from 1 to 65535, like 80,443,8000-8010", word));
    if (*last < *first) return no(fmt::format("ports \"{}\" end before they begin", word));
    for (unsigned p = *first; p <= *last; p++) out.push_back(static_cast<uint16_t>(p));
    if (word.size() == text.size()) break;
    text.remove_prefix(word.size() + 1);
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

tl::expected<TargetSet, std::string> TargetSet::make(const std::vector<AddressRange>& included,
                                                     const std::vector<AddressRange>& excluded) {
  if (included.empty()) return no("no targets: name the addresses to scan");
  std::vector<AddressRange> holes = never();
  holes.insert(holes.end(), excluded.begin(), excluded.end());
  TargetSet set;
  set.ranges_ = without(merged(included), merged(holes));
  Number total = 0;
  for (const auto& r : set.ranges_) {
    set.starts_.push_back(static_cast<uint64_t>(total));
    total += to_number(r.last) - to_number(r.first) + 1;
    if (total > kMostAddresses || total == 0)
      return no(fmt::format("more than 2^40 addresses, at {} to {}: give smaller ranges (of IPv6, known hosts)",
                            r.first.to_string(), r.last.to_string()));
  }
  if (total == 0) return no("nothing is left to scan: all targets are excluded, or multicast and reserved addresses");
  set.size_ = static_cast<uint64_t>(total);
  return set;
}

packet::IpAddress TargetSet::at(uint64_t index) const {
  const auto next = std::upper_bound(starts_.begin(), starts_.end(), index);
  const auto i = static_cast<size_t>(next - starts_.begin()) - 1;
  return to_address(to_number(ranges_[i].first) + (index - starts_[i]));
}

}  // namespace mptap::scan
