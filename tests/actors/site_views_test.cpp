#include <doctest/doctest.h>

#include <algorithm>

#include "actors/site/site_views.hpp"
#include "config/json.hpp"
#include "tests/actors/report_fixture.hpp"
#include "tests/actors/site_fixture.hpp"

using namespace prunella;
using namespace prunella::test;

namespace {

/// Follows the pages of `request` to the end; names of the rows.
std::vector<std::string> follow(actors::view_request request, const actors::view_source& from, std::size_t& pages) {
  std::vector<std::string> names;
  for (pages = 1;; ++pages) {
    REQUIRE(pages < 1'000);
    const auto page = actors::view_page(request, from);
    REQUIRE(page.json.size() < 768 * 1024);
    const auto parsed = config::parse_json(page.json);
    for (const auto& row : parsed.value.as_array())
      names.emplace_back(row.as_object().at(request.view == "hosts" ? "id" : "name").as_string());
    if (page.next.empty())
      return names;
    request.after = page.next;
  }
}

} // namespace

TEST_CASE("instances show what their host reports of the present generation, and why they wait") {
  small_site site{{host("host-1"), host("host-2")}};
  site.run(actors::put_application{application("popcorn", {service("web", 1)})});
  actors::observations seen;
  const actors::view_source from{site.state, seen, "host-1", {}};
  CHECK(actors::instance_views(from)[0].reason == "waiting to be placed");
  site.settle();
  CHECK(actors::instance_views(from)[0].reason == "waiting for host-1 to take it up");
  actors::report_log log;
  log.put(running("default.popcorn.web-1", 1));
  log.put(running("default.old.web-1", 4));
  seen.take(beat_of(log, 0), {});
  const auto rows = actors::instance_views(from);
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].name == "default.old.web-1");
  CHECK(rows[0].state == "stopping");
  CHECK(rows[1].state == "running");
  CHECK(rows[1].pid == 42);
  CHECK(actors::instance_views(from, {"default.popcorn", {}}).size() == 1);
  const auto applications = actors::application_views(from);
  CHECK(applications[0].state == "running");
  CHECK(applications[0].services[0].running == 1);

  actors::status_view status;
  status.quorum = true;
  actors::fill_status(status, from);
  CHECK(status.health == "healthy");
  CHECK(status.instances == 1);
  site.run(actors::set_host_state{"host-1", false, "silent"});
  actors::fill_status(status, from);
  CHECK(status.health == "degraded");
  CHECK(status.reason == "host-1 is down: silent");
}

TEST_CASE("an application whose instances come to a new version is updating, and says how many have") {
  small_site site{{host("host-1"), host("host-2")}};
  auto spec = application("popcorn", {service("web", 2)});
  site.run(actors::put_application{spec});
  site.settle();
  actors::observations seen;
  const actors::view_source from{site.state, seen, "host-1", {}};
  const auto report = [&](const std::string& name) {
    const auto& x = site.state.assignments.at(name);
    seen.replace(x.host, {running(name, x.generation)}, {});
  };
  for (const auto* name : {"default.popcorn.web-1", "default.popcorn.web-2"})
    report(name);
  CHECK(actors::application_views(from)[0].state == "running");
  site.state.applications.at("default.popcorn").update = actors::update_phase::running;
  CHECK(actors::application_views(from)[0].state == "running"); // nothing is left to be updated
  auto& record = site.state.applications.at("default.popcorn");
  record.spec.version = "2";
  site.state.assignments.at("default.popcorn.web-2").revision = ++record.changed_at.at("web");
  auto row = actors::application_views(from)[0];
  CHECK(row.state == "updating");
  CHECK(row.reason == "1 of 2 instances run version 2");
  record.update = actors::update_phase::paused;
  record.update_reason = "it crashed";
  row = actors::application_views(from)[0];
  CHECK(row.state == "running");
  CHECK(row.reason == "the update is paused (it crashed), 1 of 2 instances wait to be updated; apply a corrected version or roll back");
}

TEST_CASE("an instance that runs and is not ready makes application and site degraded, with the reason") {
  small_site site{{host("host-1"), host("host-2")}};
  site.run(actors::put_application{application("popcorn", {service("web", 2)})});
  site.settle();
  actors::observations seen;
  const actors::view_source from{site.state, seen, "host-1", {}};
  auto sick = running("default.popcorn.web-1", 1);
  sick.ready = false;
  sick.reason = "not ready: default.popcorn.web-1.main: readiness probe failed: 503";
  seen.replace(site.host_of("default.popcorn.web-1"), {sick}, {});
  seen.replace(site.host_of("default.popcorn.web-2"), {running("default.popcorn.web-2", 1)}, {});
  CHECK(actors::instance_views(from)[0].state == "running");
  CHECK_FALSE(actors::instance_views(from)[0].ready);
  CHECK(actors::instance_views(from)[1].ready);
  const auto row = actors::application_views(from)[0];
  CHECK(row.state == "degraded");
  CHECK(row.reason == "default.popcorn.web-1: " + sick.reason);
  actors::status_view status;
  status.quorum = true;
  actors::fill_status(status, from);
  CHECK(status.health == "degraded");
  CHECK(status.instances_running == 2);
}

TEST_CASE("what has finished is in nobody's way: an application runs with the rest of it, and with none it has finished") {
  small_site site{{host("host-1"), host("host-2")}};
  site.run(actors::put_application{application("popcorn", {service("web", 2)})});
  site.settle();
  actors::observations seen;
  const actors::view_source from{site.state, seen, "host-1", {}};
  auto done = running("default.popcorn.web-1", 1);
  done.phase = actors::instance_phase::finished;
  done.reason = "default.popcorn.web-1.main exited with code 0; it is not started again";
  seen.replace(site.host_of("default.popcorn.web-1"), {done}, {});
  seen.replace(site.host_of("default.popcorn.web-2"), {running("default.popcorn.web-2", 1)}, {});
  auto row = actors::application_views(from)[0];
  CHECK(row.state == "running");
  CHECK(row.reason.empty());
  CHECK(row.services[0].running == 1);
  CHECK(row.services[0].finished == 1);
  actors::status_view status;
  status.quorum = true;
  actors::fill_status(status, from);
  CHECK(status.health == "healthy");
  CHECK(status.instances_running == 1);
  CHECK(status.instances_finished == 1);
  done.instance = "default.popcorn.web-2";
  seen.replace(site.host_of(done.instance), {done}, {});
  CHECK(actors::application_views(from)[0].state == "finished");
  CHECK(actors::instance_views(from)[1].state == "finished");
}

TEST_CASE("a host without a leader knows of itself only, and says of the others what was decided last") {
  small_site site{{host("host-1"), host("host-2"), host("host-3")}};
  site.run(actors::set_host_state{"host-2", false, "silent"});
  const actors::observations none;
  const auto rows = actors::host_views({site.state, none, {}, "host-1"});
  REQUIRE(rows.size() == 3);
  CHECK(rows[0].state == "up");
  CHECK(rows[0].reason == "");
  CHECK(rows[1].state == "unknown");
  CHECK(rows[1].reason == "no leader answers; it was down when the site last decided");
  CHECK(rows[2].state == "unknown");
  CHECK(rows[2].reason == "no leader answers; it was up when the site last decided");
  actors::status_view status;
  actors::fill_status(status, {site.state, none, {}, "host-1"});
  CHECK(status.hosts_up == 1);
  CHECK(status.hosts == 3);
  CHECK(status.health == "no-quorum");
  CHECK(actors::host_views({site.state, none, "host-1", {}})[2].state == "up");
}

TEST_CASE("an application is failed when an instance gave up everywhere, and says which and why") {
  small_site site{{host("host-1")}};
  site.run(actors::put_application{application("popcorn", {service("web", 1)})});
  site.settle();
  site.gave_up["default.popcorn.web-1"] = {"host-1", 1, "exited with code 3"};
  site.settle();
  const actors::observations none;
  const auto row = actors::application_views({site.state, none, {}, {}})[0];
  CHECK(row.state == "failed");
  CHECK(row.reason.rfind("default.popcorn.web-1: gave up on host-1: exited with code 3", 0) == 0);
}

TEST_CASE("ten thousand instances are read page by page in order of names, none twice and none left out") {
  std::vector<config::host_spec> hosts;
  for (int i = 0; i < 64; ++i)
    hosts.push_back(host("host-" + std::to_string(i), {}, {1'000'000, std::int64_t{1} << 40}));
  small_site site{hosts};
  for (int i = 0; i < 10; ++i)
    site.run(actors::put_application{application("app-" + std::to_string(i), {service("web", 1'000, {1, 1})})});
  for (auto next = site.plan(); !next.changes.changes.empty(); next = site.plan())
    site.run(next.changes);
  REQUIRE(site.state.assignments.size() == 10'000);
  // Some are only wanted, some only reported.
  site.run(actors::put_application{application("new", {service("web", 700, {1, 1})})});
  actors::report_log log;
  for (int i = 0; i < 600; ++i)
    log.put(running("default.old.web-" + std::to_string(i), 1));
  actors::observations seen;
  for (std::uint64_t confirmed = 0; confirmed != log.revision();)
    confirmed = seen.take(beat_of(log, confirmed), {});

  const actors::view_source from{site.state, seen, "host-1", {}};
  std::vector<std::string> expected;
  for (const auto& row : actors::instance_views(from))
    expected.push_back(row.name);
  CHECK(expected.size() == 11'300);
  CHECK(std::is_sorted(expected.begin(), expected.end()));
  for (const std::uint32_t limit : {1'000U, 333U}) {
    std::size_t pages = 0;
    CHECK(follow({"instances", {}, {}, limit}, from, pages) == expected);
    CHECK(pages >= 11'300 / limit);
  }
  std::size_t pages = 0;
  CHECK(follow({"instances", "default.new", {}, 500}, from, pages).size() == 700);
  CHECK(pages == 2);
  CHECK(follow({"applications", {}, {}, 4}, from, pages).size() == 11);
  CHECK(pages == 3);
  CHECK(follow({"hosts", {}, {}, 64}, from, pages).size() == 64);
  CHECK(pages == 1);
}

TEST_CASE("a page ends below the longest message, however long its rows are, and has one row at least") {
  small_site site{{host("host-1")}};
  auto web = service("web", 300);
  web.placement.match_host_labels = "zone = " + std::string(4'000, 'x');
  site.run(actors::put_application{application("shop", {web})});
  site.settle();
  const actors::observations seen;
  const actors::view_source from{site.state, seen, "host-1", {}};
  std::size_t pages = 0;
  CHECK(follow({"instances", {}, {}, 1'000}, from, pages).size() == 300);
  CHECK(pages == 3);
  CHECK(follow({"instances", {}, {}, 1}, from, pages).size() == 300);
}
