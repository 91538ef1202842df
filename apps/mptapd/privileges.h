// SPDX-License-Identifier: Apache-2.0
// What root was needed for is done once ports, sinks and sockets are open: the process gives it up.
#pragma once

#include <string>

#include <tl/expected.hpp>

namespace mptap::daemon {

// Becomes that user, or stays who it is for "", and in either case no thread keeps a capability, and none is gained by exec.
tl::expected<void, std::string> drop_privileges(const std::string& user);

// For a thread that existed before: capabilities are each thread's own.
void drop_thread_capabilities();

}  // namespace mptap::daemon
