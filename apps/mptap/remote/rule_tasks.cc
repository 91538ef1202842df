// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iostream>
#include <iterator>

#include <fmt/format.h>

#include "apps/mptap/command.h"
#include "apps/mptap/remote/print.h"
#include "apps/mptap/remote/tasks.h"
#include "apps/mptap/terminal.h"

namespace mptap::remote {
namespace {

Options as(Options o, const char* command) {
  o.command = command;
  return o;
}

int print(const Options& o, const v1::Rule& rule) {
  fmt::print("{}", o.json ? to_json(rule) + "\n" : describe(rule));
  return cli::kDone;
}

std::string without_line_feed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

}  // namespace

std::string rule_name(const std::string& id) {
  if (id.starts_with("rules/")) return id;
  return "rules/" + (id.find('-') == std::string::npos ? "1-" + id : id);
}

int list_rules(const Options& given) {
  const Options o = as(given, "rules list");
  auto client = Client::make(o.server);
  if (!client) return complain(o, client.error());
  cli::Output out;
  v1::ListRulesRequest request;
  request.set_filter(o.filter);
  uint64_t printed = 0;
  int64_t total = 0;
  do {
    request.set_page_size(static_cast<int32_t>(o.limit == 0 ? 1000 : std::min<uint64_t>(1000, o.limit - printed)));
    const auto page = (*client)->rules(request);
    if (!page) return complain(o, page.error());
    printed += static_cast<uint64_t>(page->rules_size());
    total = page->total_size();
    for (const v1::Rule& rule : page->rules()) {
      out.write(o.json ? to_json(rule) + "\n"
                       : fmt::format("{:14}  rev {:<4}  {:7}  {}\n", rule.name().substr(6), rule.rev(), rule.action(),
                                     cli::printable(rule.message())));
    }
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty() && (o.limit == 0 || printed < o.limit) && out.error() == 0);
  if (!o.json && total > static_cast<int64_t>(printed)) out.write(fmt::format("{} of {}\n", printed, total));
  out.flush();
  return finished(o, out.error());
}

int show_rule(const Options& given) {
  const Options o = as(given, "rules show");
  auto client = Client::make(o.server);
  if (!client) return complain(o, client.error());
  for (const std::string& id : o.ids) {
    v1::GetRuleRequest request;
    request.set_name(rule_name(id));
    const auto rule = (*client)->rule(request);
    if (!rule) return complain(o, rule.error());
    print(o, *rule);
  }
  return cli::kDone;
}

int change_rule(const Options& given) {
  const Options o = as(given, given.command == "create"   ? "rules create"
                              : given.command == "update" ? "rules update"
                                                          : "rules delete");
  auto client = Client::make(o.server);
  if (!client) return complain(o, client.error());
  if (given.command == "delete") {
    for (const std::string& id : o.ids) {
      if (!confirmed(o, fmt::format("delete rule {}?", id))) return complain(o, {cli::kNo, "not done", ""});
      v1::DeleteRuleRequest request;
      request.set_name(rule_name(id));
      request.set_request_id(new_request_id());
      request.set_validate_only(o.dry_run);
      if (const auto done = (*client)->remove(request); !done) return complain(o, done.error());
      if (!o.json) fmt::print("{} {}\n", id, o.dry_run ? "could be deleted" : "deleted");
    }
    return cli::kDone;
  }
  const std::string text = without_line_feed(o.text == "-" ? std::string{std::istreambuf_iterator<char>(std::cin), {}} : o.text);
  if (given.command == "create") {
    v1::CreateRuleRequest request;
    request.mutable_rule()->set_text(text);
    request.set_request_id(new_request_id());
    request.set_validate_only(o.dry_run);
    const auto rule = (*client)->create(request);
    return rule ? print(o, *rule) : complain(o, rule.error());
  }
  v1::UpdateRuleRequest request;
  request.mutable_rule()->set_text(text);
  // The text names its rule: mptapd refuses one whose sid differs from the name, so that the name is taken from it.
  const size_t sid = text.find("sid:"), gid = text.find("gid:");
  const auto digits = [&](size_t at) { return text.substr(at, text.find_first_not_of("0123456789", at) - at); };
  if (sid == std::string::npos) return complain(o, {cli::kWrongCall, "the rule has no sid", ""});
  request.mutable_rule()->set_name(fmt::format("rules/{}-{}", gid == std::string::npos ? "1" : digits(gid + 4), digits(sid + 4)));
  if (!confirmed(o, fmt::format("replace {}?", request.rule().name()))) return complain(o, {cli::kNo, "not done", ""});
  request.set_request_id(new_request_id());
  request.set_validate_only(o.dry_run);
  const auto rule = (*client)->update(request);
  return rule ? print(o, *rule) : complain(o, rule.error());
}

int reload_rules(const Options& given) {
  const Options o = as(given, "rules reload");
  auto client = Client::make(o.server);
  if (!client) return complain(o, client.error());
  v1::ReloadRulesRequest request;
  request.set_request_id(new_request_id());
  const auto done = (*client)->reload(request);
  if (!done) return complain(o, done.error());
  fmt::print("{}",
             o.json ? to_json(*done) + "\n" : fmt::format("{} rules in force, {} left out\n", done->loaded(), done->left_out()));
  return cli::kDone;
}

}  // namespace mptap::remote
