// SPDX-License-Identifier: Apache-2.0
// Runs another program, no shell between: nft, ip, iptables.
#pragma once

#include <string>
#include <vector>

#include <tl/expected.hpp>

namespace mptap::cli {

struct Output {
  int code = 0;  // exit code; 128 + signal where one ended it
  std::string out, err;
};

// Whether this process has CAP_NET_ADMIN, as root has.
bool may_administer_network();

// argv[0] is looked up in PATH, then in /usr/sbin and /sbin. The error says that the program could not be started, and why.
tl::expected<Output, std::string> run(const std::vector<std::string>& argv, const std::string& input = {});

// A child that runs until this object goes away, its standard input held open: when the parent dies, however it dies, the
// child reads the end of its input.
class Companion {
 public:
  static tl::expected<Companion, std::string> start(const std::vector<std::string>& argv);
  Companion(Companion&& other) noexcept;
  Companion& operator=(Companion&&) = delete;
  ~Companion();  // closes the input and waits

  bool write(const std::string& text);
  // What the child has written up to now, both streams; waits up to `milliseconds` for the first byte.
  std::string read(int milliseconds);

 private:
  Companion(int pid, int in, int out) : pid_(pid), in_(in), out_(out) {}
  int pid_, in_, out_;
};

}  // namespace mptap::cli
