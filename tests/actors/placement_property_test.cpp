#include <doctest/doctest.h>

#include <random>

#include "actors/site/site_command_bytes.hpp"
#include "tests/actors/reference_plan.hpp"
#include "tests/actors/site_fixture.hpp"

using namespace prunella;
using namespace prunella::test;

namespace {

/// A site that changes at random in everything that placement looks at.
class random_site {
public:
  explicit random_site(std::uint32_t seed) : random_(seed), site_(hosts()) {
    site_.seen = [this](const std::string& instance, const actors::assignment& x, const config::update_spec&) {
      const auto number = (std::hash<std::string>{}(instance) + x.generation + salt_) % 6;
      return number == 0 ? actors::seen_as::away : number == 1 ? actors::seen_as::fresh : actors::seen_as::steady;
    };
  }

  std::uint32_t pick(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }
  small_site& site() { return site_; }
  bool has_ended(const std::string& instance) const {
    const auto x = site_.state.assignments.find(instance);
    return x != site_.state.assignments.end() && x->second.ended != actors::instance_end::none;
  }

  void change() {
    salt_ = pick(100);
    switch (pick(10)) {
    case 0:
    case 1: site_.run(actors::put_application{any_application()}); break;
    case 2: site_.run(actors::scale_service{"default.app-" + std::to_string(pick(4)), name(pick(3)), pick(14)}); break;
    case 3: site_.run(actors::delete_application{"default.app-" + std::to_string(pick(4))}); break;
    case 4: site_.run(actors::set_host_state{"host-" + std::to_string(pick(12)), pick(3) != 0, "silent"}); break;
    case 5: site_.run(actors::set_host_drivers{"host-" + std::to_string(pick(12)), any_drivers(), any_lacks()}); break;
    case 6: site_.run(actors::drain_host{"host-" + std::to_string(pick(12)), pick(3) == 0}); break;
    case 7:
      if (const auto* x = any_assignment())
        site_.run(actors::restart_instances{"", "", 0, x->first, x->second.generation});
      break;
    case 8:
      for (auto n = pick(8); n > 0; --n)
        if (const auto* x = any_assignment())
          site_.ends[x->first] = {x->second.host, x->second.generation, pick(2) == 0 ? actors::instance_end::finished : actors::instance_end::failed,
                                  "exited"};
      break;
    default:
      for (auto n = pick(4); n > 0; --n)
        if (const auto* x = any_assignment())
          site_.gave_up[x->first] = {x->second.host, x->second.generation, "exited with code 1"};
      site_.now += pick(60'000);
    }
  }

private:
  /// Null: there is none.
  const std::pair<const std::string, actors::assignment>* any_assignment() {
    const auto& all = site_.state.assignments;
    return all.empty() ? nullptr : &*std::next(all.begin(), pick(static_cast<std::uint32_t>(all.size())));
  }

  static std::string name(std::uint32_t i) { return std::vector<std::string>{"web", "web-1", "db"}[i]; }

  std::vector<config::driver_kind> any_drivers() {
    using config::driver_kind;
    const std::vector<std::vector<driver_kind>> sets{{}, {driver_kind::process}, {driver_kind::oci}, {driver_kind::process, driver_kind::oci}};
    return sets[pick(4)];
  }

  std::vector<actors::host_lack> any_lacks() {
    using actors::host_lack;
    const std::vector<std::vector<host_lack>> sets{{}, {}, {}, {host_lack::bridge}, {host_lack::user_namespaces}, {host_lack::disk_limits},
                                                   {host_lack::bridge, host_lack::own_networks}, {host_lack::disk_room}};
    return sets[pick(8)];
  }

  std::vector<config::host_spec> hosts() {
    std::vector<config::host_spec> result;
    for (std::uint32_t i = 0, n = 1 + pick(11); i < n; ++i) {
      config::labels labels{{"zone", pick(2) == 0 ? "a" : "b"}};
      if (pick(2) == 0)
        labels["disk"] = "ssd";
      result.push_back(host("host-" + std::to_string(i), labels, {500 + 250 * pick(3), (1 + pick(3)) * 500'000}));
      if (pick(2) == 0)
        result.back().host_paths = {"/srv"};
    }
    return result;
  }

  config::application_spec any_application() {
    std::vector<config::service_spec> services;
    for (std::uint32_t i = 0, n = 1 + pick(3); i < n; ++i) {
      auto x = service(name(i), pick(12), {10 * pick(30), 1'000 * pick(300)});
      const char* const expressions[] = {"", "", "zone = a", "exists disk", "zone = b and not exists disk", "zone ="};
      x.placement.match_host_labels = expressions[pick(6)];
      const char* const spreads[] = {"", "zone", "disk", "rack"};
      x.placement.spread_by = spreads[pick(4)];
      if (pick(3) == 0)
        x.placement.anti_affinity = {name(pick(3))};
      if (pick(4) == 0)
        x.containers[0].ports = {{"http", static_cast<std::uint16_t>(80 + pick(2)), config::port_protocol::tcp}};
      if (pick(4) == 0)
        x.network = pick(2) == 0 ? config::instance_network::bridge : config::instance_network::none;
      if (pick(4) == 0)
        x.containers.push_back(x.containers[0]);
      if (pick(4) == 0)
        x.containers.back().image = "shop/web:1";
      if (pick(8) == 0)
        x.containers.back().user_namespace = true;
      if (pick(8) == 0)
        x.containers.back().disk_bytes = 1 << 30;
      if (pick(8) == 0)
        x.containers.back().volumes = {{"/media", config::volume_kind::host_path, "", pick(2) == 0 ? "/srv/media" : "/srv-2", 0, false}};
      if (pick(4) == 0)
        x.init_containers = {x.containers[0]};
      x.containers[0].command = {"serve", std::to_string(pick(3))};
      const config::restart_type types[] = {config::restart_type::permanent, config::restart_type::permanent,
                                            config::restart_type::transient, config::restart_type::temporary};
      x.restart.type = types[pick(4)];
      services.push_back(std::move(x));
    }
    return application("app-" + std::to_string(pick(4)), std::move(services));
  }

  std::mt19937 random_;
  std::size_t salt_ = 0; ///< of which instances run
  small_site site_;
};

} // namespace

TEST_CASE("random sites are planned exactly as by a look at every host for every instance") {
  std::size_t decided = 0;
  std::size_t unplaced = 0;
  std::size_t ended = 0;
  std::size_t begun_anew = 0;
  for (std::uint32_t seed = 1; seed <= 150; ++seed) {
    random_site x{seed};
    for (int step = 0; step < 25; ++step) {
      CAPTURE(seed);
      CAPTURE(step);
      x.change();
      const auto expected = reference_plan(x.site().state, x.site().gave_up, x.site().now, x.site().seen, x.site().ends);
      const auto found = x.site().plan();
      REQUIRE(found.look_again_at == expected.look_again_at);
      REQUIRE(found.waits_for_reports == expected.waits_for_reports);
      REQUIRE(found.changes.changes.size() == expected.changes.changes.size());
      for (std::size_t i = 0; i < expected.changes.changes.size(); ++i) {
        const auto& a = found.changes.changes[i];
        const auto& b = expected.changes.changes[i];
        INFO(a.instance, ": ", a.next.host, " (", a.next.reason, ") instead of ", b.next.host, " (", b.next.reason, ")");
        REQUIRE(a == b);
        ++decided;
        unplaced += b.next.host.empty() ? 1 : 0;
        ended += b.next.ended != actors::instance_end::none ? 1 : 0;
        begun_anew += !b.remove && x.has_ended(b.instance) && b.next.ended == actors::instance_end::none ? 1 : 0;
      }
      if (x.pick(3) != 0)
        x.site().run(found.changes); // else what is next is decided on top of what was not
    }
  }
  CHECK(decided > 5'000);
  CHECK(unplaced > 500);
  CHECK(ended > 100);
  CHECK(begun_anew > 30);
}

TEST_CASE("501 changes are two portions, of 500 and of 1, in order") {
  small_site site{{host("host-1", {}, {1'000'000, 1 << 30})}};
  site.run(actors::put_application{application("shop", {service("web", 501, {1, 1})})});
  const auto all = site.plan().changes;
  REQUIRE(all.changes.size() == 501);
  const auto portions = actors::in_portions(all);
  REQUIRE(portions.size() == 2);
  CHECK(portions[0].changes.size() == 500);
  CHECK(portions[1].changes.size() == 1);
  CHECK(portions[0].changes[499].instance == "default.shop.web-500");
  CHECK(portions[1].changes[0].instance == "default.shop.web-501");
  CHECK(actors::in_portions({}).empty());
}

TEST_CASE("portions of long explanations stay below half a mebibyte and so below the longest log entry") {
  small_site site{{host("host-1")}};
  auto web = service("web", 500);
  web.placement.match_host_labels = "zone = " + std::string(4'000, 'x');
  site.run(actors::put_application{application("shop", {web})});
  const auto portions = actors::in_portions(site.plan().changes);
  CHECK(portions.size() == 5);
  std::size_t changes = 0;
  for (const auto& portion : portions) {
    changes += portion.changes.size();
    CHECK(actors::encode(actors::site_command{1, portion}).size() < 640 * 1024);
  }
  CHECK(changes == 500);
}

TEST_CASE("the second replica is decided before the tenth") {
  small_site site{{host("host-1", {}, {300, 1 << 30})}};
  site.run(actors::put_application{application("shop", {service("web", 10)})});
  site.settle();
  CHECK(site.host_of("default.shop.web-3") == "host-1");
  CHECK(site.host_of("default.shop.web-10").empty());
}
