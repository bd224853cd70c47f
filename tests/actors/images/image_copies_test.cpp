// Who fetches which image from whom, who is preferred for what it has, and how people see it.

#include <doctest/doctest.h>

#include <algorithm>

#include "actors/site/application_images.hpp"
#include "actors/site/image_board.hpp"
#include "actors/site/image_copies.hpp"
#include "actors/site/image_views.hpp"
#include "actors/site/plan.hpp"
#include "tests/actors/site_fixture.hpp"

using namespace prunella;
using namespace prunella::actors;

namespace {

const std::string digest = "sha256:" + std::string(64, 'a');
const std::string web = "r.example/shop/web:1@" + digest; // as a tag is when the site decided about it (image_tags_test.cpp)
const std::string web_2 = "r.example/shop/web:2@sha256:" + std::string(64, 'b');

/// A site of `hosts` hosts, all up, that have reported an empty store, and one application of `image`.
struct site_of_images {
  explicit site_of_images(int hosts, const std::string& image = web) {
    config::site_spec spec;
    spec.name = "shop";
    for (int i = 1; i <= hosts; ++i)
      spec.hosts.push_back(test::host("host-" + std::to_string(i)));
    run({0, register_site{spec}});
    for (auto& [id, host] : state.hosts)
      host.drivers = {config::driver_kind::process, config::driver_kind::oci};
    auto service = test::service("web", 1);
    service.containers[0].image = image;
    run({0, put_application{test::application("popcorn", {service})}});
    for (int i = 1; i <= hosts; ++i)
      reports["host-" + std::to_string(i)] = empty_report("host-" + std::to_string(i));
  }

  static image_report empty_report(const std::string& host) {
    image_report x;
    x.host = host;
    x.incarnation = 1;
    x.revision = 1;
    x.platform = "linux/amd64";
    x.free_bytes = std::uint64_t{10} << 30;
    return x;
  }

  void run(const site_command& command) { apply(state, command, state.applied_index + 1); }

  void assign(const std::string& host) {
    assignment_change change;
    change.instance = "default.popcorn.web-1";
    if (const auto it = state.assignments.find(change.instance); it != state.assignments.end()) {
      change.from_host = it->second.host;
      change.from_generation = it->second.generation;
    }
    change.next = {"default", "popcorn", "web", 1, host, 0, 0, "", {}};
    run({0, change_assignments{{change}}});
  }

  void give(const std::string& host, const std::string& name = web, const std::string& manifest = digest, time_ms at = 1) {
    reports[host].images.push_back({manifest, {name}, {}, "linux/amd64", "a test", 1'000'000, true, at});
  }

  image_transfer& transfer(const std::string& host, transfer_state what = transfer_state::fetching) {
    image_transfer x;
    x.reference = web;
    x.state = what;
    auto& list = reports[host].transfers;
    list.push_back(x);
    return list.back();
  }

  copy_plan plan(copy_options options = {}) const { return plan_copies(state, reports, options); }

  /// `host-1: registry`, `host-2: from host-1`, `host-3: waits`, in order of hosts.
  std::string text(copy_options options = {}) const {
    std::string all;
    for (const auto& [host, orders] : plan(options).orders)
      for (const auto& x : orders) {
        all += (all.empty() ? "" : ", ") + host + ": ";
        all += x.may_ask_registry ? "registry" : x.from.empty() ? "waits" : "from";
        for (const auto& source : x.from)
          all += ' ' + source;
      }
    return all;
  }

  site_state state;
  image_reports reports;
};

} // namespace

TEST_CASE("an image that nobody has is fetched from its registry by one host, and the second copy waits for that one") {
  site_of_images site(3);
  CHECK(site.text() == "host-1: registry, host-2: waits");
  site.assign("host-3");
  CHECK(site.text() == "host-1: registry, host-3: waits");
  SUBCASE("and what is assigned is among them whoever asks the registry") {
    const auto plan = site.plan();
    CHECK(plan.orders.count("host-3") == 1);
    CHECK(plan.orders.size() == 2);
  }
  SUBCASE("the one whose containers wait asks") {
    site.transfer("host-3", transfer_state::waiting).asked_for = true;
    CHECK(site.text() == "host-1: waits, host-3: registry");
  }
  SUBCASE("the one who is at it goes on, whoever else waits") {
    site.transfer("host-3", transfer_state::waiting).asked_for = true;
    site.transfer("host-1").from_registry = true;
    CHECK(site.text() == "host-1: registry, host-3: waits");
  }
  SUBCASE("the one who failed lets the other try") {
    site.transfer("host-1", transfer_state::failed).attempts = 1;
    site.transfer("host-3", transfer_state::failed).asked_for = true;
    CHECK(site.text() == "host-2: waits, host-3: registry");
  }
}

TEST_CASE("an image that one host has is copied from there, to where it is needed and to as many as the site wants") {
  site_of_images site(4);
  site.give("host-1");
  CHECK(site.text() == "host-2: from host-1");
  site.assign("host-4");
  CHECK(site.text() == "host-4: from host-1");
  CHECK(site.text({3, 2, 0}) == "host-2: from host-1, host-4: from host-1");
  CHECK(site.text({4, 2, 0}) == "host-2: from host-1, host-3: waits, host-4: from host-1");
  CHECK(site.text({64, 3, 0}) == "host-2: from host-1, host-3: from host-1, host-4: from host-1");
  site.give("host-4");
  CHECK(site.text() == "");
  CHECK(site.plan().keep["host-1"] == std::vector<std::string>{web});
  CHECK(site.plan().keep["host-4"] == std::vector<std::string>{web});
}

TEST_CASE("of several sources each gives at most two copies at a time, the least busy first, and the others stand in") {
  site_of_images site(6);
  site.give("host-1");
  site.give("host-2");
  CHECK(site.text({5, 1, 0}) == "host-3: from host-1 host-2, host-4: from host-2 host-1, host-5: waits");
}

TEST_CASE("a host that is down neither gives nor gets a copy, and what it had is copied anew") {
  site_of_images site(3);
  site.give("host-1");
  site.give("host-2");
  CHECK(site.text() == "");
  site.run({0, set_host_state{"host-1", false, "no heartbeat"}});
  CHECK(site.text() == "host-3: from host-2");
  site.run({0, set_host_state{"host-2", false, "no heartbeat"}});
  CHECK(site.text() == "host-3: registry");
  site.run({0, set_host_state{"host-1", true, ""}});
  CHECK(site.text() == "host-3: from host-1");
}

TEST_CASE("a copy in case goes to the host with most room that has at least twice its size to spare, and never to one without") {
  site_of_images site(4);
  site.give("host-1");
  site.reports["host-2"].free_bytes = (std::uint64_t{1} << 30) + 2'000'000 - 1;
  site.reports["host-3"].free_bytes = (std::uint64_t{1} << 30) + 2'000'000;
  site.reports["host-4"].free_bytes = 1;
  CHECK(site.text() == "host-3: from host-1");
  site.reports["host-3"].free_bytes = 5;
  CHECK(site.text() == "");
  site.assign("host-4"); // it runs there: the host has to try
  CHECK(site.text() == "host-4: from host-1");
}

TEST_CASE("a host that only runs processes gets no copy in case") {
  site_of_images site(3);
  site.give("host-1");
  for (auto& [id, host] : site.state.hosts)
    host.drivers.clear(); // they have not said yet: the document counts
  site.state.hosts["host-2"].spec.drivers = {{config::driver_kind::process, ""}};
  CHECK(site.text() == "host-3: from host-1");
  site.state.hosts["host-2"].drivers = {config::driver_kind::process, config::driver_kind::oci}; // what it has found counts
  site.state.hosts["host-3"].drivers = {config::driver_kind::process};
  CHECK(site.text() == "host-2: from host-1");
}

TEST_CASE("a copy that is being made goes on where it is, though another host has more room now") {
  site_of_images site(3);
  site.give("host-1");
  site.transfer("host-2");
  site.reports["host-3"].free_bytes *= 10;
  CHECK(site.text() == "host-2: from host-1");
}

TEST_CASE("each kind of machine gets its own images, from its own kind") {
  site_of_images site(4);
  site.reports["host-3"].platform = site.reports["host-4"].platform = "linux/arm64/v8";
  site.give("host-1");
  CHECK(site.text() == "host-2: from host-1, host-3: registry, host-4: waits");
}

TEST_CASE("the version before is kept where it is, and no longer fetched anywhere") {
  site_of_images site(3);
  site.assign("host-1");
  site.give("host-1");
  auto service = test::service("web", 1);
  service.containers[0].image = web_2;
  site.run({0, put_application{test::application("popcorn", {service}), true}});
  const auto images_before = [&] { return images_of(site.state.applications["default.popcorn"].former.spec); };
  CHECK(images_before() == std::vector<std::string>{web});
  const auto plan = site.plan();
  CHECK(plan.orders.at("host-1").size() == 1);
  CHECK(plan.orders.at("host-1")[0].reference == web_2);
  CHECK(plan.keep.at("host-1") == std::vector<std::string>{web});
  CHECK(needed_on(site.state, "host-1") == std::vector<std::string>{web, web_2});
  CHECK(needed_on(site.state, "host-2").empty());
  SUBCASE("a third version does not let go of the first while the second has not come through") {
    service.containers[0].image = "r.example/shop/web:3";
    site.run({0, put_application{test::application("popcorn", {service}), true}});
    CHECK(images_before() == std::vector<std::string>{web});
  }
  SUBCASE("a third version lets go of the first when the second came through") {
    service.containers[0].image = "r.example/shop/web:3";
    site.run({0, end_update{"default.popcorn", 2, {}}});
    site.run({0, put_application{test::application("popcorn", {service}), true}});
    CHECK(images_before() == std::vector<std::string>{web_2});
  }
}

TEST_CASE("init containers need their images too, and a name that is none needs nothing") {
  auto service = test::service("web", 1);
  service.containers[0].image = "web";
  service.init_containers = service.containers;
  service.init_containers[0].image = "r.example/init@" + digest;
  auto broken = test::service("broken", 1);
  broken.containers[0].image = "NOT/a/name";
  CHECK(images_of(test::application("popcorn", {service, broken})) ==
        std::vector<std::string>{"docker.io/library/web:latest", "r.example/init@" + digest});
}

TEST_CASE("a name with a digest is found by either, one with a tag by that tag only") {
  image_report report;
  report.images.push_back({digest, {"r.example/web:1"}, {}, "", "", 0, false, 0});
  CHECK(find_image_in(report, "r.example/web:1") != nullptr);
  CHECK(find_image_in(report, "r.example/web:2") == nullptr);
  CHECK(find_image_in(report, "r.example/web:2@" + digest) != nullptr);
  CHECK(find_image_in(report, "r.example/web:1@sha256:" + std::string(64, 'c')) == nullptr);
  CHECK(find_image_in(report, "NOT") == nullptr);
}

TEST_CASE("an instance is placed where its image is, before where there is more room, but after its replicas are spread") {
  site_of_images site(3);
  site.state.hosts["host-1"].spec.capacity.memory_bytes *= 4;
  const auto placed = [&] {
    return actors::plan(site.state, {}, 0, places_of(site.state, site.reports)).changes.changes.at(0).next.host;
  };
  CHECK(placed() == "host-1");
  site.give("host-3");
  CHECK(placed() == "host-3");
  site.reports["host-3"].images[0].unpacked = false;
  CHECK(placed() == "host-1");
  site.reports["host-3"].images[0].unpacked = true;
  auto service = test::service("web", 2);
  service.containers[0].image = web;
  site.run({0, put_application{test::application("popcorn", {service})}});
  const auto both = actors::plan(site.state, {}, 0, places_of(site.state, site.reports)).changes.changes;
  REQUIRE(both.size() == 2);
  CHECK(both[0].next.host == "host-3");
  CHECK(both[1].next.host == "host-1");
}

TEST_CASE("an instance is updated when its host has the new image, which is brought there meanwhile, and at once if it is away") {
  site_of_images site(2);
  site.assign("host-1");
  site.give("host-1");
  auto service = test::service("web", 1);
  service.containers[0].image = web_2;
  site.run({0, put_application{test::application("popcorn", {service})}});
  auto now = seen_as::steady;
  const sight seen = [&](const auto&, const auto&, const auto&) { return now; };
  const auto next = [&] { return actors::plan(site.state, {}, 0, places_of(site.state, site.reports), seen); };
  CHECK(next().changes.changes.empty());
  CHECK(next().waits_for_reports);
  const auto orders = plan_copies(site.state, site.reports, {}).orders;
  REQUIRE(orders.count("host-1") == 1);
  CHECK(orders.at("host-1").at(0).reference == web_2);
  now = seen_as::away;
  CHECK(next().changes.changes.size() == 1);
  now = seen_as::steady;
  site.give("host-1", web_2, "sha256:" + std::string(64, 'b'));
  REQUIRE(next().changes.changes.size() == 1);
  CHECK(next().changes.changes[0].next.host == "host-1");
}

TEST_CASE("an update to what is no image's name never begins, and says why at once") {
  site_of_images site(1);
  site.assign("host-1");
  site.give("host-1");
  auto service = test::service("web", 1);
  service.containers[0].image = "r.example/Web:2"; // as an older version may have decided
  site.run({0, put_application{test::application("popcorn", {service})}});
  const auto places = places_of(site.state, site.reports);
  const sight seen = [&](const auto&, const auto&, const auto&) { return seen_as::steady; };
  CHECK(actors::plan(site.state, {}, 0, places, seen).changes.changes.empty());
  const auto& record = site.state.applications.at("default.popcorn");
  CHECK(missing_image(record, record.spec.services[0], "host-1", places) == "r.example/Web:2");
  CHECK(why_hopeless("r.example/Web:2", site.reports).find("capital letter 'W'") != std::string::npos);
  service.init_containers = service.containers;
  service.containers[0].image = web;
  CHECK(missing_image(record, service, "host-1", places) == "r.example/Web:2");
}

TEST_CASE("why nobody brings an image is what those say who asked its registry in vain") {
  site_of_images site(2);
  auto& transfer = site.reports["host-2"].transfers.emplace_back();
  transfer.reference = web;
  transfer.reason = "the registry does not know this image";
  CHECK(why_hopeless(web, site.reports).empty());
  transfer.is_hopeless = true;
  CHECK(why_hopeless(web, site.reports) == "the registry does not know this image");
  CHECK(why_hopeless(web_2, site.reports).empty());
  CHECK(why_hopeless("", site.reports).empty());
}

TEST_CASE("orders are told when they change, again when a host is a new process or did not answer, and to all when asked") {
  site_of_images site(2);
  image_board board({});
  const auto told = [&](bool all = false) {
    std::string hosts;
    for (const auto& [host, orders] : board.orders(site.state, all))
      hosts += host + ' ';
    return hosts;
  };
  CHECK(told() == "host-1 host-2 "); // nobody has reported: they are asked
  CHECK(told() == "");
  CHECK(told(true) == "host-1 host-2 ");
  CHECK(board.take(site.reports["host-1"]));
  CHECK(told() == "host-1 "); // another process than the one told, and to fetch nothing yet: the other host may have it
  CHECK(board.take(site.reports["host-2"]));
  CHECK(told() == "host-1 host-2 ");
  CHECK_FALSE(board.take(site.reports["host-1"])); // the same revision
  site.reports["host-1"].revision = 2;
  site.transfer("host-1").bytes_done = 1;
  CHECK(board.take(site.reports["host-1"]));
  site.reports["host-1"].revision = 3;
  site.reports["host-1"].transfers[0].bytes_done = 2;
  CHECK_FALSE(board.take(site.reports["host-1"])); // progress decides nothing
  CHECK(board.reports().at("host-1").transfers[0].bytes_done == 2);
  board.forget_told("host-2");
  CHECK(told() == "host-2 ");
  site.reports["host-1"].incarnation = 2;
  site.reports["host-1"].revision = 1;
  CHECK(board.take(site.reports["host-1"]));
  CHECK(told() == "host-1 ");
}

TEST_CASE("who was told to ask the registry stays the one, though its report does not show it yet") {
  site_of_images site(3);
  image_board board({});
  board.stop_waiting();
  const auto registry = [&] {
    std::string hosts;
    for (const auto& [host, orders] : board.orders(site.state, true))
      for (const auto& x : orders.orders)
        hosts += x.may_ask_registry ? host + ' ' : "";
    return hosts;
  };
  for (const auto* host : {"host-3", "host-2", "host-1"}) {
    board.take(site.reports[host]);
    CHECK(registry() == "host-3 ");
  }
  site.transfer("host-3", transfer_state::failed).attempts = 1;
  site.reports["host-3"].revision = 2;
  board.take(site.reports["host-3"]);
  CHECK(registry() == "host-1 ");
}

TEST_CASE("a new leader draws no copy from a registry, and makes none in case, before all hosts that are up have said what they hold") {
  site_of_images site(3);
  site.give("host-2");
  image_board board({});
  const auto told = [&] {
    std::string all;
    for (const auto& [host, orders] : board.orders(site.state, true))
      for (const auto& x : orders.orders)
        all += host + (x.may_ask_registry ? ": registry " : x.from.empty() ? ": waits " : ": from " + x.from.front() + ' ');
    return all;
  };
  board.take(site.reports["host-3"]);
  CHECK(told() == "");
  SUBCASE("a container there waits: it is told to, as another host may have it") {
    site.assign("host-3");
    CHECK(told() == "host-3: waits ");
  }
  SUBCASE("the others report, and the copy comes from the one that has it") {
    board.take(site.reports["host-1"]);
    CHECK(told() == "");
    board.take(site.reports["host-2"]);
    CHECK(told() == "host-1: from host-2 ");
  }
  SUBCASE("a host that is not up is not waited for") {
    board.take(site.reports["host-1"]);
    site.state.hosts.at("host-2").up = false;
    CHECK(told() == "host-1: registry host-3: waits ");
  }
  SUBCASE("nor is one that says nothing, for ever") {
    board.stop_waiting();
    CHECK(told() == "host-3: registry ");
  }
}

TEST_CASE("a site without images asks nobody about any") {
  site_of_images site(2, "");
  image_board board({});
  CHECK(board.orders(site.state, true).empty());
  board.take(site.reports["host-1"]);
  CHECK(board.orders(site.state, true).empty());
}

TEST_CASE("rows of images say who has them, how far the others are, who holds them and what they are needed for") {
  site_of_images site(3);
  site.assign("host-2");
  site.give("host-1");
  site.reports["host-1"].images[0].holders = {"default.popcorn.web-1.main"};
  site.give("host-1", "r.example/old:1", "sha256:" + std::string(64, 'b'));
  auto& transfer = site.transfer("host-2");
  transfer.from = "host-1";
  transfer.bytes_done = 40;
  transfer.bytes_total = 100;
  auto rows = image_views(site.state, site.reports);
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].name == "r.example/old:1");
  CHECK(rows[0].needed == "no");
  const auto& row = rows[1];
  CHECK(row.name == web);
  CHECK(row.digest == digest);
  CHECK(row.needed == "yes");
  CHECK(row.copies == 1);
  REQUIRE(row.hosts.size() == 2);
  CHECK(row.hosts[0].state == "present");
  CHECK(row.hosts[0].holders == std::vector<std::string>{"default.popcorn.web-1.main"});
  CHECK(row.hosts[1].state == "fetching");
  CHECK(row.hosts[1].from == "host-1");
  CHECK(row.hosts[1].bytes_done == 40);
  SUBCASE("a page ends at its limit and goes on behind its key") {
    const auto first = image_page({"images", "", "", 1}, site.state, site.reports);
    CHECK(first.json.find("old:1") != std::string::npos);
    CHECK(first.json.find("web:1") == std::string::npos);
    const auto second = image_page({"images", "", first.next, 1}, site.state, site.reports);
    CHECK(second.json.find("web:1") != std::string::npos);
    CHECK(second.next.empty());
  }
  SUBCASE("what a host is down with does not count") {
    site.run({0, set_host_state{"host-1", false, "gone"}});
    rows = image_views(site.state, site.reports);
    REQUIRE(rows.size() == 1);
    CHECK(rows[0].digest.empty());
    CHECK(rows[0].copies == 0);
  }
  SUBCASE("a host that runs it and says nothing of it is missing it") {
    site.reports["host-2"].transfers.clear();
    rows = image_views(site.state, site.reports);
    CHECK(rows[1].hosts[1].state == "missing");
  }
}
