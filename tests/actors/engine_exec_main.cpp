// Stands for the agent's program where that is to run a command in a container of an engine.

#include "actors/instance/engine/engine_command.hpp"

int main(int argc, char** argv) {
  return prunella::actors::run_engine_command({argv + 1, argv + argc});
}
