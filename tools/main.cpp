// `prunella`: the command line, with the agent's commands handed in.

#include <iostream>

#include "tools/agent/host_repair.hpp"
#include "tools/agent/host_run.hpp"
#include "tools/agent/site_init.hpp"
#include "tools/agent/site_up.hpp"
#include "tools/cli/command_line.hpp"

int main(int argc, char** argv) {
  namespace tools = prunella::tools;
  tools::agent_commands agent;
  agent.site_init = [](const auto& options) { return tools::run_site_init(options, std::cout, std::cerr); };
  agent.site_up = [](const auto& options) { return tools::run_site_up(options, std::cout, std::cerr); };
  agent.host_run = [](const auto& options) { return tools::run_host(options, std::cout, std::cerr); };
  agent.host_repair = [](const auto& options) { return tools::run_host_repair(options, std::cout, std::cerr); };
  return tools::run_cli(argc, argv, agent);
}
