// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/read/filter.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace mptap::read {
namespace {

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// A whole number in the given base, nothing behind it.
template <typename Number>
bool parse_number(std::string_view text, int base, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  return error == std::errc{} && end == text.data() + text.size();
}

Candidate candidate_of(const std::vector<event::SubflowRecord>& subflows, const std::optional<uint32_t>& client,
                       const std::optional<uint32_t>& server, std::string_view id) {
  Candidate c;
  for (const auto& s : subflows) {
    c.ends.push_back(s.src);
    c.ends.push_back(s.dst);
  }
  if (client) c.tokens.push_back(*client);
  if (server) c.tokens.push_back(*server);
  c.id = id;
  return c;
}

}  // namespace

tl::expected<Filter::Term, std::string> Filter::parse_term(std::string_view term) {
  const size_t split = term.find_first_of("= ");
  const std::string_view key = term.substr(0, split);
  const std::string_view value = split == std::string_view::npos ? std::string_view{} : trimmed(term.substr(split + 1));
  const auto wrong = [&](std::string_view what) { return tl::unexpected(fmt::format("--filter \"{}\": {}", term, what)); };
  if (key != "host" && key != "port" && key != "token" && key != "id")
    return wrong("wants host ADDRESS, host PREFIX, port NUMBER, token HEX or id CONNECTION, several with commas between");
  if (value.empty())
    return wrong(fmt::format("{} wants a value, as in {}", key,
                             key == "host"    ? "host=10.0.0.1"
                             : key == "port"  ? "port=443"
                             : key == "token" ? "token=0a1b2c3d"
                                              : "id=0123456789abcdef"));
  if (key == "host") {
    auto prefix = packet::Prefix::parse(value);
    if (!prefix) return wrong(prefix.error());
    return Term(*prefix);
  }
  if (key == "port") {
    unsigned number = 0;
    if (!parse_number(value, 10, number) || number > 65535) return wrong("a port is a number from 0 to 65535");
    return Term(Port{static_cast<uint16_t>(number)});
  }
  if (key == "token") {
    uint32_t token = 0;
    const std::string_view digits = value.starts_with("0x") ? value.substr(2) : value;
    if (digits.size() > 8 || !parse_number(digits, 16, token)) return wrong("a token is up to 8 hexadecimal digits");
    return Term(Token{token});
  }
  return Term(Id{std::string(value)});
}

tl::expected<Filter, std::string> Filter::parse(std::string_view text) {
  Filter filter;
  constexpr std::string_view kAnd = " and ";
  std::string_view rest = text;
  while (true) {
    const size_t comma = rest.find(','), word = rest.find(kAnd);
    const size_t end = std::min(comma, word);
    const std::string_view term = trimmed(rest.substr(0, end));
    if (term.empty()) return tl::unexpected(fmt::format("--filter \"{}\": an empty term; wants host, port, token or id", text));
    auto parsed = parse_term(term);
    if (!parsed) return tl::unexpected(parsed.error());
    filter.terms_.push_back(*parsed);
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + (end == comma ? 1 : kAnd.size()));
  }
  return filter;
}

bool Filter::matches(const Candidate& c) const {
  struct Holds {
    const Candidate& c;
    bool operator()(const packet::Prefix& p) const {
      return std::any_of(c.ends.begin(), c.ends.end(), [&](const packet::Endpoint& e) { return p.contains(e.address); });
    }
    bool operator()(const Port& p) const {
      return std::any_of(c.ends.begin(), c.ends.end(), [&](const packet::Endpoint& e) { return e.port == p.number; });
    }
    bool operator()(const Token& t) const { return std::find(c.tokens.begin(), c.tokens.end(), t.value) != c.tokens.end(); }
    bool operator()(const Id& i) const { return c.id == i.text; }
  };
  return std::all_of(terms_.begin(), terms_.end(), [&](const Term& t) { return std::visit(Holds{c}, t); });
}

bool FilteredListener::matches(const Candidate& c) const {
  return std::any_of(filters_.begin(), filters_.end(), [&](const Filter& f) { return f.matches(c); });
}

bool FilteredListener::matched(const event::Head& head, const std::string& id) {
  if (matched_.contains(head.serial)) return true;
  if (!matches({{head.src, head.dst}, {}, id})) return false;
  let_through(head.serial);
  return true;
}

void FilteredListener::let_through(uint64_t serial) {
  matched_.insert(serial);
  const auto held = waiting_.extract(serial);
  if (held.empty()) return;
  for (const Event& e : held.mapped()) pass(e);
}

void FilteredListener::pass(const Event& e) {
  if (const auto* alert = std::get_if<event::Alert>(&e)) next_.on_alert(*alert);
  if (const auto* anomaly = std::get_if<event::Anomaly>(&e)) next_.on_anomaly(*anomaly);
  if (const auto* joined = std::get_if<event::SubflowJoined>(&e)) next_.on_joined(*joined);
}

void FilteredListener::on_alert(const event::Alert& a) {
  if (matched(a.head, a.connection_id))
    next_.on_alert(a);
  else
    waiting_[a.head.serial].emplace_back(a);
}

void FilteredListener::on_anomaly(const event::Anomaly& a) {
  if (matched(a.head, a.connection_id))
    next_.on_anomaly(a);
  else
    waiting_[a.head.serial].emplace_back(a);
}

void FilteredListener::on_joined(const event::SubflowJoined& j) {
  if (!matched_.contains(j.head.serial) && matches(candidate_of(j.subflows, j.token_client, j.token_server, j.connection_id)))
    let_through(j.head.serial);
  if (matched_.contains(j.head.serial))
    next_.on_joined(j);
  else
    waiting_[j.head.serial].emplace_back(j);
}

void FilteredListener::on_record(const event::ConnectionRecord& r) {
  const uint64_t serial = r.head.serial;
  if (matched_.contains(serial) || matches(candidate_of(r.subflows, r.token_client, r.token_server, r.connection_id))) {
    let_through(serial);
    next_.on_record(r);
  } else {
    ++left_out_;
  }
  matched_.erase(serial);
  waiting_.erase(serial);
}

}  // namespace mptap::read
