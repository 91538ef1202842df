// SPDX-License-Identifier: Apache-2.0
#include "rules/header.h"

#include <cstring>
#include <vector>

#include <fmt/format.h>

#include "rules/options.h"
#include "rules/text.h"

namespace mptap::rules {

namespace {

constexpr int kMaxNesting = 16;           // of brackets and of variables
constexpr size_t kMaxSetText = 1u << 20;  // variables expanded

// Splits `a,[b,c],!d` at the commas outside of brackets.
tl::expected<std::vector<std::string_view>, Fault> split_list(std::string_view text) {
  std::vector<std::string_view> out;
  int depth = 0;
  size_t begin = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '[') ++depth;
    if (text[i] == ']' && --depth < 0) return tl::unexpected(syntax(fmt::format("`]` without `[` in \"{}\"", shown(text))));
    if (text[i] == ',' && depth == 0) {
      out.push_back(trim(text.substr(begin, i - begin)));
      begin = i + 1;
    }
  }
  if (depth != 0) return tl::unexpected(syntax(fmt::format("`[` without `]` in \"{}\"", shown(text))));
  out.push_back(trim(text.substr(begin)));
  return out;
}

// The algebra that addresses and ports share; Kind says how one plain item reads.
template <typename Kind>
class SetParser {
 public:
  using Set = typename Kind::Set;
  explicit SetParser(const Variables& variables) : variables_(variables) {}

  tl::expected<Set, Fault> parse(std::string_view text, int depth = 0) {
    text = trim(text);
    work_ += text.size() + 1;
    if (depth > kMaxNesting || work_ > kMaxSetText) {
      return tl::unexpected(syntax(fmt::format("{} list is nested too deeply or refers to itself", Kind::kName)));
    }
    if (text.empty()) return tl::unexpected(syntax(fmt::format("empty {}", Kind::kName)));
    if (text.front() == '!') {
      auto inner = parse(text.substr(1), depth + 1);
      if (!inner) return inner;
      Set out = inner->complement();
      if (out.empty()) return tl::unexpected(syntax(fmt::format("\"{}\" matches no {}", shown(text), Kind::kName)));
      return out;
    }
    if (text.front() == '[') {
      if (text.back() != ']') return tl::unexpected(syntax(fmt::format("`[` without `]` in \"{}\"", shown(text))));
      return parse_list(text.substr(1, text.size() - 2), depth);
    }
    if (text.front() == '$') {
      const auto it = variables_.find(std::string(text.substr(1)));
      if (it == variables_.end()) {
        std::vector<std::string_view> names;
        for (const auto& [name, value] : variables_) names.push_back(name);
        const std::string_view near = nearest(text.substr(1), names);
        return tl::unexpected(Fault{"variable", fmt::format("variable \"{}\" is not set{}", shown(text),
                                                            near.empty() ? "" : fmt::format(", did you mean \"${}\"?", near))});
      }
      return parse(it->second, depth + 1);
    }
    if (text.find(',') != std::string_view::npos) return parse_list(text, depth);
    if (lower(text) == "any") return Set::all();
    return Kind::item(text);
  }

 private:
  tl::expected<Set, Fault> parse_list(std::string_view text, int depth) {
    auto items = split_list(text);
    if (!items) return tl::unexpected(items.error());
    Set in, out;
    bool any_positive = false;
    for (const std::string_view item : *items) {
      const bool negated = !item.empty() && item.front() == '!';
      auto set = parse(negated ? item.substr(1) : item, depth + 1);
      if (!set) return set;
      (negated ? out : in).add(*set);
      any_positive |= !negated;
    }
    if (!any_positive) in = Set::all();
    in.remove(out);
    if (in.empty()) return tl::unexpected(syntax(fmt::format("\"[{}]\" matches no {}", shown(text), Kind::kName)));
    return in;
  }

  const Variables& variables_;
  size_t work_ = 0;
};

struct AddressKind {
  using Set = AddressSet;
  static constexpr const char* kName = "address";

  static tl::expected<Set, Fault> item(std::string_view text) {
    const auto wrong = [&] {
      return tl::unexpected(
          syntax(fmt::format("\"{}\" is not an address: write 192.0.2.1, 192.0.2.0/24, 192.0.2.1-192.0.2.9, 2001:db8::/32, "
                             "a list in [], a $VARIABLE or any",
                             shown(text))));
    };
    if (const size_t dash = text.find('-'); dash != std::string_view::npos) {
      const auto first = packet::IpAddress::parse(trim(text.substr(0, dash)));
      const auto last = packet::IpAddress::parse(trim(text.substr(dash + 1)));
      if (!first || !last || first->is_v4() != last->is_v4() || *last < *first) return wrong();
      return Set(address_value(*first), address_value(*last));
    }
    const size_t slash = text.find('/');
    const auto address = packet::IpAddress::parse(text.substr(0, slash));
    if (!address) return wrong();
    unsigned host_bits = 0;
    if (slash != std::string_view::npos) {
      const unsigned width = address->is_v4() ? 32 : 128;
      const auto bits = prefix_bits(text.substr(slash + 1), width);
      if (!bits) return wrong();
      host_bits = width - *bits;
    }
    const AddressValue mask = host_bits == 128 ? ~AddressValue{0} : (AddressValue{1} << host_bits) - 1;
    const AddressValue value = address_value(*address);
    return Set(value & ~mask, value | mask);
  }

  // 24 or, for IPv4, 255.255.255.0.
  static std::optional<unsigned> prefix_bits(std::string_view text, unsigned width) {
    if (const auto bits = parse_number<unsigned>(text)) return *bits <= width ? bits : std::nullopt;
    const auto mask = width == 32 ? packet::IpAddress::parse(text) : std::nullopt;
    if (!mask || !mask->is_v4()) return std::nullopt;
    const uint32_t value = static_cast<uint32_t>(address_value(*mask));
    const unsigned ones = static_cast<unsigned>(__builtin_popcount(value));
    if (ones < 32 && value << ones != 0) return std::nullopt;
    return ones;
  }
};

struct PortKind {
  using Set = PortSet;
  static constexpr const char* kName = "port";

  static tl::expected<Set, Fault> item(std::string_view text) {
    const size_t colon = text.find(':');
    const std::string_view low = trim(text.substr(0, colon));
    const auto first = low.empty() && colon != std::string_view::npos ? uint16_t{0} : parse_number<uint16_t>(low);
    auto last = first;
    if (colon != std::string_view::npos) {
      const std::string_view high = trim(text.substr(colon + 1));
      last = high.empty() ? uint16_t{65535} : parse_number<uint16_t>(high);
    }
    if (!first || !last || *last < *first || text == ":") {
      return tl::unexpected(syntax(
          fmt::format("\"{}\" is not a port: write 80, 1024:2048, 1024:, :1023, a list in [], a $VARIABLE or any", shown(text))));
    }
    return Set(*first, *last);
  }
};

// Splits at spaces outside of brackets.
std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> out;
  int depth = 0;
  size_t begin = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    const char c = i < text.size() ? text[i] : ' ';
    if (c == '[') ++depth;
    if (c == ']') --depth;
    if (c != ' ' && c != '\t' && c != '\r') continue;
    if (depth > 0 && i < text.size()) continue;
    if (i > begin) out.push_back(text.substr(begin, i - begin));
    begin = i + 1;
  }
  return out;
}

tl::expected<Action, Fault> parse_action(std::string_view word) {
  if (word == "alert") return Action::kAlert;
  if (word == "drop") return Action::kDrop;
  if (word == "reject" || word == "rejectsrc" || word == "rejectdst" || word == "rejectboth") return Action::kReject;
  if (word == "pass") return Action::kPass;
  static constexpr std::string_view kActions[] = {"alert", "drop", "reject", "pass"};
  const std::string_view near = nearest(word, kActions);
  return tl::unexpected(Fault{"action", fmt::format("unknown action \"{}\"{}", shown(word),
                                                    near.empty() ? ", expected alert, drop, reject or pass"
                                                                 : fmt::format(", did you mean \"{}\"?", near))});
}

tl::expected<void, Fault> check_protocol(std::string_view word) {
  const std::string name = lower(word);
  if (name == "tcp" || name == "ip" || name == "tcp-stream") return {};
  return tl::unexpected(
      Fault{"protocol " + shown(name),
            fmt::format("unsupported protocol \"{}\": rules are matched against TCP streams, write tcp or ip", shown(name))});
}

}  // namespace

AddressValue address_value(const packet::IpAddress& address) {
  AddressValue value = 0;
  for (const uint8_t byte : address.bytes) value = value << 8 | byte;
  return value;
}

const char* to_string(Action action) {
  switch (action) {
    case Action::kAlert: return "alert";
    case Action::kDrop: return "drop";
    case Action::kReject: return "reject";
    case Action::kPass: return "pass";
  }
  return "alert";
}

const Variables& default_variables() {
  static const Variables kVariables{
      {"HOME_NET", "[192.168.0.0/16,10.0.0.0/8,172.16.0.0/12,fc00::/7]"},
      {"EXTERNAL_NET", "any"},
      {"HTTP_SERVERS", "$HOME_NET"},
      {"SMTP_SERVERS", "$HOME_NET"},
      {"SQL_SERVERS", "$HOME_NET"},
      {"DNS_SERVERS", "$HOME_NET"},
      {"TELNET_SERVERS", "$HOME_NET"},
      {"AIM_SERVERS", "$EXTERNAL_NET"},
      {"DC_SERVERS", "$HOME_NET"},
      {"DNP3_SERVER", "$HOME_NET"},
      {"DNP3_CLIENT", "$HOME_NET"},
      {"MODBUS_CLIENT", "$HOME_NET"},
      {"MODBUS_SERVER", "$HOME_NET"},
      {"ENIP_CLIENT", "$HOME_NET"},
      {"ENIP_SERVER", "$HOME_NET"},
      {"HTTP_PORTS", "80"},
      {"SHELLCODE_PORTS", "!80"},
      {"ORACLE_PORTS", "1521"},
      {"SSH_PORTS", "22"},
      {"DNP3_PORTS", "20000"},
      {"MODBUS_PORTS", "502"},
      {"FILE_DATA_PORTS", "[$HTTP_PORTS,110,143]"},
      {"FTP_PORTS", "21"},
      {"GENEVE_PORTS", "6081"},
      {"VXLAN_PORTS", "4789"},
      {"TEREDO_PORTS", "3544"},
      {"SIP_PORTS", "[5060,5061]"},
  };
  return kVariables;
}

tl::expected<AddressSet, Fault> parse_addresses(std::string_view text, const Variables& variables) {
  return SetParser<AddressKind>(variables).parse(text);
}

tl::expected<PortSet, Fault> parse_ports(std::string_view text, const Variables& variables) {
  return SetParser<PortKind>(variables).parse(text);
}

tl::expected<std::pair<Action, Header>, Fault> parse_header(std::string_view text, const Variables& variables) {
  const auto parts = words(text);
  if (parts.empty()) return tl::unexpected(syntax("the rule has no header"));
  const auto action = parse_action(parts[0]);
  if (!action) return tl::unexpected(action.error());
  if (parts.size() != 7) {
    return tl::unexpected(
        syntax(fmt::format("the header has {} words, expected 7: ACTION PROTOCOL ADDRESS PORT -> ADDRESS PORT", parts.size())));
  }
  if (const auto ok = check_protocol(parts[1]); !ok) return tl::unexpected(ok.error());
  Header header;
  if (parts[4] == "<>") {
    header.bidirectional = true;
  } else if (parts[4] != "->") {
    return tl::unexpected(syntax(fmt::format("\"{}\" is not a direction: write -> or <>", shown(parts[4]))));
  }
  auto src = parse_addresses(parts[2], variables);
  if (!src) return tl::unexpected(src.error());
  auto src_port = parse_ports(parts[3], variables);
  if (!src_port) return tl::unexpected(src_port.error());
  auto dst = parse_addresses(parts[5], variables);
  if (!dst) return tl::unexpected(dst.error());
  auto dst_port = parse_ports(parts[6], variables);
  if (!dst_port) return tl::unexpected(dst_port.error());
  header.src = std::move(*src);
  header.src_port = std::move(*src_port);
  header.dst = std::move(*dst);
  header.dst_port = std::move(*dst_port);
  return std::pair{*action, std::move(header)};
}

}  // namespace mptap::rules
