// SPDX-License-Identifier: Apache-2.0
#include "apps/mptapd/notify.h"

#include <systemd/sd-daemon.h>

namespace mptap::daemon {

void Notifier::ready(const std::string& status) {
  sd_notify(0, ("READY=1\nSTATUS=" + status).c_str());
}
void Notifier::status(const std::string& text) {
  sd_notify(0, ("STATUS=" + text).c_str());
}
void Notifier::stopping() {
  sd_notify(0, "STOPPING=1");
}
void Notifier::alive() {
  sd_notify(0, "WATCHDOG=1");
}

}  // namespace mptap::daemon
