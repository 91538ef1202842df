// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/read/progress.h"

#include <algorithm>

#include <fmt/format.h>

#include "apps/mptap/terminal.h"

namespace mptap::read {

std::string progress_line(const std::string& name, uint64_t position, std::optional<uint64_t> size, double bytes_per_second,
                          uint64_t packets, unsigned width) {
  const std::string share = size && *size > 0 ? fmt::format("  {}%", std::min<uint64_t>(100, position * 100 / *size)) : "";
  std::string line = fmt::format("{}{}  {}/s  {} packets", cli::printable(name), share, cli::rough_size(bytes_per_second),
                                 cli::grouped(packets));
  // The end says more than the beginning of a long path.
  if (width > 1 && line.size() >= width) line.erase(0, line.size() - width + 1);
  return line;
}

Progress::Progress() : on_(cli::look_at(2, cli::Color::kAuto).is_terminal), began_(Clock::now()), file_began_(began_) {
  next_ = began_ + std::chrono::seconds(2);
}

void Progress::clear() {
  if (shown_) fmt::print(stderr, "\r\x1b[K");
  shown_ = false;
}

void Progress::draw(const std::string& name, uint64_t position, std::optional<uint64_t> size, uint64_t packets) {
  const auto now = Clock::now();
  if (now < next_) return;
  next_ = now + std::chrono::milliseconds(200);
  const double seconds = std::max(std::chrono::duration<double>(now - file_began_).count(), 1e-3);
  const unsigned width = cli::look_at(2, cli::Color::kAuto).width;
  fmt::print(stderr, "\r{}\x1b[K", progress_line(name, position, size, static_cast<double>(position) / seconds, packets, width));
  std::fflush(stderr);
  shown_ = true;
}

}  // namespace mptap::read
