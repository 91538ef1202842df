// SPDX-License-Identifier: Apache-2.0
// What holds for the line of any event; the reason of the first thing that does not, or "".
#pragma once

#include <openssl/evp.h>

#include <nlohmann/json.hpp>
#include <string>

#include "event/eve.h"
#include "event_maker.h"

namespace mptap::event {

inline bool is_utf8(const std::string& text) {
  try {
    (void)nlohmann::json(text).dump();  // strict: throws at the first byte that is none
    return true;
  } catch (const nlohmann::json::type_error&) {
    return false;
  }
}

inline std::string decode_base64(const std::string& text) {
  std::string out(text.size() / 4 * 3, '\0');
  EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()), reinterpret_cast<const unsigned char*>(text.data()),
                  static_cast<int>(text.size()));
  if (text.ends_with("==")) {
    out.resize(out.size() - 2);
  } else if (text.ends_with("=")) {
    out.resize(out.size() - 1);
  }
  return out;
}

inline std::string check_line(const Event& event, std::string& line) {
  line.clear();
  std::visit([&](const auto& e) { append_eve(line, e); }, event);
  if (line.empty() || line.find('\n') != line.size() - 1) return "not one line";
  const auto json = nlohmann::json::parse(line, nullptr, false);  // strict about UTF-8 and control characters
  if (!json.is_object()) return "not JSON";
  const auto* alert = std::get_if<Alert>(&event);
  if (alert == nullptr) return {};
  if (decode_base64(json.value("payload", "")) != alert->payload) return "payload is not the bytes";
  if (json.value("payload_printable", "").size() != alert->payload.size()) return "payload_printable is of another length";
  if (is_utf8(alert->signature) && json["alert"]["signature"] != alert->signature) return "a UTF-8 string did not come back";
  return {};
}

}  // namespace mptap::event
