#include <doctest/doctest.h>

#include <chrono>
#include <string>

#include "config/time.hpp"
#include "tools/cli/table.hpp"
#include "tools/cli/terminal.hpp"
#include "tools/cli/views.hpp"

using namespace prunella::tools;
using namespace std::chrono_literals;
namespace actors = prunella::actors;

namespace {

const auto noon = *prunella::config::parse_time("2026-11-21T12:00:00Z");

actors::host_view host(std::string id, std::string state = "up") {
  actors::host_view h;
  h.id = std::move(id);
  h.state = std::move(state);
  h.role = "follower";
  h.address = "127.0.0.1:7001";
  h.capacity = {4'000, std::int64_t{2} << 30};
  return h;
}

actors::instance_view instance(std::string name, std::string on, std::string state = "running") {
  actors::instance_view i;
  i.name = std::move(name);
  i.application = "popcorn";
  i.host = std::move(on);
  i.state = std::move(state);
  i.generation = 1;
  return i;
}

actors::actor_view actor(std::string path, std::string strategy = {}) {
  actors::actor_view a;
  a.path = std::move(path);
  a.state = "running";
  a.strategy = std::move(strategy);
  a.age_ms = 61'000;
  return a;
}

} // namespace

TEST_CASE("width counts columns: two for wide characters, none for combining ones, one for a byte that is not UTF-8") {
  CHECK(display_width("") == 0);
  CHECK(display_width("popcorn") == 7);
  CHECK(display_width("caf\xc3\xa9") == 4);
  CHECK(display_width("e\xcc\x81") == 1);
  CHECK(display_width("\xe7\xbe\x8e") == 2);
  CHECK(display_width("\xff") == 1);
  CHECK(display_width("a\xe7\xbe") == 3);
}

TEST_CASE("control characters become ?, so that a name cannot move the cursor") {
  CHECK(printable("a\033[2Jb\n") == "a?[2Jb?");
  CHECK(printable("\xc2\x9b"
                  "31m") == "?31m");
  CHECK(printable("\xff\xc3\xa9") == "?\xc3\xa9");
  CHECK(printable(std::string("a\0b", 3)) == "a?b");
}

TEST_CASE("columns are as wide as their widest cell, numbers stand right, lines have no blanks at their end") {
  const table t{{{"NAME"}, {"N", true}, {"WHY"}}, {{"a", "1", ""}, {"caf\xc3\xa9-12", "100", "b"}, {"short"}}};
  CHECK(render(t, false) == "NAME       N  WHY\n"
                            "a          1\n"
                            "caf\xc3\xa9-12  100  b\n"
                            "short\n");
}

TEST_CASE("an optional column that no row has is left out, with one cell it stays") {
  table t{{{"A"}, {"B", false, false, true}}, {{"x", ""}}};
  CHECK(render(t, false) == "A\nx\n");
  t.rows.push_back({"y", "z"});
  CHECK(render(t, false) == "A  B\nx\ny  z\n");
}

TEST_CASE("sentences are cut to the terminal, the widest first, to no less than twenty columns, and nothing else is") {
  table t;
  t.columns = {{"OBJECT"}, {"REASON", false, false, true}, {"CAUSE", false, false, true}};
  t.rows = {{"instance/" + std::string(20, 'a'), std::string(60, 'b'), std::string(30, 'c')}};
  const auto widths = [&](std::size_t most) {
    const auto text = render(t, false, most);
    return display_width(text.substr(0, text.find('\n', text.find('\n') + 1)).substr(text.find('\n') + 1));
  };
  CHECK(widths(0) == 123);
  CHECK(widths(123) == 123);
  CHECK(widths(122) == 122);
  CHECK(widths(80) == 80);
  CHECK(widths(30) == 73);
  CHECK(render(t, false, 100).find(std::string(36, 'b') + "…  " + std::string(30, 'c')) != std::string::npos);
}

TEST_CASE("a column that may leave does so before a sentence is cut below forty columns, and no sooner") {
  table t;
  t.columns = {{"AT", false, false, false, 1}, {"OBJECT"}, {"FROM", false, false, false, 2}, {"REASON", false, false, true}};
  t.rows = {{std::string(10, 't'), std::string(10, 'o'), std::string(10, 'f'), std::string(60, 'r')}};
  const auto head = [&](std::size_t most) {
    const auto text = render(t, false, most);
    return text.substr(0, text.find('\n'));
  };
  CHECK(head(76) == "AT          OBJECT      FROM        REASON"); // 36 and a sentence of forty
  CHECK(head(75) == "OBJECT      FROM        REASON");
  CHECK(head(64) == "OBJECT      FROM        REASON");
  CHECK(head(63) == "OBJECT      REASON");
  CHECK(render(t, false, 75).find(std::string(50, 'r') + "…") != std::string::npos); // the sentence has the room that is left
  CHECK(head(0) == head(200));
}

TEST_CASE("a text is cut by what a terminal shows") {
  CHECK(cut("abc", 3) == "abc");
  CHECK(cut("abcd", 3) == "ab…");
  CHECK(cut("\xc3\xa4\xc3\xb6\xc3\xbc", 2) == "\xc3\xa4…");
  CHECK(cut("abc", 1) == "…");
}

TEST_CASE("states are coloured only when asked, and colours do not shift columns") {
  const table t{{{"STATE", false, true}, {"ID"}}, {{"up", "1"}, {"down", "2"}, {"odd", "3"}}};
  CHECK(render(t, true) == "STATE  ID\n\033[32mup   \033[0m  1\n\033[31mdown \033[0m  2\nodd    3\n");
  CHECK(render(t, false).find('\033') == std::string::npos);
}

TEST_CASE("an age is its largest whole unit, under a second, or ahead of this clock, it is now") {
  CHECK(age_text(-5s) == "now");
  CHECK(age_text(999ms) == "now");
  CHECK(age_text(1s) == "1s");
  CHECK(age_text(59'999ms) == "59s");
  CHECK(age_text(60s) == "1m");
  CHECK(age_text(3'599s) == "59m");
  CHECK(age_text(1h) == "1h");
  CHECK(age_text(24h) == "1d");
  CHECK(age_of("2026-11-21T11:28:00.000Z", noon) == "32m");
  CHECK(age_of("", noon).empty());
  CHECK(age_of("yesterday", noon) == "yesterday");
  CHECK(age_of("1700-01-01T00:00:00Z", noon).back() == 'd'); // further back than nanoseconds count
}

TEST_CASE("bytes are shown in the unit in which they are at least 1") {
  CHECK(bytes_text(0) == "0");
  CHECK(bytes_text(1'023) == "1023");
  CHECK(bytes_text(1'024) == "1Ki");
  CHECK(bytes_text(std::int64_t{3} << 29) == "1.5Gi");
}

TEST_CASE("hosts are listed with what is reserved of what they have") {
  auto h = host("host-1");
  h.reserved = {500, 96 << 20};
  h.labels = {{"disk", "ssd"}, {"room", "shop"}};
  CHECK(render(to_table(std::vector<actors::host_view>{h}, noon), false) ==
        "ID      STATE  ROLE      ADDRESS         INSTANCES     CPU    MEMORY  LABELS\n"
        "host-1  up     follower  127.0.0.1:7001          0  500m/4  96Mi/2Gi  disk=ssd,room=shop\n");
}

TEST_CASE("hosts that said so are listed with their drivers and, in short, what containers do without there") {
  auto plain = host("host-1");
  auto docker = host("host-2");
  plain.drivers = {"process"};
  docker.drivers = {"process", "engine (Docker 20.10.24)"};
  docker.without = {{"own networks", "a sentence"}, {"disk limits", "a sentence"}};
  CHECK(render(to_table(std::vector<actors::host_view>{plain, docker}, noon), false) ==
        "ID      STATE  ROLE      ADDRESS         INSTANCES  CPU  MEMORY  DRIVERS                            WITHOUT\n"
        "host-1  up     follower  127.0.0.1:7001          0  0/4   0/2Gi  process\n"
        "host-2  up     follower  127.0.0.1:7001          0  0/4   0/2Gi  process, engine (Docker 20.10.24)  own networks, disk limits\n");
}

TEST_CASE("an instance without host and pid shows a dash for each") {
  auto waiting = instance("default.popcorn.web-2", "", "pending");
  waiting.reason = "no host is large enough";
  CHECK(render(to_table(std::vector<actors::instance_view>{waiting}, noon), false) ==
        "NAME                   HOST  STATE    READY  GENERATION  RESTARTS  PID  AGE  REASON\n"
        "default.popcorn.web-2  -     pending  no              1         -    -       no host is large enough\n");
}

TEST_CASE("an image has a row for each of its tags on each host, and one named by its digest only if it has no tag") {
  actors::image_view popcorn;
  popcorn.name = "r.example/x:1";
  popcorn.names = {"docker.io/library/popcorn:1", "r.example/x:1", "r.example/x@sha256:12"};
  popcorn.digest = "sha256:12";
  popcorn.bytes = 3 << 20;
  popcorn.needed = "yes";
  popcorn.hosts.resize(2);
  popcorn.hosts[0].host = "host-1";
  popcorn.hosts[0].state = popcorn.hosts[1].state = "present";
  popcorn.hosts[1].host = "host-2";
  popcorn.hosts[1].holders = {"default.popcorn.web-1.c"};
  popcorn.meant_by = {{"default.shop.web", "r.example/moved:2"}};
  actors::image_view bare;
  bare.name = "r.example/y@sha256:34";
  bare.names = {"r.example/y@sha256:34"};
  bare.digest = "sha256:34";
  bare.needed = "no";
  CHECK(render(to_table(std::vector{popcorn, bare}, noon), false)
        == "NAME                         DIGEST     SIZE  NEEDED  HOST    STATE    HELD BY\n"
           "docker.io/library/popcorn:1  sha256:12   3Mi  yes     host-1  present\n"
           "docker.io/library/popcorn:1  sha256:12   3Mi  yes     host-2  present  default.popcorn.web-1.c\n"
           "r.example/moved:2            sha256:12   3Mi  yes     host-1  present\n"
           "r.example/moved:2            sha256:12   3Mi  yes     host-2  present  default.popcorn.web-1.c\n"
           "r.example/x:1                sha256:12   3Mi  yes     host-1  present\n"
           "r.example/x:1                sha256:12   3Mi  yes     host-2  present  default.popcorn.web-1.c\n"
           "r.example/y@sha256:34        sha256:34     -  no      -       missing\n");
}

TEST_CASE("the tree nests containers in instances in applications on hosts, and lists apart what has no host") {
  actors::status_view status;
  status.site = "shop";
  status.health = "degraded";
  status.leader = "host-1";
  actors::application_view application;
  application.name = "popcorn";
  application.tenant = "default";
  application.version = "1.0.0";
  application.state = "degraded";
  auto running = instance("default.popcorn.web-1", "host-1");
  running.containers = {{"default.popcorn.web-1.main", "running", 4711, 1, ""}};
  auto down = host("host-2", "down");
  down.reason = "no heartbeat for 1s";
  const auto text = render(site_tree(status, {host("host-1"), down}, {application},
                                     {running, instance("default.popcorn.web-2", "", "pending")}),
                           false);
  CHECK(text == "shop                   degraded  leader host-1\n"
                "├─ host-1              up        follower  127.0.0.1:7001\n"
                "│  └─ default.popcorn  degraded  version 1.0.0\n"
                "│     └─ web-1         running   generation 1\n"
                "│        └─ main       running   pid 4711  1 restart\n"
                "├─ host-2              down      follower  127.0.0.1:7001  no heartbeat for 1s\n"
                "└─ not placed\n"
                "   └─ default.popcorn  degraded  version 1.0.0\n"
                "      └─ web-2         pending   generation 1\n");
}

TEST_CASE("actors nest by their paths, one whose parent is not listed hangs under the nearest that is") {
  const auto text =
      render(actor_tree({actor("host-1/root", "one_for_one"), actor("host-1/root/core"), actor("host-1/root/core/a"),
                         actor("host-1/root/lost/child"), actor("host-1/rootless")}),
             false);
  CHECK(text == "site\n"
                "├─ host-1/root      running  1m  one_for_one\n"
                "│  ├─ core          running  1m\n"
                "│  │  └─ a          running  1m\n"
                "│  └─ lost/child    running  1m\n"
                "└─ host-1/rootless  running  1m\n");
}

TEST_CASE("the status stands in aligned lines and names the leader or says that none is known") {
  actors::status_view status;
  status.site = "shop";
  status.host = "host-2";
  status.role = "follower";
  status.health = "no-quorum";
  status.reason = "1 of 3 controllers answers";
  status.hosts = 3;
  status.hosts_up = 1;
  status.version = "0.1.0";
  status.started_at = "2026-11-21T11:00:00Z";
  const auto text = status_text(status, noon, false);
  CHECK(text.find("health        no-quorum: 1 of 3 controllers answers\n") != std::string::npos);
  CHECK(text.find("leader        none known\n") != std::string::npos);
  CHECK(text.find("hosts         1 of 3 up\n") != std::string::npos);
  CHECK(text.find("answered by   host-2 (follower, version 0.1.0, up 1h)\n") != std::string::npos);
}

TEST_CASE("instances that have finished are counted apart in the status, and in the services of an application") {
  actors::status_view status;
  status.instances = 3;
  status.instances_running = 1;
  status.instances_finished = 2;
  CHECK(status_text(status, noon, false).find("instances     1 of 3 running, 2 finished\n") != std::string::npos);
  actors::application_view application;
  application.services = {{"web", 1, 1, 0}, {"task", 2, 0, 2}};
  CHECK(to_table(std::vector{application}, noon).rows.at(0).at(3) == "web 1/1, task 0/2 (2 finished)");
}

TEST_CASE("no text of a status moves the cursor of who reads it") {
  actors::status_view status;
  for (auto* text : {&status.site, &status.host, &status.role, &status.leader, &status.health, &status.version,
                     &status.started_at, &status.reason})
    *text = "a\x1b[2J";
  const auto text = status_text(status, noon, false);
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(text.find("site          a?[2J\n") != std::string::npos);
  CHECK(text.find("answered by   a?[2J (a?[2J, version a?[2J, up a?[2J)\n") != std::string::npos);
}
