#include "tools/cli/grammar/grammar.hpp"

#include <utility>

#include <CLI/CLI.hpp>

#include "tools/cli/grammar/validators.hpp"
#include "tools/cli/verbs.hpp"

namespace prunella::tools {

CLI::App* grammar::add(CLI::App* parent, const char* name, const char* what, const char* examples,
                       std::function<int()> run) {
  auto* command = parent->add_subcommand(name, what);
  command->footer(std::string("Examples:\n") + examples);
  command->callback([this, run = std::move(run)] { chosen = run; });
  return command;
}

CLI::App* grammar::add_group(const char* name, const char* what) {
  auto* group = app.add_subcommand(name, what);
  group->require_subcommand(1);
  return group;
}

void grammar::add_output(CLI::App* command, output_format& output) {
  const auto take = [&output](const std::string& word) {
    output = word == "json"   ? output_format::json
             : word == "yaml" ? output_format::yaml
             : word == "wide" ? output_format::wide
                              : output_format::table;
  };
  command->add_option_function<std::string>("-o,--output", take, "How to print: table, wide (nothing is cut to the terminal), json or yaml")
    ->check(one_of({"table", "wide", "json", "yaml"}))
    ->type_name("FORMAT")
    ->default_str("table");
}

int grammar::refuse(const std::string& what, const std::string& fix) const {
  io.err << "prunella: " << printable(what) << "\n  fix: " << printable(fix) << '\n';
  return exit_usage;
}

} // namespace prunella::tools
