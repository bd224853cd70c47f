// What conmon, the runtime and the kernel's groups say, as texts.

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "actors/instance/image_start.hpp"
#include "actors/instance/oci/bundle.hpp"
#include "actors/instance/oci/cgroup.hpp"
#include "actors/instance/oci/conmon.hpp"
#include "config/host_paths.hpp"
#include "tests/storage/damage.hpp"
#include "tests/storage/temporary_folder.hpp"

using namespace prunella::actors;
namespace fs = std::filesystem;

namespace {

void write(const std::string& path, const std::string& text) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream{path} << text;
}

} // namespace

TEST_CASE("conmon reports the pid of a container, or the runtime's words") {
  CHECK(parse_conmon_report("{\"pid\": 4711}\n")->pid == 4711);
  CHECK(parse_conmon_report("{\"data\": 12}")->pid == 12);
  const auto failed = parse_conmon_report("{\"pid\": -1, \"message\": \"no room\"}\n");
  REQUIRE(failed);
  CHECK(failed->pid == -1);
  CHECK(failed->message == "no room");
  for (const char* bad : {"", "{\"pid\": 47", "[]", "{}", "{\"pid\": \"x\"}", "pid 1"})
    CHECK_MESSAGE(!parse_conmon_report(bad), bad);
}

TEST_CASE("the runtime's words are told without their decoration, with what to do about them") {
  auto why = explain_runtime("time=\"2026-11-21T17:59:30Z\" level=error msg=\"runc create failed: unable to start container process: "
                             "exec: \\\"/bin/nosuch\\\": stat /bin/nosuch: no such file or directory\"\n");
  CHECK(why.code == driver_errc::command_not_found);
  CHECK(why.message == "the command is not in the image: exec: \"/bin/nosuch\": stat /bin/nosuch: no such file or directory");
  CHECK(explain_runtime("exec: \"/etc/passwd\": permission denied").code == driver_errc::command_not_executable);
  CHECK(explain_runtime("open executable: Permission denied").code == driver_errc::command_not_executable);
  CHECK(explain_runtime("cgroups in hybrid mode not supported, drop all controllers from cgroupv2").message.find("use runc on this host") != std::string::npos);
  CHECK(explain_runtime("chdir to cwd (\"/x\") set in config.json failed: no such file or directory").code ==
        driver_errc::working_directory_missing);
  why = explain_runtime("something else\nwith lines");
  CHECK(why.code == driver_errc::runtime_failed);
  CHECK(why.message == "the runtime could not start the container: something else with lines");
  CHECK(explain_runtime("").message.find("it gave no reason") != std::string::npos);
}

TEST_CASE("what to correct of a command that is not in the image depends on whose it is") {
  const auto advice = [](std::vector<std::string> command, std::vector<std::string> arguments, std::vector<std::string> entrypoint) {
    prunella::config::container_spec spec;
    spec.command = std::move(command);
    spec.arguments = std::move(arguments);
    prunella::storage::image_config image;
    image.entrypoint = std::move(entrypoint);
    image.command = {"/serve"};
    return with_advice({driver_errc::command_not_found, "it is not there"}, spec, image).message;
  };
  CHECK(advice({"/x"}, {}, {"/y"}) == "it is not there; correct `command`, or leave it out to run the image's own");
  for (const auto& own : {advice({}, {}, {"/y"}), advice({}, {"-v"}, {"/y"}), advice({}, {}, {})})
    CHECK(own == "it is not there; it is the image's own: correct the image, or say with `command` what to run of it");
  CHECK(advice({}, {"-v"}, {}).find("correct them, or add `command`") != std::string::npos);
  CHECK(with_advice({driver_errc::runtime_failed, "no"}, {}, {}).message == "no");
}

TEST_CASE("a mount that the runtime refuses is told by its place in the container, in the same words at each start") {
  const auto told = [](const std::string& start, const std::string& target, const std::string& details) {
    return explain_runtime("time=\"2026-11-22T13:07:30Z\" level=error msg=\"runc create failed: unable to start container "
                           "process: error during container init: error mounting \\\"" + start + "/files/0\\\" to rootfs at \\\"" + target + "\\\": " + details + "\"");
  };
  const auto on_folder = [&](const std::string& start) {
    return told(start, "/etc", "mount " + start + "/files/0:/etc (via /proc/self/fd/6), flags: 0x5001: not a directory");
  };
  CHECK(on_folder("/d/run/id-1").code == driver_errc::runtime_failed);
  CHECK(on_folder("/d/run/id-1").message == "what is to be at `/etc` cannot be mounted there: a file cannot take the place of a "
                                            "folder of the image, nor a folder that of a file; choose another path");
  CHECK(on_folder("/d/run/id-2").message == on_folder("/d/run/id-1").message);
  CHECK(on_folder('/' + std::string(2'000, 'd')).message == on_folder("/d").message);
  CHECK(told("/d", "/proc/x", "\\\"/d/root/proc/x\\\" cannot be mounted because it is inside /proc").message
        == "what is to be at `/proc/x` cannot be mounted there: nothing can be in /proc; choose another path");
  CHECK(told("/d", "/sys/x", "mkdir /d/root/sys/x: read-only file system").message
        == "what is to be at `/sys/x` cannot be mounted there: read-only file system");
}

TEST_CASE("an exit file holds a code from 0 to 255, of which 129 to 192 stand for signals 1 to 64") {
  CHECK(parse_exit_file("0")->exit_code == 0);
  CHECK(parse_exit_file("128\n")->exit_code == 128);
  CHECK(parse_exit_file("137")->signal == 9);
  CHECK(parse_exit_file("137")->exit_code == 0);
  CHECK(parse_exit_file("192")->signal == 64);
  CHECK(parse_exit_file("193")->exit_code == 193);
  CHECK(parse_exit_file("255")->known);
  for (const char* bad : {"", "x", "-1", "256", "1 2"})
    CHECK_MESSAGE(!parse_exit_file(bad), bad);
}

TEST_CASE("conmon is told all its folders, and a bound of its log only if there is one") {
  conmon_request request{"/usr/bin/conmon", "/usr/sbin/runc", "/d/oci/runtime", "id", "/d/run/id", "/d/oci/exits", "/d/log", false, 0};
  auto command = conmon_command(request);
  CHECK(command.front() == "/usr/bin/conmon");
  CHECK(std::count(command.begin(), command.end(), "k8s-file:/d/log") == 1);
  CHECK(std::count(command.begin(), command.end(), "--log-size-max") == 0);
  request.log_cap_bytes = 100;
  command = conmon_command(request);
  CHECK(command.back() == "100");
  CHECK(std::count(command.begin(), command.end(), "--stdin") == 0);
  request.has_input = true;
  command = conmon_command(request);
  CHECK(std::count(command.begin(), command.end(), "--stdin") == 1);
}

TEST_CASE("the bound of its log is read back from the command line of a conmon that runs") {
  conmon_request request{"/usr/bin/conmon", "/usr/sbin/runc", "/d/oci/runtime", "id", "/d/run/id", "/d/oci/exits", "/d/log", false, 0};
  const auto line = [&] {
    std::string words;
    for (const auto& word : conmon_command(request))
      words += word + '\0';
    return words;
  };
  CHECK(conmon_log_cap_of(line()) == 0);
  request.log_cap_bytes = conmon_log_cap({5'000'000, {}});
  CHECK(conmon_log_cap_of(line()) == 10'000'000);
  CHECK(conmon_log_cap_of("") == 0);
}

TEST_CASE("use and kills are read from groups of version 1 and of version 2, and are zero where there are none") {
  prunella::tests::temporary_folder folder;
  const auto one = folder / "v1";
  write(one + "/memory/g/memory.usage_in_bytes", "5000\n");
  write(one + "/memory/g/memory.stat", "cache 1\ntotal_inactive_file 1000\n");
  write(one + "/memory/g/memory.max_usage_in_bytes", "9000\n");
  write(one + "/memory/g/memory.limit_in_bytes", "9223372036854771712\n");
  write(one + "/memory/g/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
  write(one + "/pids/g/pids.current", "3\n");
  write(one + "/pids/g/pids.max", "max\n");
  write(one + "/pids/g/pids.events", "max 0\n");
  write(one + "/cpuacct/g/cpuacct.stat", "user 100\nsystem 50\n");
  auto use = read_cgroup_use("/g", one);
  CHECK(use.memory_bytes == 4000);
  CHECK(use.max_memory_bytes == 9000);
  CHECK(use.processes == 3);
  CHECK(use.user_time == 2 * use.system_time);
  CHECK(use.system_time.count() > 0);
  auto kills = read_memory_kills("/g", one);
  CHECK(kills.kills == 2);
  CHECK(kills.limit_bytes == 0);
  CHECK(read_process_refusals("/g", one).refusals == 0);
  CHECK(read_process_refusals("/g", one).limit == 0);
  CHECK_FALSE(cgroup_counts_swap(one));
  const auto two = folder / "v2";
  write(two + "/cgroup.controllers", "cpu memory pids\n");
  write(two + "/g/memory.current", "5000\n");
  write(two + "/g/memory.stat", "anon 1\ninactive_file 1000\n");
  write(two + "/g/memory.max", "64\n");
  write(two + "/g/memory.swap.max", "max\n");
  write(two + "/g/memory.events", "oom 1\noom_kill 1\n");
  write(two + "/g/cpu.stat", "usage_usec 3\nuser_usec 2\nsystem_usec 1\n");
  write(two + "/g/pids.current", "4\n");
  write(two + "/g/pids.max", "4\n");
  write(two + "/g/pids.events", "max 7\n");
  use = read_cgroup_use("/g", two);
  CHECK(use.memory_bytes == 4000);
  CHECK(use.processes == 4);
  CHECK(use.user_time.count() == 2);
  CHECK(read_memory_kills("/g", two).limit_bytes == 64);
  CHECK(read_memory_kills("/g", two).kills == 1);
  CHECK(read_process_refusals("/g", two).refusals == 7);
  CHECK(read_process_refusals("/g", two).limit == 4);
  CHECK(cgroup_counts_swap(two));
  CHECK(read_cgroup_use("/none", two).memory_bytes == 0);
  CHECK(read_memory_kills("/none", one).kills == 0);
}

TEST_CASE("a path is below an allowed one by whole names") {
  CHECK(prunella::config::is_below("/srv/media", {"/srv"}));
  CHECK(prunella::config::is_below("/srv", {"/srv/"}));
  CHECK(prunella::config::is_below("/anything", {"/"}));
  CHECK_FALSE(prunella::config::is_below("/srv-other", {"/srv"}));
  CHECK_FALSE(prunella::config::is_below("/", {"/srv"}));
  CHECK_FALSE(prunella::config::is_below("/srv", {}));
}

TEST_CASE("a container is called by the last part of its instance") {
  CHECK(hostname_of("default.shop.web-1") == "web-1");
  CHECK(hostname_of(std::string(100, 'x')).size() == 64);
}

TEST_CASE("the limit of the processor is the quota of a group of either version, at least a millisecond, and told when it fails") {
  prunella::tests::temporary_folder folder;
  const auto one = folder / "one";
  const auto two = folder / "two";
  for (const auto* file : {"/cpu/g/cpu.shares", "/cpu/g/cpu.cfs_period_us", "/cpu/g/cpu.cfs_quota_us"})
    write(one + file, "");
  CHECK(limit_processor("/g", 250, one).empty());
  CHECK(prunella::tests::read_bytes(one + "/cpu/g/cpu.cfs_period_us") == "100000");
  CHECK(prunella::tests::read_bytes(one + "/cpu/g/cpu.cfs_quota_us") == "25000");
  write(two + "/cgroup.controllers", "cpu memory pids\n");
  write(two + "/g/cpu.max", "");
  write(two + "/g/cpu.weight", "");
  CHECK(prunella::tests::read_bytes(one + "/cpu/g/cpu.shares") == "256");
  CHECK(limit_processor("/g", 1, two).empty());
  CHECK(prunella::tests::read_bytes(two + "/g/cpu.weight") == "1");
  CHECK(prunella::tests::read_bytes(two + "/g/cpu.max") == "1000 100000");
  CHECK(limit_processor("/none", 250, one).find("/cpu/none/cpu.shares") != std::string::npos);
  CHECK(limit_processor("/none", 250, two).find("/none/cpu.weight") != std::string::npos);
}

TEST_CASE("a container's group is right below the root in version 1, and one level deeper in version 2, where what is above hands on controllers") {
  prunella::tests::temporary_folder folder;
  const auto one = folder / "one";
  const auto two = folder / "two";
  for (const auto* controller : {"/cpu", "/memory", "/pids"})
    fs::create_directories(one + controller);
  CHECK(cgroup_of_container("x", one) == "/prunella-x");
  auto found = prepare_cgroups(one);
  CHECK((found.cpu && found.memory && found.pids));
  CHECK_FALSE(fs::exists(one + "/prunella"));
  write(two + "/cgroup.controllers", "cpuset cpu io memory pids\n");
  write(two + "/cgroup.subtree_control", "");
  write(two + "/prunella/cgroup.subtree_control", "");
  CHECK(cgroup_of_container("x", two) == "/prunella/x");
  found = prepare_cgroups(two);
  CHECK((found.cpu && found.memory && found.pids));
  for (const auto* group : {"", "/prunella"}) // one after the other; the kernel takes each, a file keeps the last
    CHECK(prunella::tests::read_bytes(two + group + "/cgroup.subtree_control").find("+pids") == 0);
}

TEST_CASE("what a kernel without a controller does not keep is named with the word that turns it on, and nothing is said if all are there") {
  prunella::tests::temporary_folder folder;
  write(folder / "cgroup.controllers", "cpuset cpu pids\n");
  const auto found = prepare_cgroups(folder.path());
  CHECK_FALSE(found.memory);
  CHECK(found.cpu);
  CHECK(fs::exists(folder / "prunella"));
  CHECK(cgroup_obstacle(found).find("limits of memory are not in force") == 0);
  CHECK(cgroup_obstacle(found).find("cgroup_enable=memory") != std::string::npos);
  CHECK(cgroup_obstacle({false, true, false}).find("limits of processor, processes are") == 0);
  CHECK(cgroup_obstacle({}).empty());
}

TEST_CASE("a machine with Debian's seccomp profile has no obstacle, and one without names the package") {
  const auto why = seccomp_obstacle();
  if (fs::exists("/usr/share/containers/seccomp.json"))
    CHECK(why == "");
  else
    CHECK(why.find("install Debian's package golang-github-containers-common") != std::string::npos);
}
