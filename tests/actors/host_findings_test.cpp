// What a host offers the site, from what it found.

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "actors/host/host_findings.hpp"

using namespace prunella::actors;
using prunella::config::driver_kind;

namespace {

std::vector<std::string> names_of(const std::vector<host_weakness>& list) {
  std::vector<std::string> names;
  for (const auto& x : list) {
    CHECK(x.why.size() > 20);
    names.push_back(x.what);
  }
  return names;
}

using words = std::vector<std::string>;
using lacks = std::vector<host_lack>;

} // namespace

TEST_CASE("a host of processes alone says no more than that") {
  host_findings found;
  found.drivers = {driver_kind::process};
  const auto offer = offer_of(found);
  CHECK(offer.software.drivers == words{"process"});
  CHECK(offer.software.without.empty());
  CHECK(offer.lacks == lacks{host_lack::bridge, host_lack::user_namespaces});
}

TEST_CASE("a host with oci tells its runtime, and what is missing there with the reason") {
  host_findings found;
  found.drivers = {driver_kind::oci, driver_kind::process};
  found.oci_runtime = "runc version 1.1.5+ds1";
  CHECK(offer_of(found).drivers == std::vector{driver_kind::process, driver_kind::oci});
  CHECK(offer_of(found).software.drivers == words{"process", "oci (runc 1.1.5)"});
  CHECK(offer_of(found).software.without.empty());
  CHECK(offer_of(found).lacks.empty());
  found.oci_runtime.clear();
  found.bridge_obstacle = "the CNI plugin /usr/lib/cni/bridge is not on this host";
  found.users_obstacle = "the kernel maps no ids on this file system";
  found.seccomp_obstacle = "containers of images run here without a filter of system calls";
  const auto offer = offer_of(found);
  CHECK(offer.software.drivers == words{"process", "oci"});
  CHECK(names_of(offer.software.without) == words{"seccomp", "bridge", "user namespaces"});
  CHECK(offer.software.without[1].why == found.bridge_obstacle);
  CHECK(offer.lacks == lacks{host_lack::bridge, host_lack::user_namespaces});
}

TEST_CASE("a host with an engine offers nothing before the engine has told what it is, then what that one can do") {
  host_findings found;
  found.drivers = {driver_kind::process, driver_kind::engine};
  CHECK(offer_of(found) == host_offer{});
  found.engine = "Docker 20.10.24+dfsg1";
  const auto docker = offer_of(found);
  CHECK(docker.software.drivers == words{"process", "engine (Docker 20.10.24)"});
  CHECK(names_of(docker.software.without) == words{"own networks", "user namespaces", "disk limits"});
  CHECK(docker.lacks == lacks{host_lack::bridge, host_lack::user_namespaces, host_lack::disk_limits, host_lack::own_networks});
  found.engine = "Podman 4.3.1";
  found.engine_joins_networks = true;
  const auto podman = offer_of(found);
  CHECK(podman.lacks == lacks{host_lack::user_namespaces, host_lack::disk_limits});
  CHECK(names_of(podman.software.without) == words{"user namespaces", "disk limits"});
  found.bridge_obstacle = "iptables is not on this host, which a network with a way out needs";
  CHECK(offer_of(found).lacks == lacks{host_lack::bridge, host_lack::user_namespaces, host_lack::disk_limits});
}

TEST_CASE("of oci and engine the one named first counts, so oci waits for no engine") {
  host_findings found;
  found.drivers = {driver_kind::oci, driver_kind::engine};
  CHECK(offer_of(found).lacks.empty());
  CHECK(offer_of(found).software.drivers == words{"oci", "engine"});
  found.drivers = {driver_kind::engine, driver_kind::oci};
  CHECK(offer_of(found) == host_offer{});
}

TEST_CASE("a version reads as people know it") {
  CHECK(short_version("runc version 1.1.5+ds1\n") == "runc 1.1.5");
  CHECK(short_version("crun version 1.8.1") == "crun 1.8.1");
  CHECK(short_version("Docker 20.10.24+dfsg1") == "Docker 20.10.24");
  CHECK(short_version("") == "");
}

TEST_CASE("texts of another host are cut to 8 of 400 bytes and hold no control characters") {
  host_software software;
  software.drivers.assign(9, std::string(401, 'd'));
  software.without.assign(9, {"\033[2J", "line\nline\x7f"});
  const auto cut = bounded(software);
  REQUIRE(cut.drivers.size() == 8);
  CHECK(cut.drivers[7].size() == 400);
  REQUIRE(cut.without.size() == 8);
  CHECK(cut.without[7] == host_weakness{" [2J", "line line "});
  CHECK(bounded(cut) == cut);
}
