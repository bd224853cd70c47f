// A real runc on the bundles that `runtime_spec` describes. Needs root, runc, busybox and overlayfs; what is
// missing is said as SKIPPED.

#include <doctest/doctest.h>

#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <boost/json/value.hpp>

#include "actors/instance/oci/image_user.hpp"
#include "actors/instance/oci/runtime_spec.hpp"
#include "actors/instance/oci/seccomp_profile.hpp"
#include "config/json.hpp"
#include "storage/images/child_process.hpp"
#include "storage/images/image_store.hpp"
#include "storage/images/root_filesystem.hpp"
#include "storage/mounts.hpp"
#include "tests/actors/busybox_image.hpp"
#include "tests/storage/damage.hpp"
#include "tests/storage/outcome.hpp"
#include "tests/storage/temporary_folder.hpp"

using namespace prunella;
using namespace prunella::actors;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

/// An image unpacked and mounted, ready to be run with changing orders.
class container_under_test {
public:
  container_under_test() {
    store_ = tests::must(storage::open_image_store(folder_ / "images", {{"harbour", "host-1"}, 0, {}}));
    const auto image = tests::busybox_image();
    const auto layers = tests::unpacked_layers(*store_, image);
    const auto documents = tests::must(store_->documents(image.digest()));
    fs::create_directory(folder_ / "bundle");
    auto mounted = storage::mount_root(layers, folder_ / "bundle");
    if (!mounted) {
      MESSAGE("SKIPPED: ", mounted.error().message);
      return;
    }
    asked.image = documents.config;
    asked.root = mounted->root;
    asked.hostname = "web-1";
    asked.cgroup = "/" + fs::path(folder_.path()).filename().string(); // runc removes the last part only
    const auto profile = tests::read_bytes(std::string{default_seccomp_path});
    if (!profile.empty())
      asked.seccomp = std::get<boost::json::object>(
          seccomp_section(profile, default_capabilities, storage::this_platform().architecture));
  }
  ~container_under_test() {
    if (!asked.root.empty())
      runc({"delete", "--force", name_});
    static_cast<void>(storage::unmount_all(folder_ / "bundle"));
  }

  bool ready() const { return !asked.root.empty(); }
  bool has_seccomp() const { return !asked.seccomp.empty(); }

  void as_user(const std::string& user) {
    auto found = resolve_user(user, read_in_root(asked.root, "/etc/passwd", 1 << 20),
                              read_in_root(asked.root, "/etc/group", 1 << 20));
    REQUIRE(std::holds_alternative<image_user>(found));
    asked.user = std::get<image_user>(found);
  }

  /// Runs `script` in the container's shell; empty: the image's command. What it printed, both streams.
  std::string run(const std::string& script) {
    asked.container.command.clear();
    if (!script.empty())
      asked.container.command = {"/bin/sh", "-c", script};
    auto spec = runtime_spec(asked);
    REQUIRE(std::holds_alternative<boost::json::object>(spec));
    tests::write_bytes(folder_ / "bundle/config.json", config::json_text(std::get<boost::json::object>(spec)));
    const auto end = runc({"run", "--bundle", folder_ / "bundle", name_});
    exit_code = end.exit_code;
    return end.output + end.errors;
  }

  runtime_spec_request asked;
  int exit_code = -1;

private:
  storage::child_end runc(const std::vector<std::string>& arguments) {
    storage::child_order order;
    order.command = {tests::container_runtime(), "--root", folder_ / "state"};
    order.command.insert(order.command.end(), arguments.begin(), arguments.end());
    order.environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
    order.go_on = [](std::chrono::milliseconds passed) { return passed < 30s; };
    return tests::must(storage::run_child(order));
  }

  tests::temporary_folder folder_;
  std::string name_ = "prunella-" + std::to_string(::getpid());
  std::unique_ptr<storage::image_store> store_;
};

/// A container, or nothing and the reason printed.
std::unique_ptr<container_under_test> make_container() {
  if (const auto why = tests::container_obstacle(); !why.empty()) {
    MESSAGE("SKIPPED: ", why);
    return nullptr;
  }
  auto made = std::make_unique<container_under_test>();
  return made->ready() ? std::move(made) : nullptr;
}

} // namespace

TEST_CASE("runc runs the image's command, an own command with its variables, and passes the exit code on") {
  const auto container = make_container();
  if (!container)
    return;
  CHECK(container->run("") == "from the image\n");
  CHECK(container->exit_code == 0);
  container->asked.env = {{"NAME", "popcorn"}};
  CHECK(container->run("echo $GREETING $NAME $HOME; busybox hostname; exit 7") == "hello popcorn /\nweb-1\n");
  CHECK(container->exit_code == 7);
}

TEST_CASE("a container has its user and groups, and a user that is not root has no capability") {
  const auto container = make_container();
  if (!container)
    return;
  container->as_user("www");
  CHECK(container->run("busybox id -u; busybox id -g; busybox id -G; echo $HOME") == "33\n34\n34 44\n/srv\n");
  CHECK(container->run("busybox grep -E 'CapEff|CapPrm|CapAmb|NoNewPrivs' /proc/self/status | busybox tr -d '\\t'") ==
        "CapPrm:0000000000000000\nCapEff:0000000000000000\nCapAmb:0000000000000000\nNoNewPrivs:1\n");
  container->as_user("");
  // chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service
  CHECK(container->run("busybox grep -E 'CapEff|CapBnd' /proc/self/status | busybox tr -d '\\t'") ==
        "CapEff:00000000000005fb\nCapBnd:00000000000005fb\n");
}

TEST_CASE("a container sees only its own processes, network and devices, and cannot reach the kernel's settings") {
  const auto container = make_container();
  if (!container)
    return;
  CHECK(container->run("echo $$; set -- /proc/[0-9]*; echo $#") == "1\n1\n");
  CHECK(container->run("busybox ls /sys/class/net") == "lo\n");
  CHECK(container->run("busybox cat /proc/interrupts | busybox wc -c") == "0\n");
  CHECK(container->run("echo 1 2>/dev/null > /proc/sys/kernel/panic || echo refused").find("refused") !=
        std::string::npos);
  CHECK(container->run("busybox mknod /tmp/disk b 8 0 2>/dev/null || echo refused") == "refused\n");
  CHECK(container->run("busybox mount -t tmpfs x /tmp 2>/dev/null || echo refused") == "refused\n");
}

TEST_CASE("the seccomp profile is in force") {
  const auto container = make_container();
  if (!container)
    return;
  if (!container->has_seccomp()) {
    MESSAGE("SKIPPED: golang-github-containers-common, which brings the seccomp profile, is not installed");
    return;
  }
  CHECK(container->run("busybox grep Seccomp: /proc/self/status | busybox tr -d '\\t'") == "Seccomp:2\n");
  CHECK(container->run("busybox unshare -U true 2>/dev/null || echo refused") == "refused\n");
}

TEST_CASE("a read-only root cannot be written, a mount can unless it is read-only, and what is written stays") {
  const auto container = make_container();
  if (!container)
    return;
  tests::temporary_folder data;
  CHECK(container->run("echo kept > /srv-file && busybox cat /srv-file") == "kept\n");
  container->asked.read_only_root = true;
  container->asked.mounts = {{data.path(), "/data", false}};
  CHECK(container->run("busybox cat /srv-file; echo x 2>/dev/null > /new || echo refused; echo y > /data/file")
            .find("kept\n") == 0);
  CHECK(tests::read_bytes(data / "file") == "y\n");
  container->asked.mounts[0].read_only = true;
  const auto output = container->run("echo z > /data/file || echo refused");
  CHECK(output.find("refused") != std::string::npos);
  CHECK(tests::read_bytes(data / "file") == "y\n");
}

TEST_CASE("memory and process limits are those of the kernel's groups, and too many processes are refused") {
  const auto container = make_container();
  if (!container)
    return;
  container->asked.container.resources = {250, 32 << 20};
  container->asked.pids = 20;
  const auto output =
      container->run("cd /sys/fs/cgroup; for f in memory/memory.limit_in_bytes memory.max pids/pids.max "
                     "pids.max; do [ -f $f ] && busybox cat $f; done; exit 0");
  CHECK(output.find("33554432\n") != std::string::npos);
  CHECK(output.find("20\n") != std::string::npos);
  const auto forks = container->run("i=0; while [ $i -lt 40 ]; do busybox sleep 5 & i=$((i+1)); done; echo done");
  CHECK(forks.find("fork") != std::string::npos);
}

TEST_CASE("a container that takes more memory than its limit is killed by the kernel") {
  const auto container = make_container();
  if (!container)
    return;
  container->asked.container.resources = {0, 16 << 20};
  container->run("x=$(busybox dd if=/dev/zero bs=1M count=200 2>/dev/null | busybox tr '\\0' 'x'); echo survived");
  CHECK(container->exit_code == 137);
}
