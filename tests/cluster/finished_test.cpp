// What ends by itself and is not started again: a batch of payments, a migration. Once is enough.

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>

#include "tests/cluster/site_processes.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace fs = std::filesystem;

namespace {

const std::string instance = "default.bank.main-1";

/// A service that pays, once there is something to be paid for, and keeps book of it. All hosts are on this machine, so they have
/// the same book.
class payments {
public:
  explicit payments(const site_processes& site) : folder_(site.folder() / "bank") { fs::create_directory(folder_); }

  config::application_spec on_hosts(const std::string& expression) const {
    const auto script = "cd " + folder_.string() + " && while [ ! -e due ]; do sleep 0.02; done; echo paid; echo \"$HOST\" >> book";
    auto spec = on(expression, simple_application("bank", {"/bin/sh", "-c", script}));
    spec.services[0].containers[0].env = {{"HOST", "${HOST}"}};
    spec.services[0].restart.type = config::restart_type::transient;
    return spec;
  }

  void become_due() const { std::ofstream{folder_ / "due"} << "now"; }

  std::vector<std::string> book() const {
    std::ifstream in{folder_ / "book"};
    std::vector<std::string> all;
    for (std::string line; std::getline(in, line);)
      all.push_back(line);
    return all;
  }

private:
  fs::path folder_;
};

using hosts = std::vector<std::string>;

/// Until the site has decided that generation `generation` ended on `host`: then it does not depend on that host any more.
void wait_for_decided_end(const site_processes& site, const std::string& host, std::uint64_t generation) {
  site.wait_for("the end is decided", [&] {
    const auto events = site.get<std::vector<actors::event_view>>(site.some_host(), "/v1/events?limit=1000");
    return std::any_of(events.begin(), events.end(), [&](const auto& x) {
      return x.object == "instance/" + instance && x.to == "finished on " + host
             && x.from == host + " (generation " + std::to_string(generation) + ')';
    });
  });
}

void check_end(const site_processes& site, const std::string& host, std::uint64_t generation) {
  const auto row = site.instance(instance);
  CHECK(row.state == "finished");
  CHECK(row.host == host);
  CHECK(row.generation == generation);
  CHECK_MESSAGE(row.reason.find("exited with code 0; it is not started again") != std::string::npos, row.reason);
  CHECK(site.application("bank").state == "finished");
}

/// Whatever else `host` was to do when it came up it has done when it runs this.
void see_it_work(const site_processes& site, const std::string& host, const std::string& name) {
  REQUIRE(site.apply(on("host = " + host, simple_application(name))).is_good());
  site.wait_for(host + " works", [&] { return site.application(name).state == "running"; });
}

} // namespace

TEST_CASE("what has done its work does not do it again when its agent is killed, its host is lost or all are, until somebody says so") {
  site_processes site;
  const payments bank{site};
  bank.become_due();
  site.start_all();
  const auto others = site.hosts_without(site.leader());
  REQUIRE(site.apply(bank.on_hosts("host in (" + others[0] + ", " + others[1] + ")")).status == 201);
  site.wait_for("it is paid", [&] { return site.instance(instance).state == "finished"; });
  const auto first = site.instance(instance).host;
  wait_for_decided_end(site, first, 1);
  CHECK(bank.book() == hosts{first});

  site.kill_agent(first);
  site.start(first);
  site.wait_for_agreement(site.hosts());
  see_it_work(site, first, "one");
  check_end(site, first, 1);
  CHECK(bank.book() == hosts{first});
  CHECK(site.call(site.some_host(), "GET", "/v1/logs?of=bank.main-1").body.find("paid") != std::string::npos);

  site.kill_host(first);
  site.wait_for("its host is down", [&] { return site.host(first).state == "down"; });
  site.wait_for("its host is left", [&] { return site.application("one").state != "running"; });
  const auto second = others[0] == first ? others[1] : others[0];
  see_it_work(site, second, "two");
  check_end(site, first, 1);
  CHECK(bank.book() == hosts{first});

  REQUIRE(site.call(site.some_host(), "POST", "/v1/instances/" + instance + "/restart", R"({"generation": 1})").is_good());
  site.wait_for("it is paid again", [&] { return bank.book().size() == 2; });
  wait_for_decided_end(site, second, 2);
  check_end(site, second, 2);
  CHECK(bank.book() == hosts{first, second});

  site.kill_hosts(site.hosts_without(first)); // as when the power fails
  site.start_all();
  see_it_work(site, first, "three");
  see_it_work(site, second, "four");
  check_end(site, second, 2);
  CHECK(bank.book() == hosts{first, second});
}

TEST_CASE("what did its work while the site could decide nothing does not do it again when its agent is killed before it can") {
  site_processes site;
  const payments bank{site};
  site.start_all();
  const std::string host = "host-3";
  REQUIRE(site.apply(bank.on_hosts("host = " + host)).status == 201);
  site.wait_for_running(1);
  site.kill_hosts(site.hosts_without(host));
  site.wait_for("nobody leads", [&] { return site.status(host).health == "no-quorum"; });
  bank.become_due();
  site.wait_for("it is paid", [&] { return site.instance(instance).state == "finished"; });
  site.kill_agent(host);
  site.start(host);
  site.wait_for("its host knows how it ended", [&] { return site.instance(instance).state == "finished"; });
  CHECK(bank.book() == hosts{host});
  site.start("host-1");
  site.start("host-2");
  site.wait_for_agreement(site.hosts());
  wait_for_decided_end(site, host, 1);
  see_it_work(site, host, "one");
  check_end(site, host, 1);
  CHECK(bank.book() == hosts{host});
}

TEST_CASE("what has done its work does it again for a new version that runs something else, and for no other") {
  site_processes site;
  const payments bank{site};
  bank.become_due();
  site.start_all();
  auto spec = bank.on_hosts("exists host");
  REQUIRE(site.apply(spec).status == 201);
  site.wait_for("it is paid", [&] { return site.instance(instance).state == "finished"; });
  const auto host = site.instance(instance).host;
  wait_for_decided_end(site, host, 1);
  spec.version = "2";
  spec.services[0].containers[0].grace += 1s;
  REQUIRE(site.apply(spec).is_good());
  see_it_work(site, host, "one");
  check_end(site, host, 1);
  CHECK(bank.book() == hosts{host});
  spec.version = "3";
  spec.services[0].containers[0].env["MONTH"] = "May";
  REQUIRE(site.apply(spec).is_good());
  wait_for_decided_end(site, host, 2);
  check_end(site, host, 2);
  CHECK(bank.book() == hosts{host, host});
}
