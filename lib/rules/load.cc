// SPDX-License-Identifier: Apache-2.0
#include "rules/load.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>

#include <fmt/format.h>

#include "rules/rule_parser.h"
#include "rules/text.h"

namespace mptap::rules {

namespace {

tl::expected<std::string, LoadError> read_file(const std::string& path, size_t max_bytes) {
  std::ifstream in(path, std::ios::binary);
  std::string text;
  char block[64 * 1024];
  while (in.read(block, sizeof block), in.gcount() > 0) {
    text.append(block, static_cast<size_t>(in.gcount()));
    if (text.size() > max_bytes) {
      return tl::unexpected(LoadError{LoadError::Kind::kUnreadable, fmt::format("{}: larger than {} bytes", path, max_bytes)});
    }
  }
  // A directory opens like a file and fails at the first read.
  if (!in.eof())
    return tl::unexpected(LoadError{LoadError::Kind::kUnreadable, fmt::format("{}: {}", path, std::strerror(errno))});
  return text;
}

class Loader {
 public:
  explicit Loader(const RuleOptions& options) : options_(options), variables_(default_variables()) {}

  tl::expected<void, LoadError> prepare() {
    for (const auto& [name, value] : options_.variables) variables_[name] = value;
    for (const auto& [name, value] : options_.variables) {
      const auto addresses = parse_addresses(value, variables_);
      if (!addresses && !parse_ports(value, variables_)) {
        return tl::unexpected(
            LoadError{LoadError::Kind::kOptions, fmt::format("variable {}: {}", name, addresses.error().message)});
      }
    }
    if (options_.classification_file.empty()) return {};
    const auto text = read_file(options_.classification_file, options_.max_file_bytes);
    if (!text) return tl::unexpected(text.error());
    if (const auto ok = add_classifications(*text, options_.classification_file, classifications_); !ok) {
      return tl::unexpected(LoadError{LoadError::Kind::kOptions, ok.error()});
    }
    return {};
  }

  // Lines that end in a backslash go on in the next one.
  void read(std::string_view text, const std::string& file) {
    if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
    std::string joined;
    uint32_t number = 0, first = 0;
    while (!text.empty()) {
      const size_t end = text.find('\n');
      std::string_view line = text.substr(0, end);
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
      ++number;
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (joined.empty()) first = number;
      const bool comment = joined.empty() && trim(line).starts_with('#');
      const bool more = !comment && line.ends_with('\\');
      if (more) line.remove_suffix(1);
      if (joined.size() <= options_.max_rule_bytes) joined += line;
      if (more && !text.empty()) {
        joined += ' ';
        continue;
      }
      take(joined, file, first);
      joined.clear();
    }
  }

  LoadedRules finish() {
    report_.loaded = rules_.size();
    return {std::move(rules_), std::move(report_)};
  }

 private:
  void leave_out(const std::string& file, uint32_t line, uint32_t sid, Fault fault) {
    report_.left_out.push_back({file, line, sid, std::move(fault.reason), std::move(fault.message)});
  }

  void take(std::string_view text, const std::string& file, uint32_t line) {
    text = trim(text);
    if (text.empty() || text.front() == '#') return;
    if (text.size() > options_.max_rule_bytes) {
      return leave_out(file, line, 0, {"limit", fmt::format("a rule of more than {} bytes", options_.max_rule_bytes)});
    }
    ParsedRule parsed = parse_rule(text, {options_, variables_, classifications_});
    if (!parsed.rule) return leave_out(file, line, parsed.sid, std::move(parsed.rule.error()));
    Rule rule = std::move(*parsed.rule);
    rule.file = file;
    rule.line = line;
    const auto known = by_sid_.find({rule.gid, rule.sid});
    if (known == by_sid_.end() && rules_.size() >= options_.max_rules) {
      return leave_out(file, line, rule.sid, {"limit", fmt::format("more than {} rules", options_.max_rules)});
    }
    for (Fault& w : parsed.warnings)
      report_.warnings.push_back({file, line, rule.sid, std::move(w.reason), std::move(w.message)});
    if (known == by_sid_.end()) {
      by_sid_[{rule.gid, rule.sid}] = rules_.size();
      rules_.push_back(std::move(rule));
      return;
    }
    resolve_duplicate(rules_[known->second], std::move(rule));
  }

  // The higher rev wins, the later one of two alike. The other is not a rule of its own any more: warned of, not counted.
  void resolve_duplicate(Rule& old, Rule rule) {
    const bool wins = rule.rev >= old.rev;
    const Rule& kept = wins ? rule : old;
    report_.warnings.push_back({rule.file, rule.line, rule.sid, "duplicate sid",
                                fmt::format("sid {} is also at {}:{}: rev {} there, rev {} here, the rule at {}:{} is kept",
                                            rule.sid, old.file, old.line, old.rev, rule.rev, kept.file, kept.line)});
    if (wins) old = std::move(rule);
  }

  const RuleOptions& options_;
  Variables variables_;
  Classifications classifications_ = default_classifications();
  std::vector<Rule> rules_;
  std::map<std::pair<uint32_t, uint32_t>, size_t> by_sid_;
  RuleReport report_;
};

tl::expected<LoadedRules, LoadError> checked(LoadedRules loaded, const RuleOptions& options) {
  if (options.strict && !loaded.report.left_out.empty()) {
    return tl::unexpected(LoadError{LoadError::Kind::kStrict, loaded.report.left_out.front().to_string()});
  }
  return loaded;
}

}  // namespace

tl::expected<LoadedRules, LoadError> load_rules(std::span<const std::string> files, const RuleOptions& options) {
  Loader loader(options);
  if (const auto ok = loader.prepare(); !ok) return tl::unexpected(ok.error());
  for (const std::string& file : files) {
    const auto text = read_file(file, options.max_file_bytes);
    if (!text) return tl::unexpected(text.error());
    loader.read(*text, file);
  }
  return checked(loader.finish(), options);
}

tl::expected<LoadedRules, LoadError> load_rules_text(std::string_view text, const std::string& name, const RuleOptions& options) {
  Loader loader(options);
  if (const auto ok = loader.prepare(); !ok) return tl::unexpected(ok.error());
  loader.read(text, name);
  return checked(loader.finish(), options);
}

}  // namespace mptap::rules
