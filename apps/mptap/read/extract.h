// SPDX-License-Identifier: Apache-2.0
// Each stream into a file of its own: DIR/CONNECTIONID.toserver and .toclient hold the bytes that the applications read, holes
// left out. A stream without bytes has no file. Few files are open at a time, however many connections there are.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include <tl/expected.hpp>

namespace mptap::read {

class Extractor {
 public:
  static constexpr size_t kMaxOpen = 256;

  // Makes the directory if it is not there (not its parents). The error names it.
  static tl::expected<Extractor, std::string> open(const std::string& directory, size_t max_open = kMaxOpen);
  Extractor(Extractor&&) = default;
  ~Extractor();

  void write(const std::string& connection_id, int direction, std::span<const uint8_t> bytes);
  // The connection is over. keep: false takes its files away again.
  void finish(const std::string& connection_id, bool keep);

  // The first thing that went wrong; nothing is written after it.
  const std::string& error() const { return error_; }
  uint64_t files() const { return files_; }
  uint64_t bytes() const { return bytes_; }

 private:
  struct Open {
    std::string name;
    int fd;
  };
  Extractor(std::string directory, size_t max_open) : directory_(std::move(directory)), max_open_(max_open) {}
  int descriptor(const std::string& name);
  void close(const std::string& name);

  std::string directory_;
  size_t max_open_;
  std::list<Open> open_;  // the latest used first
  std::unordered_map<std::string, std::list<Open>::iterator> by_name_;
  std::unordered_set<std::string> begun_;  // files of connections that go on
  std::string error_;
  uint64_t files_ = 0, bytes_ = 0;
};

}  // namespace mptap::read
