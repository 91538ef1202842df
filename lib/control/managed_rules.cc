// SPDX-License-Identifier: Apache-2.0
#include "control/managed_rules.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>

#include <fmt/format.h>

#include "rules/load.h"

namespace mptap::control {
namespace {

Error storage(const std::string& what) {
  return {Code::kUnavailable, "RULES_NOT_STORED", fmt::format("{}: {}", what, std::strerror(errno))};
}

}  // namespace

std::string rule_name(const RuleKey& key) {
  return fmt::format("rules/{}-{}", key.gid, key.sid);
}

Result<RuleKey> parse_rule_name(const std::string& name) {
  RuleKey key;
  const char* end = name.data() + name.size();
  if (name.starts_with("rules/")) {
    const auto [dash, error] = std::from_chars(name.data() + 6, end, key.gid);
    if (error == std::errc() && dash != end && *dash == '-') {
      const auto [stop, bad] = std::from_chars(dash + 1, end, key.sid);
      if (bad == std::errc() && stop == end) return key;
    }
  }
  return tl::unexpected(
      Error{Code::kInvalidArgument, "NAME_INVALID",
            fmt::format("\"{}\" is no rule's name, which is rules/GID-SID, as in rules/1-1000001", name.substr(0, 64))});
}

Result<RuleKey> judge_rule(const std::string& text, const rules::RuleOptions& options) {
  const auto invalid = [](std::string message) {
    return tl::unexpected(Error{Code::kInvalidArgument, "RULE_INVALID", std::move(message)});
  };
  if (text.empty()) return invalid("rule.text is empty");
  if (text.size() > 8192) return invalid(fmt::format("rule.text has {} bytes; 8192 is the most", text.size()));
  if (text.find_first_of(std::string("\n\r\0", 3)) != std::string::npos) return invalid("rule.text has more than one line");
  auto loaded = rules::load_rules_text(text, "rule", options);
  if (!loaded) return invalid(loaded.error().message);
  if (!loaded->report.left_out.empty()) return invalid(loaded->report.left_out.front().message);
  if (loaded->rules.size() != 1) return invalid("rule.text is no rule");
  return RuleKey{loaded->rules.front().gid, loaded->rules.front().sid};
}

Result<std::vector<ManagedRules::Line>> ManagedRules::read() const {
  std::vector<Line> lines;
  std::ifstream file(path_);
  if (!file.is_open()) {
    if (errno == ENOENT) return lines;
    return tl::unexpected(storage(path_));
  }
  for (std::string text; std::getline(file, text);) {
    if (text.empty() || text.front() == '#') continue;
    const auto key = judge_rule(text, options_);
    // What somebody else wrote there stays there.
    lines.push_back({key ? *key : RuleKey{0, 0}, text});
  }
  return lines;
}

Result<void> ManagedRules::write(const std::vector<Line>& lines) const {
  std::string text = "# Rules that were made with mptap rules create. mptapd writes this file.\n";
  for (const Line& line : lines) text += line.text + "\n";
  const std::string draft = path_ + ".new";
  const int fd = open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
  if (fd < 0) return tl::unexpected(storage(draft));
  bool good = true;
  for (size_t done = 0; good && done < text.size();) {
    const ssize_t n = ::write(fd, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    good = n > 0;
    done += good ? static_cast<size_t>(n) : 0;
  }
  good = good && fsync(fd) == 0;
  const int error = errno;
  close(fd);
  errno = error;
  if (good && rename(draft.c_str(), path_.c_str()) == 0) return {};
  const auto result = tl::unexpected(storage(path_));
  unlink(draft.c_str());
  return result;
}

}  // namespace mptap::control
