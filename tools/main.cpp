// `prunella`: the command line; the agent's commands are handed in here.

#include "tools/cli/command_line.hpp"

int main(int argc, char** argv) { return prunella::tools::run_cli(argc, argv, {}); }
