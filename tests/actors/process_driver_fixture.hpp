#pragma once

// A driver of plain processes, with real ones.

#include "actors/instance/driver_error.hpp"
#include "runtime/exit_reason.hpp"
#include "tests/actors/driver_under_test.hpp"

namespace prunella::tests {

class process_driver_under_test : public driver_under_test {
public:
  process_driver_under_test() : driver_under_test(20s) { driver = spawn(); }
  ~process_driver_under_test() override {
    if (driver) // else the test failed between two
      end_driver(caf::exit_reason::user_shutdown);
  }

  container_driver_options options() {
    container_driver_options chosen;
    chosen.data_directory = data.path();
    chosen.records = records;
    chosen.max_containers = 4;
    return chosen;
  }

  caf::actor spawn() final { return spawn_container_driver(system, options()); }

  static container_order order(const std::string& script, std::uint64_t generation = 1) {
    auto made = base_order(script, generation);
    made.spec.command = {"sh", "-c", script};
    made.spec.grace = 5s;
    made.env = {{"GREETING", "hello"}};
    return made;
  }

  container_started start(const container_order& wanted) { return ask<container_started>(start_container{wanted}); }

  container_exited stop(std::uint64_t generation = 1, std::chrono::milliseconds grace = 5s) {
    return ask<container_exited>(stop_container{container, generation, grace});
  }
};

} // namespace prunella::tests
