// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/nic/command.h"

#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "apps/mptap/nic/advice.h"

namespace mptap::nic {
namespace {

using Kind = Finding::Kind;

constexpr const char* kFooter = R"(  mptap nic list
  mptap nic check 0000:03:00.0            (or by its interface: mptap nic check eth2)
  mptap nic setup 0000:03:00.0            prints the commands
  mptap nic setup 0000:03:00.0 --apply    does them, as root

A card over which the machine has addresses or routes is never touched. What setup changes lasts until the next boot;
driver_override empty and a write to drivers_probe give a card back to the kernel.

Exit code: 0 all is well, or done; 1 something is to be changed; 2 wrong call; 3 it could not be done.)";

struct Options {
  std::string root = "/", card;
  uint64_t memory_mb = 1024;
  bool apply = false;
};

int complain(int code, const std::string& text) {
  fmt::print(stderr, "mptap nic: {}\n", text);
  return code;
}

std::string links(const Nic& nic) {
  std::string text;
  for (const Interface& i : nic.interfaces)
    text += fmt::format(" {} {}{}", i.name, i.up ? "up" : "down", i.in_use ? " (in use)" : "");
  return text.empty() ? " -" : text;
}

int list(const Options& o) {
  const Machine m = read_machine(o.root);
  if (m.nics.empty()) fmt::print("no network card on the PCI bus; interfaces of the kernel can be read with af_packet\n");
  for (const Nic& nic : m.nics) {
    const Family* family = family_of(nic.id, nic.driver);
    fmt::print("{}  {}  node {}  {:<10}{}  {}\n", nic.address, nic.id, nic.node, nic.driver.empty() ? "-" : nic.driver,
               links(nic), family == nullptr ? "not known to mptap; af_packet reads it" : family->title);
  }
  return cli::kDone;
}

void describe(const Nic& nic, const Family& family) {
  fmt::print("{}  {}  {}\n", nic.address, nic.id, family.title);
  fmt::print("        DPDK driver {}; queues: {}\n        descriptors: {}\n        RSS: {}\n        offloads: {}\n",
             family.dpdk_driver, family.queues, family.descriptors, family.rss, family.offloads);
  for (const std::string& limit : family.limits) fmt::print("        note: {}\n", limit);
}

const char* word(Kind kind) {
  switch (kind) {
    case Kind::kGood: return "ok";
    case Kind::kFix: return "change";
    case Kind::kByHand: return "by hand";
    case Kind::kStop: return "STOP";
  }
  return "";
}

// Of the card that is wanted, or of all that are known.
std::vector<const Nic*> chosen(const Machine& m, const std::string& card) {
  std::vector<const Nic*> found;
  for (const Nic& nic : m.nics) {
    const bool named =
        nic.address == card || "0000:" + card == nic.address ||
        std::any_of(nic.interfaces.begin(), nic.interfaces.end(), [&](const Interface& i) { return i.name == card; });
    if (card.empty() ? family_of(nic.id, nic.driver) != nullptr : named) found.push_back(&nic);
  }
  return found;
}

int no_card(const Machine& m, const std::string& card) {
  if (card.empty()) return complain(cli::kNo, "no card on the PCI bus that mptap knows; mptap nic list shows all");
  std::string there;
  for (const Nic& nic : m.nics) there += " " + nic.address;
  return complain(cli::kWrongCall, fmt::format("no card \"{}\"; there are:{}", card, there.empty() ? " none" : there));
}

int check(const Options& o) {
  const Machine m = read_machine(o.root);
  const auto nics = chosen(m, o.card);
  if (nics.empty()) return no_card(m, o.card);
  bool well = true;
  for (const Nic* nic : nics) {
    const Family* family = family_of(nic->id, nic->driver);
    if (family == nullptr)
      return complain(cli::kNo, fmt::format("{} ({}) is not known to mptap; af_packet reads it", nic->address, nic->id));
    describe(*nic, *family);
    for (const Finding& f : judge(m, *nic, *family, o.memory_mb)) {
      fmt::print("{:<8}{}\n", word(f.kind), f.text);
      for (const Step& step : f.steps) fmt::print("          {}\n", step.shell());
      well = well && f.kind == Kind::kGood;
    }
  }
  return well ? cli::kDone : cli::kNo;
}

int setup(const Options& o) {
  const Machine m = read_machine(o.root);
  const auto nics = chosen(m, o.card);
  if (nics.empty()) return no_card(m, o.card);
  const Nic& nic = *nics.front();
  const Family* family = family_of(nic.id, nic.driver);
  if (family == nullptr)
    return complain(cli::kNo, fmt::format("{} ({}) is not known to mptap; af_packet reads it", nic.address, nic.id));
  std::vector<Step> steps;
  bool by_hand = false;
  for (const Finding& f : judge(m, nic, *family, o.memory_mb)) {
    if (f.kind == Kind::kStop) return complain(cli::kFailed, f.text);
    if (f.kind == Kind::kByHand) fmt::print(stderr, "by hand: {}\n", f.text);
    by_hand = by_hand || f.kind == Kind::kByHand;
    for (const Step& step : f.steps) {
      fmt::print("{}\n", step.shell());
      steps.push_back(step);
    }
  }
  if (!o.apply) return steps.empty() && !by_hand ? cli::kDone : cli::kNo;
  if (const auto done = perform(m, steps); !done) return complain(cli::kFailed, done.error());
  return cli::kDone;
}

}  // namespace

void add_command(CLI::App& app, cli::Action& action) {
  auto* nic = app.add_subcommand("nic", "network cards: which there are, what they want, and how they get it");
  nic->require_subcommand(1);
  nic->footer(kFooter);
  auto o = std::make_shared<Options>();
  const auto add = [&](const char* name, const char* what, int (*run)(const Options&)) {
    auto* command = nic->add_subcommand(name, what);
    command->add_option("--root", o->root, "read /sys and /proc below this folder: a copy of another machine's")
        ->capture_default_str();
    command->callback([&action, o, run] { action = [o, run] { return run(*o); }; });
    return command;
  };
  add("list", "The cards on the PCI bus", list);
  auto* checks = add("check", "What is well and what is not, of one card or of all", check);
  auto* setups = add("setup", "Print the commands that prepare a card, or do them", setup);
  checks->add_option("CARD", o->card, "PCI address or interface");
  setups->add_option("CARD", o->card, "PCI address or interface")->required();
  setups->add_flag("--apply", o->apply, "do it");
  for (auto* command : {checks, setups})
    command->add_option("--memory-mb", o->memory_mb, "huge pages wanted, in MiB: workers.memory_mb")
        ->check(CLI::Range(64, 1048576))
        ->capture_default_str();
}

}  // namespace mptap::nic
