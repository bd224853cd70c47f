#include <doctest/doctest.h>

#include <algorithm>

#include "config/reader.hpp"

using namespace prunella::config;

namespace {

std::vector<std::string> problems_of(std::string_view text) {
  std::vector<std::string> texts;
  for (const auto& p : read_documents(text, "f").problems)
    texts.push_back(problem_text(p));
  return texts;
}

/// Line by line, so that a failure shows the line.
void check_problems(std::string_view text, const std::vector<std::string>& expected) {
  const auto found = problems_of(text);
  for (std::size_t i = 0; i < std::max(found.size(), expected.size()); ++i)
    CHECK((i < found.size() ? found[i] : "nothing") == (i < expected.size() ? expected[i] : "nothing"));
}

} // namespace

TEST_CASE("all problems of a site are reported in one go, in the order of the file") {
  check_problems(
      R"yaml(kind: site
nmae: shop
name: Shop
labels: {a b: x, c: "a b", d: [x], e: }
livenes: fast
liveness: quick
colour: red
hosts:
  - id: host-1
    adress: 127.0.0.1:7101
    capacity: {cpu: 2 cores, memory: 1.5GB}
  - id: host-1
    address: 127.0.0.1
    capacity: {cpu: 0, memory: 1Gi}
    controller: no
    labels: [a]
  - id: host_3
    address: "[::1]:0"
    capacity: 5
  - x
  - 
)yaml",
      {"f:2:1: nmae: is not a known key; did you mean name?",
       "f:4:15: labels.a b: is no label key; use letters, digits and . _ - (at most 63), if needed behind a prefix "
       "such as example.com/",
       "f:4:21: labels.c: is \"a b\"; use at most 63 letters, digits and . _ -, with a letter or digit at both ends",
       "f:4:31: labels.d: is a list; write a text",
       "f:4:36: labels.e: has no value; write \"\" for an empty text, or remove it",
       "f:5:1: livenes: is not a known key; did you mean liveness?",
       "f:6:11: liveness: is \"quick\"; write one of fast, balanced, patient",
       "f:7:1: colour: is not a known key; known here are kind, name, labels, liveness, hosts, images, networks, address",
       "f:10:5: hosts[0].adress: is not a known key; did you mean address?",
       "f:11:21: hosts[0].capacity.cpu: is \"2 cores\"; write cores such as 2 or 0.5, or thousandths of a core such as "
       "500m",
       "f:11:38: hosts[0].capacity.memory: is \"1.5GB\"; write bytes such as 64Mi, 1Gi, 500M or 1048576",
       "f:12:9: hosts[1].id: \"host-1\" is used by hosts[0].id too; give each its own",
       "f:13:14: hosts[1].address: is \"127.0.0.1\"; write ADDRESS:PORT with a port from 1 to 65535, such as "
       "10.0.0.5:7101, [fd00::5]:7101 or till-1.shop.lan:7101",
       "f:14:21: hosts[1].capacity.cpu: is missing, zero or too large; write the cores, such as 4 or 500m",
       "f:16:13: hosts[1].labels: is a list; write a map of texts",
       "f:17:9: hosts[2].id: is \"host_3\"; use 1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends",
       "f:18:14: hosts[2].address: is \"[::1]:0\"; write ADDRESS:PORT with a port from 1 to 65535, such as "
       "10.0.0.5:7101, [fd00::5]:7101 or till-1.shop.lan:7101",
       "f:19:15: hosts[2].capacity: is \"5\"; write a map with the keys cpu, memory",
       "f:20:5: hosts[3]: is \"x\"; write a map with the keys id, address, labels, capacity, controller, door, drivers, "
       "host-paths, interface",
       "f:22:1: hosts[4]: has no value; write a map with the keys id, address, labels, capacity, controller, door, drivers, "
       "host-paths, interface, or remove it"});
}

TEST_CASE("all problems of an application are reported in one go, in the order of the file") {
  check_problems(
      R"yaml(kind: application
name: shop
services:
  - name: web
    replicas: many
    replicas: 2
    strategy: one-for-al
    placement: {match-host-labels: "a = ", anti-affinity: [wbe, web, web], spread-by: "a b"}
    restart: {type: always, intensity: -1, period: 10, backoff: {initial: 5s, max: 1s, mx: 3}}
    when-cut-off: stop-after
    containers:
      - name: main
        command: sh -c "echo hi"
        env: {1A: x, PRUNELLA_SITE: y, Z: , L: [1]}
        working-directory: tmp
        resources: {cpu: -1, memory: lots}
        ports: [{name: http, port: 0}, {name: http, port: 80}, {port: 80, protocol: TCP}, {name: x, port: 70000},
          {name: y, port: 81, publish: 65536}, {name: z, port: 82, publish: 8082, publish-on: localhost}]
        grace: 2h
      - name: main
        command: []
        ports: [{name: q, port: 80}]
  - name: web
    when-cut-off: {stop-after: 0s}
    containers: []
  - replicas: 1001
    when-cut-off: {mode: exclusive, after: 3s}
    update: {parallel: 0, healthy-time: 25h}
)yaml",
      {"f:1:1: version: is missing; use 1 to 64 letters, digits and . + -",
       "f:5:15: services[0].replicas: is \"many\"; write a whole number from 0 to 1000",
       "f:6:5: services[0].replicas: is written twice, first in line 5; keep one of them",
       "f:7:15: services[0].strategy: is \"one-for-al\"; did you mean one_for_all? write one of one_for_one, "
       "one_for_all, rest_for_one",
       "f:8:36: services[0].placement.match-host-labels: column 5 of the expression: expected a value after \"=\", "
       "found the end; write for example: zone = front and not (disk = slow)",
       "f:8:60: services[0].placement.anti-affinity[0]: \"wbe\" is no service of this application; did you mean web?",
       "f:8:70: services[0].placement.anti-affinity[2]: \"web\" is used by services[0].placement.anti-affinity[1] too; "
       "give each its own",
       "f:8:87: services[0].placement.spread-by: is \"a b\"; write the key of a host label",
       "f:9:21: services[0].restart.type: is \"always\"; write one of permanent, transient, temporary",
       "f:9:40: services[0].restart.intensity: is \"-1\"; write a whole number from 0 to 1000",
       "f:9:52: services[0].restart.period: is \"10\"; write a whole number with a unit, such as 500ms, 10s, 5m, 1h or 7d",
       "f:9:88: services[0].restart.backoff.mx: is not a known key; did you mean max?",
       "f:10:19: services[0].when-cut-off: is \"stop-after\"; write {stop-after: 30s}, with a whole number with a "
       "unit, such as 500ms, 10s, 5m, 1h or 7d",
       "f:13:18: services[0].containers[0].command: is the text \"sh -c \"echo hi\"\"; write a list of the program and "
       "its arguments: [program, argument], or for a shell [sh, -c, \"...\"]",
       "f:14:19: services[0].containers[0].env.1A: is no name of a variable; use letters, digits and _, not starting "
       "with a digit",
       "f:14:37: services[0].containers[0].env.PRUNELLA_SITE: starts with PRUNELLA_, which the agent sets; choose "
       "another name",
       "f:14:40: services[0].containers[0].env.Z: has no value; write \"\" for an empty text, or remove it",
       "f:14:48: services[0].containers[0].env.L: is a list; write a text",
       "f:15:28: services[0].containers[0].working-directory: is \"tmp\"; write an absolute path, or leave it out for "
       "the container's own folder",
       "f:16:26: services[0].containers[0].resources.cpu: is \"-1\"; write cores such as 2 or 0.5, or thousandths of a "
       "core such as 500m",
       "f:16:38: services[0].containers[0].resources.memory: is \"lots\"; write bytes such as 64Mi, 1Gi, 500M or "
       "1048576",
       "f:17:36: services[0].containers[0].ports[0].port: is \"0\"; write a whole number from 1 to 65535",
       "f:17:47: services[0].containers[0].ports[1].name: \"http\" is used by services[0].containers[0].ports[0].name "
       "too; give each its own",
       "f:17:64: services[0].containers[0].ports[2].name: is missing; use 1 to 63 of a-z, 0-9 and -, with a letter or "
       "digit at both ends",
       "f:17:71: services[0].containers[0].ports[2].port: 80/tcp is used by services[0].containers[0].ports[1] too; "
       "containers of one instance share the host's ports: give each its own",
       "f:17:85: services[0].containers[0].ports[2].protocol: is \"TCP\"; did you mean tcp? write one of tcp, udp",
       "f:17:107: services[0].containers[0].ports[3].port: is \"70000\"; write a whole number from 1 to 65535",
       "f:18:40: services[0].containers[0].ports[4].publish: is \"65536\"; write a whole number from 0 to 65535",
       "f:18:95: services[0].containers[0].ports[5].publish-on: is \"localhost\"; write one of all, loopback",
       "f:19:16: services[0].containers[0].grace: is 2h; use 0s to 1h",
       "f:20:15: services[0].containers[1].name: \"main\" is used by services[0].containers[0].name too; give each its "
       "own",
       "f:21:9: services[0].containers[1].command: is missing; write a list of the program and its arguments: "
       "[program, argument]",
       "f:22:33: services[0].containers[1].ports[0].port: 80/tcp is used by services[0].containers[0].ports[1] too; "
       "containers of one instance share the host's ports: give each its own",
       "f:23:11: services[1].name: \"web\" is used by services[0].name too; give each its own",
       "f:24:32: services[1].when-cut-off.stop-after: is 0s; use 1ms to 30d",
       "f:25:5: services[1].containers: is missing or empty; use 1 to 16",
       "f:26:5: services[2].name: is missing; use 1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends",
       "f:26:5: services[2].containers: is missing or empty; use 1 to 16",
       "f:26:15: services[2].replicas: is \"1001\"; write a whole number from 0 to 1000",
       "f:27:44: services[2].when-cut-off.after: is 3s; only stop-after takes a duration; remove it",
       "f:28:24: services[2].update.parallel: is 0; use 1 to 1000",
       "f:28:41: services[2].update.healthy-time: is 25h; use 0s to 1h"});
}

TEST_CASE("documents of one file are judged each for itself") {
  check_problems(R"yaml(kind: aplication
---
name: x
---
- a
---
just text
---
kind: application
name: shop
version: 1.0.0
services: [{name: a, containers: [{name: b, command: [c]}]}]
---
kind: application
name: shop
version: 1.0.1
services: [{name: a, containers: [{name: b, command: [c]}]}]
---
? [a]
: b
)yaml",
                 {"f:1:7: kind: is \"aplication\"; did you mean application? write one of site, application",
                  "f:3:1: kind: is missing; write kind: site or kind: application",
                  "f:5:1: is a list; write a map that starts with kind: site or kind: application",
                  "f:7:1: is \"just text\"; write a map that starts with kind: site or kind: application",
                  "f:15:7: name: the application default.shop was already written in this file; give one of the two "
                  "another name, or remove it",
                  "f:19:3: a key is a list or a map; write a text as key"});
}

TEST_CASE("bad values of what a container of an image is made with are reported where they are") {
  check_problems(
      R"yaml(kind: application
name: shop
version: 1
services:
  - name: web
    network: bride
    init-containers: [{name: first, image: a, command: sh}]
    containers:
      - name: main
        image: "a b"
        read-only-root: yes
        pids: -1
        files: [{path: etc, mode: 0999, text: x}]
        volumes: [{target: /a, kind: disk}, {target: /b, size: big}, {target: /c, size: 1Mi, size-bytes: 1}, /d]
        stop-signal: KILLED
        env: {A: "${HOSTT}"}
        logs: {max-size: 4Ki, max-age: 10s, keep: 3}
        disk: much
      - {name: side, image: a, disk: 8Mi}
)yaml",
      {"f:6:14: services[0].network: is \"bride\"; did you mean bridge? write one of host, none, bridge",
       "f:7:56: services[0].init-containers[0].command: is the text \"sh\"; write a list of the program and its "
       "arguments: [program, argument], or for a shell [sh, -c, \"...\"]",
       "f:10:16: services[0].containers[0].image: is \"a b\": the name has ' ' where a letter or digit is needed; write "
       "[registry/]name[:tag][@sha256:...], such as registry.example/shop/web:1.2",
       "f:11:25: services[0].containers[0].read-only-root: is \"yes\"; write true or false",
       "f:12:15: services[0].containers[0].pids: is \"-1\"; write a whole number from 0 to 4294967295",
       "f:13:24: services[0].containers[0].files[0].path: is \"etc\"; write an absolute path without .. in it, at most "
       "4095 bytes",
       "f:13:35: services[0].containers[0].files[0].mode: is \"0999\"; write three octal digits such as 0644 or 0600",
       "f:13:41: services[0].containers[0].files[0].text: is not a known key; known here are path, content, mode",
       "f:14:38: services[0].containers[0].volumes[0].kind: is \"disk\"; write one of ephemeral, persistent, host-path, "
       "tmpfs",
       "f:14:64: services[0].containers[0].volumes[1].size: is \"big\"; write bytes such as 64Mi, 1Gi, 500M or 1048576",
       "f:14:94: services[0].containers[0].volumes[2].size-bytes: says the same as size in line 14; keep one of them",
       "f:14:110: services[0].containers[0].volumes[3]: is \"/d\"; write a map with the keys size, target, kind, name, "
        "path, read-only, movable",
       "f:15:22: services[0].containers[0].stop-signal: is \"KILLED\"; write a signal such as SIGINT, INT or 2",
       "f:16:18: services[0].containers[0].env.A: refers to ${HOSTT}, which is no variable here; known are ADDRESS, APPLICATION, "
       "CONTAINER, GENERATION, HOST, INSTANCE, REPLICA, SERVICE, SITE, TENANT; write $${HOSTT} to leave it to a shell",
       "f:17:26: services[0].containers[0].logs.max-size: is 4Ki; use 64Ki to 1024Ti",
       "f:17:40: services[0].containers[0].logs.max-age: is 10s; use 1m to 3650d",
       "f:17:45: services[0].containers[0].logs.keep: is not a known key; known here are max-size, max-age",
       "f:18:15: services[0].containers[0].disk: is \"much\"; write bytes such as 64Mi, 1Gi, 500M or 1048576",
       "f:19:38: services[0].containers[1].disk: is 8Mi, of which its logs alone may take 10Mi; use more, or a smaller logs.max-size"});
}

TEST_CASE("a tab as indentation is named") {
  check_problems(
      "kind: site\n"
      "\tname: x\n",
      {"f:2:1: this is not YAML: illegal tab when looking for indentation; indent with blanks, YAML allows no tabs"});
}

TEST_CASE("a bracket that is not closed is found where the parser stumbles") {
  check_problems("kind: site\n"
                 "hosts: [1, 2\n"
                 "name: x\n",
                 {"f:3:5: this is not YAML: end of sequence flow not found; check the indentation, quotes and brackets "
                  "here and in the line above"});
}

TEST_CASE("a mapping on a line that has one already is no YAML") {
  check_problems("kind: application\n"
                 "when: stop-after: 30s\n",
                 {"f:2:17: this is not YAML: illegal map value; check the indentation, quotes and brackets here and in "
                  "the line above"});
}

TEST_CASE("an empty file has no document") {
  check_problems("", {"f: there is no document in it; write kind: site or kind: application"});
}

TEST_CASE("a file of comments has no document") {
  check_problems("# only\n"
                 "---\n",
                 {"f: there is no document in it; write kind: site or kind: application"});
}

TEST_CASE("a tag of another program is refused") {
  check_problems("kind: !mine site\n", {"f:1:7: the tag \"!mine\" is not known here; remove it"});
}

TEST_CASE("an alias without anchor is refused") {
  check_problems("kind: *x\n", {"f:1:7: this is not YAML: the referenced anchor is not defined; put &name before the "
                                "value that *name stands for, or quote a text that starts with *"});
}

TEST_CASE("an alias within its own anchor is refused") {
  check_problems("kind: site\n"
                 "labels: &a {x: *a}\n",
                 {"f:2:16: an alias stands inside of what it refers to; write the value instead"});
}

TEST_CASE("image settings of a site that make no sense are told with their bounds") {
  check_problems(R"yaml(kind: site
name: shop
images: {copies: 0, bandwidth: 63Ki, copy: 2, uplink-bandwidth: 1K}
hosts:
  - {id: host-1, address: "127.0.0.1:7101", capacity: {cpu: 2, memory: 1Gi}}
)yaml",
                 {"f:3:18: images.copies: is 0; use 1 to 64",
                  "f:3:32: images.bandwidth: is 63Ki a second; use at least 64Ki, or 0 for no bound",
                  "f:3:38: images.copy: is not a known key; known here are bandwidth, uplink-bandwidth, copies",
                  "f:3:65: images.uplink-bandwidth: is 1k a second; use at least 64Ki, or 0 for no bound"});
}

TEST_CASE("merge keys are no keys") {
  check_problems("kind: site\n"
                 "x: &x {a: b}\n"
                 "labels: {<<: *x}\n",
                 {"f:1:1: name: is missing; use 1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends",
                  "f:1:1: hosts: is missing or empty; use 1 to 64",
                  "f:2:1: x: is not a known key; known here are kind, name, labels, liveness, hosts, images, networks, address",
                  "f:2:4: labels.<<: is a map; write a text"});
}

TEST_CASE("two ways to say the same are refused") {
  check_problems(
      "kind: application\n"
      "name: a\n"
      "version: 1\n"
      "services:\n"
      "  - name: b\n"
      "    when-cut-off: {mode: exclusive, stop-after: 3s}\n"
      "    containers: [{name: c, command: [d], resources: {cpu: 1,\n"
      "      cpu_millis: 5}}]\n",
      {"f:6:37: services[0].when-cut-off.stop-after: says the same as mode in line 6; keep one of them",
       "f:8:7: services[0].containers[0].resources.cpu-millis: says the same as cpu in line 7; keep one of them"});
}

TEST_CASE("when-cut-off knows three words") {
  check_problems("kind: application\n"
                 "name: a\n"
                 "version: 1\n"
                 "services:\n"
                 "  - name: b\n"
                 "    when-cut-off: stop\n"
                 "    containers: [{name: c, command: [d]}]\n",
                 {"f:6:19: services[0].when-cut-off: is \"stop\"; write keep-running, exclusive or {stop-after: 30s}"});
}

TEST_CASE("what is nearly JSON is located as well") {
  check_problems("{\"kind\": \"application\", \"name\": \"a\", \"version\": \"1\", \"services\": [{\"name\": \"b\", "
                 "\"replicas\": 1.5, \"containers\": [{\"name\": \"c\", \"command\": \"d\"}]}]}",
                 {"f:1:93: services[0].replicas: is \"1.5\"; write a whole number from 0 to 1000",
                  "f:1:138: services[0].containers[0].command: is the text \"d\"; write a list of the program and its "
                  "arguments: [program, argument], or for a shell [sh, -c, \"...\"]"});
}

TEST_CASE("bytes that are not UTF-8 are located") {
  check_problems("kind: site\n"
                 "name: \xff\n",
                 {"f:2:7: the byte 0xff is not UTF-8; save the file as UTF-8; is this a text file?"});
}

TEST_CASE("a NUL is located") {
  check_problems(std::string_view("kind: site\n"
                                  "name: a\0b\n",
                                  21),
                 {"f:2:8: the control character 0x00 stands in the text; remove it; is this a text file?"});
}
