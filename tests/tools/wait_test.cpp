#include <doctest/doctest.h>

#include "tests/tools/invocation.hpp"
#include "tools/cli/wait.hpp"

using namespace prunella;
using namespace prunella::tests;

namespace {

const std::string document = "kind: application\nname: popcorn\nversion: 1\n"
                             "services: [{name: web, replicas: 2, containers: [{name: c, command: [x]}]}]\n";

actors::application_view popcorn(std::uint32_t running, std::uint64_t revision = 1) {
  actors::application_view a;
  a.name = "popcorn";
  a.tenant = "default";
  a.services = {{"web", 2, running, 0}};
  a.revision = revision;
  a.applied_revision = revision;
  return a;
}

actors::instance_view instance(unsigned replica, std::string state, std::string reason = {}) {
  actors::instance_view i;
  i.name = "default.popcorn.web-" + std::to_string(replica);
  i.state = std::move(state);
  i.reason = std::move(reason);
  i.generation = 1;
  i.ready = i.state == "running";
  return i;
}

} // namespace

TEST_CASE("progress counts what runs, and names the instance that is in the way with its reason") {
  const auto half = progress_of(popcorn(1), {instance(1, "running"), instance(2, "pending", "no host fits")});
  CHECK_FALSE(half.is_running);
  CHECK_FALSE(half.has_failed);
  CHECK(half.text == "1 of 2 running; default.popcorn.web-2 is pending: no host fits");
  const auto all = progress_of(popcorn(2), {instance(1, "running"), instance(2, "running")});
  CHECK(all.is_running);
  CHECK(all.text == "2 of 2 running");
}

TEST_CASE("a failed instance is named before a pending one, and one that stops is not waited for") {
  const auto bad = progress_of(popcorn(0), {instance(1, "pending", "later"), instance(2, "failed", "gave up")});
  CHECK(bad.has_failed);
  CHECK(bad.text == "0 of 2 running; default.popcorn.web-2 is failed: gave up");
  CHECK(progress_of(popcorn(2), {instance(1, "running"), instance(2, "running"), instance(3, "stopping")}).is_running);
}

TEST_CASE("what has finished is not waited for, and is told apart from what runs") {
  auto application = popcorn(1);
  application.services[0].finished = 1;
  const auto one = progress_of(application, {instance(1, "running"), instance(2, "finished", "exited with code 0; it is not started again")});
  CHECK(one.is_running);
  CHECK_FALSE(one.has_finished);
  CHECK(one.text == "1 of 2 running, 1 finished");
  fake_site site;
  application.services[0] = {"web", 2, 0, 2};
  site.applications = {application};
  site.instances = {instance(1, "finished"), instance(2, "finished")};
  const auto got = run_at(site, {"apply", "-f", "-", "--wait"}, document, 4);
  CHECK(got.code == 0);
  CHECK(got.out == "application default.popcorn created\napplication default.popcorn has finished\n");
}

TEST_CASE("a new start of an instance shows in its starts, be it in place or after a placement") {
  auto again = instance(1, "running");
  const auto before = progress_of(popcorn(1), {again}).starts;
  again.restarts = 1;
  CHECK(progress_of(popcorn(1), {again}).starts == before + 1);
  again.generation = 2;
  CHECK(progress_of(popcorn(1), {again}).starts == before + 2);
}

TEST_CASE("apply --wait ends when all of it was found running five times") {
  fake_site site;
  site.applications = {popcorn(2)};
  site.instances = {instance(1, "running"), instance(2, "running")};
  const auto got = run_at(site, {"apply", "-f", "-", "--wait"}, document, 4);
  CHECK(got.code == 0);
  CHECK(got.out == "application default.popcorn created\napplication default.popcorn runs\n");
  CHECK(got.err == "default.popcorn: 2 of 2 running\n");
  CHECK(run_at(site, {"apply", "-f", "-", "--wait"}, document, 3).code == 1);
}

TEST_CASE("apply --wait says which host does not answer on a published port of what runs, and of nothing else") {
  fake_site site;
  site.applications = {popcorn(2)};
  site.instances = {instance(1, "running"), instance(2, "running")};
  actors::published_view web;
  web.service = "default.popcorn.web";
  web.problems = {"host-2: [::]:7070/tcp is in use on this host"};
  auto other = web;
  other.service = "default.popcorn-2.web";
  site.services = {web, other};
  const auto got = run_at(site, {"apply", "-f", "-", "--wait"}, document, 4);
  CHECK(got.code == 0);
  CHECK(got.err == "default.popcorn: 2 of 2 running\nprunella: default.popcorn.web does not answer on its published port everywhere: "
                   "host-2: [::]:7070/tcp is in use on this host\n");
}

TEST_CASE("apply --wait says why it does not run when its time is over, and that it stays applied") {
  fake_site site;
  site.applications = {popcorn(1)};
  site.instances = {instance(1, "running"), instance(2, "pending", "0 of 3 hosts fit")};
  const auto got = run_at(site, {"apply", "-f", "-", "--wait", "--timeout", "1ms"}, document, 1'000'000);
  CHECK(got.code == 1);
  CHECK(got.out == "application default.popcorn created\n");
  CHECK(contains(got.err, "prunella: default.popcorn does not run after 1ms\n  cause: "));
  CHECK(contains(got.err, "fix: it stays applied; `prunella logs default.popcorn.web-2` shows what it printed, `prunella get instances -a default.popcorn`"));
}

TEST_CASE("what runs while its update does is not done, and what is paused has failed with the reason") {
  auto application = popcorn(2);
  const std::vector<actors::instance_view> all{instance(1, "running"), instance(2, "running")};
  application.update = "running";
  CHECK_FALSE(progress_of(application, all).is_running);
  application.update = "paused";
  application.reason = "the update is paused (it crashed)";
  CHECK(progress_of(application, all).has_failed);
  CHECK(progress_of(application, all).text == "2 of 2 running; the update is paused (it crashed)");
  application.update = "done";
  CHECK(progress_of(application, all).is_running);
}

TEST_CASE("progress of an update says how many instances run the new version") {
  auto application = popcorn(2);
  application.update = "running";
  application.reason = "1 of 2 instances run version 2";
  CHECK(progress_of(application, {instance(1, "running"), instance(2, "running")}).text == "2 of 2 running; 1 of 2 instances run version 2");
}

TEST_CASE("apply --wait says each thing about what crashes once, and ends with the reason and where its output is") {
  fake_site site;
  site.applications = {popcorn(1)};
  site.instances = {instance(1, "running"), instance(2, "starting", "exited with code 1")};
  const auto got = run_at(site, {"apply", "-f", "-", "--wait", "--timeout", "1s"}, document, 4);
  CHECK(got.code == 1);
  const std::string line = "default.popcorn: 1 of 2 running; default.popcorn.web-2 is starting: exited with code 1\n";
  CHECK(got.err.find(line) == 0);
  CHECK(got.err.rfind(line) == 0);
  CHECK(contains(got.err, "cause: 1 of 2 running; default.popcorn.web-2 is starting: exited with code 1"));
  CHECK(contains(got.err, "`prunella logs default.popcorn.web-2` shows what it printed"));
}

TEST_CASE("apply --wait does not wait for what the site gave up, what was deleted or what someone else changed") {
  fake_site site;
  site.applications = {popcorn(0)};
  site.instances = {instance(1, "failed", "gave up on host-1")};
  const auto failed = run_at(site, {"apply", "-f", "-", "--wait"}, document, 1'000'000);
  CHECK(failed.code == 1);
  CHECK(contains(failed.err, "cause: 0 of 2 running; default.popcorn.web-1 is failed: gave up on host-1"));
  site.applications.clear();
  const auto deleted = run_at(site, {"apply", "-f", "-", "--wait"}, document, 1'000'000);
  CHECK(deleted.code == 1);
  CHECK(contains(deleted.err, "cause: it was deleted meanwhile\n  fix: `prunella get instances"));
  site.applications = {popcorn(2, 2)};
  site.applications[0].reason = "went back from version 2: it crashed";
  const auto changed = run_at(site, {"apply", "-f", "-", "--wait"}, document, 1'000'000);
  CHECK(changed.code == 1);
  CHECK(contains(changed.err, "cause: it was changed meanwhile: went back from version 2: it crashed"));
  CHECK_FALSE(contains(changed.err, "stays applied"));
}
