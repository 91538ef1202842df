// SPDX-License-Identifier: Apache-2.0
#include "apps/mptapd/privileges.h"

#include <cap-ng.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

namespace mptap::daemon {

tl::expected<void, std::string> drop_privileges(const std::string& user) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return tl::unexpected(fmt::format("no_new_privs: {}", std::strerror(errno)));
  capng_clear(CAPNG_SELECT_BOTH);
  if (!user.empty()) {
    const passwd* entry = getpwnam(user.c_str());
    if (entry == nullptr) return tl::unexpected(fmt::format("process.user: there is no user \"{}\"", user));
    if (geteuid() != entry->pw_uid) {
      const int result = capng_change_id(static_cast<int>(entry->pw_uid), static_cast<int>(entry->pw_gid),
                                         static_cast<capng_flags_t>(CAPNG_INIT_SUPP_GRP | CAPNG_CLEAR_BOUNDING));
      if (result != 0) return tl::unexpected(fmt::format("cannot become user \"{}\" (capng_change_id: {})", user, result));
      return {};
    }
  }
  // Without CAP_SETPCAP the bounding set stays, which matters to nobody who cannot gain privileges.
  const bool root = geteuid() == 0;
  if (const int result = capng_apply(root ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS); result != 0)
    return tl::unexpected(fmt::format("cannot give up capabilities (capng_apply: {})", result));
  return {};
}

void drop_thread_capabilities() {
  capng_clear(CAPNG_SELECT_BOTH);
  capng_apply(CAPNG_SELECT_CAPS);
}

}  // namespace mptap::daemon
