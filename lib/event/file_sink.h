// SPDX-License-Identifier: Apache-2.0
// Lines appended to a file, 0640. Only whole lines stay in the file: what a full disk cut in two is taken back. The file may be
// moved (then reopen(), as logrotate does with SIGHUP) or deleted (seen before the next write) at any time; if it cannot be
// created anew, its directory gone say, the sink tries again every second and counts.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "event/descriptor.h"
#include "event/sink.h"

namespace mptap::event {

class FileSink : public Sink {
 public:
  // Fails where the file cannot be opened now: a wrong path should show at the start.
  static tl::expected<std::unique_ptr<FileSink>, std::string> open(const std::string& path);

  void write(std::string_view lines, size_t count) override;
  void tick() override;
  void reopen() override;

 private:
  explicit FileSink(std::string path);
  bool open_file();
  bool ready();

  const std::string path_;
  Descriptor file_;
  bool regular_ = true;
  bool stale_ = false;  // reopen() failed: lines still go to the old file
  bool torn_ = false;   // the last line is cut and could not be taken back
  std::chrono::steady_clock::time_point next_try_{};
};

}  // namespace mptap::event
