#pragma once

// What tests of a driver actor share, whatever runs the containers: the actor with its records and folders, requests to it, and
// what its containers print.

#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/after.hpp>
#include <caf/exit_reason.hpp>
#include <caf/scoped_actor.hpp>

#include "actors/instance/container_driver.hpp"
#include "actors/instance/container_log.hpp"
#include "tests/actors/memory_container_records.hpp"
#include "tests/actors/real_process.hpp"

namespace prunella::tests {

using namespace prunella::actors;
using namespace std::chrono_literals;

/// The lines of a stream in `log`; every line of it must be one. The last may be on its way.
inline std::string lines_of(const std::string& log, const std::string& stream = "stdout") {
  std::string lines;
  for (std::size_t at = 0, end = log.find('\n'); end != std::string::npos; end = log.find('\n', at)) {
    const auto line = parse_log_line(std::string_view{log}.substr(at, end - at));
    CHECK(line);
    if (line && line->is_error == (stream == "stderr"))
      lines.append(line->text).append(line->is_partial ? "" : "\n");
    at = end + 1;
  }
  return lines;
}

class driver_under_test {
public:
  /// `patience` with each answer of the driver, and with the end of a container.
  explicit driver_under_test(std::chrono::milliseconds patience) : patience_(patience) {}
  virtual ~driver_under_test() = default;

  virtual caf::actor spawn() = 0;

  void end_driver(caf::exit_reason reason) {
    self->send_exit(driver, reason);
    self->wait_for(driver);
    driver = nullptr;
  }

  /// As after a crash of the agent: the containers stay, a fresh driver finds them.
  void crash_driver() {
    end_driver(caf::exit_reason::kill);
    driver = spawn();
  }

  template <class Answer, class Request>
  Answer ask(Request request) {
    Answer answer;
    error = {};
    self->request(driver, patience_, std::move(request))
      .receive([&](Answer& value) { answer = std::move(value); }, [&](caf::error& why) { error = std::move(why); });
    return answer;
  }

  template <class Request>
  void tell(Request request) {
    error = {};
    self->request(driver, patience_, std::move(request)).receive([] {}, [&](caf::error& why) { error = std::move(why); });
  }

  container_exited next_exit() {
    container_exited seen;
    self->receive([&](container_exited& event) { seen = std::move(event); },
                  caf::after(patience_) >> [&] { FAIL("no container_exited within ", patience_.count(), " ms"); });
    return seen;
  }

  /// Of the container whose log it is, to standard output.
  std::string log() const { return read_text(container_log_path(data.path(), container)); }
  std::string output() const { return lines_of(log()); }
  bool has_output(const std::string& text) const {
    return eventually([&] { return output().find(text) != std::string::npos; });
  }

  scratch_directory data;
  std::shared_ptr<memory_container_records> records = std::make_shared<memory_container_records>();
  caf::actor_system_config config;
  caf::actor_system system{config};
  caf::scoped_actor self{system};
  caf::actor driver;
  caf::error error; ///< of the last `ask` or `tell`

  /// The instance and its container that `base_order` is for.
  static inline const std::string instance = "default.shop.web-1";
  static inline const std::string container = instance + ".server";

protected:
  static container_order base_order(const std::string& script, std::uint64_t generation) {
    container_order made;
    made.name = container;
    made.instance = instance;
    made.generation = generation;
    made.spec_hash = "hash of " + script;
    made.spec.name = "server";
    made.spec.logs.max_size_bytes = 128 * 1024;
    return made;
  }

private:
  const std::chrono::milliseconds patience_;
};

inline pid_t to_pid(const container_started& started) {
  REQUIRE(started.pid > 1); // 0 would be whoever runs the test
  return static_cast<pid_t>(started.pid);
}

} // namespace prunella::tests
