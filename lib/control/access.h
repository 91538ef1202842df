// SPDX-License-Identifier: Apache-2.0
// Who may call what. A caller's role comes from the configuration ([control.roles]); what a method wants stands in one table.
// What is in neither is denied.
//
//   user:NAME  uid:N        a peer of the Unix socket, as the kernel names it (SO_PEERCRED)
//   group:NAME  gid:N       the same, by one of its groups (SO_PEERGROUPS)
//   cn:TEXT                 common name of the client's certificate
//   dns:TEXT uri:TEXT email:TEXT ip:TEXT   one of its subject alternative names; gRPC gives them without their kind, so that
//                           the kind is for the reader
//   *                       everybody who comes this far
//
// Of several entries that fit, the highest role counts.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

namespace mptap::control {

enum class Role : uint8_t { kNone, kViewer, kOperator, kAdmin };

const char* role_name(Role role);

// A peer of the Unix socket as the kernel tells it.
struct UnixPeer {
  uint32_t uid = ~0u, gid = ~0u;
  int32_t pid = 0;
  std::vector<uint32_t> groups;  // sorted, gid among them
  bool same_rights(const UnixPeer& o) const { return uid == o.uid && gid == o.gid && groups == o.groups; }
};

struct Certificate {
  std::string common_name;
  std::vector<std::string> alternative_names;
};

struct Caller {
  Role role = Role::kNone;
  std::string who;   // "uid:0 root", "cn:analyst"
  std::string from;  // "unix pid 77", "ipv4:10.0.0.1:40000"
};

// Immutable; any thread.
class Roles {
 public:
  // The error names the entry.
  static tl::expected<Roles, std::string> make(const std::map<std::string, std::string>& entries);
  Role of(const UnixPeer& peer) const;
  Role of(const Certificate& certificate) const;

 private:
  struct Entry {
    std::string kind, value;
    std::optional<uint32_t> number;  // of user, uid, group, gid
    Role role = Role::kNone;
  };
  std::vector<Entry> entries_;
};

struct Permission {
  std::string_view method;  // "/mptap.v1.ConnectionService/KillConnection"
  Role role;                // the least that may
  bool mutates;             // goes to the audit log
};
std::span<const Permission> permissions();
// nullptr: nobody may.
const Permission* permission(std::string_view method);

}  // namespace mptap::control
