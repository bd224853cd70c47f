#include <doctest/doctest.h>

#include "actors/site/site_command_bytes.hpp"
#include "actors/site/site_difference.hpp"
#include "tests/actors/site_fixture.hpp"

using namespace prunella;
using namespace prunella::test;
using actors::command_result;

TEST_CASE("a document that the site was not founded with is told apart by host and field, the same one is not") {
  small_site site{{host("host-1"), host("host-2", {{"zone", "back"}})}};
  config::site_spec document;
  document.name = "shop";
  document.hosts = {host("host-1"), host("host-2", {{"zone", "back"}})};
  CHECK(actors::differences(document, site.state).empty());
  CHECK(actors::difference_text(document, site.state).empty());

  document.hosts[0].address = "127.0.0.1:7";
  document.hosts[1].labels.clear();
  document.hosts[1].capacity.cpu_millis = 500;
  document.hosts.push_back(host("host-3"));
  CHECK(actors::differences(document, site.state)
        == std::vector<std::string>{
          "host-1's address: the document says 127.0.0.1:7, the site 127.0.0.1:0",
          "host-2's labels: the document says none, the site zone=back",
          "host-2's capacity: the document says cpu 500m, memory 1Gi, the site cpu 4, memory 1Gi",
          "host-3 is in the document and not in the site"});
  CHECK(actors::difference_text(document, site.state).find("; and 1 more. The site's word counts") != std::string::npos);
  document.hosts = {host("host-1")};
  CHECK(actors::differences(document, site.state) == std::vector<std::string>{"host-2 is in the site and not in the document"});
  CHECK(actors::differences(document, actors::site_state{}).empty());
}

TEST_CASE("the site is registered once, later documents change nothing") {
  small_site site{{host("host-1")}};
  config::site_spec other;
  other.name = "another";
  CHECK(site.run(actors::register_site{other}).outcome.result == command_result::unchanged);
  CHECK(site.state.site.name == "shop");
  CHECK(site.state.hosts.size() == 1);
}

TEST_CASE("applying the same spec again is unchanged and keeps the revision, another one raises it by one") {
  small_site site{{host("host-1")}};
  auto app = application("popcorn", {service("web", 1)});
  CHECK(site.run(actors::put_application{app}).outcome.result == command_result::created);
  const auto again = site.run(actors::put_application{app});
  CHECK(again.outcome.result == command_result::unchanged);
  CHECK(again.outcome.revision == 1);
  CHECK(again.rows.empty());
  CHECK(again.events.empty());
  app.version = "2.0";
  const auto changed = site.run(actors::put_application{app});
  CHECK(changed.outcome.result == command_result::updated);
  CHECK(changed.outcome.revision == 2);
}

TEST_CASE("commands about what is not there change nothing and name it") {
  small_site site{{host("host-1")}};
  CHECK(site.run(actors::delete_application{"default.ghost"}).outcome.detail == "application default.ghost");
  CHECK(site.run(actors::scale_service{"default.ghost", "web", 2}).outcome.result == command_result::not_found);
  site.run(actors::put_application{application("popcorn", {service("web", 1)})});
  CHECK(site.run(actors::scale_service{"default.popcorn", "db", 2}).outcome.detail == "service default.popcorn/db");
  CHECK(site.run(actors::set_host_state{"host-9", false, "silent"}).outcome.result == command_result::not_found);
}

TEST_CASE("a plan made from an outdated state changes nothing") {
  small_site site{{host("host-1"), host("host-2")}};
  site.run(actors::put_application{application("popcorn", {service("web", 1)})});
  const auto outdated = site.plan();
  site.settle();
  const auto before = site.state.assignments;
  CHECK(site.run(outdated.changes).outcome.result == command_result::stale);
  CHECK(site.state.assignments == before);
}

TEST_CASE("a name that comes back after its removal continues above its last generation") {
  small_site site{{host("host-1"), host("host-2")}};
  const auto app = application("popcorn", {service("web", 1)});
  site.run(actors::put_application{app});
  site.settle();
  site.run(actors::set_host_state{site.host_of("default.popcorn.web-1"), false, "silent"});
  site.settle();
  REQUIRE(site.state.assignments.at("default.popcorn.web-1").generation == 2);
  site.run(actors::delete_application{"default.popcorn"});
  site.settle();
  site.run(actors::put_application{app});
  site.settle();
  CHECK(site.state.assignments.at("default.popcorn.web-1").generation == 3);
}

TEST_CASE("commands and states survive their bytes, and damaged bytes are refused") {
  small_site site{{host("host-1"), host("host-2")}};
  site.run(actors::put_application{application("popcorn", {service("web", 2)})});
  site.settle();
  const auto bytes = actors::encode(site.state);
  actors::site_state copy;
  REQUIRE(actors::decode(bytes, copy));
  CHECK(copy == site.state);
  CHECK_FALSE(actors::decode(bytes.substr(0, bytes.size() - 1), copy));
  CHECK_FALSE(actors::decode(bytes + "x", copy));

  const actors::site_command command{7, actors::scale_service{"default.popcorn", "web", 3}};
  actors::site_command read;
  REQUIRE(actors::decode(actors::encode(command), read));
  CHECK(std::get<actors::scale_service>(read.body).replicas == 3);
}

TEST_CASE("rows put back one by one give the same state") {
  small_site site{{host("host-1"), host("host-2")}};
  std::vector<actors::changed_row> rows{{"site", "site"}, {"host", "host-1"}, {"host", "host-2"}};
  const auto note = [&](const actors::applied_command& x) { rows.insert(rows.end(), x.rows.begin(), x.rows.end()); };
  note(site.run(actors::put_application{application("popcorn", {service("web", 2)})}));
  note(site.run(site.plan().changes));
  actors::site_state copy;
  for (const auto& row : rows)
    REQUIRE(actors::load_row(copy, row, actors::row_value(site.state, row)));
  copy.applied_index = site.state.applied_index;
  CHECK(copy == site.state);
  CHECK_FALSE(actors::load_row(copy, {"planet", "mars"}, "x"));
  CHECK(actors::row_value(site.state, {"application", "default.gone"}).empty());
}

TEST_CASE("bytes with an enumerator that this version does not know are no command, no state and no row") {
  auto app = application("popcorn", {service("web", 1)});
  const auto refused = [&] {
    actors::site_command command;
    actors::site_state state;
    actors::site_state other;
    other.applications["default.popcorn"].spec = app;
    const auto row = actors::row_value(other, {"application", "default.popcorn"});
    return !actors::decode(actors::encode(actors::site_command{0, actors::put_application{app}}), command) &&
           !actors::decode(actors::encode(other), state) &&
           !actors::load_row(state, {"application", "default.popcorn"}, row);
  };
  app.strategy = config::restart_strategy::rest_for_one; // the last one there is
  CHECK_FALSE(refused());
  app.strategy = static_cast<config::restart_strategy>(3);
  CHECK(refused());
  app.strategy = {};
  app.services[0].restart.type = static_cast<config::restart_type>(255);
  CHECK(refused());
  app.services[0].restart.type = {};
  app.services[0].containers[0].ports = {{"http", 80, static_cast<config::port_protocol>(2)}};
  CHECK(refused());
}
