// SPDX-License-Identifier: Apache-2.0
// The table of keys as text: the shipped file and --help-config.
#include <fmt/format.h>

#include "config/config.h"
#include "config/keys.h"

namespace mptap::config {
namespace {

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

std::string value_text(bool value) {
  return value ? "true" : "false";
}
std::string value_text(uint64_t value) {
  return fmt::to_string(value);
}
std::string value_text(const std::string& value) {
  return quoted(value);
}
std::string value_text(const std::vector<std::string>& value) {
  std::vector<std::string> items;
  for (const std::string& item : value) items.push_back(quoted(item));
  return fmt::format("[{}]", fmt::join(items, ", "));
}
std::string value_text(const std::vector<uint64_t>& value) {
  return fmt::format("[{}]", fmt::join(value, ", "));
}
std::string value_text(const std::map<std::string, std::string>& value) {
  std::string lines;
  for (const auto& [name, text] : value) lines += fmt::format("{} = {}\n", quoted(name), quoted(text));
  return lines;
}

const char* type_name(const Field& field) {
  static constexpr const char* kNames[] = {"boolean", "integer", "string", "list of strings", "list of integers", "strings"};
  return kNames[field.index()];
}

std::string default_of(const Key& key) {
  Config defaults;
  return std::visit([&](auto field) { return value_text(field(defaults)); }, key.field);
}

std::string range_of(const Key& key) {
  if (key.max != 0) return fmt::format("{}..{}", key.min, key.max);
  std::string choices = key.choices;
  for (size_t at = 0; (at = choices.find(' ', at)) != std::string::npos; at += 3) choices.replace(at, 1, " | ");
  return choices;
}

// "integer, s, 1..86400"
std::string facts(const Key& key) {
  std::string text = type_name(key.field);
  for (const std::string& part : {std::string(key.unit), range_of(key)})
    if (!part.empty()) text += ", " + part;
  return text;
}

std::string wrapped(std::string_view text, std::string_view indent, size_t width) {
  std::string out;
  while (!text.empty()) {
    size_t end = text.size();
    if (end > width) {
      end = text.rfind(' ', width);
      if (end == std::string_view::npos) end = std::min(text.find(' '), text.size());
    }
    out += fmt::format("{}{}\n", indent, text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

}  // namespace

std::string reference_text() {
  std::string out =
      "# SPDX-License-Identifier: Apache-2.0\n"
      "# mptapd's configuration. Every key stands here with its default; in brackets its type, unit and range.\n"
      "# `mptapd --check --config FILE` tells what is wrong with a file, `mptapd --help-config` lists the keys.\n";
  for (const Section& section : sections()) {
    if (*section.name != '\0') out += fmt::format("\n[{}]\n", section.name);
    out += wrapped(section.help, "# ", 120);
    for (const Key& key : keys()) {
      if (std::string_view(key.section) != section.name) continue;
      out += "\n" + wrapped(fmt::format("{} [{}]", key.help, facts(key)), "# ", 120);
      out += *key.name == '*' ? default_of(key) : fmt::format("{} = {}\n", key.name, default_of(key));
    }
  }
  return out;
}

std::string help_text() {
  std::string out;
  for (const Section& section : sections()) {
    out += *section.name == '\0' ? "Keys at the top\n" : fmt::format("\n[{}]  {}\n", section.name, section.help);
    for (const Key& key : keys()) {
      if (std::string_view(key.section) != section.name) continue;
      const std::string value = *key.name == '*' ? "" : default_of(key);
      out += fmt::format("  {} ({}{})\n", *key.name == '*' ? "NAME" : key.name, facts(key),
                         value.empty() ? value : fmt::format(", default {}", value));
      out += wrapped(key.help, "      ", 100);
    }
  }
  return out;
}

}  // namespace mptap::config
