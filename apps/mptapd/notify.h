// SPDX-License-Identifier: Apache-2.0
// What systemd is told: ready, alive, stopping (sd_notify). Nothing where it does not ask.
#pragma once

#include <string>

namespace mptap::daemon {

class Notifier {
 public:
  void ready(const std::string& status);
  void status(const std::string& text);
  void stopping();
  // To be called every half of the interval that systemd wants, while all is well.
  void alive();
};

}  // namespace mptap::daemon
