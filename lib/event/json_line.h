// SPDX-License-Identifier: Apache-2.0
// One line of JSON, written front to back over RapidJSON's Writer. Whatever the bytes of a string, the line is valid JSON in
// valid UTF-8: bytes that are not UTF-8 become the four characters \xHH, as in Suricata. Not thread-safe; reuse one per thread.
#pragma once

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mptap::event {

// JavaScript's largest exact integer; readers that keep numbers as doubles lose digits above it.
inline constexpr uint64_t kMaxJsonInteger = (uint64_t{1} << 53) - 1;

class JsonLine {
 public:
  void begin() {
    buffer_.Clear();
    writer_.Reset(buffer_);
    open();
  }
  // Closes the line and appends it to out, with '\n'.
  void finish(std::string& out) {
    close();
    buffer_.Put('\n');
    out.append(buffer_.GetString(), buffer_.GetSize());
  }

  void open() { writer_.StartObject(); }
  void open(std::string_view key) { name(key), writer_.StartObject(); }
  void close() { writer_.EndObject(); }
  void open_array(std::string_view key) { name(key), writer_.StartArray(); }
  void close_array() { writer_.EndArray(); }

  void name(std::string_view key) { value(key); }

  void value(std::string_view text);
  void value(const char* text) { value(std::string_view(text)); }
  void value(bool v) { writer_.Bool(v); }
  void value(std::unsigned_integral auto v) {
    const uint64_t wide = v;
    writer_.Uint64(wide < kMaxJsonInteger ? wide : kMaxJsonInteger);
  }
  // 8 digits or null.
  void hex32(std::string_view key, const std::optional<uint32_t>& v);
  // 3 decimals; null for none and for what is no number.
  void ratio(std::string_view key, const std::optional<double>& v);
  void base64(std::string_view key, std::string_view bytes);

  void field(std::string_view key, const auto& v) { name(key), value(v); }

 private:
  rapidjson::StringBuffer buffer_;
  // RapidJSON 1.1.0's SSE path leaves 0x1a..0x1f unescaped, so RAPIDJSON_SSE2 and RAPIDJSON_SSE42 must stay undefined.
  rapidjson::Writer<rapidjson::StringBuffer> writer_{buffer_};
  std::string scratch_;
};

}  // namespace mptap::event
