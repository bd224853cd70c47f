// Image keepers of several hosts on virtual time, with stores on disk; what fetches is run at once, or by hand.

#include <unistd.h>

#include <deque>
#include <fstream>

#include "actors/host/image_keeper.hpp"
#include "actors/host/composition.hpp"
#include "actors/instance/image_error.hpp"
#include "actors/site/leadership_actor.hpp"
#include "runtime/exit_reason.hpp"
#include "storage/images/image_name.hpp"
#include "tests/actors/images/image_stores.hpp"
#include "tests/runtime/virtual_time.hpp"

using namespace prunella;
using namespace prunella::actors;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace {

const test_image web{{tar_builder().file("etc/motd", "popcorn").bytes()}};
const std::string name = "r.example/shop/web:1";
const std::string holder = "default.popcorn.web-1.httpd";

struct ordered_fetch {
  fetch_order order;
  std::function<bool(const fetch_progress&)> progress;
  std::function<void(const fetch_outcome&)> done;
};

/// A host: its store, its keeper, and the orders that wait to be carried out.
struct kept_host {
  host_images images;
  caf::actor keeper;
  std::deque<ordered_fetch> orders;
  std::vector<image_report> reports;
  std::vector<storage::journal_event> events;
  std::vector<std::string> needed;
  bool has_site = true;
  std::optional<tag_meaning> meaning; ///< of every tag, as the site decided; nothing: a tag is what it is here
};

struct keepers {
  explicit keepers(bool tags = false) : decides_tags(tags), world(options()) {
    for (const auto* id : {"host-1", "host-2"})
      start(id);
    world.settle();
  }

  static virtual_time_options options() {
    virtual_time_options made;
    made.configure = [](caf::actor_system_config& config) { announce(config); };
    return made;
  }

  void start(const std::string& id) {
    auto& host = hosts[id];
    image_keeper_options x;
    x.host = id;
    x.incarnation = 7;
    x.images = host.images.shared;
    x.may_unpack = may_unpack;
    x.run = [&host](const fetch_order& order, std::function<bool(const fetch_progress&)> progress,
                    std::function<void(const fetch_outcome&)> done) {
      host.orders.push_back({order, std::move(progress), std::move(done)});
    };
    x.find_name = [](const std::string& path, const std::function<void(const storage::result<std::string>&)>& done) {
      done(storage::name_in(path));
    };
    const auto site = world.own(world.system().spawn([&host](caf::event_based_actor*) {
      return caf::behavior{[&host](const image_report& got) { host.reports.push_back(got); }};
    }));
    x.site = [&host, site] { return host.has_site ? site : caf::actor{}; };
    x.peers = [this, id] {
      std::vector<std::string> others;
      for (const auto& [other, kept] : hosts)
        if (other != id)
          others.push_back(other);
      return others;
    };
    x.keeper_of = [this](const std::string& other) { return hosts[other].keeper; };
    x.needed = [&host] { return host.needed; };
    if (decides_tags)
      x.meaning_of = [&host](const std::string&, const std::string&) { return host.meaning.value_or(tag_meaning{}); };
    x.record = [&host](storage::journal_event event) { host.events.push_back(std::move(event)); };
    x.clock = [] { return time_ms{1'000}; };
    caf::scoped_actor parent(world.system());
    host.keeper = world.own(spawn_image_keeper(parent.ptr(), x));
  }

  /// Carries out the oldest order of `id`, from the stores of other hosts.
  fetch_outcome carry_out(const std::string& id) {
    auto& host = hosts[id];
    REQUIRE_FALSE(host.orders.empty());
    auto next = std::move(host.orders.front());
    host.orders.pop_front();
    fetch_tools tools;
    tools.store = must(host.images.shared->get());
    tools.unpacking = &host.images.shared->unpacking();
    tools.now = [this] { return world.now(); };
    tools.clock = [] { return time_ms{1'000}; };
    tools.progress = next.progress;
    tools.peer = [this](const std::string& other) -> std::unique_ptr<blob_peer> {
      return std::make_unique<scripted_peer>(hosts[other].images.store().blobs());
    };
    const auto outcome = fetch_image(next.order, tools);
    next.done(outcome);
    world.settle();
    return outcome;
  }

  void fail(const std::string& id, image_failure why) {
    REQUIRE_FALSE(hosts[id].orders.empty());
    auto next = std::move(hosts[id].orders.front());
    hosts[id].orders.pop_front();
    fetch_outcome outcome;
    outcome.failed = true;
    outcome.failure = std::move(why);
    next.done(outcome);
    world.settle();
  }

  /// Asks without waiting for the answer.
  std::shared_ptr<std::optional<caf::expected<provided_image>>> ask(const std::string& id, const std::string& who = holder,
                                                                    const std::string& what = name) {
    auto answer = std::make_shared<std::optional<caf::expected<provided_image>>>();
    world.own(world.system().spawn([=, keeper = hosts[id].keeper](caf::event_based_actor* asker) {
      asker->request(keeper, 3600s, provide_image{what, who})
        .then([=](provided_image& x) { answer->emplace(std::move(x)); }, [=](caf::error& e) { answer->emplace(std::move(e)); });
    }));
    world.settle();
    return answer;
  }

  image_report order(const std::string& id, std::vector<image_order> orders, std::vector<std::string> keep = {}) {
    const auto report = world.ask<image_report>(hosts[id].keeper, 1s, image_orders{"host-9", 1, std::move(orders), std::move(keep)});
    REQUIRE(report);
    return *report;
  }

  image_order from_host_2() const { return {name, web.digest().text(), {"host-2"}, false, 0}; }

  bool decides_tags = false;
  bool may_unpack = ::geteuid() == 0;
  std::map<std::string, kept_host> hosts;
  virtual_time world;
};

bool is_root() {
  if (::geteuid() != 0)
    MESSAGE("SKIPPED: unpacking layers takes root");
  return ::geteuid() == 0;
}

void check_refused(const std::optional<caf::expected<provided_image>>& answer, image_errc code, const std::string& words) {
  REQUIRE(answer);
  REQUIRE_FALSE(*answer);
  const auto text = runtime::reason_text(answer->error());
  CAPTURE(text);
  CHECK(is_image_error(answer->error(), code));
  CHECK(text.find(words) != std::string::npos);
}

} // namespace

TEST_CASE("two containers that ask for one image share one fetch, and both get its layers and hold it") {
  if (!is_root())
    return;
  keepers at;
  web.add_to(at.hosts["host-2"].images.store(), name);
  const auto first = at.ask("host-1");
  const auto second = at.ask("host-1", "default.popcorn.web-2.httpd", "r.example/shop/web:1");
  CHECK_FALSE(first->has_value());
  at.order("host-1", {at.from_host_2()});
  CHECK(at.hosts["host-1"].orders.size() == 1);
  at.carry_out("host-1");
  for (const auto& answer : {first, second}) {
    REQUIRE(answer->has_value());
    REQUIRE(**answer);
    CHECK((**answer)->manifest == web.digest().text());
    CHECK((**answer)->config.command == std::vector<std::string>{"/bin/sh"});
    CHECK((**answer)->layers.size() == 1);
  }
  const auto report = at.order("host-1", {});
  REQUIRE(report.images.size() == 1);
  CHECK(report.images[0].holders == std::vector<std::string>{holder, "default.popcorn.web-2.httpd"});
  CHECK(report.images[0].unpacked);
  CHECK(report.transfers.empty());
  const auto& events = at.hosts["host-1"].events;
  REQUIRE(events.size() == 2);
  CHECK(events[0].object == "image/" + name);
  CHECK(events[0].reason == "from host-2");
  CHECK(events[1].reason.find("new image sha256:") == 0);
  CHECK(events[1].reason.find(" from host-2, ") != std::string::npos);
  SUBCASE("a third gets it at once, without a fetch") {
    const auto third = at.ask("host-1", "default.popcorn.web-3.httpd");
    REQUIRE(third->has_value());
    CHECK(**third);
    CHECK(at.hosts["host-1"].orders.empty());
  }
  SUBCASE("who lets go of it holds it no longer, and it stays") {
    REQUIRE(at.world.ask<void>(at.hosts["host-1"].keeper, 1s, keep_holders{{"default.popcorn.web-2.httpd", "default.other.c-1.c"}}));
    const auto after = at.order("host-1", {});
    REQUIRE(after.images.size() == 1);
    CHECK(after.images[0].holders == std::vector<std::string>{"default.popcorn.web-2.httpd"});
  }
}

TEST_CASE("without a leader a host asks the others after three seconds, and copies from the one that has the image") {
  if (!is_root())
    return;
  keepers at;
  web.add_to(at.hosts["host-2"].images.store(), name);
  at.hosts["host-1"].has_site = false;
  const auto answer = at.ask("host-1");
  at.world.advance(2'999ms);
  CHECK(at.hosts["host-1"].orders.empty());
  at.world.advance(1ms);
  REQUIRE(at.hosts["host-1"].orders.size() == 1);
  CHECK(at.hosts["host-1"].orders[0].order.peers == std::vector<std::string>{"host-2"});
  at.carry_out("host-1");
  REQUIRE(answer->has_value());
  CHECK(**answer);
}

TEST_CASE("a tag waits for what the site decides, also when an image of that name is here, and gets that one") {
  if (!is_root())
    return;
  keepers at(true);
  auto& host = at.hosts["host-1"];
  const test_image other{{tar_builder().file("etc/motd", "nachos").bytes()}};
  other.add_to(host.images.store(), name);
  web.add_to(at.hosts["host-2"].images.store(), name);
  host.meaning = tag_meaning{true, {}};
  const auto answer = at.ask("host-1");
  at.world.advance(10s);
  CHECK_FALSE(answer->has_value());
  CHECK(host.orders.empty()); // this host does not help itself
  const auto report = at.order("host-1", {});
  REQUIRE(report.transfers.size() == 1);
  CHECK(report.transfers[0].asked_for);
  const auto decide = [&] {
    caf::anon_send(host.keeper, state_applied{});
    at.world.settle();
  };
  decide(); // something else was decided
  CHECK_FALSE(answer->has_value());
  host.meaning = tag_meaning{false, web.digest().text()};
  decide();
  CHECK_FALSE(answer->has_value()); // it has to come here first
  const auto pinned = name + "@" + web.digest().text();
  at.order("host-1", {{pinned, web.digest().text(), {"host-2"}, false, 0}});
  at.carry_out("host-1");
  REQUIRE(answer->has_value());
  REQUIRE(**answer);
  CHECK((**answer)->manifest == web.digest().text());
  CHECK(host.events.back().object == "image/" + name); // by the name that people know
  SUBCASE("and the same again after that without anybody") {
    at.hosts["host-1"].has_site = false;
    const auto again = at.ask("host-1");
    REQUIRE(again->has_value());
    CHECK((**again)->manifest == web.digest().text());
  }
}

TEST_CASE("a host that is to look at a tag says what it found, and an image from a file is what its tag means") {
  if (!is_root())
    return;
  keepers at(true);
  auto& host = at.hosts["host-1"];
  web.add_to(host.images.store(), name);
  const image_order look{name, "", {}, true, 0, 17};
  CHECK(at.order("host-1", {look}).tags.empty());
  REQUIRE(host.orders.size() == 1);
  CHECK(host.orders.front().order.look_since == 17);
  at.carry_out("host-1");
  const tag_found found{name, 17, web.digest().text()};
  CHECK(at.order("host-1", {look}).tags == std::vector<tag_found>{found});
  CHECK(host.orders.empty());
  auto later = look;
  later.look_since = 18;
  CHECK(at.order("host-1", {later}).tags.empty());
  CHECK(host.orders.size() == 1); // what it found before says nothing about now
  CHECK(at.order("host-1", {}).tags.empty());
}

TEST_CASE("a host whose containers wait tells the leader within a second, again and again, until it has an order") {
  if (!is_root())
    return;
  keepers at;
  const auto answer = at.ask("host-1");
  at.world.advance(1s);
  auto& host = at.hosts["host-1"];
  REQUIRE_FALSE(host.reports.empty());
  CHECK(host.reports[0].host == "host-1");
  REQUIRE(host.reports[0].transfers.size() == 1);
  CHECK(host.reports[0].transfers[0].reference == name);
  CHECK(host.reports[0].transfers[0].asked_for);
  const auto so_far = host.reports.size();
  at.world.advance(1500ms);
  CHECK(host.reports.size() > so_far);
  at.order("host-1", {{name, "", {}, true, 0}});
  REQUIRE(host.orders.size() == 1);
  CHECK(host.orders[0].order.may_ask_registry);
}

TEST_CASE("a failure that people have to heal, or that can only be waited for, reaches who waits at once, another that time may heal after three attempts") {
  if (!is_root())
    return;
  keepers at;
  const auto first = at.ask("host-1");
  at.order("host-1", {{name, "", {}, true, 0}});
  at.fail("host-1", {image_errc::not_found, "the registry does not know it"});
  check_refused(*first, image_errc::not_found, "the registry does not know it");
  const auto second = at.ask("host-1");
  for (int attempt = 1; attempt <= 3; ++attempt) {
    CHECK_FALSE(second->has_value());
    at.world.advance(10s);
    at.fail("host-1", {image_errc::digest_mismatch, "other bytes arrived"});
  }
  check_refused(*second, image_errc::digest_mismatch, "other bytes arrived");
  const auto& events = at.hosts["host-1"].events;
  REQUIRE(events.size() == 2); // the same reason again is no event
  CHECK(events[0].to == "failed");
  CHECK(events[0].reason == "image " + name + " could not be fetched: the registry does not know it");
  CHECK(events[1].reason.find("other bytes arrived") != std::string::npos);
  const auto third = at.ask("host-1");
  at.world.advance(30s);
  at.fail("host-1", {image_errc::source_stalled, "nothing arrived"});
  check_refused(*third, image_errc::source_stalled, "nothing arrived");
}

TEST_CASE("a reference that is none, a holder without a name and an agent that is not root are refused with a next step") {
  keepers at;
  if (is_root()) {
    check_refused(*at.ask("host-1", holder, "Shop/Web"), image_errc::reference_malformed, "lower");
    check_refused(*at.ask("host-1", ""), image_errc::refused, "for which container");
  }
  at.may_unpack = false;
  at.start("host-1");
  check_refused(*at.ask("host-1"), image_errc::needs_root, "need an agent that runs as root");
  CHECK_FALSE(at.hosts["host-1"].images.shared->was_used());
}

TEST_CASE("a host that never needed an image opens no store, whatever the site and other hosts ask") {
  keepers at;
  const auto report = at.order("host-1", {});
  CHECK(report.images.empty());
  CHECK(at.world.ask<image_found>(at.hosts["host-1"].keeper, 1s, find_image{name, "linux/amd64"})->manifest.empty());
  CHECK_FALSE(at.world.ask<blob_part>(at.hosts["host-1"].keeper, 1s, read_blob{web.digest().text(), 0, 10}));
  REQUIRE(at.world.ask<void>(at.hosts["host-1"].keeper, 1s, keep_holders{}));
  at.world.advance(10min);
  CHECK_FALSE(at.hosts["host-1"].images.shared->was_used());
}

TEST_CASE("a new leader is told what is here, and nothing that leadership tells ends a keeper or is answered with an error") {
  keepers at;
  auto& host = at.hosts["host-1"];
  web.add_to(host.images.store(), name);
  const auto reports = host.reports.size();
  caf::anon_send(host.keeper, leader_changed{});
  at.world.advance(200ms);
  REQUIRE(host.reports.size() == reports + 1);
  CHECK(host.reports.back().images.size() == 1);
  CHECK(at.world.ask<void>(host.keeper, 1s, state_applied{7}));
}

TEST_CASE("a blob is read in parts of at most 256 KiB, none behind its end, and only of this host's own digests") {
  keepers at;
  const auto large = test_image({tar_builder().file("x", std::string(300'000, 'x')).bytes()}, packing::plain);
  auto& host = at.hosts["host-2"];
  large.add_to(host.images.store(), name);
  const auto digest = storage::digest_of(large.layers[0]).text();
  const auto read = [&](const std::string& what, std::uint64_t offset, std::uint32_t most) {
    return at.world.ask<blob_part>(host.keeper, 1s, read_blob{what, offset, most});
  };
  const auto first = read(digest, 0, 4'000'000);
  REQUIRE(first);
  CHECK(first->bytes.size() == 256 * 1024);
  CHECK(first->total_bytes == large.layers[0].size());
  CHECK(first->bytes == large.layers[0].substr(0, 256 * 1024));
  CHECK(read(digest, large.layers[0].size(), 10)->bytes.empty());
  CHECK_FALSE(read(digest, large.layers[0].size() + 1, 10));
  CHECK_FALSE(read("sha256:../../etc/passwd", 0, 10));
  const auto unknown = read(web.digest().text(), 0, 10);
  REQUIRE_FALSE(unknown);
  CHECK(is_image_error(unknown.error(), image_errc::not_found));
}

TEST_CASE("an import with the same key joins the first and gets its result for a minute, and its errors are sentences") {
  keepers at;
  auto& host = at.hosts["host-1"];
  web.write_layout(host.images.folder / "layout", "1.0");
  const auto import = [&](const std::string& as, const std::string& path, const std::string& key) {
    auto answer = std::make_shared<std::optional<caf::expected<image_imported>>>();
    at.world.own(at.world.system().spawn([=, keeper = host.keeper](caf::event_based_actor* asker) {
      asker->request(keeper, 3600s, import_image{as, path, key})
        .then([=](image_imported& x) { answer->emplace(std::move(x)); }, [=](caf::error& e) { answer->emplace(std::move(e)); });
    }));
    at.world.settle();
    return answer;
  };
  const auto text = [](const auto& answer) { return runtime::reason_text((**answer).error()); };
  const auto layout = host.images.folder / "layout";
  const auto first = import(name, layout, "a");
  const auto joined = import(name, layout, "a");
  CHECK_FALSE(first->has_value());
  CHECK(host.orders.size() == 1);
  CHECK(text(import(name, layout, "b")).find("on its way to host-1 already") != std::string::npos);
  at.carry_out("host-1");
  REQUIRE(first->has_value());
  REQUIRE(**first);
  CHECK((**first)->manifest == web.digest().text());
  CHECK((**joined)->name == name);
  at.world.advance(59s);
  CHECK(**import(name, layout, "a"));
  CHECK(host.orders.empty());
  at.world.advance(1s);
  import(name, layout, "a");
  CHECK(host.orders.size() == 1);
  CHECK(text(import(name, "layout", "c")).find("is not an absolute path") != std::string::npos);
  CHECK(text(import(name, "/nowhere", "c")).find("there is no file or folder /nowhere") != std::string::npos);
  CHECK(text(import("", layout, "c")).find("--name") != std::string::npos);
  CHECK(is_image_error((**import("UPPER", layout, "c")).error(), image_errc::reference_malformed));
}

TEST_CASE("a keeper that ends says so to all who wait, and its successor knows what is there and who holds it") {
  if (!is_root())
    return;
  keepers at;
  web.add_to(at.hosts["host-1"].images.store(), "r.example/shop/held:1");
  const auto held = at.ask("host-1", "default.other.x-1.x", "r.example/shop/held:1");
  at.carry_out("host-1"); // it is there, and was never unpacked
  REQUIRE(held->has_value());
  REQUIRE(**held);
  const auto waiting = at.ask("host-1");
  caf::anon_send_exit(at.hosts["host-1"].keeper, caf::exit_reason::kill);
  at.world.settle();
  check_refused(*waiting, image_errc::ended, "ask again");
  at.start("host-1");
  at.world.settle();
  const auto report = at.order("host-1", {});
  REQUIRE(report.images.size() == 1);
  CHECK(report.images[0].holders == std::vector<std::string>{"default.other.x-1.x"});
}

TEST_CASE("a blob that another host found to be other bytes is looked at, and removed with a word if its disk changed it") {
  keepers at;
  const test_image large{{tar_builder().file("web", std::string(3'000'000, 'x')).bytes()}};
  auto& host = at.hosts["host-2"];
  large.add_to(host.images.store(), name);
  const auto blob = storage::digest_of(large.layers[0]);
  const auto path = host.images.store().blobs().path(blob);
  const bool is_damaged = [&] {
    SUBCASE("it is whole") { return false; }
    SUBCASE("it is damaged") { return true; }
    return false;
  }();
  if (is_damaged) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(large.layers[0].size() - 4));
    file << "oops";
  }
  CHECK(at.order("host-2", {}).images.size() == 1);
  for (int i = 0; i < 2; ++i) {
    const auto answer = at.world.ask<blob_part>(host.keeper, 1s, read_blob{blob.text(), 0, 0});
    REQUIRE(answer);
    CHECK(answer->bytes.empty());
    at.world.settle();
    if (is_damaged)
      break;
  }
  CHECK(host.images.store().blobs().contains(blob) == !is_damaged);
  CHECK(at.order("host-2", {}).images.size() == (is_damaged ? 0 : 1)); // so that nobody is sent here for it
  REQUIRE(host.events.size() == (is_damaged ? 1 : 0));
  if (is_damaged) {
    CHECK(host.events[0].object == "image/" + name);
    CHECK(host.events[0].to == "damaged");
  }
}
