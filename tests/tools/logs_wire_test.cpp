// `prunella logs` beside a fake site.

#include <doctest/doctest.h>

#include "tests/tools/invocation.hpp"

using namespace prunella;
using namespace prunella::tests;

namespace {

actors::logs_view page(const std::string& text, const std::string& next, bool more) {
  actors::logs_view view;
  view.lines = {{"2026-11-21T12:00:00.000Z", "default.shop.web-1.front", "stdout", text, false}};
  view.containers = {"default.shop.web-1.front"};
  view.next = next;
  view.more = more;
  return view;
}

} // namespace

TEST_CASE("logs are fetched page by page with what was asked for, and notes are said once, beside the lines") {
  fake_site site;
  site.logs = {page("one", "c1", true), page("two", "c2", true), page("three", "c3", false)};
  site.logs[0].notes = site.logs[1].notes = {"of the 3 replicas of web this is web-1; all-replicas shows all of them"};
  const auto done = run_at(site, {"logs", "shop/web", "--tail", "5", "--since", "10m"});
  CHECK(done.code == 0);
  CHECK(done.out == "one\ntwo\nthree\n");
  CHECK(done.err == "prunella: of the 3 replicas of web this is web-1; --all-replicas shows all of them\n");
  CHECK(site.requests() == std::vector<std::string>{"GET /v1/logs?of=shop%2Fweb&since=10m&tail=5",
                                                    "GET /v1/logs?of=shop%2Fweb&since=10m&tail=5&after=c1",
                                                    "GET /v1/logs?of=shop%2Fweb&since=10m&tail=5&after=c2"});
}

TEST_CASE("logs that could not be read from a host end with code 1, behind what others gave") {
  fake_site site;
  site.logs = {page("one", "c1", false)};
  site.logs[0].notes = {"host-2 is down (no heartbeat for 1s), and what it keeps of these logs can be read when it is back; all-hosts shows what others keep"};
  site.logs[0].unread = {"host-2"};
  const auto done = run_at(site, {"logs", "shop"});
  CHECK(done.code == 1);
  CHECK(done.out == "one\n");
  CHECK(contains(done.err, "prunella: host-2 is down"));
  CHECK(contains(done.err, "; --all-hosts shows what others keep"));
}

TEST_CASE("a follower asks to be kept waiting, and ends with the reason when what it follows is gone") {
  fake_site site;
  site.logs = {page("one", "c1", false), page("two", "c2", false)};
  const auto done = run_at(site, {"logs", "shop", "-f", "--all-replicas"}, {}, 10);
  CHECK(done.code == 1);
  CHECK(done.out == "one\ntwo\n");
  CHECK(contains(done.err, "nothing here is called"));
  CHECK(site.requests()[1] == "GET /v1/logs?of=shop&all-replicas=true&after=c1&wait=4s");
}

TEST_CASE("a name that is not there is said to be so with a fix, and words that are none with what would be right") {
  fake_site site;
  const auto gone = run_at(site, {"logs", "x"});
  CHECK(gone.code == 1);
  CHECK(contains(gone.err, "fix: look"));
  CHECK(run_at(site, {"logs", "x", "--tail", "many"}).code == 2);
  CHECK(run_at(site, {"logs", "x", "--since", "yesterday"}).code == 2);
  const auto bare = run_at(site, {"exec", "shop.web-1"});
  CHECK(bare.code == 2);
  CHECK(contains(bare.err, "prunella exec shop.web-1 -- ls"));
  CHECK(run_at(site, {"run", "shop/web"}).code == 2);
}
