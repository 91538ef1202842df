// SPDX-License-Identifier: Apache-2.0
#include "rules/report.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace mptap::rules {

namespace {

nlohmann::json to_json(const Problem& p) {
  nlohmann::json out{{"file", p.file}, {"line", p.line}, {"reason", p.reason}, {"message", p.message}};
  if (p.sid != 0) out["sid"] = p.sid;
  return out;
}

}  // namespace

std::string Problem::to_string() const {
  return line == 0 ? fmt::format("{}: {}", file, message) : fmt::format("{}:{}: {}", file, line, message);
}

double RuleReport::loadable_percent() const {
  return total() == 0 ? 100.0 : 100.0 * static_cast<double>(loaded) / static_cast<double>(total());
}

std::map<std::string, size_t> RuleReport::by_reason() const {
  std::map<std::string, size_t> out;
  for (const Problem& p : left_out) ++out[p.reason];
  return out;
}

std::string RuleReport::to_text() const {
  std::string out;
  for (const Problem& p : left_out) out += fmt::format("{} (left out)\n", p.to_string());
  for (const Problem& p : warnings) out += fmt::format("{} (warning)\n", p.to_string());
  const auto reasons = by_reason();
  std::vector<std::pair<std::string, size_t>> sorted(reasons.begin(), reasons.end());
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  out +=
      fmt::format("{} rules: {} loaded, {} left out, {:.1f} % loadable\n", total(), loaded, left_out.size(), loadable_percent());
  for (const auto& [reason, count] : sorted) out += fmt::format("  {:>7}  {}\n", count, reason);
  return out;
}

std::string RuleReport::to_json() const {
  nlohmann::json out{{"rules", total()},
                     {"loaded", loaded},
                     {"left_out", left_out.size()},
                     {"loadable_percent", loadable_percent()},
                     {"by_reason", by_reason()},
                     {"problems", nlohmann::json::array()},
                     {"warnings", nlohmann::json::array()}};
  for (const Problem& p : left_out) out["problems"].push_back(rules::to_json(p));
  for (const Problem& p : warnings) out["warnings"].push_back(rules::to_json(p));
  // File names and rule texts need not be UTF-8.
  return out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace mptap::rules
