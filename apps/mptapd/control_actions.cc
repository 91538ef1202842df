// SPDX-License-Identifier: Apache-2.0
// What the control plane may do to connections.
#include <fmt/format.h>

#include "apps/mptapd/control_plane.h"

namespace mptap::daemon {

using control::Code;
using control::Error;

control::Result<action::Outcome> ControlPlane::act(const action::Request& request, const control::Deadline& deadline) {
  if (const auto there = get(request.connection_id, deadline); !there) return tl::unexpected(there.error());
  return tl::unexpected(Error{Code::kFailedPrecondition, action::refusal_name(action::Refusal::kNoInjectPort),
                              "this version of mptapd sends nothing: it cannot end connections yet"});
}

std::vector<control::PolicyInfo> ControlPlane::policies() {
  return {};
}

control::BreakerInfo ControlPlane::breaker() {
  return {};
}

void ControlPlane::resume_policies() {}

}  // namespace mptap::daemon
