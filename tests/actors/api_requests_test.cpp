#include <doctest/doctest.h>

#include <algorithm>

#include "actors/api/api_requests.hpp"
#include "actors/api/status_answer.hpp"
#include "actors/site/requests.hpp"
#include "config/json.hpp"
#include "net/link_errors.hpp"
#include "tests/actors/site_fixture.hpp"

using namespace prunella;
using namespace prunella::test;
using actors::problem_view;
using actors::site_command;

namespace {

net::routed_request request(const std::string& name, std::string body) {
  net::routed_request x;
  x.path["name"] = name;
  x.request.body = std::move(body);
  return x;
}

const problem_view& problem_of(const actors::or_problem<site_command>& x) { return std::get<problem_view>(x); }

std::string document(const config::application_spec& spec) {
  auto json = config::to_json(spec).as_object();
  json["kind"] = "application";
  return config::json_text(json);
}

} // namespace

TEST_CASE("a document becomes a command when its name is the path's, with or without the tenant") {
  const auto spec = application("popcorn", {service("web", 2)});
  for (const auto* name : {"popcorn", "default.popcorn"}) {
    const auto command = actors::put_command(request(name, document(spec)));
    REQUIRE(std::holds_alternative<site_command>(command));
    CHECK(std::get<actors::put_application>(std::get<site_command>(command).body).spec == spec);
  }
  const auto other = actors::put_command(request("soda", document(spec)));
  CHECK(problem_of(other).status == 422);
  CHECK(problem_of(other).fix == "send it to /v1/applications/default.popcorn");
}

TEST_CASE("an invalid document is refused with every problem in it") {
  auto spec = application("popcorn", {service("web", 2), service("web", 1)});
  spec.services[0].containers[0].command.clear();
  const auto problem = problem_of(actors::put_command(request("popcorn", document(spec))));
  CHECK(problem.status == 422);
  CHECK(problem.errors.size() == 2);
  CHECK(problem_of(actors::put_command(request("popcorn", ""))).status == 422);
  CHECK(problem_of(actors::put_command(request("Pop corn", document(spec)))).status == 400);
}

TEST_CASE("a scale body needs both members, of the right types") {
  CHECK(problem_of(actors::scale_command(request("popcorn", "{"))).status == 400);
  CHECK(problem_of(actors::scale_command(request("popcorn", R"({"service": "web"})"))).errors
        == std::vector<std::string>{"replicas: is missing"});
  CHECK(problem_of(actors::scale_command(request("popcorn", R"({"service": "web", "replicas": -1})"))).status == 400);
  const auto command = actors::scale_command(request("popcorn", R"({"service": "web", "replicas": 3})"));
  CHECK(std::get<actors::scale_service>(std::get<site_command>(command).body).replicas == 3);
}

TEST_CASE("a host is drained by its name, and refused where the site has none of it") {
  using actors::api_route;
  CHECK(problem_of(actors::drain_command(api_route::drain_host, request("Host 1", ""))).status == 400);
  const auto drain = std::get<site_command>(actors::drain_command(api_route::drain_host, request("host-1", "")));
  CHECK(std::get<actors::drain_host>(drain.body).drained);
  const auto undrain = std::get<site_command>(actors::drain_command(api_route::undrain_host, request("host-1", "")));
  CHECK_FALSE(std::get<actors::drain_host>(undrain.body).drained);
  CHECK(actors::refuse(drain, small_site{{host("host-1")}}.state).status == 0);
  CHECK(actors::refuse(drain, small_site{{host("host-2")}}.state).status == 404);
}

TEST_CASE("a rollback names the revision that is left, and is refused where it is another or there is no way back") {
  CHECK(problem_of(actors::roll_back_command(request("popcorn", "{}"))).status == 400);
  const auto command = std::get<site_command>(actors::roll_back_command(request("popcorn", R"({"revision": 2})")));
  CHECK(std::get<actors::roll_back>(command.body).key == "default.popcorn");
  small_site site{{host("host-1")}};
  CHECK(actors::refuse(command, site.state).status == 0); // answered as not found when applied
  auto spec = application("popcorn", {service("web", 1)});
  site.run(actors::put_application{spec});
  CHECK(actors::refuse(command, site.state).detail == "there is no version to go back to");
  spec.version = "2";
  site.run(actors::put_application{spec, true});
  CHECK(actors::refuse(command, site.state).status == 0);
  site.run(actors::put_application{application("other", {service("web", 1)})});
  spec.services[0].replicas = 2;
  site.run(actors::put_application{spec, true});
  CHECK(actors::refuse(command, site.state).status == 409);
  CHECK(actors::refuse({0, actors::end_update{"default.popcorn", 3, {}}}, site.state).status == 403);
}

TEST_CASE("a body with a key that nobody reads is refused, and a document's problem has its line") {
  const auto scale = problem_of(actors::scale_command(request("popcorn", R"({"service": "web", "replicas": 3, "x": 1})")));
  CHECK(scale.status == 400);
  CHECK(scale.errors == std::vector<std::string>{"x: is not a known key"});
  const auto put = problem_of(actors::put_command(request("popcorn", "kind: application\nname: popcorn\nversion: [1]\n")));
  CHECK(std::count(put.errors.begin(), put.errors.end(), "3:10: version: is a list; write a text") == 1);
}

TEST_CASE("a request is refused for a name that is none, a parameter that nobody reads and a body that is no document") {
  using actors::api_route;
  const auto status_of = [](api_route route, const net::routed_request& x) {
    const auto problem = actors::refuse_request(route, x);
    return problem ? problem->status : 0;
  };
  CHECK(status_of(api_route::application, request("popcorn", "")) == 0);
  for (const auto* name : {"../etc", "a/b", "", "a.b.c", "POPCORN", "-x"})
    CHECK(status_of(api_route::application, request(name, "")) == 400);

  net::routed_request query;
  query.query["application"] = "popcorn";
  CHECK(status_of(api_route::instances, query) == 0);
  CHECK(status_of(api_route::hosts, query) == 400);
  query.query = {{"applicaton", "popcorn"}};
  CHECK(actors::refuse_request(api_route::instances, query)->fix == "did you mean `application`?");
  query.query = {{"application", "a/b"}};
  CHECK(status_of(api_route::instances, query) == 400);

  for (const auto& [type, taken] : std::map<std::string, bool>{
         {"application/json", true}, {"Application/YAML; charset=utf-8", true}, {"", true}, {"text/plain ", true},
         {"application/x-www-form-urlencoded", true}, {"image/png", false}, {"multipart/form-data; boundary=x", false}}) {
    const auto& name = type; // clang captures no structured binding
    CAPTURE(name);
    auto put = request("popcorn", "{}");
    put.request.headers = {{"content-type", type}};
    CHECK(status_of(api_route::put_application, put) == (taken ? 0U : 415U));
  }
  auto packed = request("popcorn", "\x1f\x8b");
  packed.request.headers = {{"Content-Encoding", "gzip"}};
  CHECK(status_of(api_route::put_application, packed) == 415);
}

TEST_CASE("an event limit of 1 and of 1000 is taken, 0 and 1001 are not") {
  for (const auto& [text, taken] : std::map<std::string, bool>{{"1", true}, {"1000", true}, {"0", false}, {"1001", false},
                                                              {"", false}, {"7x", false}, {"-1", false}}) {
    const auto& name = text;
    CAPTURE(name);
    net::routed_request x;
    x.query["limit"] = text;
    CHECK(std::holds_alternative<actors::events_request>(actors::events_query(x)) == taken);
  }
}

TEST_CASE("a page that is not the last leads to the next with what else was asked, the last leads nowhere") {
  net::routed_request x;
  x.request.target = "/v1/instances?limit=2&application=default.shop&after=a";
  x.query = {{"limit", "2"}, {"application", "default.shop"}, {"after", "a"}};
  const auto page = std::get<actors::row_page>(actors::page_query(x));
  CHECK(page.after == "a");
  CHECK(page.limit == 2);
  const auto more = actors::page_response({"[]", "default.shop.web-2"}, x);
  REQUIRE(more.headers.size() == 1);
  CHECK(more.headers[0].name == "Link");
  CHECK(more.headers[0].value == "</v1/instances?after=default.shop.web-2&application=default.shop&limit=2>; rel=\"next\"");
  CHECK(actors::page_response({"[]", ""}, x).headers.empty());
  x.query["limit"] = "1001";
  CHECK(std::get<problem_view>(actors::page_query(x)).status == 400);
  CHECK(std::get<actors::row_page>(actors::page_query({})).limit == 1'000);
}

TEST_CASE("users may apply, scale and delete, and the site's own decisions are not theirs to make") {
  small_site site{{host("host-1")}};
  const auto refused = [&](auto body) { return actors::refuse(site_command{0, std::move(body)}, site.state).status; };
  CHECK(refused(actors::put_application{application("popcorn", {service("web", 1)})}) == 0);
  CHECK(refused(actors::delete_application{"default.popcorn"}) == 0);
  CHECK(refused(actors::set_host_state{"host-1", false, "because"}) == 403);
  CHECK(refused(actors::change_assignments{}) == 403);
  CHECK(refused(actors::register_site{}) == 403);
}

TEST_CASE("what this version cannot keep is refused: exclusive services, and more instances than a site holds") {
  small_site site{{host("host-1")}};
  auto spec = application("popcorn", {service("web", 1)});
  spec.services[0].when_cut_off.mode = config::cut_off_mode::exclusive;
  CHECK(actors::refuse(site_command{0, actors::put_application{spec}}, site.state).status == 422);

  std::vector<config::service_spec> services;
  for (int i = 0; i < 10; ++i)
    services.push_back(service("s" + std::to_string(i), 1'000));
  CHECK(actors::refuse(site_command{0, actors::put_application{application("a", services)}}, site.state).status == 0);
  site.run(actors::put_application{application("a", services)});
  CHECK(actors::refuse(site_command{0, actors::put_application{application("b", {service("web", 1)})}}, site.state).status
        == 422);
  CHECK(actors::refuse(site_command{0, actors::scale_service{"default.a", "s0", 1'001}}, site.state).status == 422);
}

TEST_CASE("a service is scaled also when its spec, let in by an older version, is refused by now") {
  small_site site{{host("host-1")}};
  auto old = application("a", {service("web", 1)});
  old.services[0].containers[0].image = "r.example/Web:1";
  site.run(actors::put_application{old});
  CHECK(actors::refuse(site_command{0, actors::put_application{old}}, site.state).status == 422);
  CHECK(actors::refuse(site_command{0, actors::scale_service{"default.a", "web", 2}}, site.state).status == 0);
  CHECK(actors::refuse(site_command{0, actors::scale_service{"default.a", "web", 1'001}}, site.state).status == 422);
}

TEST_CASE("a published port belongs to one application of the site, and no container of another listens on it") {
  using config::port_protocol;
  const auto with_port = [](const char* name, std::uint16_t port, std::uint16_t publish, port_protocol protocol) {
    auto spec = application(name, {service("web", 1)});
    spec.services[0].containers[0].ports = {{"http", port, protocol, publish}};
    return spec;
  };
  small_site site{{host("host-1")}};
  site.run(actors::put_application{with_port("first", 8000, 80, port_protocol::tcp)});
  const auto refusal_of = [&](const config::application_spec& spec) {
    return actors::refuse(site_command{0, actors::put_application{spec}}, site.state);
  };
  const auto same = refusal_of(with_port("second", 8001, 80, port_protocol::tcp));
  CHECK(same.status == 409);
  CHECK(same.detail == "port 80/tcp cannot be published by default.second");
  CHECK(same.cause == "application default.first publishes it");
  CHECK(refusal_of(with_port("second", 8001, 80, port_protocol::udp)).status == 0);
  CHECK(refusal_of(with_port("second", 8000, 81, port_protocol::tcp)).status == 0);
  CHECK(refusal_of(with_port("second", 80, 0, port_protocol::tcp)).cause.find("default.first publishes it") == 12);
  CHECK(refusal_of(with_port("second", 81, 8000, port_protocol::tcp)).status == 409);
  CHECK(refusal_of(with_port("first", 8000, 81, port_protocol::tcp)).status == 0); // its own it may change
}

TEST_CASE("a host that does not lead any more, or not yet, is told apart from a leader that does not answer") {
  CHECK(actors::silence_text("host-3", caf::make_error(net::link_errc::not_running, "the actor 'site' is not running now on that host"))
        == "host-3 does not lead the site at this moment");
  CHECK(actors::silence_text("host-3", caf::make_error(net::link_errc::timeout, "no answer within 1s")).find("the leader host-3 does not answer: ") == 0);
}

TEST_CASE("a port on which a host listens for the others of its site is not published, as UDP it is") {
  using config::port_protocol;
  auto second = host("host-2");
  second.address = "10.0.0.2:7201";
  second.door = "10.0.0.2:7301";
  const small_site site{{host("host-1"), second}};
  const auto refusal_of = [&](std::uint16_t publish, port_protocol protocol) {
    auto spec = application("shop", {service("web", 1)});
    spec.services[0].containers[0].ports = {{"http", 8000, protocol, publish}};
    return actors::refuse(site_command{0, actors::put_application{spec}}, site.state);
  };
  CHECK(refusal_of(7201, port_protocol::tcp).status == 409);
  CHECK(refusal_of(7201, port_protocol::tcp).detail == "port 7201/tcp cannot be published by default.shop");
  CHECK(refusal_of(7201, port_protocol::tcp).cause
        == "host-2 listens on it for the other hosts of the site: its `address` is 10.0.0.2:7201");
  CHECK(refusal_of(7301, port_protocol::tcp).cause.find("its `door` is 10.0.0.2:7301") != std::string::npos);
  CHECK(refusal_of(7201, port_protocol::udp).status == 0);
  CHECK(refusal_of(7202, port_protocol::tcp).status == 0);
}

TEST_CASE("a site publishes 256 ports and not one more") {
  small_site site{{host("host-1")}};
  const auto publishing = [](int application_number, std::size_t count) {
    auto spec = application("a" + std::to_string(application_number), {service("web", 1)});
    for (std::size_t i = 0; i < count; ++i) {
      const auto number = static_cast<std::uint16_t>(1'000 + 100 * application_number + static_cast<int>(i));
      spec.services[0].containers[0].ports.push_back(
        {"p" + std::to_string(i), number, config::port_protocol::tcp, static_cast<std::uint16_t>(number + 10'000)});
    }
    return spec;
  };
  for (int i = 0; i < 3; ++i)
    site.run(actors::put_application{publishing(i, 64)});
  CHECK(actors::refuse(site_command{0, actors::put_application{publishing(3, 64)}}, site.state).status == 0);
  site.run(actors::put_application{publishing(3, 64)});
  CHECK(actors::refuse(site_command{0, actors::put_application{publishing(4, 1)}}, site.state).status == 422);
}
