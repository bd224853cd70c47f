// What a host offers the site, from what it found.

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "actors/host/disk_room.hpp"
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

TEST_CASE("a disk is full below 64 MiB, a small one below its twentieth, and has room again at twice that") {
  constexpr std::uint64_t mebibyte = 1U << 20;
  CHECK(least_room(std::uint64_t{500} << 30) == 64 * mebibyte);
  CHECK(least_room(1280 * mebibyte) == 64 * mebibyte);
  CHECK(least_room(4 * mebibyte) == mebibyte / 5);
  const std::uint64_t total = std::uint64_t{500} << 30;
  CHECK_FALSE(is_full({total, 64 * mebibyte}, false));
  CHECK(is_full({total, 64 * mebibyte - 1}, false));
  CHECK(is_full({total, 128 * mebibyte - 1}, true));
  CHECK_FALSE(is_full({total, 128 * mebibyte}, true));
  CHECK(is_full({}, true)); // nobody could tell
  CHECK_FALSE(is_full({}, false));
}

TEST_CASE("a full disk is first among what a host is without, and one that told no text has a reason all the same") {
  host_offer offer{{driver_kind::oci}, {host_lack::bridge}, {{"oci"}, {{"bridge", "why"}}}};
  add_full_disk(offer);
  CHECK(offer.lacks == std::vector<host_lack>{host_lack::bridge, host_lack::disk_room});
  CHECK(offer.software.without.at(0).what == "disk room");
  REQUIRE(full_disk_of(offer.lacks, offer.software) != nullptr);
  CHECK(full_disk_of(offer.lacks, offer.software)->why == offer.software.without[0].why);
  CHECK(full_disk_of(offer.lacks, {})->why == "the disk of its data directory is full");
  CHECK(full_disk_of({host_lack::bridge}, offer.software) == nullptr);
}

TEST_CASE("a folder that is there has some space, one that is not has an unknown amount") {
  const auto space = space_of("/");
  CHECK(space.total_bytes > 0);
  CHECK(space.free_bytes <= space.total_bytes);
  CHECK(space_of("/no/such/folder").total_bytes == 0);
}

TEST_CASE("a host that cannot hold the site's address says so once it says anything") {
  CHECK(with_address_obstacle({}, "no eth0") == host_offer{});
  host_findings found;
  found.drivers = {driver_kind::process};
  const auto offer = offer_of(found);
  CHECK(with_address_obstacle(offer, "") == offer);
  const auto without = with_address_obstacle(offer, "no eth0");
  CHECK(without.lacks == offer.lacks); // no instance needs it
  CHECK(without.software.without == std::vector<host_weakness>{{"site address", "no eth0"}});
}
