// Instances that move between hosts that are up: what runs on one host has ended before it begins on the next.

#include <doctest/doctest.h>

#include <fstream>

#include "tests/cluster/site_processes.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace fs = std::filesystem;

namespace {

/// A container that holds a folder as long as it works, also for the while that it takes to end, and tells of each start, and
/// where somebody else holds the folder. It ends when it was told to and `let_end` was called. All hosts are on this machine, so
/// they see the same folder.
class single_writer {
public:
  explicit single_writer(const site_processes& site) : folder_(site.folder() / "writer") { fs::create_directory(folder_); }

  config::application_spec on_host(const std::string& host, unsigned replicas = 1) const {
    const auto script = "cd " + folder_.string() +
                        " && trap 'until [ -e end ]; do sleep 0.02; done; rmdir \"held-$NAME\"; exit 0' TERM; echo \"$HOST\" >> starts-$NAME;"
                        " mkdir \"held-$NAME\" || echo \"$HOST\" >> two; while :; do sleep 0.02; done";
    auto spec = on("host=" + host, simple_application("writer", {"/bin/sh", "-c", script}, replicas));
    auto& container = spec.services[0].containers[0];
    container.env = {{"HOST", "${HOST}"}, {"NAME", "${INSTANCE}"}};
    container.grace = 60s;
    return spec;
  }

  void let_end() const { std::ofstream{folder_ / "end"}; }

  std::vector<std::string> starts(const std::string& instance = "default.writer.main-1") const { return lines("starts-" + instance); }
  /// Hosts where it began although it worked elsewhere.
  std::vector<std::string> twos() const { return lines("two"); }

private:
  std::vector<std::string> lines(const std::string& file) const {
    std::ifstream in{folder_ / file};
    std::vector<std::string> all;
    for (std::string line; std::getline(in, line);)
      all.push_back(line);
    return all;
  }

  fs::path folder_;
};

using hosts = std::vector<std::string>;

} // namespace

TEST_CASE("an instance that has to leave a host that is up has ended there before it begins on the next") {
  site_processes site{config::liveness_profile::patient};
  const single_writer writer{site};
  site.start_all();
  REQUIRE(site.apply(writer.on_host("host-1")).is_good());
  site.wait_for("it works on host-1", [&] { return writer.starts().size() == 1 && site.all_running(1); });
  REQUIRE(site.apply(writer.on_host("host-2")).is_good());
  site.wait_for("it leaves host-1", [&] { return site.instance("default.writer.main-1").state == "moving"; });
  const auto leaving = site.instance("default.writer.main-1");
  CHECK(writer.starts() == hosts{"host-1"});
  writer.let_end();
  CHECK(leaving.host == "host-1");
  CHECK_MESSAGE(leaving.reason.find("it starts elsewhere when host-1 has ended it") != std::string::npos, leaving.reason);
  site.wait_for("it works on host-2", [&] { return writer.starts().size() == 2 && site.all_running(1); });
  CHECK(writer.starts() == hosts{"host-1", "host-2"});
  CHECK(writer.twos().empty());
  CHECK(site.instance("default.writer.main-1").generation == 2);
}

TEST_CASE("an agent that is killed while an instance leaves its host still ends it before the next begins") {
  site_processes site{config::liveness_profile::patient};
  const single_writer writer{site};
  site.start_all();
  const auto from = site.hosts_without(site.leader()).front();
  const auto to = site.hosts_without(from).back();
  REQUIRE(site.apply(writer.on_host(from)).is_good());
  site.wait_for("it works", [&] { return writer.starts().size() == 1 && site.all_running(1); });
  REQUIRE(site.apply(writer.on_host(to)).is_good());
  site.wait_for("it leaves", [&] { return site.instance("default.writer.main-1").state == "moving"; });
  site.kill_agent(from);
  site.start(from);
  writer.let_end();
  site.wait_for("it works on the next", [&] { return writer.starts().size() == 2 && site.all_running(1); });
  CHECK(writer.starts() == hosts{from, to});
  CHECK(writer.twos().empty());
}

TEST_CASE("a host that is lost while an instance leaves it is waited for no longer than any lost host") {
  site_processes site;
  site.start_all();
  const auto from = site.hosts_without(site.leader()).front();
  const auto to = site.hosts_without(from).back();
  auto spec = on("host=" + from, simple_application("shop", {"/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.02; done"}));
  spec.services[0].containers[0].grace = 60s;
  REQUIRE(site.apply(spec).is_good());
  site.wait_for_running(1);
  spec.services[0].placement.match_host_labels = "host=" + to;
  REQUIRE(site.apply(spec).is_good());
  site.wait_for("it leaves", [&] { return site.instance("default.shop.main-1").state == "moving"; });
  site.kill_host(from);
  site.wait_for("it runs on the next", [&] { return site.instance("default.shop.main-1").host == to && site.all_running(1); }, 20s);
  CHECK(site.instance("default.shop.main-1").generation == 2);
}

TEST_CASE("what is deleted and applied again for another host has ended on the first before it begins there") {
  site_processes site{config::liveness_profile::patient};
  const single_writer writer{site};
  site.start_all();
  REQUIRE(site.apply(writer.on_host("host-1")).is_good());
  site.wait_for("it works on host-1", [&] { return writer.starts().size() == 1 && site.all_running(1); });
  REQUIRE(site.call(site.some_host(), "DELETE", "/v1/applications/default.writer").is_good());
  REQUIRE(site.apply(writer.on_host("host-2")).is_good());
  site.wait_for("host-1 has still to end it", [&] { return site.instance("default.writer.main-1").state == "pending"; });
  writer.let_end();
  site.wait_for("it works on host-2", [&] { return writer.starts().size() == 2 && site.all_running(1); });
  CHECK(writer.starts() == hosts{"host-1", "host-2"});
  CHECK(writer.twos().empty());
}

TEST_CASE("a drained host is left one after the other, shows how far that is, and takes instances again when it is told") {
  site_processes site{config::liveness_profile::patient};
  const single_writer writer{site};
  writer.let_end();
  site.start_all();
  const auto drained = site.hosts_without(site.leader()).front();
  auto spec = writer.on_host("host-1", 2);
  spec.services[0].placement.match_host_labels = "host in (" + drained + ", " + site.hosts_without(drained).back() + ")";
  spec.services[0].placement.anti_affinity = {};
  spec.services[0].update.healthy_time = 200ms;
  REQUIRE(site.apply(spec).is_good());
  site.wait_for_running(2);
  REQUIRE(site.host(drained).instances == 1);
  REQUIRE(site.call(site.some_host(), "POST", "/v1/hosts/" + drained + "/drain").is_good());
  site.wait_for("it is empty", [&] { return site.host(drained).state == "drained" && site.all_running(2); });
  CHECK(site.containers_of(drained).empty());
  CHECK(writer.twos().empty());
  CHECK_MESSAGE(site.host(drained).reason.find("prunella host undrain " + drained) != std::string::npos, site.host(drained).reason);
  REQUIRE(site.call(site.some_host(), "POST", "/v1/hosts/" + drained + "/undrain").is_good());
  site.wait_for("it takes instances", [&] { return site.host(drained).state == "up"; });
  REQUIRE(site.scale("writer", "main", 3).is_good());
  site.wait_for_running(3);
  CHECK(site.host(drained).instances == 1);
}

TEST_CASE("an instance that is restarted by hand runs in its next generation where it was, and a service one after the other") {
  site_processes site{config::liveness_profile::patient};
  site.start_all();
  auto spec = simple_application("shop", {"sleep", "1000000"}, 2);
  spec.services[0].update.healthy_time = 100ms;
  REQUIRE(site.apply(spec).is_good());
  site.wait_for_running(2);
  const auto before = site.instance("default.shop.main-1");
  const auto host = site.some_host();
  REQUIRE(site.call(host, "POST", "/v1/instances/default.shop.main-1/restart", R"({"generation": 1})").is_good());
  CHECK(site.call(host, "POST", "/v1/instances/default.shop.main-1/restart", R"({"generation": 1})").status == 409);
  site.wait_for("it runs again", [&] { return site.instance("default.shop.main-1").generation == 2 && site.all_running(2); });
  CHECK(site.instance("default.shop.main-1").host == before.host);
  CHECK(site.instance("default.shop.main-1").pid != before.pid);
  CHECK(site.instance("default.shop.main-2").generation == 1);
  REQUIRE(site.call(host, "POST", "/v1/applications/shop/restart", R"({"service": "main", "revision": 1})").is_good());
  site.wait_for("both run again", [&] {
    return site.instance("default.shop.main-1").generation == 3 && site.instance("default.shop.main-2").generation == 2 && site.all_running(2);
  });
}
