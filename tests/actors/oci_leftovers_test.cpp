// What agents that were killed in the middle of something left, and what becomes of it, with real runc and conmon.

#include <doctest/doctest.h>

#include <sys/mount.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>

#include "actors/instance/oci/cgroup.hpp"
#include "actors/instance/oci/leftovers.hpp"
#include "tests/actors/oci_fixture.hpp"

using namespace prunella::tests;

namespace {

/// A process of this test in a control group of every tree of the machine.
class grouped_process {
public:
  explicit grouped_process(const std::string& group) {
    launch_request request;
    request.command = {"/bin/sleep", "1000"};
    request.working_directory = "/";
    request.output_path = request.error_path = "/dev/null";
    auto started = launch_process(request);
    REQUIRE(std::holds_alternative<process_handle>(started));
    process = std::get<process_handle>(std::move(started));
    std::error_code none;
    std::vector<fs::path> trees{"/sys/fs/cgroup"};
    for (const auto& tree : fs::directory_iterator(trees.front(), none))
      if (tree.is_directory() && !tree.is_symlink())
        trees.push_back(tree.path());
    for (const auto& tree : trees)
      if (const auto folder = tree.string() + group; fs::exists(tree / "cgroup.procs") && ::mkdir(folder.c_str(), 0755) == 0) {
        folders.push_back(folder);
        std::ofstream{folder + "/cgroup.procs"} << process.pid;
      }
    REQUIRE_FALSE(folders.empty());
  }
  grouped_process(const grouped_process&) = delete;
  grouped_process& operator=(const grouped_process&) = delete;
  ~grouped_process() {
    signal_process(process, SIGKILL);
    static_cast<void>(eventually([&] { return collect_end(process).has_value(); }));
    for (const auto& folder : folders)
      ::rmdir(folder.c_str());
  }

  bool is_gone() const {
    return std::none_of(folders.begin(), folders.end(), [](const auto& folder) { return fs::exists(folder); }) && !is_alive(process);
  }

  process_handle process;
  std::vector<fs::path> folders;
};

/// Runs the runtime, but refuses `delete` for as long as the file `refuse` is there.
std::string runtime_that_may_refuse(const fs::path& folder) {
  const auto path = folder / "runtime";
  std::ofstream{path} << "#!/bin/sh\ncase \"$*\" in *' delete '*) [ -e " << (folder / "refuse").string() << " ] && exit 1;; esac\nexec "
                      << container_runtime() << " \"$@\"\n";
  fs::permissions(path, fs::perms::owner_all);
  return path;
}

} // namespace

TEST_CASE("a layer that a killed start left shown in its folder stays whole, whether the next driver sweeps or tidies it away") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  const fs::path layer = x->data.path() + "/layer";
  fs::create_directory(layer);
  std::ofstream{layer / "motd"} << "hello";
  const auto leave_shown = [&](const std::string& container) {
    const fs::path shown = container_folder(x->data.path(), container) + "/run/left.0123/layer-0";
    fs::create_directories(shown);
    REQUIRE(::mount(layer.c_str(), shown.c_str(), nullptr, MS_BIND, nullptr) == 0);
    return shown.parent_path();
  };
  x->end_driver(caf::exit_reason::kill);
  const auto left = leave_shown("default.shop.web-1.server");
  x->driver = x->spawn();
  CHECK(eventually([&] { return !fs::exists(left); }));
  CHECK(read_text(layer / "motd") == "hello");
  const auto later = leave_shown("default.shop.web-9.server");
  x->tell(tidy_folders{});
  CHECK_FALSE(x->error);
  CHECK_FALSE(fs::exists(later.parent_path().parent_path()));
  CHECK(read_text(layer / "motd") == "hello");
}

TEST_CASE("what a start left that was killed while its container was made is ended by the next driver: processes, groups and folder") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  const std::string id = "default.shop.web-1.server.00c0ffee" + fs::path{x->data.path()}.filename().string();
  const fs::path start = container_folder(x->data.path(), "default.shop.web-1.server") + "/run/" + id;
  x->end_driver(caf::exit_reason::kill);
  fs::create_directories(start); // without a conmon.pid: conmon had not come so far
  const grouped_process waiting{cgroup_of_container(id)};
  launch_request request;
  request.command = {"/bin/sh", "-c", "while true; do sleep 0.01; done", "--cid", id};
  request.working_directory = "/";
  request.output_path = request.error_path = "/dev/null";
  const auto editor = std::get<process_handle>(launch_process(request)); // somebody's, who looks at it
  request.environment = {"PATH=/bin", start_variable(start)};
  const auto conmon = std::get<process_handle>(launch_process(request));
  x->driver = x->spawn();
  CHECK(eventually([&] { return !fs::exists(start); }));
  CHECK(waiting.is_gone());
  CHECK_FALSE(is_alive(conmon));
  static_cast<void>(collect_end(conmon));
  CHECK(is_alive(editor));
  signal_group(editor, SIGKILL);
  CHECK(eventually([&] { return collect_end(editor).has_value(); }));
}

TEST_CASE("a container that its runtime does not delete keeps its folder, by which the next driver finds it and deletes it") {
  if (!make_oci_driver())
    return;
  temporary_folder folder;
  oci_driver_under_test x{{prunella::config::driver_kind::oci, runtime_that_may_refuse(folder.path())}};
  x.start(x.order("exec busybox sleep 1000"));
  std::ofstream{folder / "refuse"} << "now";
  x.stop(1, 0ms);
  REQUIRE(eventually([&] { return x.records->list()->empty(); }));
  x.crash_driver(); // which waits for what was under way
  CHECK(x.starts().size() == 1);
  fs::remove(folder / "refuse");
  x.crash_driver();
  CHECK(x.nothing_is_left());
}

TEST_CASE("a start waits until what a killed start of its container left has ended, and for no other") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  const auto order = x->order("exec busybox sleep 1000");
  const std::string id = order.name + ".00c0ffee" + fs::path{x->data.path()}.filename().string();
  x->end_driver(caf::exit_reason::kill);
  fs::create_directories(container_folder(x->data.path(), order.name) + "/run/" + id);
  launch_request request;
  request.command = {"/bin/sleep", "1000"};
  request.environment = {"PATH=/bin", start_variable("/" + id)};
  request.working_directory = "/";
  request.output_path = request.error_path = "/dev/null";
  const auto conmon = std::get<process_handle>(launch_process(request));
  x->driver = x->spawn();
  x->start(order);
  CHECK_FALSE(is_alive(conmon));
  CHECK(eventually([&] { return x->starts().size() == 1; }));
  static_cast<void>(collect_end(conmon));
  x->stop(1, 0ms);
  CHECK(x->nothing_is_left());
}

TEST_CASE("on a full disk a start is refused with that as its reason and leaves nothing, what runs goes on, and with room it starts") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  x->end_driver(caf::exit_reason::user_shutdown);
  REQUIRE(::mount("none", x->data.path().c_str(), "tmpfs", 0, "size=8m,mode=700") == 0); // goes with the driver's mounts
  x->driver = x->spawn();
  const auto order = x->order("echo up; exec busybox sleep 1000");
  const auto started = x->start(order);
  REQUIRE(x->has_output("up"));
  std::ofstream{x->data.path() + "/ballast"} << std::string(8 << 20, 'b');
  auto other = order;
  other.instance = "default.shop.web-2";
  other.name = other.instance + ".server";
  x->ask<container_started>(start_container{other});
  CHECK(is_driver_error(x->error, driver_errc::disk_full));
  CHECK(prunella::runtime::reason_text(x->error).find("the disk of " + x->data.path() + " is full, so default.shop.web-2.server cannot be started") == 0);
  CHECK_FALSE(fs::exists(container_folder(x->data.path(), other.name)));
  x->crash_driver();
  const auto again = x->start(order);
  CHECK(again.adopted);
  CHECK(again.pid == started.pid);
  x->stop(1, 0ms);
  x->ask<container_started>(start_container{order});
  CHECK(is_driver_error(x->error, driver_errc::disk_full));
  fs::remove(x->data.path() + "/ballast");
  CHECK_FALSE(x->start(order).adopted);
  x->stop(1, 0ms);
  CHECK(x->nothing_is_left());
}
