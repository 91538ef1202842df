// SPDX-License-Identifier: Apache-2.0
#include "control/rule_service.h"

#include <algorithm>
#include <charconv>
#include <fstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "control/convert.h"
#include "rules/load.h"

namespace mptap::control {
namespace {

enum RuleField : uint16_t { kSid, kGid, kRev, kMessage, kAction, kOrigin, kFile, kClasstype, kPriority };
constexpr Field kFields[] = {
    {"sid", FieldType::kNumber, kSid},           {"gid", FieldType::kNumber, kGid},
    {"rev", FieldType::kNumber, kRev},           {"message", FieldType::kText, kMessage},
    {"action", FieldType::kText, kAction},       {"origin", FieldType::kText, kOrigin, "file managed"},
    {"file", FieldType::kText, kFile},           {"classtype", FieldType::kText, kClasstype},
    {"priority", FieldType::kNumber, kPriority},
};

class RuleRecord final : public Record {
 public:
  RuleRecord(const rules::Rule& rule, bool managed) : rule_(rule), managed_(managed) {}
  bool any(const Comparison& c) const override {
    switch (c.id) {
      case kSid: return c.test(static_cast<double>(rule_.sid));
      case kGid: return c.test(static_cast<double>(rule_.gid));
      case kRev: return c.test(static_cast<double>(rule_.rev));
      case kMessage: return c.test(std::string_view(rule_.msg));
      case kAction: return c.test(std::string_view(rules::to_string(rule_.action)));
      case kOrigin: return c.test(std::string_view(managed_ ? "managed" : "file"));
      case kFile: return c.test(std::string_view(rule_.file));
      case kClasstype: return c.test(std::string_view(rule_.classtype));
      case kPriority: return c.test(static_cast<double>(rule_.priority));
      default: return false;
    }
  }

 private:
  const rules::Rule& rule_;
  const bool managed_;
};

void to_message(const rules::Rule& rule, bool managed, v1::Rule& out) {
  out.set_name(rule_name({rule.gid, rule.sid}));
  out.set_gid(rule.gid);
  out.set_sid(rule.sid);
  out.set_rev(rule.rev);
  out.set_message(rule.msg);
  out.set_action(rules::to_string(rule.action));
  out.set_origin(managed ? v1::Rule::ORIGIN_MANAGED : v1::Rule::ORIGIN_FILE);
  out.set_file(rule.file);
  out.set_line(rule.line);
  out.set_classtype(rule.classtype);
  out.set_priority(rule.priority);
}

// As written; a rule may run over several lines, each but the last ended by a backslash.
std::string text_at(const std::string& path, uint32_t line) {
  std::ifstream file(path);
  std::string text, part;
  for (uint32_t i = 1; std::getline(file, part); ++i) {
    if (i < line) continue;
    const bool goes_on = part.ends_with('\\');
    if (goes_on) part.pop_back();
    text += part;
    if (!goes_on) break;
  }
  return text;
}

Error not_found(const RuleKey& key) {
  return {Code::kNotFound, "RULE_NOT_FOUND", fmt::format("there is no rule {}", rule_name(key))};
}

auto line_with(std::vector<ManagedRules::Line>& lines, const RuleKey& key) {
  return std::find_if(lines.begin(), lines.end(), [&](const auto& line) { return line.key == key; });
}

}  // namespace

grpc::Status RuleService::ListRules(grpc::ServerContext* context, const v1::ListRulesRequest* request,
                                    v1::ListRulesResponse* response) {
  return read_call(core_, *context, "/mptap.v1.RuleService/ListRules", *request, [&]() -> Result<void> {
    const auto filter = Filter::parse(request->filter(), kFields);
    if (!filter) {
      return tl::unexpected(Error{Code::kInvalidArgument,
                                  "FILTER_INVALID",
                                  fmt::format("filter: {}", filter.error().to_string()),
                                  {{"column", std::to_string(filter.error().column)}}});
    }
    const auto size = page_size(request->page_size());
    if (!size) return tl::unexpected(size.error());
    // The token is the last rule's name: rules in force may change between two pages.
    RuleKey after{0, 0};
    if (!request->page_token().empty()) {
      const auto key = parse_rule_name(request->page_token());
      if (!key)
        return tl::unexpected(
            Error{Code::kInvalidArgument, "PAGE_TOKEN_INVALID", "page_token is not the next_page_token of an answer"});
      after = *key;
    }
    auto all = core_.appliance.rules();
    const std::string managed = core_.appliance.managed_rules();
    const auto order = [](const auto& r) { return std::pair(r.gid, r.sid); };
    std::sort(all.begin(), all.end(), [&](const auto& a, const auto& b) { return order(a) < order(b); });
    int64_t total = 0;
    for (const rules::Rule& rule : all) {
      if (!filter->matches(RuleRecord(rule, rule.file == managed))) continue;
      ++total;
      if (order(rule) <= order(after)) continue;
      if (static_cast<size_t>(response->rules_size()) == *size) {
        response->set_next_page_token(response->rules(response->rules_size() - 1).name());
        continue;
      }
      to_message(rule, rule.file == managed, *response->add_rules());
    }
    response->set_total_size(total);
    return {};
  });
}

Result<v1::Rule> RuleService::find(const RuleKey& key) const {
  const std::string managed = core_.appliance.managed_rules();
  for (const rules::Rule& rule : core_.appliance.rules()) {
    if (rule.gid != key.gid || rule.sid != key.sid) continue;
    v1::Rule found;
    to_message(rule, rule.file == managed, found);
    found.set_text(text_at(rule.file, rule.line));
    return found;
  }
  return tl::unexpected(not_found(key));
}

std::string RuleService::text_of(const RuleKey& key) const {
  const auto found = find(key);
  return found ? nlohmann::json(found->text()).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) : "";
}

grpc::Status RuleService::GetRule(grpc::ServerContext* context, const v1::GetRuleRequest* request, v1::Rule* response) {
  return read_call(core_, *context, "/mptap.v1.RuleService/GetRule", *request, [&]() -> Result<void> {
    const auto key = parse_rule_name(request->name());
    if (!key) return tl::unexpected(key.error());
    auto rule = find(*key);
    if (!rule) return tl::unexpected(rule.error());
    *response = std::move(*rule);
    return {};
  });
}

Result<void> RuleService::change(const Deadline& deadline, bool validate_only,
                                 const std::function<Result<void>(std::vector<ManagedRules::Line>&)>& edit) {
  const std::lock_guard lock(core_.rules);
  const std::string path = core_.appliance.managed_rules();
  if (path.empty()) {
    return tl::unexpected(Error{Code::kFailedPrecondition, "NO_MANAGED_RULES",
                                "rules.managed names no file, so that rules can only be changed in the configured files"});
  }
  const ManagedRules file(path, core_.appliance.rule_options());
  const auto before = file.read();
  if (!before) return tl::unexpected(before.error());
  auto lines = *before;
  if (auto edited = edit(lines); !edited) return edited;
  if (validate_only) return {};
  if (auto written = file.write(lines); !written) return written;
  const auto loaded = core_.appliance.reload(deadline);
  if (loaded) return {};
  // What is not in force must not come into force at the next start.
  (void)file.write(*before);
  return tl::unexpected(loaded.error());
}

grpc::Status RuleService::CreateRule(grpc::ServerContext* context, const v1::CreateRuleRequest* request, v1::Rule* response) {
  const auto key = judge_rule(request->rule().text(), core_.appliance.rule_options());
  const auto work = [&](std::string& after) -> Result<void> {
    if (!key) return tl::unexpected(key.error());
    if (const auto there = find(*key)) {
      return tl::unexpected(Error{Code::kAlreadyExists, "RULE_EXISTS",
                                  fmt::format("{} is in force already, from {}:{}; choose another sid, or update it",
                                              there->name(), there->file(), there->line())});
    }
    const auto done = change(deadline_of(*context), request->validate_only(), [&](auto& lines) -> Result<void> {
      lines.push_back({*key, request->rule().text()});
      return {};
    });
    if (!done) return done;
    if (request->validate_only()) {
      response->set_name(rule_name(*key));
      response->set_text(request->rule().text());
      return {};
    }
    auto made = find(*key);
    if (!made) return tl::unexpected(made.error());
    *response = std::move(*made);
    after = text_of(*key);
    return {};
  };
  return mutating_call(
      core_, *context, *request, *response,
      {.method = "/mptap.v1.RuleService/CreateRule", .request_id = request->request_id(), .before = {}, .work = work});
}

grpc::Status RuleService::UpdateRule(grpc::ServerContext* context, const v1::UpdateRuleRequest* request, v1::Rule* response) {
  const auto key = parse_rule_name(request->rule().name());
  const auto work = [&](std::string& after) -> Result<void> {
    if (!key) return tl::unexpected(key.error());
    for (const std::string& path : request->update_mask().paths()) {
      if (path != "text" && path != "*")
        return tl::unexpected(Error{Code::kInvalidArgument, "UPDATE_MASK_INVALID",
                                    fmt::format("update_mask names \"{}\"; only text can be updated", path.substr(0, 64))});
    }
    const auto judged = judge_rule(request->rule().text(), core_.appliance.rule_options());
    if (!judged) return tl::unexpected(judged.error());
    if (*judged != *key) {
      return tl::unexpected(
          Error{Code::kInvalidArgument, "RULE_NAME_DIFFERS",
                fmt::format("the text is of {}, not of {}: gid and sid must stay", rule_name(*judged), rule_name(*key))});
    }
    const auto done = change(deadline_of(*context), request->validate_only(), [&](auto& lines) -> Result<void> {
      const auto line = line_with(lines, *key);
      if (line != lines.end()) line->text = request->rule().text();
      if (line != lines.end()) return {};
      const auto there = find(*key);
      if (!there) return tl::unexpected(there.error());
      return tl::unexpected(Error{Code::kFailedPrecondition, "RULE_IN_FILE",
                                  fmt::format("{} stands in {}:{}, which mptapd only reads; change it there and reload",
                                              rule_name(*key), there->file(), there->line())});
    });
    if (!done) return done;
    if (request->validate_only()) {
      *response = request->rule();
      return {};
    }
    auto made = find(*key);
    if (!made) return tl::unexpected(made.error());
    *response = std::move(*made);
    after = text_of(*key);
    return {};
  };
  return mutating_call(core_, *context, *request, *response,
                       {.method = "/mptap.v1.RuleService/UpdateRule",
                        .request_id = request->request_id(),
                        .before = [&] { return key ? text_of(*key) : std::string(); },
                        .work = work});
}

grpc::Status RuleService::DeleteRule(grpc::ServerContext* context, const v1::DeleteRuleRequest* request,
                                     google::protobuf::Empty* response) {
  const auto key = parse_rule_name(request->name());
  const auto work = [&](std::string&) -> Result<void> {
    if (!key) return tl::unexpected(key.error());
    return change(deadline_of(*context), request->validate_only(), [&](auto& lines) -> Result<void> {
      const auto line = line_with(lines, *key);
      if (line != lines.end()) {
        lines.erase(line);
        return {};
      }
      const auto there = find(*key);
      if (!there) return tl::unexpected(there.error());
      return tl::unexpected(Error{Code::kFailedPrecondition, "RULE_IN_FILE",
                                  fmt::format("{} stands in {}:{}, which mptapd only reads; take it out there and reload",
                                              rule_name(*key), there->file(), there->line())});
    });
  };
  return mutating_call(core_, *context, *request, *response,
                       {.method = "/mptap.v1.RuleService/DeleteRule",
                        .request_id = request->request_id(),
                        .before = [&] { return key ? text_of(*key) : std::string(); },
                        .work = work});
}

grpc::Status RuleService::ValidateRules(grpc::ServerContext* context, const v1::ValidateRulesRequest* request,
                                        v1::ValidateRulesResponse* response) {
  return read_call(core_, *context, "/mptap.v1.RuleService/ValidateRules", *request, [&]() -> Result<void> {
    constexpr size_t kMost = 1 << 20;
    constexpr int kProblems = 1000;
    if (request->text().empty() || request->text().size() > kMost) {
      return tl::unexpected(Error{Code::kInvalidArgument, "TEXT_SIZE",
                                  fmt::format("text has {} bytes; it must have 1 to {}", request->text().size(), kMost)});
    }
    const auto loaded = rules::load_rules_text(request->text(), "request", core_.appliance.rule_options());
    if (!loaded) return tl::unexpected(Error{Code::kInvalidArgument, "RULES_INVALID", loaded.error().message});
    response->set_loaded(loaded->report.loaded);
    const auto tell = [&](const std::vector<rules::Problem>& problems, bool warning) {
      for (const rules::Problem& p : problems) {
        if (response->problems_size() == kProblems) return;
        v1::RuleProblem& m = *response->add_problems();
        m.set_file(p.file);
        m.set_line(p.line);
        m.set_sid(p.sid);
        m.set_reason(p.reason);
        m.set_message(p.message);
        m.set_warning(warning);
      }
    };
    tell(loaded->report.left_out, false);
    tell(loaded->report.warnings, true);
    return {};
  });
}

grpc::Status RuleService::ReloadRules(grpc::ServerContext* context, const v1::ReloadRulesRequest* request,
                                      v1::ReloadRulesResponse* response) {
  return mutating_call(core_, *context, *request, *response,
                       {.method = "/mptap.v1.RuleService/ReloadRules",
                        .request_id = request->request_id(),
                        .before = {},
                        .work = [&](std::string&) -> Result<void> {
                          const auto done = core_.appliance.reload(deadline_of(*context));
                          if (!done) return tl::unexpected(done.error());
                          response->set_loaded(done->loaded);
                          response->set_left_out(done->left_out);
                          return {};
                        }});
}

}  // namespace mptap::control
