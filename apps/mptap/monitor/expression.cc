// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/monitor/expression.h"

#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace mptap::monitor {
namespace {

constexpr unsigned kHeader = 20, kLongestHeader = 60, kShortestOption = 3;

std::vector<unsigned> members(Subtypes wanted) {
  std::vector<unsigned> out;
  for (unsigned i = 0; i < wanted.size(); i++)
    if (wanted[i]) out.push_back(i);
  return out;
}

// `at(offset)` is the text for one byte of the TCP header. A load beyond the packet ends the whole filter with "no", so each
// group of offsets is guarded by the header's length.
std::string all_offsets(Subtypes wanted, auto&& at) {
  std::string text;
  for (unsigned p = kHeader; p + kShortestOption <= kLongestHeader; p++) {
    std::vector<std::string> subtypes;
    if (!wanted.all())
      for (const unsigned s : members(wanted)) subtypes.push_back(fmt::format("{} & 0xf0 = {:#04x}", at(p + 2), s << 4));
    const unsigned words = (p + kShortestOption + 3) / 4;
    text += fmt::format("{}({} >= {:#04x} and {} = 30 and {} >= {} and ({} >> 4) * 4 >= {} + {}{})", text.empty() ? "" : "\n or ",
                        at(12), words << 4, at(p), at(p + 1), kShortestOption, at(12), p, at(p + 1),
                        subtypes.empty() ? "" : fmt::format(" and ({})", fmt::join(subtypes, " or ")));
  }
  return text;
}

std::string counters(Subtypes wanted) {
  std::string text;
  for (const unsigned s : members(wanted)) text += fmt::format("\tcounter {} {{ }}\n", subtype_name(s));
  return text;
}

std::string counting_rules(Subtypes wanted, bool log) {
  std::string text;
  for (const unsigned s : members(wanted)) {
    text += fmt::format("\t\ttcp option mptcp subtype {} counter name {}", s, subtype_name(s));
    if (log) text += fmt::format(" limit rate 10/second burst 20 packets log prefix \"mptap {} \"", subtype_name(s));
    text += "\n";
  }
  return text;
}

}  // namespace

std::string pcap_expression(Subtypes wanted) {
  const auto v4 = all_offsets(wanted, [](unsigned p) { return fmt::format("tcp[{}]", p); });
  const auto v6 = all_offsets(wanted, [](unsigned p) { return fmt::format("ip6[{}]", 40 + p); });
  return fmt::format("(ip and tcp and (\n    {}))\nor (ip6 and ip6[6] = 6 and (\n    {}))\n", v4, v6);
}

std::string nft_counters(Subtypes wanted, bool log) {
  std::string text =
      "add table inet mptap_monitor\ndelete table inet mptap_monitor\ntable inet mptap_monitor {\n" + counters(wanted);
  text += "\tchain look {\n" + counting_rules(wanted, log) + "\t}\n";
  // Before raw (-300): a stripping rule must not be faster. Forwarded packets pass prerouting, own ones output.
  text +=
      "\tchain arriving {\n\t\ttype filter hook prerouting priority -310; policy accept;\n\t\ttcp option mptcp exists jump "
      "look\n\t}\n";
  text +=
      "\tchain leaving {\n\t\ttype filter hook output priority -310; policy accept;\n\t\ttcp option mptcp exists jump "
      "look\n\t}\n";
  return text + "}\n";
}

std::string nft_tap_counters(Subtypes wanted, const std::string& interface, bool log) {
  // No MPTCP option is shorter than 3 bytes, and those that travel together take 4 and more: ten at most in 40 bytes.
  constexpr int kRounds = 10;
  std::string text =
      "add table netdev mptap_monitor\ndelete table netdev mptap_monitor\ntable netdev mptap_monitor {\n" + counters(wanted);
  for (int round = kRounds; round > 0; round--) {
    text += fmt::format("\tchain look{} {{\n{}\t\treset tcp option mptcp\n", round, counting_rules(wanted, log));
    if (round < kRounds) text += fmt::format("\t\ttcp option mptcp exists goto look{}\n", round + 1);
    text += "\t}\n";
  }
  text += fmt::format(
      "\tchain arriving {{\n\t\ttype filter hook ingress device \"{}\" priority 0; policy drop;\n"
      "\t\ttcp option mptcp exists jump look1\n\t}}\n",
      interface);
  return text + "}\n";
}

std::string header_regex(Subtypes wanted) {
  // An option that is none of ours: its length byte says how many bytes it takes. `.` is any byte (modifier s).
  std::vector<std::string> lengths;
  for (unsigned n = 2; n <= 40; n++) lengths.push_back(n == 2 ? "\\x02" : fmt::format("\\x{:02x}.{{{}}}", n, n - 2));
  std::string subtypes;
  for (const unsigned s : members(wanted)) subtypes += fmt::format("\\x{0:x}0-\\x{0:x}f", s);
  return fmt::format("^.{{20}}(?:\\x01|[^\\x00\\x01](?:{}))*?\\x1e[\\x03-\\x28]{}", fmt::join(lengths, "|"),
                     wanted.all() ? "" : fmt::format("[{}]", subtypes));
}

std::string suricata_rule(Subtypes wanted, unsigned sid) {
  std::vector<std::string> names;
  for (const unsigned s : members(wanted)) names.push_back(subtype_name(s));
  return fmt::format(
      "alert tcp any any -> any any (msg:\"MPTCP {}\"; tcp.hdr; content:\"|1e|\"; offset:20; pcre:\"/{}/s\"; sid:{}; rev:1;)\n",
      wanted.all() ? "option" : fmt::format("{}", fmt::join(names, ", ")), header_regex(wanted), sid);
}

}  // namespace mptap::monitor
