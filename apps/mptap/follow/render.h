// SPDX-License-Identifier: Apache-2.0
// One connection's two streams as text, hex dump or bytes. Each piece is in the colour of the subflow that brought it; without
// colour, or in a hex dump, the subflow's number stands beside it. ">" is to the server, "<" to the client.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mptap::follow {

enum class Form { kText, kHex, kRaw };

class Renderer {
 public:
  static constexpr uint32_t kUnknown = ~0u;  // nobody remembers which subflow it was

  // Appends to out.
  Renderer(std::string& out, Form form, bool color) : out_(out), form_(form), color_(color) {}

  // A line of its own; nothing in kRaw.
  void heading(std::string_view text);
  // Said once, before the subflow's first piece; ends: its endpoints.
  void legend(uint32_t subflow, std::string_view ends);
  bool knows(uint32_t subflow) const;

  // The next bytes of a direction, offset counted from the stream's beginning.
  void piece(int direction, uint32_t subflow, uint64_t offset, std::span<const uint8_t> bytes);
  void gap(int direction, uint64_t offset, uint64_t size);
  // Ends the last line.
  void finish();

 private:
  static constexpr size_t kRow = 16;

  void text(int direction, uint32_t subflow, std::span<const uint8_t> bytes);
  void hex(int direction, uint32_t subflow, uint64_t offset, std::span<const uint8_t> bytes);
  void end_row();
  void end_line();
  std::string_view color_of(uint32_t subflow) const;
  std::string_view reset() const;

  std::string& out_;
  Form form_;
  bool color_;
  std::vector<uint32_t> known_;
  // text: what the line that is under way shows
  bool line_open_ = false;
  int direction_ = -1;
  uint32_t subflow_ = kUnknown;
  // hex: a row that is not full yet
  uint64_t row_offset_ = 0;
  std::vector<uint8_t> row_;
};

}  // namespace mptap::follow
