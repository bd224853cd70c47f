#include <doctest/doctest.h>

#include <fstream>
#include <sstream>

#include "config/json.hpp"
#include "config/reader.hpp"
#include "config/yaml/writer.hpp"

using namespace prunella::config;
using namespace std::chrono_literals;

namespace {

std::string example(const std::string& name) {
  std::ifstream file(std::string(PRUNELLA_EXAMPLES) + '/' + name);
  REQUIRE_MESSAGE(file.good(), name);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string texts_of(const read_result& result) {
  std::string all;
  for (const auto& p : result.problems)
    all += problem_text(p) + '\n';
  return all;
}

read_result read_well(const std::string& text) {
  auto result = read_documents(text, "test.yaml");
  for (const auto& p : result.problems)
    FAIL_CHECK(problem_text(p));
  return result;
}

application_spec read_application(const std::string& text) {
  auto result = read_well(text);
  REQUIRE(result.documents.size() == 1);
  REQUIRE(result.documents[0].kind == document_kind::application);
  return result.documents[0].application;
}

/// A valid application whose service has `lines`, each indented by four.
std::string with_service_lines(const std::string& lines) {
  return "kind: application\nname: shop\nversion: 1\nservices:\n  - name: web\n" + lines +
         "    containers: [{name: main, command: [run]}]\n";
}

/// A valid application whose container has `lines`, each indented by eight.
std::string with_container_lines(const std::string& lines) {
  return "kind: application\nname: shop\nversion: 1\nservices:\n  - name: web\n    containers:\n      - name: main\n"
         "        command: [run]\n" +
         lines;
}

service_spec service_with(const std::string& lines) {
  return read_application(with_service_lines(lines)).services.at(0);
}

container_spec container_with(const std::string& lines) {
  return read_application(with_container_lines(lines)).services.at(0).containers.at(0);
}

} // namespace

TEST_CASE("the example site has three hosts that can be told apart") {
  const auto result = read_well(example("shop.yaml"));
  REQUIRE(result.documents.size() == 1);
  const auto& site = result.documents[0].site;
  CHECK(result.documents[0].kind == document_kind::site);
  CHECK(site.name == "shop");
  REQUIRE(site.hosts.size() == 3);
  CHECK(site.hosts[2].id == "host-3");
  CHECK(site.hosts[2].address == "127.0.0.3:7103");
  CHECK(site.hosts[2].labels == labels{{"zone", "back"}, {"disk", "ssd"}});
  CHECK(site.hosts[2].capacity == resources{2000, std::int64_t{2} << 30});
}

TEST_CASE("the example application is a published web page and two tasters that avoid each other, all from one image") {
  const auto result = read_well(example("popcorn.yaml"));
  REQUIRE(result.documents.size() == 1);
  const auto& web = result.documents[0].application.services.at(0);
  CHECK(result.documents[0].application.name == "popcorn");
  CHECK(web.containers.at(0).ports.at(0).port == 8080);
  CHECK(web.containers.at(0).ports.at(0).publish == 8088);
  CHECK(web.containers.at(0).command.size() == 3);
  const auto& taster = result.documents[0].application.services.at(1);
  CHECK(taster.replicas == 2);
  CHECK(taster.placement.anti_affinity == std::vector<std::string>{"taster"});
  for (const auto& service : result.documents[0].application.services)
    CHECK(service.containers.at(0).image == "popcorn:1");
}

TEST_CASE("a container of an image is read with its files, volumes and limits") {
  const auto image = "registry.example/web@sha256:" + std::string(64, '0');
  const auto main = container_with("        image: " + image + "\n        user: www:media\n"
                                   "        read-only-root: true\n        pids: 50\n        stop-signal: INT\n"
                                   "        logs: {max-size: 512Ki, max-age: 7d}\n        disk: 2Gi\n"
                                   "        files: [{path: /etc/a, content: \"x\", mode: 0600}]\n"
                                   "        volumes:\n          - {target: /data, kind: persistent, name: db}\n"
                                   "          - {target: /cache, size: 64Mi}\n"
                                   "          - {target: /media, kind: host-path, path: /srv, read-only: true}\n");
  CHECK(main.image == image);
  CHECK(main.user == "www:media");
  CHECK(main.read_only_root);
  CHECK(main.pids == 50);
  CHECK(main.disk_bytes == std::int64_t{2} << 30);
  CHECK(main.logs == log_spec{512 * 1024, std::chrono::hours{168}});
  CHECK(main.stop_signal == "INT");
  CHECK(main.files == std::vector<file_spec>{{"/etc/a", "x", "0600"}});
  CHECK(main.volumes == std::vector<volume_spec>{{"/data", volume_kind::persistent, "db", "", 0, false},
                                                 {"/cache", volume_kind::ephemeral, "", "", 64 << 20, false},
                                                 {"/media", volume_kind::host_path, "", "/srv", 0, true}});
  for (const std::string& text : {json_text(to_json(main)), to_yaml(to_json(main))}) {
    container_spec copy;
    CHECK(from_json(to_json(main), copy).empty());
    CHECK(copy == main);
    CHECK(text.find("host-path") != std::string::npos);
  }
}

TEST_CASE("a driver of a host is read from its kind alone or with options") {
  const auto result = read_documents(
      "kind: site\nname: shop\nhosts:\n  - id: host-1\n    address: 10.0.0.1:7101\n    capacity: {cpu: 1, memory: 1Gi}\n"
      "    drivers: [process, {kind: engine, socket: /run/podman/podman.sock}, {kind: oci, runtime: /usr/bin/crun}]\n    host-paths: [/srv]\n",
      "f");
  CHECK(texts_of(result) == "");
  REQUIRE(result.documents.size() == 1);
  const auto& host = result.documents[0].site.hosts.at(0);
  CHECK(host.drivers == std::vector<driver_spec>{{driver_kind::process, ""},
                                                 {driver_kind::engine, "", "/run/podman/podman.sock"},
                                                 {driver_kind::oci, "/usr/bin/crun"}});
  CHECK(host.host_paths == std::vector<std::string>{"/srv"});
}

TEST_CASE("what the API writes as JSON or YAML is read back as it was") {
  for (const char* name : {"shop.yaml", "popcorn.yaml"})
    for (const auto& original : read_well(example(name)).documents) {
      const bool site = original.kind == document_kind::site;
      const auto value = site ? to_json(original.site) : to_json(original.application);
      for (const std::string& text : {json_text(value), pretty_json(value), to_yaml(value)}) {
        const auto copy = read_documents(text, "body", original.kind);
        CHECK(texts_of(copy) == "");
        REQUIRE(copy.documents.size() == 1);
        CHECK(copy.documents[0].site == original.site);
        CHECK(copy.documents[0].application == original.application);
      }
    }
}

TEST_CASE("a probe's expected status is one number or a range of them") {
  const auto probe_with = [](const std::string& expect) {
    return container_with("        probes: {readiness: {http: {port: 80, path: /healthz, expect: " + expect + "}, period: 2s}}\n")
        .probes.readiness;
  };
  CHECK(probe_with("204").http.expect_min == 204);
  CHECK(probe_with("204").http.expect_max == 204);
  CHECK(probe_with("200-299").http.expect_max == 299);
  CHECK(probe_with("200-299").period == 2s);
  for (const char* text : {"2xx", "200-", "-299", "200-299-", "20", "2000", "[200]"}) {
    CAPTURE(text);
    const auto result = read_documents(
        with_container_lines(std::string("        probes: {liveness: {http: {port: 80, expect: \"") + text + "\"}}}\n"), "f");
    CHECK(texts_of(result).find("expect") != std::string::npos);
  }
}

TEST_CASE("texts of every kind survive the way through YAML and JSON") {
  application_spec app = read_application(with_service_lines(""));
  auto& env = app.services[0].containers[0].env;
  int count = 0;
  for (const char* text : {"",       " ",    "yes",  "NO",   "null",  "~",   "1.0",        "1e3",         "0x1F", "-",
                           "- a",    "a: b", "# no", "a #b", "'",     "\"",  "\\",         "{}",          "[x]",  "&a",
                           "*a",     "!x",   "|",    ">",    "%",     "@",   "`",          "a\nb",        "a\n",  "\n",
                           "\n\na ", "\ta",  "a\tb", " a ",  "größe", "😀",   "2026-11-21", "12:30:45",    "<<",   "=",
                           "true",   ".inf", "---",  "...",  "? a",   "a,b", "x: [",       "\x01\x1f\x7f"})
    env["V" + std::to_string(count++)] = text;
  for (const std::string& text : {json_text(to_json(app)), pretty_json(to_json(app)), to_yaml(to_json(app))}) {
    const auto copy = read_documents(text, "body", document_kind::application);
    CHECK(texts_of(copy) == "");
    REQUIRE(copy.documents.size() == 1);
    CHECK(copy.documents[0].application.services[0].containers[0].env == env);
  }
}

TEST_CASE("JSON with escaped surrogate pairs and tabs is read, as other programs write it") {
  const std::string body =
      "{\n\t\"name\": \"shop\",\n\t\"version\" : \"1\", \"services\": [{\"name\":\"web\",\"containers\":[{"
      "\"name\":\"main\",\"command\":[\"echo\", \"\\ud83d\\ude00 \\u00e9 \\/\"]}]}]\n}";
  const auto result = read_documents(body, "body", document_kind::application);
  CHECK(texts_of(result) == "");
  REQUIRE(result.documents.size() == 1);
  CHECK(result.documents[0].application.services[0].containers[0].command[1] == "😀 é /");
}

TEST_CASE("a body of one document may leave its kind out, and no file of several may") {
  const std::string one = "name: shop\nversion: 1\nservices: [{name: a, containers: [{name: b, command: [c]}]}]\n";
  CHECK(read_documents(one, "body", document_kind::application).problems.empty());
  CHECK(read_documents(one, "file").problems.size() == 1);
  CHECK(read_documents(one + "---\n" + one, "body", document_kind::application).problems.size() == 2);
}

TEST_CASE("several documents are read in order and empty ones are skipped") {
  const std::string one =
      "kind: application\nversion: 1\nservices: [{name: a, containers: [{name: b, command: [c]}]}]\n";
  const auto result = read_well("---\n" + one + "name: x\n---\n---\n# nothing\n---\n" + one + "name: y\n---\n");
  REQUIRE(result.documents.size() == 2);
  CHECK(result.documents[0].application.name == "x");
  CHECK(result.documents[1].application.name == "y");
  CHECK(result.documents[1].positions.find("name") == position{13, 7});
}

TEST_CASE("keys may be written with - and with _") {
  CHECK(service_with("    when-cut-off: exclusive\n") == service_with("    when_cut_off: exclusive\n"));
  CHECK(container_with("        working-directory: /tmp\n").working_directory == "/tmp");
  CHECK(container_with("        working_directory: /tmp\n").working_directory == "/tmp");
}

TEST_CASE("what happens when cut off can be said in a word, on one line and in full") {
  const when_cut_off_spec after_30s{cut_off_mode::stop_after, 30s};
  CHECK(service_with("").when_cut_off == when_cut_off_spec{});
  CHECK(service_with("    when-cut-off: keep-running\n").when_cut_off.mode == cut_off_mode::keep_running);
  CHECK(service_with("    when-cut-off: exclusive\n").when_cut_off.mode == cut_off_mode::exclusive);
  CHECK(service_with("    when-cut-off: {stop-after: 30s}\n").when_cut_off == after_30s);
  CHECK(service_with("    when-cut-off:\n      stop-after: 30s\n").when_cut_off == after_30s);
  CHECK(service_with("    when-cut-off: stop-after 30s\n").when_cut_off == after_30s);
  CHECK(service_with("    when-cut-off: \"stop-after: 30s\"\n").when_cut_off == after_30s);
  CHECK(service_with("    when-cut-off: stop-after:30s\n").when_cut_off == after_30s);
  CHECK(service_with("    when-cut-off: {mode: stop-after, after: 30s}\n").when_cut_off == after_30s);
}

TEST_CASE("restarts have a nested backoff, and what is left out keeps its default") {
  const restart_spec restart =
      service_with("    restart: {type: transient, intensity: 2, period: 5m, backoff: {initial: 1s}}\n").restart;
  CHECK(restart == restart_spec{restart_type::transient, 2, 5min, 1s, 10s});
  CHECK(service_with("    restart: {backoff_initial: 5ms, backoff_max: 1m}\n").restart.backoff_max == 1min);
}

TEST_CASE("resources are read with units and as the API writes them") {
  CHECK(container_with("        resources: {cpu: 500m, memory: 64Mi}\n").resources == resources{500, 64 << 20});
  CHECK(container_with("        resources: {cpu: 0.5, memory: 1G}\n").resources == resources{500, 1'000'000'000});
  CHECK(container_with("        resources: {cpu: 2, memory: 123}\n").resources == resources{2000, 123});
  CHECK(container_with("        resources: {cpu_millis: 2, memory_bytes: 123}\n").resources == resources{2, 123});
}

TEST_CASE("scalars of every type are texts where texts are wanted") {
  const auto env =
      container_with("        env: {A: 1, B: true, C: 0.10, D: \"\", E: 'null', F: 2026-11-21, G: 010}\n").env;
  CHECK(env ==
        std::map<std::string, std::string>{
            {"A", "1"}, {"B", "true"}, {"C", "0.10"}, {"D", ""}, {"E", "null"}, {"F", "2026-11-21"}, {"G", "010"}});
  CHECK(read_application(with_service_lines("")).version == "1");
}

TEST_CASE("an alias stands for what its anchor named") {
  const auto app = read_application("kind: application\nname: shop\nversion: 1\nservices:\n"
                                    "  - &web {name: web, containers: &c [{name: main, command: [run]}]}\n"
                                    "  - {name: other, containers: *c}\n");
  CHECK(app.services[0].containers == app.services[1].containers);
}

TEST_CASE("positions count characters, not bytes, and a byte order mark not at all") {
  const auto result = read_documents("\xEF\xBB\xBF"
                                     "{kind: site, 'größe': 1, name: x}",
                                     "f");
  REQUIRE(result.problems.size() == 2);
  CHECK(problem_text(result.problems[1]) ==
        "f:1:14: größe: is not a known key; known here are kind, name, labels, liveness, hosts, images, networks, address");
  CHECK(read_documents("kind: site\r\nname: X\r\n", "f").problems.at(1).at == position{2, 7});
}

TEST_CASE("a probe's port is a number or the name of a port of its container, wherever that stands") {
  const std::string ports = "        ports: [{name: http, port: 8080}, {name: admin, port: 8081}]\n";
  const std::string probes = "        probes: {readiness: {http: {port: http}}, liveness: {tcp: {port: admin}}}\n";
  for (const auto& lines : {ports + probes, probes + ports}) {
    const auto main = container_with(lines);
    CHECK(main.probes.readiness.http.port == 8080);
    CHECK(main.probes.liveness.tcp.port == 8081);
  }
}

TEST_CASE("a probe's port that names none of its container is one problem") {
  const auto problems_of = [](const std::string& lines) {
    std::vector<std::string> paths;
    for (const auto& x : read_documents(with_container_lines(lines), "f").problems)
      paths.push_back(x.path);
    return paths;
  };
  const std::string main = "services[0].containers[0].";
  CHECK(problems_of("        ports: [{name: http, port: 8080}]\n        probes: {readiness: {http: {port: htp}}}\n")
        == std::vector<std::string>{main + "probes.readiness.http.port"});
}

TEST_CASE("known keys are offered as people write them, without those that the API writes beside them") {
  const auto problems = read_documents(with_container_lines("        disc: 1Gi\n        xyzzy: 1\n"), "f").problems;
  REQUIRE(problems.size() == 2);
  CHECK(problems[0].fix == "did you mean disk?");
  CHECK(problems[1].fix.find("known here are disk, ") == 0);
  CHECK(problems[1].fix.find("bytes") == std::string::npos);
}
