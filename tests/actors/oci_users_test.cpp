// Containers of images with a user namespace, with real runc and conmon: root within is nobody outside.

#include <doctest/doctest.h>

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "actors/instance/oci/container_users.hpp"
#include "runtime/exit_reason.hpp"
#include "storage/images/idmapped_mount.hpp"
#include "tests/actors/oci_fixture.hpp"

using namespace prunella::tests;
using prunella::config::volume_kind;

namespace {

constexpr unsigned first_id = 0x7000'0000;

/// A driver on a machine that can do it; null: SKIPPED.
std::unique_ptr<oci_driver_under_test> make_driver() {
  auto x = make_oci_driver();
  if (!x)
    return x;
  if (const auto why = prunella::storage::idmapping_obstacle(x->data.path()); !why.empty()) {
    MESSAGE("SKIPPED: ", why);
    return nullptr;
  }
  return x;
}

container_order order_of(const std::string& script, std::uint64_t generation = 1) {
  auto order = oci_driver_under_test::order(script, generation);
  order.spec.user_namespace = true;
  return order;
}

/// Whose the process is on the host.
unsigned owner_of(std::int64_t pid) {
  struct stat status {};
  REQUIRE(::stat(("/proc/" + std::to_string(pid)).c_str(), &status) == 0);
  return status.st_uid;
}

/// Whether some container of the machine has the range that begins with `base`.
bool is_taken(unsigned base) {
  return fs::exists("/run/prunella/users/" + std::to_string((base - first_id) / 65'536) + "/owner");
}

} // namespace

TEST_CASE("root of a container with a user namespace is nobody on the host, owns its image, and is told apart from others") {
  const auto x = make_driver();
  if (!x)
    return;
  const auto started = x->start(order_of("busybox id -u; busybox stat -c %u /bin/busybox; echo said > /dev/stdout; echo x > /own && "
                                         "busybox stat -c %u /own; exec busybox sleep 1000"));
  REQUIRE(x->has_output("0\n0\nsaid\n0\n"));
  const auto owner = owner_of(started.pid);
  CHECK(owner >= first_id);
  CHECK(owner < first_id + 4096u * 65'536u);
  CHECK(owner % 65'536 == 0);
  CHECK(is_taken(owner));
  const auto second = order_of("exec busybox sleep 1000");
  auto other = second;
  other.name = "default.shop.web-2.server";
  other.instance = "default.shop.web-2";
  const auto next = owner_of(x->start(other).pid);
  CHECK(next != owner);
  const auto seen = x->ask<exec_result>(exec_container{second.name, 0, {"/bin/sh", "-c", "busybox id -u; busybox chown 0 /own && echo may"}});
  CHECK(seen.output == "0\nmay\n");
  x->tell(stop_all_containers{0ms});
  CHECK(x->nothing_is_left());
  CHECK(eventually([&] { return !is_taken(owner) && !is_taken(next); }));
}

TEST_CASE("a command runs in a container with a user namespace and a network of its instance, in both, also twice and for the next driver") {
  const auto x = make_driver();
  if (!x)
    return;
  auto order = order_of("exec busybox sleep 1000");
  order.network = prunella::config::instance_network::none;
  const auto started = x->start(order);
  const exec_container ask{order.name, 0, {"/bin/sh", "-c", "busybox id -u; busybox ip link; busybox kill -0 1 && exit 3"}};
  for (int i = 0; i < 3; ++i) {
    CAPTURE(i);
    const auto seen = x->ask<exec_result>(ask);
    INFO(prunella::runtime::reason_text(x->error));
    CHECK_FALSE(x->error);
    CHECK(seen.exit_code == 3);
    CHECK(seen.output.rfind("0\n1: lo: <LOOPBACK,UP", 0) == 0);
    CHECK(seen.output.find("\n2: ") == std::string::npos);
    if (i == 1) {
      x->crash_driver();
      CHECK(x->start(order).pid == started.pid);
    }
  }
  CHECK(x->ask<exec_result>(exec_container{order.name, 0, {"/bin/busybox", "false"}}).exit_code == 1); // what a probe has to see
  x->ask<exec_result>(exec_container{order.name, 0, {"/nosuch"}});
  CHECK(is_driver_error(x->error, driver_errc::command_not_found));
  x->stop(1, 0ms);
  CHECK(x->nothing_is_left());
}

TEST_CASE("a driver that dies leaves containers with a user namespace as they are, and the next gives their ids back") {
  const auto x = make_driver();
  if (!x)
    return;
  const auto started = x->start(order_of("echo up; exec busybox sleep 1000"));
  const auto owner = owner_of(started.pid);
  x->crash_driver();
  const auto again = x->start(order_of("echo up; exec busybox sleep 1000"));
  CHECK(again.adopted);
  CHECK(again.pid == started.pid);
  x->stop(1, 0ms);
  CHECK(eventually([&] { return x->starts().empty(); }));
  CHECK(eventually([&] { return !is_taken(owner); }));
}

TEST_CASE("ids and mounts of starts whose folder is gone are given back by the next driver, and those of a start that is there stay") {
  const auto x = make_driver();
  if (!x)
    return;
  temporary_folder other; // data directory
  const auto gone = other / ("gone." + std::to_string(::getpid()));
  const auto kept = other / ("kept." + std::to_string(::getpid()));
  std::vector<container_users> users;
  for (const auto& start : {gone, kept}) {
    fs::create_directory(start);
    users.push_back(std::get<container_users>(claim_users(start)));
    CHECK(::mount("none", (users.back().folder + "/root").c_str(), "tmpfs", 0, "size=4k") == 0);
  }
  fs::remove_all(gone);
  x->crash_driver();
  x->tell(stop_all_containers{0ms}); // answered after it looked
  CHECK(eventually([&] { return !fs::exists(users[0].folder); }));
  CHECK(fs::exists(users[1].folder + "/owner"));
  release_users(kept);
  CHECK_FALSE(fs::exists(users[1].folder));
  for (const auto& left : users) { // by a test that failed
    ::umount2((left.folder + "/root").c_str(), MNT_DETACH);
    fs::remove_all(left.folder);
  }
}

TEST_CASE("a range whose start was killed before it said whose it is is free again after a minute, and one that is just being taken stays") {
  const auto x = make_driver();
  if (!x)
    return;
  temporary_folder other;
  const std::string ranges = "/run/prunella/users/";
  REQUIRE(std::holds_alternative<container_users>(claim_users(other.path()))); // so that the folder of all is there
  const auto unfinished = ranges + "killed." + std::to_string(::getpid()) + ".new";
  const auto being_taken = ranges + "taking." + std::to_string(::getpid()) + ".new";
  for (const auto& folder : {unfinished, being_taken})
    fs::create_directories(folder + "/root");
  fs::last_write_time(unfinished, fs::file_time_type::clock::now() - 61s);
  sweep_users();
  CHECK_FALSE(fs::exists(unfinished));
  CHECK(fs::exists(being_taken));
  fs::remove_all(being_taken);
  release_users(other.path());
}

TEST_CASE("a range that cannot be remembered by its start is not taken") {
  const auto x = make_driver();
  if (!x)
    return;
  temporary_folder other;
  const auto start = other / ("nowhere." + std::to_string(::getpid())); // not there, so no claim can be written into it
  CHECK(std::holds_alternative<driver_failure>(claim_users(start)));
  for (const auto& range : fs::directory_iterator("/run/prunella/users")) {
    CHECK(range.path().filename().string().find("nowhere." + std::to_string(::getpid())) == std::string::npos);
    CHECK(read_text(range.path() / "owner") != start);
  }
}

TEST_CASE("what a container with a user namespace writes into a persistent volume stays, and is a container's without one too") {
  const auto x = make_driver();
  if (!x)
    return;
  const auto with_volume = [](container_order order) {
    order.spec.volumes = {{"/data", volume_kind::persistent, "data", "", 0, false}, {"/cache", volume_kind::ephemeral, "", "", 0, false}};
    order.spec.files = {{"/etc/shop.conf", "open=1", "0600"}};
    return order;
  };
  const std::string look = "busybox cat /etc/shop.conf; echo; busybox stat -c %u:%g /data /cache /data/f; busybox cat /data/f; busybox ls /cache";
  x->run(with_volume(order_of("echo first > /data/f; echo x > /cache/f; " + look)));
  CHECK(x->output() == "open=1\n0:0\n0:0\n0:0\nfirst\nf\n");
  const auto before = x->output().size();
  x->run(with_volume(order_of(look, 2)));
  CHECK(x->output().substr(before) == "open=1\n0:0\n0:0\n0:0\nfirst\n");
  auto plain = with_volume(order_of(look, 3));
  plain.spec.user_namespace = false;
  const auto between = x->output().size();
  x->run(plain);
  CHECK(x->output().substr(between) == "open=1\n0:0\n0:0\n0:0\nfirst\n");
  auto user = with_volume(order_of("busybox id -u; echo y > /data/g && busybox stat -c %u /data/g", 4));
  user.spec.user = "www";
  user.spec.volumes[0].name = "of-www";
  user.spec.files[0].mode = "0400";
  const auto last = x->output().size();
  x->run(user);
  CHECK(x->output().substr(last) == "33\n33\n");
}

TEST_CASE("a container with a user namespace has limits, an own network or the host's, and says when it ran out of memory") {
  const auto x = make_driver();
  if (!x)
    return;
  auto order = order_of("x=$(busybox dd if=/dev/zero bs=1M count=200 2>/dev/null | busybox tr '\\0' 'x'); echo survived");
  order.spec.resources.memory_bytes = 16 << 20;
  x->run(order);
  CHECK(x->last_exit.out_of_memory);
  CHECK(x->last_exit.memory_limit_bytes == 16 << 20);
  const std::string networks = "busybox ls /sys/class/net | busybox wc -l; busybox timeout 1 busybox nc -l -p 80 127.0.0.1; echo $?";
  auto none = order_of(networks, 2);
  none.network = prunella::config::instance_network::none;
  const auto before = x->output().size();
  x->run(none);
  CHECK(x->output().substr(before).find("143\n") != std::string::npos); // it listened: the port is free for its root
}

TEST_CASE("a file system that cannot show other owners is named, with what can") {
  if (const auto x = make_driver(); x == nullptr)
    return;
  const auto why = prunella::storage::idmapping_obstacle("/proc");
  CHECK(why.find("show /proc under other owners (idmapped mounts need Linux 5.19 and ext4, xfs or btrfs)") != std::string::npos);
}
