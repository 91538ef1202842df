// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/follow/render.h"

#include <algorithm>

#include <fmt/format.h>

#include "apps/mptap/terminal.h"

namespace mptap::follow {
namespace {

constexpr std::string_view kColors[] = {"\x1b[31m", "\x1b[34m", "\x1b[32m", "\x1b[35m", "\x1b[36m", "\x1b[33m"};

std::string number_of(uint32_t subflow) {
  return subflow == Renderer::kUnknown ? std::string("?") : std::to_string(subflow);
}

char arrow(int direction) {
  return direction == 0 ? '>' : '<';
}

bool prints(uint8_t b) {
  return b >= 0x20 && b < 0x7f;
}

}  // namespace

std::string_view Renderer::color_of(uint32_t subflow) const {
  if (!color_ || subflow == kUnknown) return {};
  return kColors[subflow % std::size(kColors)];
}

std::string_view Renderer::reset() const {
  return color_ ? "\x1b[0m" : std::string_view{};
}

bool Renderer::knows(uint32_t subflow) const {
  return std::find(known_.begin(), known_.end(), subflow) != known_.end();
}

void Renderer::heading(std::string_view text) {
  if (form_ == Form::kRaw) return;
  end_row();
  end_line();
  out_ += fmt::format("=== {}\n", text);
}

void Renderer::legend(uint32_t subflow, std::string_view ends) {
  known_.push_back(subflow);
  if (form_ == Form::kRaw) return;
  end_row();
  end_line();
  out_ += fmt::format("=== {}subflow {}  {}{}\n", color_of(subflow), subflow, ends, reset());
}

void Renderer::piece(int direction, uint32_t subflow, uint64_t offset, std::span<const uint8_t> bytes) {
  switch (form_) {
    case Form::kRaw: out_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size()); break;
    case Form::kText: text(direction, subflow, bytes); break;
    case Form::kHex: hex(direction, subflow, offset, bytes); break;
  }
}

void Renderer::gap(int direction, uint64_t offset, uint64_t size) {
  if (form_ == Form::kRaw) return;
  end_row();
  end_line();
  if (form_ == Form::kHex) out_ += fmt::format("{} {:08x}  ", arrow(direction), offset);
  if (form_ == Form::kText) out_ += fmt::format("{} ", arrow(direction));
  out_ += fmt::format("[… {} bytes missing …]\n", cli::grouped(size));
}

void Renderer::finish() {
  end_row();
  end_line();
}

void Renderer::end_line() {
  if (line_open_) out_ += '\n';
  line_open_ = false;
  direction_ = -1;
}

// Line ends of the stream are line ends here; a line is begun anew where the direction changes, and, if there is no colour to
// show it, where another subflow goes on.
void Renderer::text(int direction, uint32_t subflow, std::span<const uint8_t> bytes) {
  const bool turn = direction != direction_ || (!color_ && subflow != subflow_);
  if (turn) {
    end_line();
    out_ += color_ ? fmt::format("{} ", arrow(direction)) : fmt::format("{} [{}] ", arrow(direction), number_of(subflow));
  }
  direction_ = direction;
  subflow_ = subflow;
  // Colours end with their line: pagers want it so.
  bool colored = false;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const uint8_t b = bytes[i];
    if (b == '\r' && (i + 1 == bytes.size() || bytes[i + 1] == '\n')) continue;
    if (b == '\n' ? colored : !colored) out_ += colored ? reset() : color_of(subflow);
    colored = b != '\n';
    out_ += b == '\n' || b == '\t' || prints(b) ? static_cast<char>(b) : '.';
  }
  if (colored) out_ += reset();
  line_open_ = bytes.back() != '\n';
}

void Renderer::hex(int direction, uint32_t subflow, uint64_t offset, std::span<const uint8_t> bytes) {
  if (direction != direction_ || subflow != subflow_ || offset != row_offset_ + row_.size()) end_row();
  direction_ = direction;
  subflow_ = subflow;
  if (row_.empty()) row_offset_ = offset;
  while (!bytes.empty()) {
    const size_t n = std::min(kRow - row_.size(), bytes.size());
    row_.insert(row_.end(), bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(n));
    bytes = bytes.subspan(n);
    if (row_.size() == kRow) end_row();
  }
}

void Renderer::end_row() {
  if (row_.empty()) return;
  std::string digits, shown;
  for (size_t i = 0; i < kRow; ++i) {
    if (i == kRow / 2) digits += ' ';
    digits += i < row_.size() ? fmt::format("{:02x} ", row_[i]) : std::string("   ");
    if (i < row_.size()) shown += prints(row_[i]) ? static_cast<char>(row_[i]) : '.';
  }
  out_ += fmt::format("{} {:08x}  {}{} |{}|{:{}}{}  [{}]\n", arrow(direction_), row_offset_, color_of(subflow_), digits, shown,
                      "", kRow - row_.size(), reset(), number_of(subflow_));
  row_offset_ += row_.size();
  row_.clear();
}

}  // namespace mptap::follow
