// SPDX-License-Identifier: Apache-2.0
#include "control/access.h"

#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace mptap::control {
namespace {

// clang-format off
constexpr Permission kPermissions[] = {
    {"/mptap.v1.ConnectionService/ListConnections",   Role::kViewer,   false},
    {"/mptap.v1.ConnectionService/GetConnection",     Role::kViewer,   false},
    {"/mptap.v1.ConnectionService/WatchConnections",  Role::kViewer,   false},
    {"/mptap.v1.ConnectionService/KillConnection",    Role::kOperator, true},
    {"/mptap.v1.RuleService/ListRules",               Role::kViewer,   false},
    {"/mptap.v1.RuleService/GetRule",                 Role::kViewer,   false},
    {"/mptap.v1.RuleService/ValidateRules",           Role::kViewer,   false},
    {"/mptap.v1.RuleService/CreateRule",              Role::kAdmin,    true},
    {"/mptap.v1.RuleService/UpdateRule",              Role::kAdmin,    true},
    {"/mptap.v1.RuleService/DeleteRule",              Role::kAdmin,    true},
    {"/mptap.v1.RuleService/ReloadRules",             Role::kAdmin,    true},
    {"/mptap.v1.PolicyService/ListPolicies",          Role::kViewer,   false},
    {"/mptap.v1.PolicyService/GetPolicy",             Role::kViewer,   false},
    {"/mptap.v1.PolicyService/ResumePolicies",        Role::kOperator, true},
    {"/mptap.v1.EventService/WatchEvents",            Role::kViewer,   false},
    {"/mptap.v1.SystemService/GetSystem",             Role::kViewer,   false},
    {"/mptap.v1.SystemService/ReloadSystem",          Role::kAdmin,    true},
};
// clang-format on

constexpr Role kRoles[] = {Role::kNone, Role::kViewer, Role::kOperator, Role::kAdmin};

std::optional<uint32_t> number_of(const std::string& kind, const std::string& value) {
  if (kind == "user") {
    const passwd* entry = getpwnam(value.c_str());
    return entry == nullptr ? std::nullopt : std::optional<uint32_t>(entry->pw_uid);
  }
  if (kind == "group") {
    const group* entry = getgrnam(value.c_str());
    return entry == nullptr ? std::nullopt : std::optional<uint32_t>(entry->gr_gid);
  }
  uint32_t number = 0;
  const char* end = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data(), end, number);
  return error == std::errc() && stop == end ? std::optional(number) : std::nullopt;
}

}  // namespace

const char* role_name(Role role) {
  static constexpr const char* kNames[] = {"none", "viewer", "operator", "admin"};
  return kNames[static_cast<size_t>(role)];
}

tl::expected<Roles, std::string> Roles::make(const std::map<std::string, std::string>& entries) {
  Roles roles;
  for (const auto& [key, name] : entries) {
    const size_t colon = key.find(':');
    Entry e;
    e.kind = key.substr(0, colon);
    e.value = colon == std::string::npos ? "" : key.substr(colon + 1);
    const auto role = std::find_if(std::begin(kRoles), std::end(kRoles), [&](Role r) { return name == role_name(r); });
    if (role == std::end(kRoles)) {
      return tl::unexpected(
          fmt::format("control.roles.\"{}\" is \"{}\"; it must be one of none, viewer, operator, admin", key, name));
    }
    e.role = *role;
    static constexpr std::string_view kUnix[] = {"user", "uid", "group", "gid"}, kTls[] = {"cn", "dns", "uri", "email", "ip"};
    const bool unix_kind = std::find(std::begin(kUnix), std::end(kUnix), e.kind) != std::end(kUnix);
    const bool tls_kind = std::find(std::begin(kTls), std::end(kTls), e.kind) != std::end(kTls);
    if (key != "*" && ((!unix_kind && !tls_kind) || e.value.empty())) {
      return tl::unexpected(fmt::format(
          "control.roles names \"{}\"; it must be *, or user:, uid:, group:, gid:, cn:, dns:, uri:, email: or ip: and a value",
          key));
    }
    if (unix_kind) e.number = number_of(e.kind, e.value);
    if ((e.kind == "uid" || e.kind == "gid") && !e.number)
      return tl::unexpected(fmt::format("control.roles.\"{}\": \"{}\" is no number", key, e.value));
    // A user or group that this machine does not have is nobody.
    roles.entries_.push_back(std::move(e));
  }
  return roles;
}

Role Roles::of(const UnixPeer& peer) const {
  Role best = Role::kNone;
  for (const Entry& e : entries_) {
    const bool user = e.kind == "user" || e.kind == "uid", group = e.kind == "group" || e.kind == "gid";
    const bool fits =
        e.kind == "*" || (e.number && ((user && *e.number == peer.uid) ||
                                       (group && std::binary_search(peer.groups.begin(), peer.groups.end(), *e.number))));
    if (fits) best = std::max(best, e.role);
  }
  return best;
}

Role Roles::of(const Certificate& certificate) const {
  Role best = Role::kNone;
  const auto& names = certificate.alternative_names;
  for (const Entry& e : entries_) {
    bool fits = e.kind == "*";
    if (e.kind == "cn") fits = !certificate.common_name.empty() && certificate.common_name == e.value;
    if (e.kind == "dns" || e.kind == "uri" || e.kind == "email" || e.kind == "ip")
      fits = std::find(names.begin(), names.end(), e.value) != names.end();
    if (fits) best = std::max(best, e.role);
  }
  return best;
}

std::span<const Permission> permissions() {
  return kPermissions;
}

const Permission* permission(std::string_view method) {
  for (const Permission& p : kPermissions)
    if (p.method == method) return &p;
  return nullptr;
}

}  // namespace mptap::control
