// SPDX-License-Identifier: Apache-2.0
// What DPDK says while this lives, to be told only if what is tried fails. One at a time.
#pragma once

#include <stdio.h>

#include <cstdlib>
#include <string>
#include <string_view>

#include <rte_log.h>

namespace mptap::port {

class CapturedLog {
 public:
  CapturedLog() : file_(open_memstream(&text_, &size_)) {
    if (file_ != nullptr) rte_openlog_stream(file_);
  }
  ~CapturedLog() {
    rte_openlog_stream(stderr);
    if (file_ != nullptr) fclose(file_);
    free(text_);
  }
  CapturedLog(const CapturedLog&) = delete;
  CapturedLog& operator=(const CapturedLog&) = delete;

  std::string first_line() {
    std::string_view said = text();
    return std::string(said.substr(0, said.find('\n')));
  }
  std::string last_line() {
    std::string_view said = text();
    said.remove_prefix(said.rfind('\n') + 1);
    return std::string(said.starts_with("EAL: ") ? said.substr(5) : said);
  }

 private:
  std::string_view text() {
    if (file_ == nullptr || fflush(file_) != 0) return {};
    std::string_view said(text_, size_);
    while (!said.empty() && said.back() == '\n') said.remove_suffix(1);
    return said;
  }

  char* text_ = nullptr;
  size_t size_ = 0;
  FILE* file_;
};

}  // namespace mptap::port
