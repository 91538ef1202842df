// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/follow/command.h"

#include <cerrno>
#include <cstring>
#include <memory>

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "apps/mptap/follow/follower.h"
#include "apps/mptap/read/input.h"
#include "apps/mptap/read/options.h"

namespace mptap::follow {
namespace {

constexpr const char* kFooter =
    R"(examples
  mptap read capture.pcap                                shows the connections and their numbers
  mptap follow capture.pcap --connection 1
  mptap follow capture.pcap --connection 1 --hex | less
  mptap follow capture.pcap --connection 9184418c3c20166c --raw --direction toserver > request.bin

Both directions stand in the order in which the applications got them: ">" is to the server, "<" to the client. A piece has the
colour of the subflow that brought it; without colour the subflow's number stands before it, in [ ], and lines break where another
subflow goes on. Options that change how packets are understood have to be those given to mptap read for N to be the same.

exit code
  0  shown
  1  there is no such connection
  2  wrong call
  3  it could not be done: a file that is missing or no capture
  4  shown in part: a file is cut short or damaged, or reading was interrupted)";

struct Options {
  read::InputOptions input;
  read::DecodeOptions decode;
  std::string connection, direction = "both", color = "auto";
  bool hex = false, raw = false;
};

void tell(const std::string& text) {
  fmt::print(stderr, "mptap follow: {}\n", text);
}

int fail(const std::string& text, int code = cli::kFailed) {
  tell(text);
  return code;
}

int run(const Options& o) {
  cli::catch_signals();
  auto wanted = Wanted::parse(o.connection);
  if (!wanted) return fail(wanted.error(), cli::kWrongCall);
  const cli::Color color = o.color == "always"  ? cli::Color::kAlways
                           : o.color == "never" ? cli::Color::kNever
                                                : cli::Color::kAuto;
  const cli::Terminal terminal = cli::look_at(1, color);
  if (o.raw && terminal.is_terminal)
    return fail("--raw would give the stream's control characters to the terminal; redirect it to a file", cli::kWrongCall);
  const auto eal = read::start_eal(o.input, o.decode.max_subflows);
  if (!eal) return fail(eal.error());

  cli::Output out;
  Renderer renderer(out.buffer(), o.raw ? Form::kRaw : o.hex ? Form::kHex : Form::kText, terminal.color);
  Follower follower(*wanted, {o.direction != "toclient", o.direction != "toserver"}, renderer, out);
  worker::EngineConfig config = read::engine_config(o.decode);
  config.streams = true;
  auto engine = worker::Engine::create(config, nullptr, follower);
  if (!engine) return fail(engine.error());
  const bool endless = read::is_endless(o.input);
  const auto settle = [&] {
    if (endless && !out.empty()) out.flush();
    if (follower.ended() || out.error() != 0) cli::request_stop();
  };
  // One packet at a time: bytes of both directions come in the order in which they were delivered.
  const auto result = read::run_input(o.input, **engine, 1, settle, tell);
  if (!result) return fail(result.error());
  const bool ended = follower.ended();  // what comes behind it need not be read
  (*engine)->finish();
  out.flush();
  if (out.error() == EPIPE) return cli::kDone;
  if (out.error() != 0) return fail(fmt::format("standard output: {}", std::strerror(out.error())));
  if (!follower.found()) {
    const uint64_t n = (*engine)->counters().connections;
    return fail(fmt::format("there is no connection {}: the input has {}; mptap read shows them", o.connection,
                            n == 1 ? "one" : cli::grouped(n)),
                cli::kNo);
  }
  if (o.raw && follower.missing() > 0)
    tell(fmt::format("{} bytes are missing; --raw says nothing of the holes", cli::grouped(follower.missing())));
  if (ended) return cli::kDone;
  if (result->interrupted) tell(fmt::format("interrupted after {} packets", cli::grouped(result->summary.packets)));
  return result->interrupted || result->partly ? cli::kPartly : cli::kDone;
}

}  // namespace

void add_command(CLI::App& app, cli::Action& action) {
  auto o = std::make_shared<Options>();
  CLI::App* sub = app.add_subcommand("follow", "what the applications of one connection said, each piece with its subflow");
  sub->footer(kFooter);
  sub->add_option("FILE", o->input.files, "captures in pcap or pcapng format; - is standard input")->required();
  sub->add_option("--connection", o->connection, "its number in the table of mptap read, or its connection_id")
      ->required()
      ->type_name("N|ID");
  sub->add_option("--direction", o->direction, "toserver, toclient, both")
      ->check(CLI::IsMember({"toserver", "toclient", "both"}))
      ->capture_default_str();
  auto* hex = sub->add_flag("--hex", o->hex, "a hex dump");
  sub->add_flag("--raw", o->raw, "the bytes and nothing else")->excludes(hex);
  sub->add_option("--color", o->color, "auto, always, never")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->capture_default_str();
  read::add_decode_options(*sub, o->decode);
  sub->callback([o, &action] { action = [o] { return run(*o); }; });
}

}  // namespace mptap::follow
