// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/completion/command.h"

#include <map>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <CLI/CLI.hpp>

namespace mptap::completion {
namespace {

// Every command by its words, "" for the program itself: "rules check" -> sub-commands and options.
using Table = std::map<std::string, std::vector<std::string>>;

void collect(const CLI::App& app, const std::string& path, Table& table) {
  std::vector<std::string>& words = table[path];
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
    words.push_back(sub->get_name());
    collect(*sub, path.empty() ? sub->get_name() : path + " " + sub->get_name(), table);
  }
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) words.push_back("--" + name);
    if (option->get_lnames().empty())
      for (const std::string& name : option->get_snames()) words.push_back("-" + name);
  }
}

// The shell's case statements: which command the words so far name, and what may follow it.
std::string cases(const Table& table) {
  std::string paths;
  for (const auto& [path, words] : table)
    if (!path.empty()) paths += fmt::format("{}\"{}\"", paths.empty() ? "" : " | ", path);
  std::string out = fmt::format(
      "    case \"${{path:+$path }}$word\" in\n      {}) path=\"${{path:+$path }}$word\" ;;\n    esac\n  done\n", paths);
  out += "  case \"$path\" in\n";
  for (const auto& [path, words] : table) out += fmt::format("    \"{}\") words=\"{}\" ;;\n", path, fmt::join(words, " "));
  return out + "  esac\n";
}

Table table_of(const CLI::App& app) {
  Table table;
  collect(app, "", table);
  return table;
}

}  // namespace

std::string bash(const CLI::App& app, const std::string& program) {
  return fmt::format(
      "# bash completion of {0}: {0} completion bash > /etc/bash_completion.d/{0}\n"
      "_{0}() {{\n"
      "  local path= words= word\n"
      "  for word in \"${{COMP_WORDS[@]:1:COMP_CWORD-1}}\"; do\n"
      "{1}"
      "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"${{COMP_WORDS[COMP_CWORD]}}\")\n"
      "}}\n"
      "complete -o default -F _{0} {0}\n",
      program, cases(table_of(app)));
}

std::string zsh(const CLI::App& app, const std::string& program) {
  // In zsh, $path is the search path, and $words what has been typed.
  std::string inside = cases(table_of(app));
  static constexpr std::pair<std::string_view, std::string_view> kNames[] = {
      {"$path", "$name"}, {"{path:", "{name:"}, {" path=", " name="}, {" words=", " known="}};
  for (const auto& [from, to] : kNames)
    for (size_t at = 0; (at = inside.find(from, at)) != std::string::npos; at += to.size()) inside.replace(at, from.size(), to);
  return fmt::format(
      "#compdef {0}\n"
      "# zsh completion of {0}: {0} completion zsh > a folder of $fpath, as _{0}\n"
      "_{0}() {{\n"
      "  local name= known= word\n"
      "  for word in \"${{(@)words[2,CURRENT-1]}}\"; do\n"
      "{1}"
      "  compadd -- ${{=known}}\n"
      "  _files\n"
      "}}\n"
      "_{0} \"$@\"\n",
      program, inside);
}

void add_command(CLI::App& app, cli::Action& action) {
  auto* command = app.add_subcommand("completion", "Print a script that completes mptap's commands and options in a shell");
  auto shell = std::make_shared<std::string>();
  command->add_option("SHELL", *shell, "bash or zsh")->required()->check(CLI::IsMember({"bash", "zsh"}));
  command->footer("  source <(mptap completion bash)\n  mptap completion zsh > ~/.zfunc/_mptap      (with ~/.zfunc in $fpath)");
  command->callback([&app, &action, shell] {
    action = [&app, shell] {
      fmt::print("{}", *shell == "bash" ? bash(app, "mptap") : zsh(app, "mptap"));
      return cli::kDone;
    };
  });
}

}  // namespace mptap::completion
