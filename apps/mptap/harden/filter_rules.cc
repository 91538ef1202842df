// SPDX-License-Identifier: Apache-2.0
// Reads rulesets and finds the rules that know MPTCP.
#include <functional>
#include <set>
#include <sstream>

#include <fmt/format.h>

#include "apps/mptap/harden/check.h"

namespace mptap::harden {
namespace {

using nlohmann::json;

bool is_mptcp_option(const json& value) {
  if (!value.is_object() || !value.contains("tcp option")) return false;
  const auto& option = value["tcp option"];
  return option.is_object() && (option.value("name", "") == "mptcp" || option.value("base", 0) == 30);
}

// What one statement contributes; chains that it jumps to are looked at by the caller.
struct Statement {
  bool mptcp = false, restricts = false;
  std::string effect, target;
};

Statement read_statement(const json& e) {
  Statement s;
  if (e.contains("match")) {
    const auto& left = e["match"]["left"];
    const std::string text = left.dump();
    if (is_mptcp_option(left)) {
      s.mptcp = true;
      s.restricts = left["tcp option"].contains("field") || e["match"]["right"] != json(true);
    } else if (left.is_object() && left.contains("&") && left["&"].is_array() && !left["&"].empty() &&
               is_mptcp_option(left["&"][0])) {
      s.mptcp = s.restricts = true;
    } else {
      const bool syn = text.find(R"("field":"flags")") != std::string::npos, tcp = text.find("l4proto") != std::string::npos;
      s.restricts = !syn && !tcp;
    }
  } else if (e.contains("reset") && is_mptcp_option(e["reset"])) {
    s.mptcp = true;
    s.effect = "strip";
  } else if (e.contains("reject")) {
    s.effect = "reject";
  } else if (e.contains("drop")) {
    s.effect = "drop";
  } else if (e.contains("log")) {
    s.effect = "log";
  } else if (e.contains("counter")) {
    s.effect = "count";
  } else if (e.contains("limit")) {
    s.restricts = true;
  } else if (e.contains("jump") || e.contains("goto")) {
    s.target = e.contains("jump") ? e["jump"].value("target", "") : e["goto"].value("target", "");
  }
  return s;
}

int strength(const std::string& effect) {
  static const char* const kOrder[] = {"", "count", "log", "drop", "reject", "strip"};
  for (int i = 0; i < 6; i++)
    if (effect == kOrder[i]) return i;
  return 0;
}

struct Outcome {
  std::string effect;
  bool restricted = false;
};

}  // namespace

std::vector<FilterRule> rules_of_nft(const json& ruleset) {
  std::map<std::string, std::string> hooks;                  // chain -> hook
  std::map<std::string, std::vector<const json*>> in_chain;  // chain -> its rules
  std::vector<FilterRule> found;
  if (!ruleset.contains("nftables")) return found;
  const auto key = [](const json& o, const std::string& chain) {
    return fmt::format("{} {} {}", o.value("family", ""), o.value("table", ""), chain);
  };
  for (const auto& item : ruleset["nftables"]) {
    if (item.contains("chain")) hooks[key(item["chain"], item["chain"].value("name", ""))] = item["chain"].value("hook", "");
    if (item.contains("rule")) in_chain[key(item["rule"], item["rule"].value("chain", ""))].push_back(&item["rule"]);
  }
  // The strongest that can happen to a packet in a chain; a strip behind a prefix match is a restricted strip.
  std::set<std::string> visiting;
  std::function<Outcome(const std::string&)> outcome_of = [&](const std::string& chain) {
    Outcome best;
    if (!visiting.insert(chain).second) return best;
    for (const json* rule : in_chain[chain]) {
      Outcome now;
      for (const auto& e : (*rule)["expr"]) {
        const auto s = read_statement(e);
        Outcome deeper{s.effect, false};
        if (!s.target.empty()) deeper = outcome_of(key(*rule, s.target));
        if (strength(deeper.effect) > strength(now.effect)) now.effect = deeper.effect;
        now.restricted = now.restricted || s.restricts || deeper.restricted;
      }
      if (strength(now.effect) > strength(best.effect)) best = now;
    }
    visiting.erase(chain);
    return best;
  };
  for (const auto& [chain, rules] : in_chain) {
    for (const json* rule : rules) {
      bool mptcp = false, xt = false, restricted = false;
      std::string effect;
      for (const auto& e : (*rule)["expr"]) {
        const auto s = read_statement(e);
        mptcp = mptcp || s.mptcp;
        xt = xt || e.contains("xt");
        Outcome deeper{s.effect, false};
        if (!s.target.empty()) deeper = outcome_of(key(*rule, s.target));
        if (strength(deeper.effect) > strength(effect)) effect = deeper.effect;
        restricted = restricted || s.restricts || deeper.restricted;
      }
      if (mptcp && !xt) found.push_back({"nft " + chain, hooks[chain], effect.empty() ? "count" : effect, restricted, {}});
    }
  }
  return found;
}

std::vector<FilterRule> rules_of_iptables(const std::string& tool, const std::string& saved) {
  std::vector<FilterRule> found;
  std::istringstream lines(saved);
  std::string table;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("*")) table = line.substr(1);
    if (!line.starts_with("-A ")) continue;
    // The numbers end at a blank or the line's end: option 300 is not 30.
    const auto names = [&](const std::string& what) {
      const size_t at = line.find(what);
      return at != std::string::npos && (at + what.size() == line.size() || line[at + what.size()] == ' ');
    };
    const bool strips =
        line.find("-j TCPOPTSTRIP") != std::string::npos && (names("--strip-options 30") || names("--strip-options 1e"));
    if (!strips && !names("--tcp-option 30")) continue;
    std::istringstream words(line);
    std::string chain;
    words >> chain >> chain;
    std::string effect = "count";
    if (strips)
      effect = "strip";
    else if (line.find("-j REJECT") != std::string::npos)
      effect = "reject";
    else if (line.find("-j DROP") != std::string::npos)
      effect = "drop";
    else if (line.find("-j LOG") != std::string::npos)
      effect = "log";
    bool restricted = false;
    for (const char* what : {" -i ", " -o ", " -s ", " -d ", " --dport ", " --sport ", " -m multiport", " ! "})
      restricted = restricted || line.find(what) != std::string::npos;
    found.push_back({fmt::format("{} {} {}", tool, table, chain), {}, effect, restricted, line});
  }
  return found;
}

}  // namespace mptap::harden
