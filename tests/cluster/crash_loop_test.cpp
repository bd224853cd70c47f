// Containers that end as soon as they start: what that costs, and whom it disturbs.

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "actors/instance/proc_filesystem.hpp"
#include "tests/cluster/site_watch.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace {

/// Of the processors by the agents of the site, up to now.
std::chrono::milliseconds processor_time(site_processes& site) {
  std::uint64_t ticks = 0;
  for (const auto& host : site.hosts())
    if (const auto stat = actors::read_proc_stat(site.agent(host).pid()))
      ticks += stat->user_ticks + stat->system_ticks;
  return std::chrono::duration_cast<std::chrono::milliseconds>(actors::ticks_to_time(ticks));
}

/// Seconds since boot at which a container was started, one line each, as `sh` with `starts_script` writes them.
std::vector<double> starts_in(const std::filesystem::path& file) {
  std::vector<double> times;
  std::ifstream in{file};
  for (std::string line; std::getline(in, line);)
    times.push_back(std::stod(line));
  return times;
}

std::vector<std::string> starts_script(const std::filesystem::path& file) {
  return {"sh", "-c", "cut -d' ' -f1 /proc/uptime >> " + file.string() + "; exit 7"};
}

} // namespace

TEST_CASE("the pauses between the restarts of a crashing container grow from its first to its longest backoff") {
  site_processes site;
  site.start_all();
  const auto file = site.folder() / "starts";
  auto spec = simple_application("shop", starts_script(file));
  spec.services[0].restart = {config::restart_type::permanent, 5, 60s, 100ms, 400ms};
  spec.intensity = 0;
  REQUIRE(site.apply(spec).status == 201);
  // At once, 100, 200, 400, 400 ms: six starts, and then the instance is given up here and goes to another host.
  site.wait_for("the container was started six times", [&] { return starts_in(file).size() >= 6; });
  const auto at = starts_in(file);
  const std::vector<double> least{0.0, 0.1, 0.2, 0.4, 0.4};
  for (std::size_t i = 0; i < least.size(); ++i) {
    INFO("pause " << i + 1 << ": " << at[i + 1] - at[i] << " s");
    CHECK(at[i + 1] - at[i] >= least[i] * 0.85); // jitter, and the hundredths of /proc/uptime
  }
}

TEST_CASE("twenty containers in a crash loop leave the processors alone, and a healthy neighbour starts without delay") {
  site_processes site;
  site.start_all();
  auto crashing = simple_application("broken", {"sh", "-c", "exit 7"}, 20);
  crashing.services[0].restart = {config::restart_type::permanent, 1'000, 60s, 100ms, 1s}; // never gives up
  REQUIRE(site.apply(crashing).status == 201);
  site.wait_for("all have crashed", [&] {
    const auto all = site.instances();
    return all.size() == 20 && std::all_of(all.begin(), all.end(), [](const auto& x) { return x.restarts >= 3; });
  });
  constexpr auto window = 3s;
  const auto before = processor_time(site);
  CHECK_FALSE(eventually([&] { return !site.agent("host-1").is_alive(); }, window));
  const auto burnt = processor_time(site) - before;
  MESSAGE("three agents used " << burnt.count() << " ms of processor time in 3 s while 20 containers crashed");
  CHECK(burnt < 3s); // half of what this machine's two cores have, in a build without optimisation

  REQUIRE(site.apply(simple_application("shop")).status == 201);
  const auto took = site.wait_for("the neighbour runs", [&] { return site.instance("default.shop.main-1").state == "running"; });
  MESSAGE("a healthy neighbour ran after " << took.count() << " ms");
  CHECK(took < 3s);
  CHECK(site.application("broken").state != "running");
  CHECK(site.call(site.some_host(), "DELETE", "/v1/applications/broken").is_good());
  site.wait_for("the crashing ones are gone", [&] { return site.instances().size() == 1; });
  wait_for_specified(site, {simple_application("shop")});
}

TEST_CASE("twenty containers that crash everywhere end as failed with their reason, and the neighbour is left in peace") {
  site_processes site;
  site.start_all();
  const auto healthy = simple_application("shop", {"sleep", "1000000"}, 3);
  REQUIRE(site.apply(healthy).status == 201);
  wait_for_specified(site, {healthy});
  const auto before = site.instance("default.shop.main-1");
  auto crashing = simple_application("broken", {"sh", "-c", "exit 7"}, 20);
  crashing.services[0].restart = {config::restart_type::permanent, 1, 60s, 50ms, 100ms};
  crashing.intensity = 1;
  REQUIRE(site.apply(crashing).status == 201);
  const auto took = site.wait_for("all are failed", [&] {
    const auto all = site.instances();
    return all.size() == 23 && std::count_if(all.begin(), all.end(), [](const auto& x) { return x.state == "failed"; }) == 20;
  });
  MESSAGE("20 crashing instances were failed on all hosts after " << took.count() << " ms");
  for (const auto& x : site.instances())
    if (x.application == "broken")
      CHECK_MESSAGE(x.reason.find("exited with code 7") != std::string::npos, x.name << ": " << x.reason);
  CHECK(site.application("broken").state == "failed");
  CHECK(site.application("broken").reason.find("exited with code 7") != std::string::npos);
  const auto after = site.instance("default.shop.main-1");
  CHECK(after.pid == before.pid);
  CHECK(after.restarts == 0);
  CHECK(after.generation == before.generation);
}
