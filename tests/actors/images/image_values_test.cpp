// What the image keeper decides, without actors.

#include <doctest/doctest.h>

#include "actors/host/blob_window.hpp"
#include "actors/host/image_events.hpp"
#include "actors/host/image_jobs.hpp"
#include "actors/host/token_bucket.hpp"

using namespace prunella;
using namespace prunella::actors;
using namespace std::chrono_literals;

namespace {

const runtime::instant start{100s};
const std::string web = "r.example/web:1";

image_order order_from(std::vector<std::string> hosts, bool registry = false) {
  image_order x;
  x.reference = web;
  x.manifest = hosts.empty() ? "" : "sha256:ab";
  x.from = std::move(hosts);
  x.may_ask_registry = registry;
  return x;
}

image_failure failure(image_errc code = image_errc::source_unreachable) {
  return {code, "no answer"};
}

} // namespace

TEST_CASE("a bucket lets its burst go at once and then its rate, and a pause fills it no further than the burst") {
  token_bucket bucket(1'000, 500);
  CHECK(bucket.take(500, start) == 0us);
  CHECK(bucket.take(100, start) == 100ms);
  CHECK(bucket.take(0, start + 99ms) == 1ms);
  CHECK(bucket.take(0, start + 100ms) == 0us);
  CHECK(bucket.take(500, start + 10s) == 0us);
  CHECK(bucket.take(1, start + 10s) == 1ms);
  token_bucket unbounded(0, 0);
  CHECK(unbounded.take(std::uint64_t{1} << 40, start) == 0us);
}

TEST_CASE("whatever is taken when, no stretch of time gets more than rate times its length and one burst") {
  token_bucket bucket(10'000, 2'000);
  runtime::instant now = start;
  double last = 0;
  std::uint64_t sum = 0;
  for (std::uint64_t i = 0; i < 200; ++i) {
    const auto bytes = (i * 7919) % 1'500;
    sum += bytes;
    const auto wait = bucket.take(bytes, now);
    const auto at = std::chrono::duration<double>(now + wait - start).count();
    CHECK(at >= last - 1e-5);
    CHECK(static_cast<double>(sum) <= 2'000 + 10'000 * at + 1);
    last = at;
    now += std::chrono::milliseconds{(i * 31) % 90};
  }
}

TEST_CASE("a blob's parts grow while they arrive quickly and shrink to the smallest when they are slow, one at a time") {
  blob_window window(10'000'000, 0, {});
  std::uint64_t offset = 0;
  for (int i = 0; i < 20; ++i) {
    const auto part = window.next();
    REQUIRE(part);
    CHECK(part->offset == offset);
    offset += part->bytes;
    CHECK(window.arrived(part->offset, part->bytes, 1ms) == "");
  }
  CHECK(window.part_bytes() == 256 * 1024);
  std::vector<blob_range> under_way;
  while (const auto part = window.next())
    under_way.push_back(*part);
  CHECK(under_way.size() == 4);
  for (const auto& part : under_way)
    CHECK(window.arrived(part.offset, part.bytes, 100ms + 1us) == "");
  CHECK(window.part_bytes() == 16 * 1024);
  REQUIRE(window.next());
  CHECK_FALSE(window.next());
}

TEST_CASE("a part that took exactly the slow limit changes nothing, and one of exactly the quick limit neither") {
  blob_window window(1'000'000, 0, {});
  const auto take = [&](std::chrono::microseconds took) {
    const auto part = window.next();
    REQUIRE(part);
    CHECK(window.arrived(part->offset, part->bytes, took) == "");
    return window.part_bytes();
  };
  CHECK(take(24ms) == 32 * 1024);
  CHECK(take(25ms) == 32 * 1024);
  CHECK(take(100ms) == 32 * 1024);
  CHECK(take(101ms) == 16 * 1024);
}

TEST_CASE("a resumed blob is asked for from where it stopped, its last part is what is left, and none is asked twice") {
  blob_window window(40'000, 30'000, {});
  const auto part = window.next();
  REQUIRE(part);
  CHECK(part->offset == 30'000);
  CHECK(part->bytes == 10'000);
  CHECK_FALSE(window.next());
  CHECK_FALSE(window.is_done());
  CHECK(window.arrived(30'000, 9'999, 1ms).find("9999 bytes from 30000") != std::string::npos);
  CHECK(window.arrived(30'000, 10'000, 1ms) == "");
  CHECK(window.is_done());
  CHECK(window.arrived(30'000, 10'000, 1ms).find("none were asked for") != std::string::npos);
  CHECK(blob_window(0, 0, {}).is_done());
  CHECK(blob_window(7, 7, {}).is_done());
}

TEST_CASE("an image that the site ordered is fetched at once, once, with the sources of the order") {
  image_jobs jobs({}, true);
  jobs.order({order_from({"host-3", "host-2"})}, start);
  const auto steps = jobs.next(start);
  REQUIRE(steps.size() == 1);
  CHECK(steps[0].what == image_step::kind::fetch);
  CHECK(steps[0].order.peers == std::vector<std::string>{"host-3", "host-2"});
  CHECK_FALSE(steps[0].order.may_ask_registry);
  CHECK(steps[0].order.unpack);
  CHECK(jobs.next(start).empty());
  jobs.order({order_from({"host-3", "host-2"})}, start);
  CHECK(jobs.next(start + 1h).empty());
  jobs.done(web);
  CHECK_FALSE(jobs.is_wanted(web));
}

TEST_CASE("an order without a source is a promise: nothing is fetched, and no copy that nobody asked for helps itself") {
  image_jobs jobs({}, true);
  jobs.order({order_from({})}, start);
  CHECK(jobs.next(start + 1h).empty());
  CHECK_FALSE(jobs.next_deadline());
  CHECK(jobs.transfers().at(0).state == transfer_state::waiting);
  jobs.order({}, start);
  CHECK(jobs.transfers().empty());
}

TEST_CASE("a container waits three seconds for the site's word, then this host asks the others and takes the newest image") {
  image_jobs jobs({}, true);
  CHECK(jobs.ask(web, start));
  CHECK(jobs.needs_site());
  CHECK(jobs.next(start + 2'999ms).empty());
  CHECK(jobs.next_deadline() == start + 3s);
  const auto steps = jobs.next(start + 3s);
  REQUIRE(steps.size() == 1);
  CHECK(steps[0].what == image_step::kind::find);
  CHECK(jobs.next(start + 4s).empty());
  jobs.found(web, {{"host-2", {"sha256:old", false, 1}}, {"host-3", {"sha256:new", false, 2}}, {"host-4", {"sha256:new", false, 2}}},
             start + 4s);
  const auto fetch = jobs.next(start + 4s);
  REQUIRE(fetch.size() == 1);
  CHECK(fetch[0].order.peers == std::vector<std::string>{"host-3", "host-4"});
  CHECK(fetch[0].order.manifest == "sha256:new");
  CHECK(fetch[0].order.may_ask_registry);
}

TEST_CASE("a host that helps itself leaves the registry alone while another host fetches the image") {
  image_jobs jobs({}, true);
  jobs.ask(web, start);
  REQUIRE(jobs.next(start + 3s).size() == 1);
  jobs.found(web, {{"host-2", {"", true, 0}}}, start + 3s);
  CHECK(jobs.next(start + 5'999ms).empty());
  const auto again = jobs.next(start + 6s);
  REQUIRE(again.size() == 1);
  CHECK(again[0].what == image_step::kind::find);
  jobs.found(web, {}, start + 6s);
  const auto fetch = jobs.next(start + 6s);
  REQUIRE(fetch.size() == 1);
  CHECK(fetch[0].order.may_ask_registry);
  CHECK(fetch[0].order.peers.empty());
}

TEST_CASE("a failure that time may heal is told after the third in a row, with doubling pauses between the attempts") {
  image_jobs jobs({}, true);
  jobs.ask(web, start);
  jobs.order({order_from({}, true)}, start);
  auto now = start;
  for (const auto pause : {1s, 2s}) {
    REQUIRE(jobs.next(now).size() == 1);
    CHECK_FALSE(jobs.failed(web, failure(image_errc::disk_full), now));
    CHECK(jobs.next(now + pause - 1ms).empty());
    now += pause;
  }
  REQUIRE(jobs.next(now).size() == 1);
  CHECK(jobs.failed(web, failure(image_errc::disk_full), now));
  CHECK(jobs.transfers().at(0).state == transfer_state::failed);
  CHECK(jobs.transfers().at(0).attempts == 3);
  CHECK(jobs.transfers().at(0).reason == "no answer");
  CHECK_FALSE(jobs.transfers().at(0).asked_for);
  for (int i = 0; i < 20; ++i) {
    now = *jobs.next_deadline();
    REQUIRE(jobs.next(now).size() == 1);
    jobs.failed(web, failure(), now);
  }
  CHECK(*jobs.next_deadline() == now + 300s);
  SUBCASE("who asks anew where waiting is all that can be done waits half a minute, not five, and is told of each failure") {
    CHECK(jobs.ask(web, now));
    CHECK(jobs.next(now + 30s - 1ms).empty());
    CHECK(jobs.next(now + 30s).size() == 1);
    CHECK(jobs.failed(web, failure(), now + 30s));
    CHECK(jobs.transfers().at(0).attempts == 24);
  }
  SUBCASE("who asks anew after a failure that other hosts may be spared of waits a second") {
    now = *jobs.next_deadline();
    jobs.next(now);
    jobs.failed(web, failure(image_errc::disk_full), now);
    CHECK(jobs.ask(web, now));
    CHECK(jobs.next(now + 999ms).empty());
    CHECK(jobs.next(now + 1s).size() == 1);
  }
}

TEST_CASE("a failure after which waiting is all that can be done is told at once: who waits asks again, and says why it waits") {
  image_jobs jobs({}, true);
  jobs.ask(web, start);
  jobs.order({order_from({}, true)}, start);
  REQUIRE(jobs.next(start).size() == 1);
  CHECK(jobs.failed(web, failure(), start));
  CHECK(jobs.ask(web, start + 500ms));
  CHECK(jobs.next(start + 1s - 1ms).empty());
  CHECK(jobs.next(start + 1s).size() == 1); // asking again puts nothing off
}

TEST_CASE("hosts that gave other bytes are left out of the next attempt, at the registry if nobody else is left") {
  image_jobs jobs({}, true);
  jobs.ask(web, start);
  jobs.order({order_from({"host-2", "host-3"})}, start);
  auto next = jobs.next(start);
  REQUIRE(next.size() == 1);
  CHECK_FALSE(next[0].order.may_ask_registry);
  SUBCASE("another one is left") {
    jobs.failed(web, failure(image_errc::digest_mismatch), start, {"host-2"});
    next = jobs.next(start + 1s);
    REQUIRE(next.size() == 1);
    CHECK(next[0].order.peers == std::vector<std::string>{"host-3"});
    CHECK_FALSE(next[0].order.may_ask_registry);
  }
  SUBCASE("nobody is left, and after the registry failed too they count again") {
    jobs.failed(web, failure(image_errc::digest_mismatch), start, {"host-2", "host-3"});
    next = jobs.next(start + 1s);
    REQUIRE(next.size() == 1);
    CHECK(next[0].order.peers.empty());
    CHECK(next[0].order.may_ask_registry);
    jobs.failed(web, failure(), start + 1s);
    next = jobs.next(start + 3s);
    REQUIRE(next.size() == 1);
    CHECK(next[0].order.peers.size() == 2);
  }
  SUBCASE("one that the site named no more and names again was looked after") {
    jobs.failed(web, failure(image_errc::digest_mismatch), start, {"host-2", "host-3"});
    jobs.order({order_from({"host-3"})}, start);
    jobs.order({order_from({"host-2", "host-3"})}, start);
    next = jobs.next(start + 1s);
    REQUIRE(next.size() == 1);
    CHECK(next[0].order.peers == std::vector<std::string>{"host-2"});
  }
  SUBCASE("who asks anew each time makes it be tried no sooner") {
    auto now = start;
    for (const auto pause : {1s, 2s, 4s, 8s, 16s, 30s, 30s}) {
      jobs.failed(web, failure(image_errc::digest_mismatch), now, {"host-2"});
      jobs.ask(web, now);
      CHECK(jobs.next(now + pause - 1ms).empty());
      now += pause;
      REQUIRE(jobs.next(now).size() == 1);
    }
  }
}

TEST_CASE("a failure that only people can heal is told at once, and forgotten five minutes after nobody wants the image") {
  image_jobs jobs({}, true);
  jobs.ask(web, start);
  jobs.next(start + 3s);
  jobs.found(web, {}, start + 3s);
  REQUIRE(jobs.next(start + 3s).size() == 1);
  CHECK(jobs.failed(web, failure(image_errc::not_found), start + 4s));
  jobs.order({}, start + 304s);
  CHECK(jobs.transfers().at(0).state == transfer_state::failed);
  CHECK_FALSE(jobs.transfers().at(0).asked_for);
  CHECK(jobs.next(start + 304s).empty());
  jobs.order({}, start + 305s);
  CHECK_FALSE(jobs.is_wanted(web));
}

TEST_CASE("at most two images are fetched at a time, and those that containers wait for go first") {
  image_jobs jobs({}, true);
  std::vector<image_order> orders;
  for (const auto* name : {"a", "b", "c", "d"}) {
    orders.push_back(order_from({"host-2"}));
    orders.back().reference = std::string{"r.example/"} + name + ":1";
  }
  jobs.ask(orders[3].reference, start);
  jobs.order(orders, start);
  const auto steps = jobs.next(start);
  REQUIRE(steps.size() == 2);
  CHECK(steps[0].order.reference == "r.example/d:1");
  CHECK(steps[1].order.reference == "r.example/a:1");
  CHECK_FALSE(jobs.next_deadline());
  jobs.done("r.example/d:1");
  CHECK(jobs.next(start).size() == 1);
  CHECK(jobs.running() == 2);
}

TEST_CASE("registries that are slow take two places of their own, and no copy from another host waits for them") {
  image_jobs jobs({}, true);
  std::vector<image_order> orders;
  for (const auto* name : {"a", "b", "c", "d"}) {
    orders.push_back(order_from({}, true));
    orders.back().reference = std::string{"r.example/"} + name + ":1";
  }
  orders[3] = order_from({"host-2"}, true);
  orders[3].reference = "r.example/d:1";
  jobs.order(orders, start);
  const auto steps = jobs.next(start);
  REQUIRE(steps.size() == 3);
  CHECK(steps[2].order.reference == "r.example/d:1");
  CHECK_FALSE(jobs.next_deadline());
  jobs.done("r.example/d:1");
  CHECK(jobs.next(start).empty());
  jobs.done("r.example/b:1");
  CHECK(jobs.next_deadline() <= start);
  REQUIRE(jobs.next(start).size() == 1);
}

TEST_CASE("an import is refused while the same name is on its way, and a failed one is told and not tried again") {
  image_jobs jobs({}, false);
  CHECK(jobs.import(web, "/media/web.tar", start));
  CHECK_FALSE(jobs.import(web, "/media/other.tar", start));
  const auto steps = jobs.next(start);
  REQUIRE(steps.size() == 1);
  CHECK(steps[0].order.file == "/media/web.tar");
  CHECK_FALSE(steps[0].order.unpack);
  CHECK_FALSE(jobs.import(web, "/media/web.tar", start));
  CHECK(jobs.failed(web, failure(), start));
  CHECK_FALSE(jobs.is_wanted(web));
}

TEST_CASE("asks beyond the bound of wanted images are refused, those for wanted ones are not") {
  image_job_options options;
  options.most_wanted = 2;
  image_jobs jobs(options, true);
  CHECK(jobs.ask("r.example/a:1", start));
  CHECK(jobs.ask("r.example/b:1", start));
  CHECK_FALSE(jobs.ask("r.example/c:1", start));
  CHECK(jobs.ask("r.example/a:1", start));
}

TEST_CASE("a source is told once, a reason once in a row, and anew when the image came or nobody wanted it any more") {
  image_events events;
  CHECK_FALSE(events.from(web, "")); // not known yet
  CHECK(events.from(web, "host-2")->reason == "from host-2");
  CHECK_FALSE(events.from(web, "host-2"));
  CHECK_FALSE(events.from(web, ""));
  CHECK(events.from(web, "registry")->to == "fetching");
  CHECK_FALSE(events.from(web, "host-2")); // by turns
  CHECK(events.failed(web, failure())->reason == "image " + web + " could not be fetched: no answer");
  CHECK_FALSE(events.failed(web, failure()));
  CHECK(events.failed("other", failure()));
  CHECK(events.failed(web, {image_errc::disk_full, "no room"}));
  CHECK(events.failed(web, failure())); // in a row
  events.forget(web);
  CHECK(events.failed(web, failure()));
  CHECK(events.from(web, "registry"));
  events.fetched(web, {});
  CHECK(events.failed(web, failure()));
}

TEST_CASE("an image that came is told with what failed on the way, one that was here only with that, and by its tag") {
  image_events events;
  fetch_outcome outcome;
  outcome.image = {"sha256:0123456789abcdef", "host-3", 12 << 20, false, "", 0};
  outcome.peers_failed = {"host-2 does not answer"};
  const auto pinned = web + "@sha256:" + std::string(64, 'a');
  auto told = events.fetched(pinned, outcome);
  REQUIRE(told.size() == 2);
  CHECK(told[0].reason == "host-2 does not answer");
  CHECK(told[1].object == "image/" + web);
  CHECK(told[1].to == "present");
  CHECK(told[1].reason == "new image sha256:0123456789ab from host-3, 12 MiB");
  outcome.image.was_there = true;
  CHECK(events.fetched(pinned, outcome).size() == 1);
}
