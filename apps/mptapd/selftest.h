// SPDX-License-Identifier: Apache-2.0
// mptapd --rss-selftest: whether a NIC really spreads as it says, shown on its own live packets. No test of ours can show that
// on real hardware.
#pragma once

#include "config/config.h"

namespace mptap::daemon {

// Listens that long on every queue of every port and prints what it saw. 0: right; 1: wrong, or too little traffic to say.
int rss_selftest(const config::Config& config, unsigned seconds);

}  // namespace mptap::daemon
