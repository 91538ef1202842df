// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/nic/families.h"

#include <algorithm>

#include <fmt/format.h>
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace mptap::nic {

tl::expected<Family, std::string> parse_family(const FamilyText& text) {
  const toml::parse_result parsed = toml::parse(text.text);
  if (!parsed) return tl::unexpected(fmt::format("{}: {}", text.name, parsed.error().description()));
  Family f;
  f.name = text.name;
  std::string missing, binding;
  const auto word = [&](const char* key, std::string& to) {
    if (const auto value = parsed.table()[key].value<std::string>())
      to = *value;
    else
      missing = key;
  };
  const auto words = [&](const char* key, std::vector<std::string>& to) {
    const toml::array* list = parsed.table()[key].as_array();
    if (list == nullptr) missing = key;
    for (size_t i = 0; list != nullptr && i < list->size(); ++i) to.push_back((*list)[i].value_or(std::string()));
  };
  word("title", f.title);
  word("dpdk_driver", f.dpdk_driver);
  word("binding", binding);
  word("queues", f.queues);
  word("descriptors", f.descriptors);
  word("rss", f.rss);
  word("offloads", f.offloads);
  words("kernel_drivers", f.kernel_drivers);
  words("pci_ids", f.pci_ids);
  words("limits", f.limits);
  if (!missing.empty()) return tl::unexpected(fmt::format("{}: {} is missing", text.name, missing));
  if (binding != "vfio" && binding != "kernel")
    return tl::unexpected(fmt::format("{}: binding is \"{}\"; it must be vfio or kernel", text.name, binding));
  f.vfio = binding == "vfio";
  return f;
}

const std::vector<Family>& families() {
  static const std::vector<Family> all = [] {
    std::vector<Family> good;
    for (const FamilyText& text : family_texts())
      if (auto family = parse_family(text)) good.push_back(std::move(*family));
    return good;
  }();
  return all;
}

const Family* family_of(const std::string& pci_id, const std::string& kernel_driver) {
  const auto has = [](const std::vector<std::string>& list, const std::string& word) {
    return std::find(list.begin(), list.end(), word) != list.end();
  };
  for (const Family& f : families())
    if (has(f.pci_ids, pci_id)) return &f;
  for (const Family& f : families())
    if (has(f.kernel_drivers, kernel_driver)) return &f;
  return nullptr;
}

}  // namespace mptap::nic
