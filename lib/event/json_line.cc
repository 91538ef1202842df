// SPDX-License-Identifier: Apache-2.0
#include "event/json_line.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <rapidjson/memorystream.h>

#include <algorithm>
#include <cmath>
#include <iterator>

namespace mptap::event {
namespace {

bool is_ascii(std::string_view text) {
  unsigned char seen = 0;
  for (const char c : text) seen |= static_cast<unsigned char>(c);
  return seen < 0x80;
}

// Length of the UTF-8 sequence that text begins with; 0 where it begins with none.
size_t sequence_length(std::string_view text) {
  rapidjson::MemoryStream in(text.data(), text.size());
  unsigned codepoint = 0;
  return rapidjson::UTF8<>::Decode(in, &codepoint) ? in.Tell() : 0;
}

void append_as_utf8(std::string& out, std::string_view text) {
  while (!text.empty()) {
    size_t length = sequence_length(text);
    if (length != 0) {
      out.append(text.substr(0, length));
    } else {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(text.front()));
      length = 1;
    }
    text.remove_prefix(length);
  }
}

}  // namespace

void JsonLine::value(std::string_view text) {
  if (!is_ascii(text)) {
    scratch_.clear();
    append_as_utf8(scratch_, text);
    text = scratch_;
  }
  // RapidJSON takes no null pointer, not even for nothing.
  writer_.String(text.data() == nullptr ? "" : text.data(), static_cast<rapidjson::SizeType>(text.size()));
}

void JsonLine::hex32(std::string_view key, const std::optional<uint32_t>& v) {
  name(key);
  if (!v) {
    writer_.Null();
    return;
  }
  fmt::memory_buffer text;
  fmt::format_to(std::back_inserter(text), "{:08x}", *v);
  value(std::string_view(text.data(), text.size()));
}

void JsonLine::ratio(std::string_view key, const std::optional<double>& v) {
  name(key);
  if (!v || !std::isfinite(*v)) {
    writer_.Null();
    return;
  }
  fmt::memory_buffer text;
  fmt::format_to(std::back_inserter(text), "{:.3f}", std::clamp(*v, 0.0, 1.0));
  writer_.RawValue(text.data(), text.size(), rapidjson::kNumberType);
}

void JsonLine::base64(std::string_view key, std::string_view bytes) {
  // Raw, with quotes of our own: base64 has nothing to escape, and payload is the longest string of most events.
  scratch_.resize((bytes.size() + 2) / 3 * 4 + 3);
  scratch_.front() = '"';
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(scratch_.data() + 1),
                                   reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  scratch_.resize(static_cast<size_t>(size) + 1);
  scratch_ += '"';
  name(key);
  writer_.RawValue(scratch_.data(), scratch_.size(), rapidjson::kStringType);
}

}  // namespace mptap::event
