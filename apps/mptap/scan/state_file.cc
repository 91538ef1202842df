// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/scan/state_file.h"

#include <openssl/sha.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace mptap::scan {

using nlohmann::json;

std::string fingerprint(const TargetSet& targets, const std::vector<uint16_t>& ports) {
  std::string text;
  for (const auto& r : targets.ranges()) text += fmt::format("{}-{}\n", r.first.to_string(), r.last.to_string());
  for (const uint16_t p : ports) text += fmt::format("{},", p);
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const uint8_t*>(text.data()), text.size(), digest);
  std::string out;
  for (const uint8_t b : digest) out += fmt::format("{:02x}", b);
  return out;
}

std::string to_text(const State& s) {
  return json{{"version", 1}, {"targets", s.fingerprint}, {"seed", s.seed}, {"next", s.at.next}, {"done", s.at.done}}.dump() +
         "\n";
}

tl::expected<State, std::string> parse_state(const std::string& text) {
  const auto j = json::parse(text, nullptr, false);
  const auto is_number = [&](const char* key) { return j.contains(key) && j[key].is_number_unsigned(); };
  if (!j.is_object() || !is_number("version") || !is_number("seed") || !is_number("next") || !j.contains("targets") ||
      !j["targets"].is_string() || !j.contains("done") || !j["done"].is_array())
    return tl::unexpected(std::string("is no state of mptap scan"));
  if (j["version"] != 1) return tl::unexpected(fmt::format("is of version {}, wanted is 1", j["version"].dump()));
  State s{j["targets"].get<std::string>(), j["seed"].get<uint64_t>(), {j["next"].get<uint64_t>(), {}}};
  for (const auto& n : j["done"]) {
    if (!n.is_number_unsigned()) return tl::unexpected(std::string("is no state of mptap scan"));
    s.at.done.push_back(n.get<uint64_t>());
  }
  return s;
}

tl::expected<std::optional<State>, std::string> read_state(const std::string& file) {
  std::ifstream in(file);
  if (!in) {
    if (errno == ENOENT) return std::nullopt;
    return tl::unexpected(fmt::format("cannot read {}: {}", file, std::strerror(errno)));
  }
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  auto state = parse_state(text);
  if (!state) return tl::unexpected(fmt::format("{} {}; remove it to begin anew", file, state.error()));
  return std::move(*state);
}

tl::expected<void, std::string> write_state(const std::string& file, const State& state) {
  const std::string next = file + ".new";
  std::ofstream out(next, std::ios::trunc);
  out << to_text(state);
  out.close();
  if (!out || std::rename(next.c_str(), file.c_str()) != 0)
    return tl::unexpected(fmt::format("cannot write {}: {}", file, std::strerror(errno)));
  return {};
}

}  // namespace mptap::scan
