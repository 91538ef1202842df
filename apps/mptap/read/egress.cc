// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/read/egress.h"

#include <CLI/CLI.hpp>

#include "egress/file_target.h"

namespace mptap::read {
namespace {

constexpr size_t kQueue = 32u << 20;

}  // namespace

void add_egress_options(CLI::App& sub, EgressOptions& o) {
  constexpr const char* kGroup = "Egress: for tools that know TCP only";
  sub.add_option(
         "--egress", o.file,
         "write each MPTCP connection as one plain TCP connection into this pcap file: the first subflow's addresses, the "
         "bytes that the applications read. --filter does not touch it")
      ->type_name("OUT.pcap")
      ->group(kGroup);
  sub.add_option_function<std::string>(
         "--egress-pass",
         [&o](const std::string& name) { o.pass = name == "all" ? egress::Pass::kAll : egress::Pass::kMptcpOnly; },
         "mptcp_only, or all: plain TCP and everything else goes into the file, too, unchanged")
      ->check(CLI::IsMember({"mptcp_only", "all"}))
      ->default_str("mptcp_only")
      ->type_name("WHAT")
      ->group(kGroup);
  sub.add_option_function<unsigned>(
         "--egress-fill", [&o](unsigned byte) { o.fill = static_cast<uint8_t>(byte); },
         "fill bytes that the capture does not hold with this one, 0 to 255; without it they are missing in the TCP connection, "
         "too")
      ->check(CLI::Range(0u, 255u))
      ->type_name("BYTE")
      ->group(kGroup);
}

tl::expected<std::unique_ptr<EgressFile>, std::string> EgressFile::open(const EgressOptions& options) {
  auto target = egress::FileTarget::open(options.file);
  if (!target) return tl::unexpected("--egress " + target.error());
  std::unique_ptr<EgressFile> file(new EgressFile);
  file->writer_ = std::make_unique<egress::Writer>(std::move(*target), egress::WriterOptions{.merge = false});
  egress::OutletConfig config;
  config.pass = options.pass;
  config.fill = options.fill;
  config.when_full = egress::WhenFull::kWait;
  file->outlet_.emplace(config, file->writer_->add_queue(kQueue));
  file->writer_->start();
  return file;
}

tl::expected<void, std::string> EgressFile::close() {
  writer_->close();
  if (!writer_->error().empty()) return tl::unexpected("--egress " + writer_->error());
  return {};
}

}  // namespace mptap::read
