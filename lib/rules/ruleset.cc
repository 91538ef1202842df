// SPDX-License-Identifier: Apache-2.0
#include "rules/ruleset.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <optional>

#include <fmt/format.h>
#include <hs/hs.h>

#include "rules/pcre.h"
#include "rules/scratch.h"

namespace mptap::rules {

namespace {

// One entry of the Hyperscan database.
struct Expression {
  std::string text;
  unsigned flags = 0;
  bool exact = false;  // see Ruleset::User::kExact
  auto operator<=>(const Expression&) const = default;
};

Expression literal(const Content& content) {
  Expression out;
  for (const char c : content.bytes) out.text += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  if (content.nocase) out.flags = HS_FLAG_CASELESS;
  return out;
}

std::optional<std::string> compile_error(const Expression& e) {
  hs_database_t* db = nullptr;
  hs_compile_error_t* error = nullptr;
  const unsigned mode = HS_MODE_STREAM | (e.flags & HS_FLAG_SOM_LEFTMOST ? HS_MODE_SOM_HORIZON_LARGE : 0u);
  if (hs_compile(e.text.c_str(), e.flags, mode, nullptr, &db, &error) == HS_SUCCESS) {
    hs_free_database(db);
    return std::nullopt;
  }
  std::string message = error->message;
  hs_free_compile_error(error);
  return message;
}

// The pcre as Hyperscan takes it: exactly and with starts where it can, else as a filter that lets too much through.
tl::expected<Expression, std::string> regex(const Pcre& pcre, bool alone) {
  Expression out;
  const auto has = [&](char flag) { return pcre.flags.find(flag) != std::string::npos; };
  const PatternTraits traits = pattern_traits(pcre.pattern);
  out.text = has('A') ? fmt::format("\\A(?:{}{})", pcre.pattern, has('x') ? "\n" : "") : pcre.pattern;
  if (has('x')) out.text = "(?x)" + out.text;
  if (out.text.find('\0') != std::string::npos) return tl::unexpected(std::string("a zero byte must be written \\x00"));
  if (has('i')) out.flags |= HS_FLAG_CASELESS;
  if (has('s')) out.flags |= HS_FLAG_DOTALL;
  if (has('m')) out.flags |= HS_FLAG_MULTILINE;
  if (alone && !traits.looks_ahead && !traits.looks_behind && !has('A')) {
    Expression exact = out;
    exact.flags |= HS_FLAG_SOM_LEFTMOST;
    exact.exact = true;
    if (!compile_error(exact)) return exact;
  }
  if (!compile_error(out)) return out;
  out.flags |= HS_FLAG_PREFILTER;
  if (auto message = compile_error(out)) return tl::unexpected(std::move(*message));
  return out;
}

}  // namespace

tl::expected<std::shared_ptr<const Ruleset>, std::string> Ruleset::compile(std::vector<Rule> rules, const RuleOptions& options,
                                                                           RuleReport* report) {
  if (hs_valid_platform() != HS_SUCCESS) return tl::unexpected(std::string("Hyperscan needs a CPU with SSSE3"));
  static std::atomic<uint64_t> next_id{1};
  std::shared_ptr<Ruleset> out(new Ruleset);
  out->id_ = next_id++;

  // Programs point into the rules, so these may not move any more once they are made: first sort out what cannot be compiled.
  std::vector<std::optional<Expression>> expressions;
  for (Rule& rule : rules) {
    const Program program = make_program(rule, options);
    std::optional<Expression> expression;
    if (const Node* fast = fast_node(program)) {
      expression = literal(*fast->content);
    } else if (program.lead != nullptr) {
      const bool alone = program.negated.empty() && program.pcres.empty();
      auto compiled = regex(*program.lead, alone);
      if (!compiled) {
        if (report != nullptr) {
          report->left_out.push_back(
              {rule.file, rule.line, rule.sid, "pcre alone",
               fmt::format("a pcre without any content that Hyperscan cannot search for: {}", compiled.error())});
          --report->loaded;
        }
        continue;
      }
      expression = std::move(*compiled);
    }
    out->rules_.push_back(std::move(rule));
    expressions.push_back(std::move(expression));
  }

  std::map<Expression, std::vector<User>> by_expression;
  for (uint32_t i = 0; i < out->rules_.size(); ++i) {
    const Rule& rule = out->rules_[i];
    out->programs_.push_back(make_program(rule, options));
    const Program& program = out->programs_.back();
    User user{0, kNoEnd, i, out->headers_.add(rule.header, rule.flow), 0, User::Kind::kSimple};
    if (!expressions[i]) {
      out->header_only_.push_back(user);
      continue;
    }
    if (const Node* fast = fast_node(program)) {
      user.min_start = fast->min_start;
      user.max_end = fast->max_end;
      user.size = static_cast<uint32_t>(fast->content->bytes.size());
    }
    if (expressions[i]->exact) {
      user.kind = User::Kind::kExact;
    } else if (!program.simple()) {
      user.kind = User::Kind::kConfirm;
      // One byte more: what a pcre sees before its window.
      out->lookback_ = std::max<size_t>(out->lookback_, size_t{program.back} + program.forward + 1);
    }
    out->at_end_ |= program.lead != nullptr;
    by_expression[*expressions[i]].push_back(user);
  }
  if (by_expression.empty()) return out;

  std::vector<const char*> texts;
  std::vector<unsigned> flags, ids;
  unsigned mode = HS_MODE_STREAM;
  for (const auto& [expression, users] : by_expression) {
    ids.push_back(static_cast<unsigned>(texts.size()));
    texts.push_back(expression.text.c_str());
    flags.push_back(expression.flags);
    if (expression.exact) mode |= HS_MODE_SOM_HORIZON_LARGE;
    out->patterns_.push_back({static_cast<uint32_t>(out->users_.size()), static_cast<uint32_t>(users.size())});
    out->users_.insert(out->users_.end(), users.begin(), users.end());
  }
  hs_compile_error_t* error = nullptr;
  if (hs_compile_multi(texts.data(), flags.data(), ids.data(), static_cast<unsigned>(texts.size()), mode, nullptr,
                       &out->database_, &error) != HS_SUCCESS) {
    std::string message = fmt::format("Hyperscan cannot compile the rules together: {}", error->message);
    if (error->expression >= 0) {
      const Pattern& pattern = out->patterns_[static_cast<size_t>(error->expression)];
      const Rule& rule = out->rules_[out->users_[pattern.first_user].rule];
      message = fmt::format("{}:{}: {}", rule.file, rule.line, message);
    }
    hs_free_compile_error(error);
    return tl::unexpected(std::move(message));
  }
  hs_stream_size(out->database_, &out->stream_state_);
  return out;
}

tl::expected<LoadedRuleset, LoadError> load_ruleset(std::span<const std::string> files, const RuleOptions& options) {
  auto loaded = load_rules(files, options);
  if (!loaded) return tl::unexpected(std::move(loaded.error()));
  auto ruleset = Ruleset::compile(std::move(loaded->rules), options, &loaded->report);
  if (!ruleset) return tl::unexpected(LoadError{LoadError::Kind::kCompile, std::move(ruleset.error())});
  if (options.strict && !loaded->report.left_out.empty()) {
    return tl::unexpected(LoadError{LoadError::Kind::kStrict, loaded->report.left_out.front().to_string()});
  }
  return LoadedRuleset{std::move(*ruleset), std::move(loaded->report)};
}

Ruleset::~Ruleset() {
  hs_free_database(database_);
}

size_t Ruleset::stream_size() const {
  return database_ == nullptr ? 0 : stream_state_;
}

size_t Ruleset::database_size() const {
  size_t size = 0;
  if (database_ != nullptr) hs_database_size(database_, &size);
  return size;
}

}  // namespace mptap::rules
