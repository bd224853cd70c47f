// What a container of an image is given, with real runc and conmon: limits, user, files, volumes, network.

#include <doctest/doctest.h>

#include <sys/mount.h>

#include <fstream>

#include "actors/instance/oci/bundle.hpp"
#include "tests/actors/oci_fixture.hpp"

using namespace prunella::tests;
using prunella::config::volume_kind;

namespace {

/// What `order` prints to standard output, alone.
std::string printed(oci_driver_under_test& x, const container_order& order) {
  const auto before = x.output().size();
  return x.run(order).substr(before);
}

} // namespace

TEST_CASE("limits of memory, cpu and processes are in force, and use is told") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  auto order = x->order("exec busybox sleep 1000");
  order.spec.resources = {250, 32 << 20};
  order.spec.pids = 20;
  x->start(order);
  const auto seen = x->ask<exec_result>(exec_container{
    order.name, 0, {"/bin/sh", "-c", "cd /sys/fs/cgroup; for f in memory/memory.limit_in_bytes memory.max pids/pids.max pids.max "
                                     "cpu/cpu.cfs_quota_us cpu.max; do [ -f $f ] && busybox cat $f; done; exit 0"}});
  CHECK(seen.output.find("33554432\n20\n25000") == 0);
  const auto stats = x->ask<container_stats_list>(get_container_stats{order.name});
  REQUIRE(stats.containers.size() == 1);
  CHECK(stats.containers[0].name == order.name);
  CHECK(stats.containers[0].processes == 1);
  CHECK(stats.containers[0].rss_bytes > 0);
  CHECK(stats.containers[0].rss_bytes < 32 << 20);
  x->stop(1, 0ms);
}

TEST_CASE("a container with a hundredth of a core starts as fast as another, and then has no more than that") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  auto order = x->order("echo up; while true; do :; done");
  order.spec.resources.cpu_millis = 10;
  const auto begin = std::chrono::steady_clock::now();
  x->start(order);
  CHECK(std::chrono::steady_clock::now() - begin < 2s); // the 30 ms of the runtime alone would take 3 s at that rate
  REQUIRE(x->has_output("up"));
  const auto used = [&] {
    const auto stats = x->ask<container_stats_list>(get_container_stats{order.name}).containers.at(0);
    return stats.user_time + stats.system_time;
  };
  const auto from = used();
  const auto since = std::chrono::steady_clock::now();
  REQUIRE(eventually([&] { return used() - from >= 40ms; }, 60s)); // clock ticks of 10 ms; a busy machine gives it less than it may have
  CHECK(std::chrono::steady_clock::now() - since >= 2s); // at that rate 4 s; 2 where ticks and bursts are in its favour
  x->stop(1, 0ms);
}

TEST_CASE("a user of the spec wins over the image's, and a read-only root takes nothing but in its volumes") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  auto order = x->order("busybox id -u; busybox id -G; echo x > /new || echo refused; echo y > /scratch/file && echo written");
  order.spec.user = "www";
  order.spec.read_only_root = true;
  order.spec.volumes = {{"/scratch", volume_kind::ephemeral, "", "", 0, false}};
  CHECK(printed(*x, order) == "33\n34 44\nrefused\nwritten\n");
}

TEST_CASE("files are there with their content, mode and owner, and cannot be changed") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  auto order = x->order("busybox cat /etc/shop/a.conf; busybox stat -c '%a %u' /etc/shop/a.conf; echo z > /etc/shop/a.conf || echo refused; "
                        "busybox cat /etc/hostname; busybox grep -c localhost /etc/hosts");
  order.spec.user = "33";
  order.spec.files = {{"/etc/shop/a.conf", "shop = harbour\n", "0600"}};
  CHECK(printed(*x, order) == "shop = harbour\n600 33\nrefused\nweb-1\n2\n");
}

TEST_CASE("a persistent volume whose making was cut off belongs to the container's user all the same") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  auto order = x->order("busybox stat -c %u /data; echo mine > /data/f && busybox cat /data/f");
  order.spec.user = "www";
  order.spec.volumes = {{"/data", volume_kind::persistent, "db", "", 0, false}};
  const auto volume = persistent_volume_path(x->data.path(), order.instance, "db");
  fs::create_directories(volume + ".new"); // root's, as a start left it that was killed before it gave it away
  CHECK(x->run(order) == "33\nmine\n");
  CHECK_FALSE(fs::exists(volume + ".new"));
}

TEST_CASE("memory volumes have their size, ephemeral ones are new at each start, persistent ones stay") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  auto order = x->order("for v in /tmpfs /cache /data; do echo x >> $v/file; busybox wc -l < $v/file; done; "
                        "busybox dd if=/dev/zero of=/tmpfs/big bs=1M count=2 2>/dev/null || echo full");
  order.spec.volumes = {{"/tmpfs", volume_kind::tmpfs, "", "", 1 << 20, false},
                        {"/cache", volume_kind::ephemeral, "", "", 0, false},
                        {"/data", volume_kind::persistent, "db", "", 0, false}};
  CHECK(printed(*x, order) == "1\n1\n1\nfull\n");
  CHECK(printed(*x, order) == "1\n1\n2\nfull\n");
  x->tell(tidy_folders{});
  CHECK(printed(*x, order) == "1\n1\n3\nfull\n");
  order = x->order("echo kept > /kept; busybox ls /");
  CHECK(printed(*x, order).find("kept") != std::string::npos);
  CHECK(printed(*x, x->order("busybox ls /")).find("kept") == std::string::npos);
}

TEST_CASE("a host path is given where the host allows it, and refused elsewhere, also through a link") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  const auto allowed = x->data.path() + "/allowed";
  fs::create_directories(allowed + "/media");
  fs::create_directory_symlink("/etc", allowed + "/escape");
  std::ofstream{allowed + "/media/file"} << "from the host\n";
  auto order = x->order("busybox cat /media/file; echo x > /media/new || echo refused");
  order.spec.volumes = {{"/media", volume_kind::host_path, "", allowed + "/media", 0, true}};
  CHECK(printed(*x, order) == "from the host\nrefused\n");
  for (const std::string& path : {std::string{"/etc"}, allowed + "/escape", allowed + "-not", allowed + "/nosuch"}) {
    order.spec.volumes[0].path = path;
    x->ask<container_started>(start_container{order});
    CHECK_MESSAGE(is_driver_error(x->error, driver_errc::volume_refused), path);
  }
  CHECK(x->nothing_is_left());
}

TEST_CASE("a read-only host path is that below what is mounted in it too, and shows there for no longer than the start takes") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  const auto allowed = x->data.path() + "/allowed";
  fs::create_directories(allowed + "/media/usb");
  fs::create_directory(x->data.path() + "/stick");
  REQUIRE(::mount((x->data.path() + "/stick").c_str(), (allowed + "/media/usb").c_str(), nullptr, MS_BIND, nullptr) == 0);
  std::ofstream{x->data.path() + "/stick/photo"} << "from the stick\n";
  auto order = x->order("busybox cat /media/usb/photo; echo x > /media/usb/new || echo refused; exec busybox sleep 1000");
  order.spec.volumes = {{"/media", volume_kind::host_path, "", allowed + "/media", 0, true}};
  x->start(order);
  CHECK(x->has_output("from the stick\nrefused\n"));
  CHECK_FALSE(fs::exists(x->data.path() + "/stick/new"));
  REQUIRE(x->starts().size() == 1);
  CHECK(fs::is_empty(x->starts()[0] / "volumes/0"));
  x->stop(1, 0ms);
  CHECK(x->nothing_is_left());
  CHECK(fs::exists(x->data.path() + "/stick/photo"));
}

TEST_CASE("a container has the host's network or only a loopback, and in both its own processes only") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  const std::string script = "busybox ls /sys/class/net | busybox wc -l; echo $$; busybox grep -c nameserver /etc/resolv.conf";
  auto order = x->order(script);
  std::size_t interfaces = 0;
  for (const auto& entry : fs::directory_iterator("/sys/class/net"))
    interfaces += entry.exists() ? 1 : 0;
  CHECK(printed(*x, order).find(std::to_string(interfaces) + "\n1\n") == 0);
  order = x->order("busybox ls /sys/class/net; echo $$");
  order.network = prunella::config::instance_network::none;
  CHECK(printed(*x, order) == "lo\n1\n");
}

TEST_CASE("images are for the container driver and commands for the process driver, and a missing one is named") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  auto process = x->order("echo plain");
  process.spec.image.clear();
  process.spec.command = {"sh", "-c", "exit 3"};
  x->start(process);
  CHECK(x->next_exit().exit_code == 3);
  x->end_driver(caf::exit_reason::user_shutdown);
  auto options = x->options();
  options.drivers = {{prunella::config::driver_kind::process, ""}};
  x->driver = spawn_container_driver(x->system, options);
  x->ask<container_started>(start_container{x->order("echo hi")});
  CHECK(is_driver_error(x->error, driver_errc::no_driver));
  CHECK(prunella::runtime::reason_text(x->error).find("conmon") != std::string::npos);
}
