#pragma once

// One container actor with a scripted driver, on virtual time.

#include <memory>
#include <string>
#include <vector>

#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>

#include "actors/instance/container_actor.hpp"
#include "actors/instance/disk_limit.hpp"
#include "tests/actors/scripted_driver.hpp"
#include "tests/runtime/virtual_time.hpp"

namespace prunella::tests {

using namespace prunella::actors;
using namespace std::chrono_literals;

struct container_fixture {
  virtual_time world;
  std::shared_ptr<scripted_host> host = std::make_shared<scripted_host>();
  virtual_time::collector<container_report> observer = world.collect<container_report>();
  bool has_driver = true;
  std::string image;
  config::probes_spec probes;
  ask_probe probe;
  std::int64_t disk_limit_bytes = 0;
  std::int64_t disk_used = 0;
  std::vector<measure_disk> counts; ///< that were asked for
  bool has_counter = true;
  caf::actor counter = world.own(world.system().spawn([this](caf::event_based_actor*) -> caf::behavior {
    return {[this](const measure_disk& x) {
      counts.push_back(x);
      return disk_measured{disk_used};
    }};
  }));
  std::int64_t now_ms = 1'000'000;
  caf::actor door;
  std::shared_ptr<init_gate> gate;
  std::chrono::milliseconds drain{0};
  caf::actor driver = world.own(spawn_scripted_driver(world.system(), host));

  container_order order(std::uint64_t generation = 1) const {
    container_order made;
    made.name = "default.shop.web-1.front";
    made.instance = "default.shop.web-1";
    made.generation = generation;
    made.spec_hash = "hash";
    made.spec.name = "front";
    made.spec.grace = 10s;
    made.spec.image = image;
    made.spec.probes = probes;
    made.spec.disk_bytes = disk_limit_bytes;
    return made;
  }

  container_context context() {
    container_context made;
    made.driver = [this] { return has_driver ? driver : caf::actor{}; };
    made.observer = [this] { return observer.handle; };
    made.driver_retry = 50ms;
    made.driver_patience = 30s;
    made.margin = 20s;
    made.probe = probe;
    made.probe_addresses = {"127.0.0.1", "10.0.0.9"};
    made.clock = [this] { return now_ms; };
    made.gate = gate;
    made.door = [this] { return door; };
    made.drain = drain;
    made.disk = [this] { return has_counter ? counter : caf::actor{}; };
    return made;
  }

  // As an instance supervisor would, without being one.
  caf::actor spawn(std::uint64_t generation = 1) {
    auto container = std::make_shared<caf::actor>();
    world.own(world.system().spawn([=](caf::event_based_actor* parent) -> caf::behavior {
      *container = spawn_container(parent, order(generation), context(), {});
      return {[](caf::unit_t) {}};
    }));
    world.settle();
    return world.own(*container);
  }

  void stop(const caf::actor& container) {
    caf::anon_send_exit(container, caf::exit_reason::user_shutdown);
    world.settle();
  }

  void restart_driver() {
    caf::anon_send_exit(driver, caf::exit_reason::kill);
    world.settle();
    driver = world.own(spawn_scripted_driver(world.system(), host));
    world.settle();
  }

  std::vector<std::string> phases() const {
    std::vector<std::string> texts;
    for (const auto& report : *observer.got)
      texts.emplace_back(to_text(report.phase));
    return texts;
  }

  const container_report& last() const { return observer.got->back(); }
};

using texts = std::vector<std::string>;
inline const std::string front = "default.shop.web-1.front";

} // namespace prunella::tests
