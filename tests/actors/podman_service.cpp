#include "tests/actors/podman_service.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "net/unix_http.hpp"
#include "tests/actors/busybox_image.hpp"
#include "tests/actors/real_process.hpp"
#include "tests/storage/outcome.hpp"

namespace prunella::tests {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace {

constexpr auto program = "/usr/bin/podman";

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> list;
  for (auto& word : words)
    list.push_back(word.data());
  list.push_back(nullptr);
  return list;
}

bool answers(const std::string& socket) {
  net::http_call_options options;
  options.timeout = 1s;
  const auto outcome = net::unix_call(socket, "GET", "/_ping", {}, options);
  const auto* answer = std::get_if<net::http_answer>(&outcome);
  return answer != nullptr && answer->status == 200;
}

} // namespace

std::string podman_service::obstacle() {
  if (!fs::exists(program))
    return "there is no podman on this machine: install Debian's package podman";
  return container_obstacle();
}

podman_service::podman_service() {
  // Locks in files: those in shared memory would be one table for every podman of this machine.
  std::ofstream{folder_ / "containers.conf"} << "[engine]\nlock_type = \"file\"\nevents_logger = \"none\"\n"
                                                "[containers]\ndefault_ulimits = []\n";
  start();
}

podman_service::~podman_service() {
  run({"rm", "--all", "--force", "--time", "0"});
  kill();
  // Of each command in a container a conmon stays for a while, in case somebody asks how it ended.
  for (const auto pid : actors::list_processes())
    if (actors::file_head("/proc/" + std::to_string(pid) + "/cmdline").find(folder_.path() + "/") != std::string::npos)
      ::kill(pid, SIGKILL);
  std::error_code ignored; // cgroups: gone only if nobody else's podman has something in them
  for (const auto& hierarchy : fs::directory_iterator("/sys/fs/cgroup", ignored))
    for (const auto* group : {"libpod_parent/conmon", "libpod_parent"})
      ::rmdir((hierarchy.path() / group).c_str());
}

std::vector<std::string> podman_service::command(const std::vector<std::string>& arguments) const {
  std::vector<std::string> words{program, "--root", folder_ / "root", "--runroot", folder_ / "run", "--tmpdir", folder_ / "tmp",
                                 "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--runtime", runc_path()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return words;
}

std::vector<std::string> podman_service::environment() const {
  return {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + (folder_ / "home"), "CONTAINERS_CONF=" + (folder_ / "containers.conf"),
          "TMPDIR=" + fs::temp_directory_path().string()};
}

void podman_service::start() {
  auto words = command({"system", "service", "--time", "0", "unix://" + socket()});
  auto variables = environment();
  posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_addchdir_np(&files, folder_.path().c_str()); // its conmons leave a file `oom` there
  const auto log = folder_ / "service.log";
  ::posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  ::posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
  const int failed = ::posix_spawn(&pid_, program, &files, nullptr, pointers(words).data(), pointers(variables).data());
  ::posix_spawn_file_actions_destroy(&files);
  if (failed != 0 || !eventually([&] { return answers(socket()); }, 30s))
    throw std::runtime_error("podman does not serve: " + read_text(log));
}

void podman_service::kill() {
  if (pid_ <= 0)
    return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

storage::child_end podman_service::run(const std::vector<std::string>& arguments) const {
  storage::child_order order;
  order.command = command(arguments);
  order.environment = environment();
  order.go_on = [](std::chrono::milliseconds passed) { return passed < 30s; };
  return must(storage::run_child(order));
}

std::vector<std::string> podman_service::containers() const {
  std::vector<std::string> names;
  std::istringstream lines{run({"ps", "--all", "--format", "{{.Names}}"}).output};
  for (std::string line; std::getline(lines, line);)
    names.push_back(line);
  std::sort(names.begin(), names.end());
  return names;
}

} // namespace prunella::tests
