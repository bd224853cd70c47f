#pragma once

// Small sites for the tests of the site's decisions.

#include <string>

#include "actors/site/plan.hpp"
#include "actors/site/site_state.hpp"

namespace prunella::test {

inline config::host_spec host(std::string id, config::labels labels = {}, config::resources capacity = {4'000, 1 << 30}) {
  config::host_spec spec;
  spec.id = std::move(id);
  spec.address = "127.0.0.1:0";
  spec.labels = std::move(labels);
  spec.capacity = capacity;
  return spec;
}

inline config::service_spec service(std::string name, std::uint32_t replicas, config::resources wants = {100, 1 << 20}) {
  config::service_spec spec;
  spec.name = std::move(name);
  spec.replicas = replicas;
  config::container_spec container;
  container.name = "main";
  container.command = {"sleep", "1000"};
  container.resources = wants;
  spec.containers = {container};
  return spec;
}

inline config::application_spec application(std::string name, std::vector<config::service_spec> services) {
  config::application_spec spec;
  spec.name = std::move(name);
  spec.version = "1.0";
  spec.services = std::move(services);
  return spec;
}

/// A registered site with its log index; `run` applies commands, `settle` plans and applies until nothing is left to do.
struct small_site {
  actors::site_state state;
  std::uint64_t index = 0;
  actors::time_ms now = 1'000'000;
  actors::gave_up_reports gave_up;
  actors::ended_reports ends;
  actors::sight seen = [](const std::string&, const actors::assignment&, const config::update_spec&) { return actors::seen_as::steady; };

  explicit small_site(std::vector<config::host_spec> hosts) {
    config::site_spec spec;
    spec.name = "shop";
    spec.hosts = std::move(hosts);
    run(actors::register_site{spec});
  }

  template <class Body>
  actors::applied_command run(Body body) {
    return actors::apply(state, actors::site_command{now, std::move(body)}, ++index);
  }

  actors::site_plan plan() const { return actors::plan(state, gave_up, now, {}, seen, {}, ends); }

  /// Number of plans that it took; at most 40: who moves takes two, and those of a service move one after the other.
  int settle() {
    for (int i = 0; i < 40; ++i) {
      auto next = plan();
      if (next.changes.changes.empty())
        return i;
      run(next.changes);
    }
    return 40;
  }

  std::string host_of(const std::string& instance) const {
    const auto it = state.assignments.find(instance);
    return it == state.assignments.end() ? "not assigned" : it->second.host;
  }
};

} // namespace prunella::test
