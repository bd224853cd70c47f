#pragma once

// Small helpers of the scenarios.

#include <chrono>
#include <functional>
#include <string>

#include <doctest/doctest.h>

#include "runtime/liveness.hpp"
#include "tests/sim/simulated_site.hpp"

namespace prunella::tests {

using namespace std::chrono_literals;

/// Runs `scenario` with several seeds: other timeouts, delays and orders of messages each time.
inline void with_seeds(std::uint64_t count, const std::function<void(std::uint64_t seed)>& scenario) {
  for (std::uint64_t seed = 1; seed <= count; ++seed) {
    CAPTURE(seed);
    scenario(seed);
  }
}

/// Time passes until a leader is there, `application` is acknowledged and runs, and another second.
inline void establish(simulated_site& site, const config::application_spec& application) {
  REQUIRE(site.await_leader());
  const auto put = site.put(application, site.leader());
  REQUIRE(site.await([&] { return put->has_value(); }, 5s));
  REQUIRE((*put)->status == 201);
  REQUIRE_MESSAGE(site.await([&] { return site.is_satisfied(); }, 5s), site.difference());
  site.advance(1s);
}

inline std::string a_follower(const simulated_site& site) {
  for (const auto& host : site.running_hosts())
    if (host != site.leader())
      return host;
  return {};
}

/// Processes started on all hosts, ever.
inline std::size_t starts(simulated_site& site) {
  std::size_t count = 0;
  for (const auto& host : site.hosts())
    count += site.machine(host).starts.size();
  return count;
}

inline std::string host_of(const simulated_site& site, const std::string& instance) {
  const auto found = site.state().assignments.find(instance);
  return found == site.state().assignments.end() ? std::string{} : found->second.host;
}

inline runtime::liveness_figures balanced() { return runtime::figures_of(config::liveness_profile::balanced); }

} // namespace prunella::tests
