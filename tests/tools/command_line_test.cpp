#include <doctest/doctest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "tests/tools/invocation.hpp"

using namespace prunella;
using namespace prunella::tools;
using namespace prunella::tests;

namespace {

const std::string popcorn = R"(kind: application
name: popcorn
version: 1.0.0
services:
  - name: web
    replicas: 2
    when-cut-off: exclusive
    containers:
      - name: main
        command: [popcorn, --serve]
)";

actors::host_view host(std::string id) {
  actors::host_view h;
  h.id = std::move(id);
  h.state = "up";
  h.role = "leader";
  return h;
}

actors::event_view event(std::string id, std::string to) {
  actors::event_view e;
  e.id = std::move(id);
  e.time = "2026-11-21T11:28:13.042Z";
  e.object = "host/host-1";
  e.to = std::move(to);
  return e;
}

} // namespace

TEST_CASE("version and help answer on standard output with code 0") {
  CHECK(run({"version"}).out == "prunella 0.1.0\n");
  const auto help = run({"--help"});
  CHECK(help.code == 0);
  CHECK(contains(help.out, "prunella site up -f"));
  CHECK(contains(help.out, "console"));
  const auto scale = run({"scale", "--help"});
  CHECK(scale.code == 0);
  CHECK(contains(scale.out, "prunella scale popcorn/web 3"));
}

TEST_CASE("an unknown command is usage, code 2, with the nearest one") {
  const auto got = run({"aply"});
  CHECK(got.code == 2);
  CHECK(got.out.empty());
  CHECK(contains(got.err, "there is no command `aply`; did you mean `apply`?"));
  CHECK(contains(run({"config", "vaildate", "x"}).err, "did you mean `validate`?"));
  CHECK(contains(run({"get", "hots"}).err, "did you mean `hosts`?"));
  CHECK(contains(run({"get", "hosts", "-o", "jsn"}).err, "did you mean `json`?"));
  CHECK(run({"get", "hosts", "-o", "jsn"}).code == 2);
}

TEST_CASE("missing, superfluous and impossible arguments are usage, and say where help is") {
  for (const auto& arguments :
       {words{}, words{"get"}, words{"get", "hosts", "more"}, words{"apply"}, words{"scale", "popcorn/web"},
        words{"scale", "popcorn/web", "-1"}, words{"scale", "popcorn/web", "1001"}, words{"scale", "popcorn", "1"},
        words{"delete"}, words{"delete", "host", "popcorn"}, words{"--endpoint"}, words{"config"},
        words{"status", "--timeout", "soon"}, words{"host", "run", "--host-id", "host-1"},
        words{"get", "hosts", "--frob"}}) {
    std::string line;
    for (const auto& word : arguments)
      line += word + ' ';
    const auto got = run(arguments);
    CHECK_MESSAGE(got.code == 2, line);
    CHECK_MESSAGE(contains(got.err, "fix: "), line << got.err);
    CHECK_MESSAGE(got.out.empty(), line);
  }
  CHECK(contains(run({"scale", "popcorn/web"}).err, "`prunella scale --help`"));
}

TEST_CASE("without an agent a command fails with code 1 and says how to start one") {
  std::string endpoint;
  {
    const fake_site gone;
    endpoint = gone.url();
  }
  const auto got = run({"get", "hosts", "--endpoint", endpoint});
  CHECK(got.code == 1);
  CHECK(contains(got.err, "connection refused: nothing answers at " + endpoint));
  CHECK(contains(got.err, "`prunella site up -f site.yaml` starts a site"));
}

TEST_CASE("the endpoint comes before or after the command, from a list, or from PRUNELLA_ENDPOINT") {
  fake_site site;
  site.hosts = {host("host-1")};
  std::string closed;
  {
    const fake_site gone;
    closed = gone.url();
  }
  CHECK(run({"--endpoint", site.url(), "get", "hosts"}).code == 0);
  CHECK(run({"get", "hosts", "--endpoint", closed + "," + site.url()}).code == 0);
  ::setenv("PRUNELLA_ENDPOINT", site.url().c_str(), 1);
  CHECK(run({"get", "hosts"}).code == 0);
  CHECK(run({"get", "hosts", "--endpoint", closed}).code == 1);
  CHECK(run({"console", "--endpoint", closed}, "get hosts\n").code == 1);
  ::unsetenv("PRUNELLA_ENDPOINT");
}

TEST_CASE("get prints a table, or exactly the API's document as JSON and YAML") {
  fake_site site;
  site.hosts = {host("host-1"), host("host-2")};
  const auto table = run_at(site, {"get", "hosts"});
  CHECK(table.code == 0);
  CHECK(contains(table.out, "ID      STATE  ROLE"));
  CHECK(contains(table.out, "host-2  up     leader"));
  const auto json = run_at(site, {"get", "hosts", "-o", "json"});
  std::vector<actors::host_view> read;
  CHECK(config::from_json(config::parse_json(json.out).value, read).empty());
  CHECK(read == site.hosts);
  CHECK(json.out == config::pretty_json(config::to_json(site.hosts)));
  CHECK(contains(run_at(site, {"get", "hosts", "-o", "yaml"}).out, "- id: host-1\n  state: up\n  role: leader\n"));
}

TEST_CASE("an empty list leaves standard output empty as a table and is () as JSON") {
  const fake_site site;
  const auto table = run_at(site, {"get", "applications"});
  CHECK(table.code == 0);
  CHECK(table.out.empty());
  CHECK(contains(table.err, "no applications yet: `prunella apply -f FILE` deploys an application"));
  CHECK(run_at(site, {"get", "applications", "-o", "json"}).out == "[]\n");
}

TEST_CASE("get passes on what to select, percent-encoded") {
  const fake_site site;
  run_at(site, {"get", "instances", "-a", "a b"});
  run_at(site, {"get", "events", "--after", "x&y", "--limit", "5"});
  CHECK(site.requests() ==
        words{"GET /v1/instances?application=a%20b", "GET /v1/events?after=x%26y&limit=5"});
}

TEST_CASE("a list in pages is followed to its end and printed as one") {
  fake_site site;
  for (int i = 1; i <= 5; ++i) {
    site.instances.emplace_back();
    site.instances.back().name = "default.shop.web-" + std::to_string(i);
  }
  for (const std::size_t page : {1, 2, 4, 5}) {
    site.page = page;
    const auto result = run_at(site, {"get", "instances", "-o", "json"});
    CHECK(result.code == 0);
    CHECK(config::parse_json(result.out).value == config::to_json(site.instances));
  }
  CHECK(site.requests().size() == 5 + 3 + 2 + 1);
}

TEST_CASE("watching events prints each once, and asks behind the last one seen") {
  fake_site site;
  site.events = {event("e1", "up"), event("e2", "down")};
  const auto got = run_at(site, {"get", "events", "--watch"}, {}, 2);
  CHECK(got.code == 0);
  CHECK(got.out.find("down") == got.out.rfind("down"));
  CHECK(site.requests() == words{"GET /v1/events", "GET /v1/events?after=e2", "GET /v1/events?after=e2"});
}

TEST_CASE("apply says of each application whether it was created, updated or unchanged, and sends all of its spec") {
  const fake_site site;
  const temporary_file file(popcorn + "---\n" +
                            "kind: application\nname: ticker\ntenant: shop\nversion: 2\nservices: [{name: t, "
                            "containers: [{name: c, command: [t]}]}]\n");
  const auto first = run_at(site, {"apply", "-f", file.path()});
  CHECK(first.err.empty());
  CHECK(first.out == "application default.popcorn created\napplication shop.ticker created\n");
  CHECK(run_at(site, {"apply", "-f", "-"}, popcorn).out == "application default.popcorn unchanged\n");
  const auto spec = site.applied().at("default.popcorn");
  CHECK(spec.services.at(0).replicas == 2);
  CHECK(spec.services.at(0).when_cut_off.mode == config::cut_off_mode::exclusive);
  CHECK(spec.services.at(0).containers.at(0).command == words{"popcorn", "--serve"});
  auto changed = popcorn;
  changed.replace(changed.find("1.0.0"), 5, "1.1.0");
  CHECK(run_at(site, {"apply", "-f", "-"}, changed).out == "application default.popcorn updated\n");
}

TEST_CASE("apply sends nothing if any file has a problem, and lists the problems of all files") {
  const fake_site site;
  const temporary_file good(popcorn);
  const temporary_file bad("kind: application\nname: popcorn\nversion: 1.0.0\nservcies: []\n");
  const auto got = run_at(site, {"apply", "-f", good.path(), "-f", bad.path(), "-f", "/no/such/file.yaml"});
  CHECK(got.code == 1);
  CHECK(contains(got.err, bad.path() + ":4:1: servcies"));
  CHECK(contains(got.err, "/no/such/file.yaml: cannot be read"));
  CHECK(contains(got.err, "in 2 files"));
  CHECK(site.requests().empty());
}

TEST_CASE("apply of a site document says who starts sites, without any application it fails") {
  const fake_site site;
  const std::string shop =
      "kind: site\nname: shop\nhosts: [{id: host-1, address: '127.0.0.1:7001', capacity: {cpu: 1, memory: 1Gi}}]\n";
  const auto both = run_at(site, {"apply", "-f", "-"}, shop + "---\n" + popcorn);
  CHECK(both.code == 0);
  CHECK(contains(both.err, "site shop skipped: a site is not applied"));
  CHECK(run_at(site, {"apply", "-f", "-"}, shop).code == 1);
}

TEST_CASE("a refusal is shown with its detail, cause, errors and fix") {
  const fake_site site;
  auto refused = popcorn;
  refused.replace(refused.find("popcorn"), 7, "refused");
  const auto got = run_at(site, {"apply", "-f", "-"}, refused);
  CHECK(got.code == 1);
  CHECK(got.err ==
        "prunella: the application does not fit\n  cause: no host has 64 GiB\n  errors:\n    - services[0]: too large\n"
        "    - services[1]: too large\n  fix: ask for less memory\n");
}

TEST_CASE("scale and delete take an application with or without its tenant") {
  const fake_site site;
  CHECK(run_at(site, {"scale", "popcorn/web", "3"}).out == "service default.popcorn/web scaled to 3 replicas\n");
  CHECK(run_at(site, {"scale", "shop.popcorn/web", "1"}).out == "service shop.popcorn/web scaled to 1 replica\n");
  CHECK(run_at(site, {"delete", "popcorn"}).out == "application default.popcorn deleted\n");
  CHECK(run_at(site, {"delete", "application", "shop.popcorn"}).out == "application shop.popcorn deleted\n");
  CHECK(run_at(site, {"kill", "host-1/root/core"}).out == "actor host-1/root/core killed\n");
  CHECK(site.requests() == words{"POST /v1/applications/default.popcorn/scale {\"service\":\"web\",\"replicas\":3}",
                                 "POST /v1/applications/shop.popcorn/scale {\"service\":\"web\",\"replicas\":1}",
                                 "GET /v1/applications/default.popcorn", "DELETE /v1/applications/default.popcorn",
                                 "GET /v1/applications/shop.popcorn", "DELETE /v1/applications/shop.popcorn",
                                 "POST /v1/actors/kill {\"path\":\"host-1/root/core\"}"});
}

TEST_CASE("delete says which persistent volumes it leaves, and where") {
  const fake_site site;
  const std::string document = "kind: application\nname: shop\nversion: 1\nservices: [{name: db, replicas: 1, containers: [{name: c, image: x, "
                               "volumes: [{target: /d, kind: persistent, name: data}, {target: /t, kind: tmpfs}]}]}]\n";
  REQUIRE(run_at(site, {"apply", "-f", "-"}, document).code == 0);
  CHECK(run_at(site, {"delete", "shop"}).out
        == "application default.shop deleted; its persistent volumes stay on the hosts that have them (`prunella get events` names those), "
           "until somebody removes\n  DATA_DIR/volumes/default.shop.db-N/data\n");
}

TEST_CASE("restart takes a service or an instance, and nothing else") {
  const fake_site site;
  for (const auto* what : {"popcorn", "a/b/c", "/web", "popcorn/", "a.b.c.d"}) {
    const auto got = run_at(site, {"restart", what});
    CHECK(got.code == 2);
    CHECK(contains(got.err, "is neither APPLICATION/SERVICE nor an instance"));
  }
  CHECK(contains(run_at(site, {"restart", "nothing/web"}).err, "there is no application default.nothing"));
  CHECK(contains(run_at(site, {"restart", "popcorn.web-99"}).err, "there is no instance default.popcorn.web-99"));
}

TEST_CASE("a host is drained and undrained by its name") {
  const fake_site site;
  CHECK(contains(run_at(site, {"host", "drain", "till-2"}).out, "host till-2 drains: "));
  CHECK(contains(run_at(site, {"host", "undrain", "till-2"}).out, "host till-2 takes instances again"));
  CHECK(site.requests() == words{"POST /v1/hosts/till-2/drain", "POST /v1/hosts/till-2/undrain"});
  CHECK(run_at(site, {"host", "drain"}).code == 2);
}

TEST_CASE("rollback names the revision that it saw, and says to which version it goes back") {
  fake_site site;
  site.applications.resize(1);
  auto& now = site.applications[0];
  now.tenant = "default";
  now.name = "popcorn";
  now.version = "2";
  now.previous_version = "1";
  now.revision = 7;
  CHECK(run_at(site, {"rollback", "popcorn"}).out == "application default.popcorn goes back from version 2 to version 1\n");
  CHECK(site.requests().back() == "POST /v1/applications/default.popcorn/rollback {\"revision\":7}");
  site.applications.clear();
  const auto none = run_at(site, {"rollback", "popcorn"});
  CHECK(none.code == 1);
  CHECK(contains(none.err, "there is no application default.popcorn"));
  CHECK(contains(none.err, "fix: "));
}

TEST_CASE("an answer that is no problem document is reported with its status") {
  net::http_server teapot({}, [](const net::http_request&, const net::http_responder& respond) {
    respond(net::http_response{418, "text/plain", "short and stout", {}});
  });
  const auto got = run({"status", "--endpoint", teapot.url()});
  CHECK(got.code == 1);
  CHECK(contains(got.err, teapot.url() + " answered GET /status with 418"));
}

TEST_CASE("tree, status and inspect draw what the site answers") {
  fake_site site;
  site.status.site = "shop";
  site.status.health = "healthy";
  site.hosts = {host("host-1")};
  actors::actor_view root;
  root.path = "host-1/root";
  root.state = "running";
  site.actors = {root};
  CHECK(contains(run_at(site, {"tree"}).out, "└─ host-1"));
  CHECK(contains(run_at(site, {"tree", "--actors"}).out, "└─ host-1/root"));
  CHECK(contains(run_at(site, {"status"}).out, "site          shop\n"));
  CHECK(contains(run_at(site, {"status", "-o", "json"}).out, "\"health\": \"healthy\""));
  CHECK(contains(run_at(site, {"inspect", "host-1"}).out, "object: host/host-1\nid: host-1\n"));
  CHECK(contains(run_at(site, {"inspect", "host-1/root"}).out, "object: actor/host-1/root\npath: host-1/root\n"));
  const auto nobody = run_at(site, {"inspect", "host-9"});
  CHECK(nobody.code == 1);
  CHECK(contains(nobody.err, "nothing here is called `host-9`"));
}

TEST_CASE("config validate counts what is valid and fails with the place of what is not") {
  const auto good = run({"config", "validate", "-"}, popcorn);
  CHECK(good.code == 0);
  CHECK(good.out == "application default.popcorn: valid, 1 service\n");
  const auto bad = run({"config", "validate", "-"}, "kind: application\nname: popcorn\n");
  CHECK(bad.code == 1);
  CHECK(contains(bad.err, "<stdin>:"));
  CHECK(contains(bad.err, "in 1 file\n"));
}

TEST_CASE("the console runs a script from a pipe until its end or exit") {
  const fake_site site;
  const auto got = run_at(site, {"console"}, "# comment\n\nscale popcorn/web 2\nprunella version\nexit\nnever this\n");
  CHECK(got.code == 0);
  CHECK(got.out == "service default.popcorn/web scaled to 2 replicas\nprunella 0.1.0\n");
  CHECK(got.err.empty());
}

TEST_CASE("a console script stops at the first line that fails, names it, and returns its code") {
  const fake_site site;
  const auto unknown = run_at(site, {"console"}, "version\ngte hosts\nscale popcorn/web 2\n");
  CHECK(unknown.code == 2);
  CHECK(contains(unknown.err, "did you mean `get`?"));
  CHECK(contains(unknown.err, "stopped at line 2 of the input: gte hosts"));
  const auto quote = run_at(site, {"console"}, "inspect 'x\n");
  CHECK(quote.code == 2);
  CHECK(contains(quote.err, "column 9: the quote ' is not closed"));
  CHECK(run_at(site, {"console"}, "inspect nobody\nversion\n").code == 1);
  CHECK(contains(run_at(site, {"console"}, "console\n").err, "there is no command `console`"));
  CHECK(site.requests().size() == 4);
}

TEST_CASE("help in the console lists the commands, and explains one") {
  CHECK(contains(run({"console"}, "help\n").out, "scale"));
  CHECK_FALSE(contains(run({"console"}, "help\n").out, "host run"));
  CHECK(contains(run({"console"}, "help scale\n").out, "APPLICATION/SERVICE"));
}

TEST_CASE("the agent's commands get their options and give the exit code") {
  called record;
  CHECK(run({"site", "up", "-f", "site.yaml", "--data-dir", "/data", "--api-port", "7170"}, {}, &record).code == 0);
  REQUIRE(record.up.size() == 1);
  CHECK(record.up[0].file == "site.yaml");
  CHECK(record.up[0].data_dir == "/data");
  CHECK(record.up[0].api_port == 7170);
  CHECK(run({"site", "init", "-f", "site.yaml", "--dir", "/id"}, {}, &record).code == 0);
  CHECK(record.init.at(0).dir == "/id");
  CHECK(
      run({"host", "run", "--site", "s", "--host-id", "host-1", "--data-dir", "d", "--api", "127.0.0.1:0"}, {}, &record)
          .code == 7);
  CHECK(record.run.at(0).host_id == "host-1");
  CHECK(record.run.at(0).api == "127.0.0.1:0");
  CHECK_FALSE(record.run.at(0).stop_containers);
  CHECK(run({"host", "run", "--site", "s", "--host-id", "h", "--data-dir", "d", "--api", "a:1", "--on-exit", "stop"},
            {}, &record)
            .code == 7);
  CHECK(record.run.at(1).stop_containers);
  CHECK(run({"host", "run", "--site", "s", "--host-id", "h", "--data-dir", "d", "--api", "a:1", "--on-exit", "stpo"},
            {}, &record)
            .code == 2);
  CHECK(record.run.size() == 2);
}
