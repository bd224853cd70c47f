// Instances that came to their end and are not started again: what the site decides about them, and what follows from that.

#include <doctest/doctest.h>

#include <algorithm>

#include "actors/door/door_plan.hpp"
#include "actors/host/assigned.hpp"
#include "actors/site/image_copies.hpp"
#include "actors/site/observations.hpp"
#include "actors/site/requests.hpp"
#include "actors/site/site_views.hpp"
#include "actors/site/update_verdict.hpp"
#include "tests/actors/report_fixture.hpp"
#include "tests/actors/site_fixture.hpp"

using namespace prunella;
using namespace prunella::test;
using actors::instance_end;
using config::restart_type;

namespace {

const std::string job = "default.bank.job-1";
const std::string how_it_ended = "default.bank.job-1.main exited with code 0; it is not started again";

config::application_spec bank(std::uint32_t replicas = 1, restart_type restart = restart_type::transient,
                              std::vector<std::string> command = {"pay"}) {
  auto x = service("job", replicas, {600, 1 << 20});
  x.restart.type = restart;
  x.containers[0].command = std::move(command);
  return application("bank", {x});
}

/// A site whose hosts report ends.
struct site_of_jobs : small_site {
  using small_site::small_site;

  const actors::assignment& at(const std::string& instance) const { return state.assignments.at(instance); }

  void report_end(const std::string& instance = job, instance_end how = instance_end::finished) {
    ends[instance] = {at(instance).host, at(instance).generation, how, how_it_ended};
  }
};

/// One whose job has ended, as the site knows.
site_of_jobs after_the_job(std::vector<config::host_spec> hosts, restart_type restart = restart_type::transient,
                           instance_end how = instance_end::finished) {
  site_of_jobs site{std::move(hosts)};
  site.run(actors::put_application{bank(1, restart)});
  site.settle();
  site.report_end(job, how);
  site.settle();
  site.ends.clear(); // as its host was started anew
  return site;
}

std::vector<config::host_spec> two_hosts() { return {host("host-1", {}, {1'000, 1 << 30}), host("host-2", {}, {1'000, 1 << 30})}; }

} // namespace

TEST_CASE("what ended on its host is decided to have, once, and keeps host, generation and the time since which it was there") {
  site_of_jobs site{two_hosts()};
  site.run(actors::put_application{bank(2)});
  site.settle();
  const auto before = site.at(job);
  site.now += 5'000;
  site.report_end();
  const auto next = site.plan().changes;
  REQUIRE(next.changes.size() == 1);
  CHECK(next.changes[0].cause == "host/" + before.host);
  const auto applied = site.run(next);
  auto expected = before;
  expected.ended = instance_end::finished;
  expected.reason = how_it_ended;
  CHECK(site.at(job) == expected);
  REQUIRE(applied.events.size() == 1);
  CHECK(applied.events[0].from == before.host + " (generation 1)");
  CHECK(applied.events[0].to == "finished on " + before.host);
  CHECK(applied.events[0].reason == how_it_ended);
  CHECK(site.plan().changes.changes.empty()); // although the report is there still
  CHECK(site.at("default.bank.job-2").ended == instance_end::none);
}

TEST_CASE("the ends of many instances are one decision, and how one ended is told in 512 bytes at most") {
  site_of_jobs site{{host("host-1", {}, {1'000'000, 1 << 30})}};
  site.run(actors::put_application{bank(300)});
  site.settle();
  for (const auto& [name, x] : site.state.assignments)
    site.report_end(name);
  site.ends[job].reason = std::string(513, 'x');
  auto next = site.plan().changes;
  CHECK(next.changes.size() == 300);
  CHECK(actors::in_portions(next).size() == 1);
  site.run(next);
  CHECK(site.at(job).reason == std::string(512, 'x'));
}

TEST_CASE("an end of an older generation, on another host, or of who leaves its host is none") {
  site_of_jobs site{two_hosts()};
  site.run(actors::put_application{bank()});
  site.settle();
  const auto there = site.at(job);
  site.ends[job] = {there.host, there.generation - 1, instance_end::finished, ""};
  CHECK(site.plan().changes.changes.empty());
  site.ends[job] = {there.host == "host-1" ? "host-2" : "host-1", there.generation, instance_end::finished, ""};
  CHECK(site.plan().changes.changes.empty());
  site.ends.clear();
  site.run(actors::drain_host{there.host, true});
  site.run(site.plan().changes);
  REQUIRE(site.at(job).leaves_since != 0);
  site.report_end();
  site.settle(); // it was told to stop, so nobody knows that it had done its work
  CHECK(site.at(job).ended == instance_end::none);
  CHECK(site.at(job).generation == 2);
  CHECK(site.at(job).host != there.host);
}

TEST_CASE("what has ended stays as it is when its host is lost, drained, or does not suit it any more") {
  auto site = after_the_job(two_hosts());
  const auto before = site.at(job);
  site.run(actors::drain_host{before.host, true});
  CHECK(site.plan().changes.changes.empty());
  CHECK_FALSE(site.plan().waits_for_reports);
  site.run(actors::set_host_state{before.host, false, "silent"});
  CHECK(site.plan().changes.changes.empty());
  site.run(actors::set_host_state{before.host, true, ""});
  auto spec = bank();
  spec.services[0].placement.match_host_labels = "exists disk"; // of nobody
  site.run(actors::put_application{spec});
  CHECK(site.plan().changes.changes.empty());
  CHECK(site.at(job) == before);
}

TEST_CASE("a report of an end comes before the loss of its host, and before its drain") {
  for (const bool is_lost : {true, false}) {
    site_of_jobs site{two_hosts()};
    site.run(actors::put_application{bank()});
    site.settle();
    const auto there = site.at(job).host;
    site.report_end();
    if (is_lost)
      site.run(actors::set_host_state{there, false, "silent"});
    else
      site.run(actors::drain_host{there, true});
    site.settle();
    CHECK(site.at(job).ended == instance_end::finished);
    CHECK(site.at(job).host == there);
    CHECK(site.at(job).generation == 1);
  }
}

TEST_CASE("what has ended reserves neither room nor ports, and keeps nobody off its host") {
  site_of_jobs site{{host("host-1", {}, {1'000, 1 << 30})}};
  auto spec = bank(2);
  spec.services[0].containers[0].ports = {{"http", 8000, config::port_protocol::tcp}};
  spec.services[0].placement.anti_affinity = {"job"};
  site.run(actors::put_application{spec});
  site.settle();
  REQUIRE(site.at("default.bank.job-2").host.empty());
  site.report_end();
  site.settle(); // the room is there in the plan that decides the end
  CHECK(site.at(job).ended == instance_end::finished);
  CHECK(site.at("default.bank.job-2").host == "host-1");
  const auto reserved = actors::reserved_of_hosts(site.state);
  CHECK(reserved.at("host-1").first == 1);
  CHECK(reserved.at("host-1").second.cpu_millis == 600);
}

TEST_CASE("a changed spec that needs a restart begins what has ended anew, and one that needs none does not") {
  auto site = after_the_job(two_hosts());
  const auto host = site.at(job).host;
  auto spec = bank();
  spec.services[0].containers[0].grace += std::chrono::seconds{1};
  site.run(actors::put_application{spec});
  CHECK(site.plan().changes.changes.empty());
  site.run(actors::put_application{bank(1, restart_type::transient, {"pay", "more"})});
  site.settle();
  CHECK(site.at(job).ended == instance_end::none);
  CHECK(site.at(job).generation == 2);
  CHECK(site.at(job).host == host);
  CHECK(site.at(job).reason == "updated to version 1.0");
}

TEST_CASE("a changed spec begins what has ended elsewhere, at once, where its host is lost, drained or full") {
  for (const int why : {0, 1, 2}) {
    CAPTURE(why);
    auto site = after_the_job(two_hosts());
    const auto first = site.at(job).host;
    if (why == 0)
      site.run(actors::set_host_state{first, false, "silent"});
    else if (why == 1)
      site.run(actors::drain_host{first, true});
    else {
      auto other = application("shop", {service("web", 1, {600, 1})});
      other.services[0].placement.match_host_labels = "";
      site.run(actors::drain_host{first == "host-1" ? "host-2" : "host-1", true});
      site.run(actors::put_application{other});
      site.settle();
      REQUIRE(site.host_of("default.shop.web-1") == first);
      site.run(actors::drain_host{first == "host-1" ? "host-2" : "host-1", false});
    }
    site.now += 1'000;
    site.run(actors::put_application{bank(1, restart_type::transient, {"pay", "more"})});
    const auto next = site.plan().changes;
    REQUIRE(next.changes.size() == 1);
    CHECK(next.changes[0].next.leaves_since == 0); // nothing runs there that would have to end
    site.run(next);
    CHECK(site.at(job).host != first);
    CHECK(site.at(job).generation == 2);
    CHECK(site.at(job).ended == instance_end::none);
    CHECK(site.plan().changes.changes.empty());
  }
}

TEST_CASE("who is restarted after its end is placed like anybody new, and takes no room from who has it by now") {
  auto site = after_the_job({host("host-1", {}, {1'000, 1 << 30})});
  site.now += 1'000;
  site.run(actors::put_application{application("shop", {service("web", 1, {600, 1})})});
  site.settle();
  REQUIRE(site.host_of("default.shop.web-1") == "host-1");
  const actors::restart_instances once_more{"", "", 0, job, 1};
  CHECK(site.run(once_more).outcome.result == actors::command_result::updated);
  CHECK(site.at(job).ended == instance_end::again);
  CHECK(site.run(once_more).outcome.result == actors::command_result::unchanged);
  site.settle();
  CHECK(site.host_of("default.shop.web-1") == "host-1");
  CHECK(site.at(job).host.empty());
  CHECK(site.at(job).reason.find("less than 600m cpu left") != std::string::npos);
  site.run(actors::delete_application{"default.shop"});
  site.settle();
  CHECK(site.at(job).host == "host-1");
  CHECK(site.at(job).generation == 2);
  CHECK(actors::refuse({0, once_more}, site.state).status == 409); // that was another generation
}

TEST_CASE("a restart of what has ended is applied whichever host it was on, also of a whole service") {
  auto site = after_the_job(two_hosts());
  const auto first = site.at(job).host;
  site.run(actors::set_host_state{first, false, "silent"});
  const actors::restart_instances once_more{"", "", 0, job, 1};
  REQUIRE(actors::refuse({0, once_more}, site.state).status == 0);
  site.run(once_more);
  site.settle();
  CHECK(site.at(job).generation == 2);
  CHECK(site.at(job).host != first);
  CHECK(site.at(job).reason == "restarted by hand");
  site.report_end();
  site.settle();
  REQUIRE(site.at(job).ended == instance_end::finished);
  site.ends.clear();
  site.run(actors::restart_instances{"default.bank", "job", site.state.applications.at("default.bank").revision, "", 0});
  site.settle();
  CHECK(site.at(job).ended == instance_end::none);
  CHECK(site.at(job).generation == 3);
}

TEST_CASE("what has ended begins anew when its service is one that goes on: permanent, or transient after a failure") {
  const auto becomes = [](restart_type before, instance_end how, restart_type after) {
    auto site = after_the_job(two_hosts(), before, how);
    REQUIRE(site.at(job).ended == how);
    const auto host = site.at(job).host;
    site.run(actors::put_application{bank(1, after)});
    site.settle();
    CHECK(site.at(job).host == host);
    return site.at(job).generation == 2 && site.at(job).ended == instance_end::none;
  };
  CHECK(becomes(restart_type::transient, instance_end::finished, restart_type::permanent));
  CHECK_FALSE(becomes(restart_type::transient, instance_end::finished, restart_type::temporary));
  CHECK_FALSE(becomes(restart_type::temporary, instance_end::finished, restart_type::transient));
  CHECK(becomes(restart_type::temporary, instance_end::failed, restart_type::transient));
  CHECK(becomes(restart_type::temporary, instance_end::failed, restart_type::permanent));
}

TEST_CASE("an end that its service does not leave at is none: its host is about to start it again") {
  site_of_jobs site{two_hosts()};
  site.run(actors::put_application{bank(1, restart_type::permanent)});
  site.settle();
  site.report_end();
  CHECK(site.plan().changes.changes.empty());
  CHECK(site.at(job).ended == instance_end::none);
}

TEST_CASE("what has ended begins anew when it is scaled away and back, and when its application is deleted and applied again") {
  auto site = after_the_job(two_hosts());
  site.run(actors::scale_service{"default.bank", "job", 0});
  site.settle();
  REQUIRE(site.state.assignments.empty());
  site.run(actors::scale_service{"default.bank", "job", 1});
  site.settle();
  CHECK(site.at(job).ended == instance_end::none);
  CHECK(site.at(job).generation == 2);
  site.report_end();
  site.settle();
  REQUIRE(site.at(job).ended == instance_end::finished);
  site.run(actors::delete_application{"default.bank"});
  site.settle();
  site.run(actors::put_application{bank()});
  site.settle();
  CHECK(site.at(job).ended == instance_end::none);
  CHECK(site.at(job).generation == 3);
}

TEST_CASE("what ended with its volumes goes back to them, or waits for their host") {
  site_of_jobs site{two_hosts()};
  auto spec = bank();
  spec.services[0].containers[0].volumes = {{"/data", config::volume_kind::persistent, "data", "", 0, false}};
  site.run(actors::put_application{spec});
  site.settle();
  const auto home = site.at(job).host;
  site.report_end();
  site.settle();
  site.ends.clear();
  site.run(actors::set_host_state{home, false, "silent"});
  site.run(actors::restart_instances{"", "", 0, job, 1});
  site.settle();
  CHECK(site.at(job).host.empty());
  CHECK_MESSAGE(site.at(job).reason.find("its volumes are on " + home) != std::string::npos, site.at(job).reason);
  site.run(actors::set_host_state{home, true, ""});
  site.settle();
  CHECK(site.at(job).host == home);
  CHECK(site.at(job).generation == 2);
}

TEST_CASE("an update is over for what has ended, and what waits for a paused one stays at its end") {
  auto site = after_the_job(two_hosts());
  site.run(actors::put_application{bank(1, restart_type::transient, {"pay", "more"}), true});
  site.settle();
  site.report_end();
  site.settle();
  site.ends.clear();
  REQUIRE(site.at(job).ended == instance_end::finished);
  REQUIRE(site.state.applications.at("default.bank").update == actors::update_phase::running);
  const auto verdicts = actors::judge_updates(site.state, {}, site.now, site.seen, {});
  REQUIRE(verdicts.decisions.size() == 1);
  CHECK(std::get<actors::end_update>(verdicts.decisions[0]).failure.empty());

  auto paused = after_the_job(two_hosts());
  paused.run(actors::put_application{bank(1, restart_type::transient, {"pay", "more"}), true});
  paused.run(actors::end_update{"default.bank", 2, "it is bad"});
  REQUIRE(paused.state.applications.at("default.bank").update == actors::update_phase::paused);
  CHECK(paused.plan().changes.changes.empty());
  paused.run(actors::put_application{bank()});
  paused.settle();
  CHECK(paused.at(job).ended == instance_end::finished); // that is what it ran
  CHECK(paused.at(job).generation == 1);
}

TEST_CASE("reports of ends are kept by host, generation and kind, and change the revision of ends") {
  actors::observations seen;
  auto done = running(job, 3);
  done.phase = actors::instance_phase::finished;
  done.reason = how_it_ended;
  const auto before = seen.ends_revision();
  seen.replace("host-1", {done}, {});
  CHECK(seen.ends_revision() != before);
  REQUIRE(seen.ended().count(job) == 1);
  CHECK(seen.ended().at(job).host == "host-1");
  CHECK(seen.ended().at(job).generation == 3);
  CHECK(seen.ended().at(job).how == instance_end::finished);
  CHECK(seen.ended().at(job).reason == how_it_ended);
  done.phase = actors::instance_phase::failed;
  seen.replace("host-1", {done}, {});
  CHECK(seen.ended().at(job).how == instance_end::failed);
  done.gave_up = true; // another host may have more luck
  seen.replace("host-1", {done}, {});
  CHECK(seen.ended().empty());
  seen.replace("host-1", {running(job, 3)}, {});
  const auto known = seen.ends_revision();
  seen.replace("host-1", {running(job, 4)}, {});
  CHECK(seen.ends_revision() == known);
}

TEST_CASE("a host does nothing for what has ended on it, and keeps its folders, but not its image") {
  auto site = after_the_job({host("host-1")});
  const actors::instance_table none;
  actors::assigned_applications assigned{{"shop", "host-1", ""}};
  CHECK(assigned.plans(site.state, none).empty());
  CHECK(actors::known_containers(site.state) == std::vector<std::string>{job + ".main"});
  CHECK(actors::assigned_containers(site.state, "host-1").empty());
  site.run(actors::restart_instances{"", "", 0, job, 1});
  CHECK(assigned.plans(site.state, none).empty()); // not before it is placed
  site.settle();
  REQUIRE(assigned.plans(site.state, none).size() == 1);
  CHECK(assigned.plans(site.state, none).begin()->second.instances[0].generation == 2);
  CHECK(actors::assigned_containers(site.state, "host-1") == std::vector<std::string>{job + ".main"});
}

TEST_CASE("an image is brought to no host for what has ended there") {
  site_of_jobs site{{host("host-1")}};
  site.run(actors::set_host_drivers{"host-1", {config::driver_kind::oci}});
  auto spec = bank();
  spec.services[0].containers[0].image = "bank/job@sha256:" + std::string(64, 'a');
  spec.services[0].containers[0].command.clear();
  site.run(actors::put_application{spec});
  site.settle();
  REQUIRE(site.at(job).host == "host-1");
  REQUIRE(actors::needed_images(site.state).size() == 1);
  CHECK(actors::needed_images(site.state)[0].hosts == std::set<std::string>{"host-1"});
  CHECK(actors::needed_on(site.state, "host-1").size() == 1);
  site.report_end();
  site.settle();
  CHECK(actors::needed_images(site.state)[0].hosts.empty());
  CHECK(actors::needed_on(site.state, "host-1").empty());
}

TEST_CASE("what has ended is shown so without a report of its host, also when that is down, drained, or no leader answers") {
  auto site = after_the_job(two_hosts());
  const auto home = site.at(job).host;
  actors::observations seen;
  const actors::view_source from{site.state, seen, "host-1", {}};
  const auto check = [&](const actors::view_source& source) {
    const auto row = actors::instance_views(source)[0];
    CHECK(row.state == "finished");
    CHECK(row.reason == how_it_ended);
    CHECK(row.host == home);
    CHECK_FALSE(row.ready);
    CHECK(actors::application_views(source)[0].state == "finished");
    actors::status_view status;
    status.quorum = true;
    actors::fill_status(status, source);
    CHECK(status.instances_finished == 1);
  };
  check(from);
  check({site.state, seen, {}, "host-2"});
  auto done = running(job, 1);
  done.phase = actors::instance_phase::finished;
  done.reason = how_it_ended;
  done.restarts = 2;
  seen.replace(home, {done}, {});
  check(from);
  CHECK(actors::instance_views(from)[0].restarts == 2); // as long as its host remembers
  site.run(actors::drain_host{home, true});
  const auto rows = actors::host_views(from);
  const auto drained = std::find_if(rows.begin(), rows.end(), [&](const auto& x) { return x.id == home; });
  CHECK(drained->state == "drained");
  CHECK(drained->instances == 0);
  site.run(actors::set_host_state{home, false, "silent"});
  check(from);
  site.run(actors::restart_instances{"", "", 0, job, 1});
  CHECK(actors::instance_views(from)[0].state == "pending");
  CHECK(actors::instance_views(from)[0].reason == "restarted by hand");
}

TEST_CASE("a temporary instance that ended badly has failed for good, and says so") {
  auto site = after_the_job(two_hosts(), restart_type::temporary, instance_end::failed);
  const actors::observations none;
  const actors::view_source from{site.state, none, "host-1", {}};
  CHECK(actors::instance_views(from)[0].state == "failed");
  CHECK(actors::application_views(from)[0].state == "failed");
  site.run(actors::set_host_state{site.at(job).host, false, "silent"});
  CHECK(site.plan().changes.changes.empty());
  CHECK(actors::instance_views(from)[0].state == "failed");
}

TEST_CASE("a published port is listened on while an instance of its service has not ended") {
  site_of_jobs site{two_hosts()};
  auto spec = bank(2);
  spec.services[0].containers[0].ports = {{"http", 8000, config::port_protocol::tcp, 80}};
  site.run(actors::put_application{spec});
  site.settle();
  const std::map<std::string, actors::instance_report> own;
  const std::map<std::string, std::uint64_t> draining;
  const actors::ready_table table;
  const std::map<std::string, std::string> addresses;
  const auto listeners = [&] { return actors::make_door_plan({site.state, "host-1", {"127.0.0.1"}, own, draining, table, addresses}).services.size(); };
  CHECK(listeners() == 1);
  site.report_end();
  site.settle();
  CHECK(listeners() == 1);
  site.report_end("default.bank.job-2");
  site.settle();
  CHECK(listeners() == 0);
  site.ends.clear();
  site.run(actors::restart_instances{"", "", 0, job, 1});
  CHECK(listeners() == 1); // who comes now waits for it
}
