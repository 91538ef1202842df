// SPDX-License-Identifier: Apache-2.0
// `mptap rules check` as a user calls it: arguments in, standard output and exit code out.
#include "apps/mptap/rules/command.h"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <fstream>

namespace mptap::rules {
namespace {

struct Outcome {
  int code;
  std::string out, err;
};

Outcome run(const std::string& arguments) {
  CLI::App app;
  cli::Action action;
  add_command(app, action);
  app.parse("rules check " + arguments);
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const int code = action();
  std::fflush(stdout);
  std::fflush(stderr);
  return {code, testing::internal::GetCapturedStdout(), testing::internal::GetCapturedStderr()};
}

std::string file(const std::string& name, const std::string& text) {
  const std::string path = testing::TempDir() + name;
  std::ofstream(path) << text;
  return path;
}

const std::string kGood = "alert tcp $SERVERS any -> any any (content:\"x\"; sid:1;)\n";
const std::string kBad = "alert tcp any any -> any any (dsize:3; sid:2;)\n";

TEST(RulesCheck, TellsWhatIsLoadedAndTheShare) {
  const std::string path = file("command.rules", kGood + kBad);
  const Outcome o = run("--var SERVERS=[192.0.2.1,192.0.2.2] " + path);
  EXPECT_EQ(o.code, cli::kDone);
  EXPECT_EQ(o.out, path +
                       ":2: unsupported keyword \"dsize\" (left out)\n"
                       "2 rules: 1 loaded, 1 left out, 50.0 % loadable\n"
                       "        1  keyword dsize\n");
  EXPECT_EQ(o.err, "");
}

TEST(RulesCheck, StrictAnswersNoWhenARuleIsLeftOut) {
  EXPECT_EQ(run("--strict-rules --var SERVERS=any " + file("bad.rules", kGood + kBad)).code, cli::kNo);
  EXPECT_EQ(run("--strict-rules --var $SERVERS=any " + file("good.rules", kGood)).code, cli::kDone);
}

TEST(RulesCheck, PrintsJson) {
  const Outcome o = run("--json --var SERVERS=any " + file("json.rules", kGood + kBad));
  EXPECT_NE(o.out.find("\"loadable_percent\": 50.0"), std::string::npos) << o.out;
}

TEST(RulesCheck, ComplainsOnStandardError) {
  const std::string good = file("complain.rules", kGood);
  Outcome o = run(good + ".none");
  EXPECT_EQ(o.code, cli::kFailed);
  EXPECT_EQ(o.err, "mptap rules check: " + good + ".none: No such file or directory\n");
  o = run("--var SERVERS " + good);
  EXPECT_EQ(o.code, cli::kWrongCall);
  EXPECT_EQ(o.err, "mptap rules check: --var needs NAME=VALUE, not \"SERVERS\"\n");
  o = run("--var SERVERS=nowhere " + good);
  EXPECT_EQ(o.code, cli::kWrongCall);
  EXPECT_TRUE(o.err.starts_with("mptap rules check: variable SERVERS: \"nowhere\" is not an address")) << o.err;
}

}  // namespace
}  // namespace mptap::rules
