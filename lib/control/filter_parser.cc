// SPDX-License-Identifier: Apache-2.0
#include <charconv>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "control/filter_node.h"

namespace mptap::control {
namespace {

using Node = Filter::Node;
using NodePtr = std::unique_ptr<const Node>;

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
}

std::optional<Comparison::Prefix> parse_prefix(std::string_view text) {
  const size_t slash = text.find('/');
  const auto address = packet::IpAddress::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  const unsigned base = address->is_v4() ? 96 : 0;
  unsigned bits = 128 - base;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    if (error != std::errc() || end != digits.data() + digits.size() || bits > 128 - base) return std::nullopt;
  }
  return Comparison::Prefix{*address, base + bits};
}

class Parser {
 public:
  Parser(std::string_view text, std::span<const Field> fields, bool open) : text_(text), fields_(fields), open_(open) {}

  tl::expected<NodePtr, FilterError> whole() {
    skip();
    if (at_end()) return NodePtr();
    NodePtr root = expression(0);
    if (root && !at_end()) fail(peek() == ')' ? "there is no \"(\" for this \")\"" : "AND or OR is wanted here");
    if (error_) return tl::unexpected(*error_);
    return root;
  }

 private:
  bool at_end() const { return at_ >= text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  void skip() {
    while (!at_end() && is_blank(text_[at_])) ++at_;
  }
  NodePtr fail(std::string message) { return fail_at(at_, std::move(message)); }
  NodePtr fail_at(size_t at, std::string message) {
    if (!error_) error_ = FilterError{at + 1, std::move(message)};
    return nullptr;
  }
  bool word(std::string_view wanted) {
    if (!text_.substr(at_).starts_with(wanted)) return false;
    const size_t behind = at_ + wanted.size();
    if (behind < text_.size() && !is_blank(text_[behind]) && text_[behind] != '(') return false;
    at_ = behind;
    skip();
    return true;
  }
  static NodePtr join(Node::Kind kind, std::vector<NodePtr> parts) {
    if (parts.size() == 1) return std::move(parts.front());
    auto node = std::make_unique<Node>();
    node->kind = kind;
    node->children = std::move(parts);
    return node;
  }

  NodePtr expression(size_t depth) {
    if (depth > Filter::kMaxDepth) return fail(fmt::format("more than {} levels of parentheses and NOT", Filter::kMaxDepth));
    std::vector<NodePtr> parts;
    do {
      NodePtr part = factor(depth);
      if (!part) return nullptr;
      parts.push_back(std::move(part));
      // Blanks alone mean AND, too.
    } while (word("AND") || (!at_end() && peek() != ')'));
    return join(Node::Kind::kAnd, std::move(parts));
  }

  NodePtr factor(size_t depth) {
    std::vector<NodePtr> parts;
    do {
      NodePtr part = term(depth);
      if (!part) return nullptr;
      parts.push_back(std::move(part));
    } while (word("OR"));
    return join(Node::Kind::kOr, std::move(parts));
  }

  NodePtr term(size_t depth) {
    if (depth > Filter::kMaxDepth) return fail(fmt::format("more than {} levels of parentheses and NOT", Filter::kMaxDepth));
    if (at_end()) return fail("a comparison is wanted here, as in packets > 100");
    bool negated = word("NOT");
    if (!negated && peek() == '-') {
      negated = true;
      ++at_;
      skip();
    }
    if (negated) {
      NodePtr child = term(depth + 1);
      if (!child) return nullptr;
      auto node = std::make_unique<Node>();
      node->kind = Node::Kind::kNot;
      node->children.push_back(std::move(child));
      return node;
    }
    if (peek() != '(') return comparison();
    const size_t opened = at_++;
    skip();
    NodePtr inside = expression(depth + 1);
    if (!inside) return nullptr;
    if (peek() != ')') return fail_at(opened, "this \"(\" is not closed");
    ++at_;
    skip();
    return inside;
  }

  NodePtr comparison() {
    const size_t name_at = at_;
    while (!at_end() && is_name(text_[at_])) ++at_;
    const std::string_view name = text_.substr(name_at, at_ - name_at);
    if (name.empty()) return fail("a field's name is wanted here");
    if (name == "AND" || name == "OR" || name == "NOT")
      return fail_at(name_at, fmt::format("{} has no comparison beside it", name));
    const Field* field = nullptr;
    for (const Field& f : fields_)
      if (f.name == name) field = &f;
    if (!open_ && field == nullptr) return unknown(name_at, name);
    skip();
    auto node = std::make_unique<Node>();
    Comparison& c = node->comparison;
    c.field = name;
    if (field != nullptr) c.id = field->id;
    const size_t operator_at = at_;
    if (!read_operator(c.op)) return fail(fmt::format("\"{}\" wants one of = != < <= > >= : behind it", name));
    skip();
    const size_t value_at = at_;
    if (!read_value(c)) return nullptr;
    if (c.op != Operator::kEqual && c.op != Operator::kNotEqual && (c.star_before || c.star_behind))
      return fail_at(value_at, "\"*\" stands for anything with = and != only; put a backslash before it to mean itself");
    if (const auto complaint = judge(field, c); !complaint.empty())
      return fail_at(complaint.front() == '@' ? operator_at : value_at, complaint.substr(complaint.front() == '@' ? 1 : 0));
    if (c.op == Operator::kNotEqual) {
      c.op = Operator::kEqual;
      node->negated = true;
    }
    skip();
    return node;
  }

  bool read_operator(Operator& op) {
    static constexpr std::pair<std::string_view, Operator> kOperators[] = {
        {"!=", Operator::kNotEqual}, {"<=", Operator::kLessEqual}, {">=", Operator::kGreaterEqual},
        {"=", Operator::kEqual},     {"<", Operator::kLess},       {">", Operator::kGreater},
        {":", Operator::kHas}};
    for (const auto& [sign, value] : kOperators) {
      if (!text_.substr(at_).starts_with(sign)) continue;
      op = value;
      at_ += sign.size();
      return true;
    }
    return false;
  }

  bool read_value(Comparison& c) {
    const size_t begin = at_;
    const char quote = peek() == '"' || peek() == '\'' ? text_[at_++] : '\0';
    size_t last_star = std::string::npos;  // in c.text, where an unescaped one stands behind all others
    for (bool first = true;; first = false) {
      if (at_end()) {
        if (quote == '\0') break;
        fail_at(begin, "this text is not closed");
        return false;
      }
      char ch = text_[at_];
      if (quote != '\0' ? ch == quote : is_blank(ch) || ch == '(' || ch == ')') break;
      ++at_;
      if (ch == '\\' && !at_end()) {
        ch = text_[at_++];
      } else if (ch == '*' && first) {
        c.star_before = true;
        continue;
      } else if (ch == '*') {
        last_star = c.text.size();
      }
      c.text += ch;
    }
    if (quote != '\0') {
      ++at_;
      if (!at_end() && !is_blank(peek()) && peek() != ')') {
        fail("a blank is wanted behind a text");
        return false;
      }
    } else if (at_ == begin) {
      fail("a value is wanted here");
      return false;
    }
    if (last_star != std::string::npos && last_star + 1 == c.text.size()) {
      c.star_behind = true;
      c.text.pop_back();
    }
    const char* end = c.text.data() + c.text.size();
    double number = 0;
    if (const auto [stop, error] = std::from_chars(c.text.data(), end, number); error == std::errc() && stop == end)
      c.number = number;
    if (c.text == "true" || c.text == "false") c.boolean = c.text == "true";
    c.prefix = parse_prefix(c.text);
    return true;
  }

  // What is wrong with the value; behind '@' what is wrong with the operator.
  static std::string judge(const Field* field, const Comparison& c) {
    const bool orders = c.op != Operator::kEqual && c.op != Operator::kNotEqual && c.op != Operator::kHas;
    if (field == nullptr) return "";
    switch (field->type) {
      case FieldType::kNumber: return c.number ? "" : fmt::format("{} is a number, \"{}\" is none", field->name, c.text);
      case FieldType::kBool:
        if (!c.boolean) return fmt::format("{} is true or false, not \"{}\"", field->name, c.text);
        return orders ? fmt::format("@{} knows = and != only", field->name) : "";
      case FieldType::kAddress:
        if (!c.prefix) return fmt::format("{} wants an address or a prefix, as in 10.0.0.0/8, not \"{}\"", field->name, c.text);
        return orders ? fmt::format("@{} knows =, != and : only", field->name) : "";
      default: break;
    }
    if (field->choices.empty() || c.star_before || c.star_behind) return "";
    if (orders) return fmt::format("@{} knows =, != and : only", field->name);
    for (std::string_view rest = field->choices; !rest.empty();) {
      const size_t end = std::min(rest.find(' '), rest.size());
      if (rest.substr(0, end) == c.text) return "";
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return fmt::format("{} is one of {}, not \"{}\"", field->name, field->choices, c.text);
  }

  NodePtr unknown(size_t at, std::string_view name) {
    std::vector<std::string_view> names;
    for (const Field& f : fields_) names.push_back(f.name);
    return fail_at(at, fmt::format("there is no field \"{}\"; there are: {}", name.substr(0, 64), fmt::join(names, ", ")));
  }

  std::string_view text_;
  std::span<const Field> fields_;
  bool open_;
  size_t at_ = 0;
  std::optional<FilterError> error_;
};

}  // namespace

tl::expected<NodePtr, FilterError> parse_filter(std::string_view text, std::span<const Field> fields, bool open) {
  if (text.size() > Filter::kMaxBytes) {
    return tl::unexpected(FilterError{Filter::kMaxBytes + 1,
                                      fmt::format("the filter has {} bytes; {} is the most", text.size(), Filter::kMaxBytes)});
  }
  return Parser(text, fields, open).whole();
}

}  // namespace mptap::control
