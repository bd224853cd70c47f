// What a tag means is decided once by the site, for each version of an application.

#include <doctest/doctest.h>

#include <map>

#include "actors/site/image_copies.hpp"
#include "actors/site/image_tags.hpp"
#include "actors/site/image_views.hpp"
#include "actors/site/update.hpp"
#include "tests/actors/site_fixture.hpp"

using namespace prunella;
using namespace prunella::actors;

namespace {

const std::string tag = "r.example/shop/web:1";
const std::string first = "sha256:" + std::string(64, 'a');
const std::string second = "sha256:" + std::string(64, 'b');
const std::string key = "default.popcorn";

/// Three hosts, and an application whose service `web` names a tag.
struct site_of_tags {
  site_of_tags() {
    config::site_spec spec;
    spec.name = "shop";
    for (int i = 1; i <= 3; ++i)
      spec.hosts.push_back(test::host("host-" + std::to_string(i)));
    run(register_site{spec});
    for (auto& [id, host] : state.hosts) {
      host.drivers = {config::driver_kind::process, config::driver_kind::oci};
      auto& report = reports[id];
      report.host = id;
      report.platform = "linux/amd64";
      report.free_bytes = std::uint64_t{10} << 30;
    }
    put("1");
  }

  command_outcome run(decltype(site_command::body) body) {
    return apply(state, {0, std::move(body)}, state.applied_index + 1).outcome;
  }

  /// As the user applies it; `setting` is something that instances are started anew for.
  command_outcome put(const std::string& version, const std::string& setting = "") {
    auto web = test::service("web", 2);
    web.containers[0].image = tag;
    web.containers[0].env["SETTING"] = setting;
    auto other = test::service("other", 1);
    other.containers[0].image = "r.example/shop/other@" + first;
    auto application = test::application("popcorn", {web, other});
    application.version = version;
    return apply_spec(application);
  }

  command_outcome apply_spec(const config::application_spec& spec) { return run(put_application{spec, true}); }

  void assign(std::uint32_t replica, const std::string& host) {
    assignment_change change;
    change.instance = "default.popcorn.web-" + std::to_string(replica);
    if (const auto it = state.assignments.find(change.instance); it != state.assignments.end()) {
      change.from_host = it->second.host;
      change.from_generation = it->second.generation;
    }
    change.next = {"default", "popcorn", "web", replica, host, 0, 0, "", {}};
    change.next.revision = record().changed_at.at("web");
    run(change_assignments{{change}});
  }

  application_record& record() { return state.applications.at(key); }

  /// The host looked at the tag, as it was told to.
  void find(const std::string& host, const std::string& digest) {
    reports[host].tags = {{tag, record().open_since, digest}};
  }

  command_outcome decide() {
    auto next = decide_tags(state, reports);
    REQUIRE(next);
    next->replaced_runs = true;
    return run(*next);
  }

  void hold(const std::string& host, time_ms at) {
    reports[host].images.push_back({first, {tag}, {}, "linux/amd64", "registry r.example", 1'000, true, at});
  }

  /// `host-1: looks, host-2: waits`.
  std::string orders() const {
    std::string all;
    for (const auto& [host, list] : plan_copies(state, reports, {}).orders)
      for (const auto& x : list)
        if (x.reference == tag)
          all += (all.empty() ? "" : ", ") + host + (x.look_since != 0 ? ": looks" : x.from.empty() && !x.may_ask_registry ? ": waits" : ": copies");
    return all;
  }

  std::string meaning(std::uint32_t replica = 1) const {
    const auto x = meaning_of(state, "default.popcorn.web-" + std::to_string(replica) + ".main", tag);
    return x.is_open ? "open" : x.digest;
  }

  site_state state;
  image_reports reports;
};

} // namespace

TEST_CASE("of the hosts that run what a tag names one looks at it, and the others wait for what the site decides") {
  site_of_tags site;
  CHECK(site.orders() == "host-1: looks");
  site.assign(1, "host-2");
  site.assign(2, "host-3");
  CHECK(site.orders() == "host-2: looks, host-3: waits");
  SUBCASE("who has an image of that name before who has none, and the newest first") {
    site.hold("host-1", 5);
    CHECK(site.orders() == "host-1: looks, host-2: waits, host-3: waits");
    site.hold("host-3", 6);
    CHECK(site.orders() == "host-2: waits, host-3: looks");
  }
  SUBCASE("who failed lets another try, and who is at it goes on") {
    site.reports["host-2"].transfers = {{tag, transfer_state::failed, true, false, "", 0, 0, 1, "refused"}};
    CHECK(site.orders() == "host-2: waits, host-3: looks");
    site.reports["host-2"].transfers[0].from_registry = true;
    CHECK(site.orders() == "host-2: looks, host-3: waits");
  }
  SUBCASE("a service without replicas needs nothing looked at") {
    site.run(scale_service{key, "web", 0});
    CHECK(site.orders() == "");
    site.run(scale_service{key, "web", 1});
    CHECK(site.orders() == "host-2: looks, host-3: waits");
  }
}

TEST_CASE("what the first host finds is decided once, and is what the tag means to every container of that version") {
  site_of_tags site;
  site.assign(1, "host-1");
  site.assign(2, "host-2");
  CHECK(site.meaning() == "open");
  CHECK_FALSE(decide_tags(site.state, site.reports));
  site.find("host-2", first);
  site.find("host-3", second); // both looked at the same time, and the tag moved between them
  CHECK(decide_tags(site.state, site.reports)->found_at == "host-2");
  const auto decided = *decide_tags(site.state, site.reports);
  CHECK(site.decide().result == command_result::updated);
  CHECK(site.meaning(1) == first);
  CHECK(site.meaning(2) == first);
  CHECK(site.record().revision == 1); // nothing that runs has to be started anew
  CHECK_FALSE(decide_tags(site.state, site.reports));
  CHECK(site.run(decided).result == command_result::stale);
  CHECK(site.orders() == "");
  const auto plan = plan_copies(site.state, site.reports, {});
  CHECK(plan.orders.at("host-1").back().reference == with_digest(tag, first));
  CHECK(needed_on(site.state, "host-1").back() == with_digest(tag, first));
  site.hold("host-2", 1);
  const auto rows = image_views(site.state, site.reports);
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].needed == "yes");
  CHECK(rows[0].meant_by == std::vector<tag_use_view>{{"default.popcorn.web", tag}});
  SUBCASE("an instance that goes to another host runs the same, whatever is pushed under the tag") {
    site.assign(1, "host-3");
    CHECK(site.meaning(1) == first);
  }
  SUBCASE("what a host found for an earlier apply decides nothing about a later one") {
    site.put("2", "new");
    CHECK_FALSE(decide_tags(site.state, site.reports));
  }
  SUBCASE("a container that the site has no instance of is no matter of the site") {
    const auto x = meaning_of(site.state, "default.popcorn.web-9.main", tag);
    CHECK_FALSE(x.is_open);
    CHECK(x.digest.empty());
  }
}

TEST_CASE("a service that is started anew for a new version waits for what its tag means then, and what runs keeps its own") {
  site_of_tags site;
  site.assign(1, "host-1");
  site.assign(2, "host-2");
  site.find("host-1", first);
  site.decide();
  site.put("2", "new");
  CHECK(site.meaning(1) == first); // it runs the version before until it is updated
  site.assign(1, "host-1");        // that is: a new generation of the new version
  CHECK(site.meaning(1) == "open");
  CHECK(site.meaning(2) == first);
  site.find("host-1", second);
  site.decide();
  CHECK(site.meaning(1) == second);
  CHECK(site.meaning(2) == first);
  const auto needed = needed_on(site.state, "host-1");
  CHECK(needed == std::vector<std::string>{"r.example/shop/other@" + first, with_digest(tag, first), with_digest(tag, second)});
  SUBCASE("and a rollback goes back to the image that ran, without a look at the tag") {
    CHECK(site.run(roll_back{key, 0, ""}).result == command_result::updated);
    site.assign(1, "host-3");
    CHECK(site.meaning(1) == first);
    CHECK(site.orders() == "");
  }
}

TEST_CASE("an apply of the same document decides nothing anew, whatever its tag means by now") {
  site_of_tags site;
  site.assign(1, "host-1");
  site.assign(2, "host-2");
  SUBCASE("and a look that is under way goes on") {
    const auto since = site.record().open_since;
    CHECK(site.put("1").result == command_result::unchanged);
    CHECK(site.record().open_since == since);
    CHECK(site.orders() == "host-1: looks, host-2: waits");
    return;
  }
  site.find("host-1", first);
  site.decide();
  const auto before = site.record();
  CHECK(site.put("1").result == command_result::unchanged);
  CHECK(site.record() == before);
  CHECK(site.orders() == "");
  site.find("host-1", second);
  CHECK_FALSE(decide_tags(site.state, site.reports));
  CHECK(site.meaning(1) == first);
}

TEST_CASE("whatever else is changed, a tag means the same as long as the version is the same") {
  site_of_tags site;
  site.assign(1, "host-1");
  site.assign(2, "host-2");
  auto spec = site.record().spec;
  auto& web = spec.services[0];
  SUBCASE("a look that is under way goes on") {
    const auto since = site.record().open_since;
    web.replicas = 3;
    site.apply_spec(spec);
    CHECK(site.record().open_since == since);
    CHECK(site.orders() == "host-1: looks, host-2: waits");
    return;
  }
  site.find("host-1", first);
  site.decide();
  site.find("host-1", second); // it is pushed again
  const auto is_kept = [&] {
    CHECK(site.apply_spec(spec).result == command_result::updated);
    CHECK(site.record().open_tags.empty());
    CHECK_FALSE(decide_tags(site.state, site.reports));
    CHECK(digests_of(site.record().images, "web").at(tag) == first);
  };
  const auto web_runs_on = [&] { CHECK(site.record().changed_at.at("web") == 1); };
  SUBCASE("its replicas") {
    web.replicas = 3;
    is_kept();
    web_runs_on();
  }
  SUBCASE("the grace of a container") {
    web.containers[0].grace = std::chrono::milliseconds{1};
    is_kept();
  }
  SUBCASE("another service") {
    spec.services[1].containers[0].env["A"] = "b";
    is_kept();
    web_runs_on();
    CHECK(site.record().changed_at.at("other") == 2);
  }
  SUBCASE("what it is started anew for") {
    web.containers[0].env["SETTING"] = "new";
    is_kept();
    CHECK(site.record().changed_at.at("web") == 2);
    site.assign(1, "host-1");
    CHECK(site.meaning(1) == first);
    CHECK(site.meaning(2) == first);
  }
  SUBCASE("another service that names the tag from now on runs the same by it") {
    spec.services[1].containers[0].image = tag;
    is_kept();
    web_runs_on();
    CHECK(digests_of(site.record().images, "other").at(tag) == first);
  }
  SUBCASE("but not what it names: another tag is looked at, and only that") {
    web.init_containers = web.containers;
    web.init_containers[0].image = "r.example/shop/web:2";
    CHECK(site.apply_spec(spec).result == command_result::updated);
    CHECK(site.record().open_tags == std::vector<std::string>{"r.example/shop/web:2"});
    CHECK(digests_of(site.record().images, "web").at(tag) == first);
    CHECK_FALSE(decide_tags(site.state, site.reports));
    SUBCASE("and no more when it is gone again") {
      web.init_containers.clear();
      is_kept();
      web_runs_on(); // as before
    }
  }
}

TEST_CASE("a service that is as in the version before again runs what its tag means in this one") {
  site_of_tags site;
  site.assign(1, "host-1");
  site.find("host-1", first);
  site.decide();
  site.put("2", "new");
  site.find("host-1", second);
  site.decide();
  const auto changed_at = site.record().changed_at.at("web");
  site.put("2"); // the setting of version 1
  CHECK(digests_of(site.record().images, "web").at(tag) == second);
  CHECK(site.record().changed_at.at("web") > changed_at);
  CHECK(site.record().open_tags.empty());
}

TEST_CASE("what a version before decided of a tag is no decision of this one, so a correction of it does not end the look") {
  site_of_tags site;
  site.assign(1, "host-1");
  site.find("host-1", first);
  site.decide();
  site.put("2");
  const auto since = site.record().open_since;
  site.put("2", "new");
  CHECK(site.record().open_tags == std::vector<std::string>{tag});
  CHECK(site.record().open_since == since);
  CHECK(digests_of(site.record().images, "web").count(tag) == 0); // what is started anew waits for it
}

TEST_CASE("a new version looks at its tags again, and what a moved one named is updated, with a way back") {
  site_of_tags site;
  site.assign(1, "host-1");
  site.assign(2, "host-2");
  site.find("host-1", first);
  site.decide();
  site.put("2");
  CHECK(site.orders() == "host-1: looks"); // and nobody waits: both run on
  CHECK(site.meaning(1) == first);
  SUBCASE("it is what it was: nothing happens") {
    site.find("host-1", first);
    site.decide();
    CHECK(site.record().revision == 2);
    CHECK(site.record().changed_at.at("web") == 1);
    CHECK(site.record().update == update_phase::done);
  }
  SUBCASE("it moved") {
    site.find("host-1", second);
    site.decide();
    CHECK(site.record().revision == 3);
    CHECK(site.record().changed_at == std::map<std::string, std::uint64_t>{{"other", 1}, {"web", 3}});
    CHECK(site.record().update == update_phase::running);
    CHECK(site.meaning(1) == first);
    site.assign(1, "host-1");
    CHECK(site.meaning(1) == second);
    SUBCASE("automatically") {
      CHECK(site.run(roll_back{key, 3, "it does not get ready"}).result == command_result::updated);
      site.assign(1, "host-1");
      CHECK(site.meaning(1) == first);
      CHECK(site.record().former.revision == 0); // what failed is nothing to go back to
    }
    SUBCASE("or by hand when it is through, and back again") {
      site.run(end_update{key, 3, ""});
      site.run(roll_back{key, 0, ""});
      CHECK(digests_of(site.record().images, "web").at(tag) == first);
      site.run(roll_back{key, 0, ""});
      CHECK(digests_of(site.record().images, "web").at(tag) == second);
    }
    SUBCASE("the document applied once more changes nothing") {
      const auto before = site.record();
      CHECK(site.put("2").result == command_result::unchanged);
      CHECK(site.record() == before);
    }
  }
}

TEST_CASE("a new version that changes nothing of a service looks at its tag again too") {
  site_of_tags site;
  site.find("host-1", first);
  site.decide();
  site.put("2");
  CHECK(site.record().changed_at.at("web") == 1);
  CHECK(digests_of(site.record().images, "web").at(tag) == first);
  CHECK(site.orders() == "host-1: looks");
  site.find("host-1", second);
  site.decide();
  CHECK(site.record().changed_at.at("web") == 3);
  CHECK(digests_of(site.record().former.images, "web").at(tag) == first);
}
