// `prunella`: the command line, with the agent's commands handed in.

#include <iostream>
#include <string_view>

#include "actors/host/address_guard.hpp"
#include "actors/instance/engine/engine_command.hpp"
#include "tools/agent/host_repair.hpp"
#include "tools/agent/host_run.hpp"
#include "tools/agent/site_init.hpp"
#include "tools/agent/site_up.hpp"
#include "tools/cli/command_line.hpp"

int main(int argc, char** argv) {
  namespace tools = prunella::tools;
  namespace actors = prunella::actors;
  if (argc > 1 && argv[1] == std::string_view{actors::engine_command_word}) // started by an agent, for no person
    return actors::run_engine_command({argv + 2, argv + argc});
  if (argc > 1 && argv[1] == std::string_view{actors::address_guard_word}) // so is this
    return actors::run_address_guard({argv + 2, argv + argc});
  tools::agent_commands agent;
  agent.site_init = [](const auto& options) { return tools::run_site_init(options, std::cout, std::cerr); };
  agent.site_up = [](const auto& options) { return tools::run_site_up(options, std::cout, std::cerr); };
  agent.host_run = [](const auto& options) { return tools::run_host(options, std::cout, std::cerr); };
  agent.host_repair = [](const auto& options) { return tools::run_host_repair(options, std::cout, std::cerr); };
  return tools::run_cli(argc, argv, agent);
}
