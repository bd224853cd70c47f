#include "tests/actors/engine_service.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include "config/json.hpp"
#include "net/unix_http.hpp"
#include "tests/actors/busybox_image.hpp"
#include "tests/actors/real_process.hpp"

namespace prunella::tests {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace {

std::vector<char*> pointers_to(std::vector<std::string>& words) {
  std::vector<char*> list;
  for (auto& word : words)
    list.push_back(word.data());
  list.push_back(nullptr);
  return list;
}

net::http_outcome ask(const std::string& socket, const std::string& method, const std::string& target, std::string body,
                      std::chrono::milliseconds timeout) {
  net::http_call_options options;
  options.timeout = timeout;
  options.max_answer_bytes = 4 << 20;
  return net::unix_call(socket, method, target, std::move(body), options);
}

boost::json::value parsed(const std::string& body) {
  auto result = config::parse_json(body);
  if (!result.error.empty())
    throw std::runtime_error("the engine answers no JSON: " + body);
  return std::move(result.value);
}

/// All strings under `name` in the objects of a list, ordered.
std::vector<std::string> words_in(const boost::json::value& list, const char* name) {
  std::vector<std::string> words;
  for (const auto& x : list.as_array()) {
    const auto& found = x.as_object().at(name);
    if (found.is_array())
      for (const auto& word : found.get_array())
        words.emplace_back(word.as_string().c_str());
  }
  std::sort(words.begin(), words.end());
  return words;
}

/// Mount points below `folder`, deepest first.
std::vector<std::string> mounts_below(const std::string& folder) {
  std::vector<std::string> points;
  std::ifstream mounts("/proc/self/mounts");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string device, point;
    words >> device >> point;
    if (point.rfind(folder + "/", 0) == 0)
      points.push_back(point);
  }
  std::sort(points.rbegin(), points.rend());
  return points;
}

/// Debian's, or Docker's own.
const char* dockerd_path() { return fs::exists("/usr/bin/dockerd") ? "/usr/bin/dockerd" : "/usr/sbin/dockerd"; }

std::string why_not(const char* program, const char* package) {
  if (!fs::exists(program))
    return std::string{program} + " is not on this machine: install Debian's package " + package;
  return container_obstacle();
}

} // namespace

// -- any engine ----------------------------------------------------------------------------------------------------------

void engine_service::start() {
  auto words = command();
  auto variables = environment();
  posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_addchdir_np(&files, folder_.path().c_str()); // Podman's conmons leave a file `oom` there
  const auto log = folder_ / "service.log";
  ::posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  ::posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
  const auto program = words.front();
  const int failed = ::posix_spawn(&pid_, program.c_str(), &files, nullptr, pointers_to(words).data(), pointers_to(variables).data());
  ::posix_spawn_file_actions_destroy(&files);
  const auto answers = [&] {
    const auto outcome = ask(socket(), "GET", "/_ping", {}, 1s);
    const auto* answer = std::get_if<net::http_answer>(&outcome);
    return answer != nullptr && answer->status == 200;
  };
  if (failed != 0 || !eventually(answers, 40s))
    throw std::runtime_error(program + " does not serve: " + read_text(log));
}

void engine_service::kill() {
  if (pid_ <= 0)
    return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

std::string engine_service::call(const std::string& method, const std::string& target, const std::string& body) const {
  auto outcome = ask(socket(), method, target, body, 30s);
  if (const auto* failure = std::get_if<net::http_failure>(&outcome))
    throw std::runtime_error(failure->sentence);
  auto& answer = std::get<net::http_answer>(outcome);
  if (answer.status / 100 != 2)
    throw std::runtime_error(method + " " + target + " → " + std::to_string(answer.status) + ": " + answer.body);
  return std::move(answer.body);
}

std::vector<std::string> engine_service::containers() const {
  auto names = words_in(parsed(call("GET", "/v1.41/containers/json?all=true")), "Names");
  for (auto& name : names)
    name.erase(0, 1); // each begins with a slash
  return names;
}

std::vector<std::string> engine_service::images() const {
  return words_in(parsed(call("GET", "/v1.41/images/json")), "RepoTags");
}

std::string engine_service::told(const std::string& container, const std::vector<std::string>& pointers) const {
  const auto all = parsed(call("GET", "/v1.41/containers/" + container + "/json"));
  std::string line;
  for (const auto& pointer : pointers) {
    boost::json::error_code missing;
    const auto* found = all.find_pointer(pointer, missing);
    line += line.empty() ? "" : " ";
    line += found == nullptr ? "nothing" : found->is_string() ? std::string{found->get_string().c_str()} : config::json_text(*found);
  }
  return line;
}

void engine_service::clear() noexcept {
  try {
    if (pid_ <= 0)
      start();
    for (const auto& name : containers()) {
      ask(socket(), "POST", "/v1.41/containers/" + name + "/kill", {}, 10s); // so that none is waited for
      call("DELETE", "/v1.41/containers/" + name + "?force=true&v=true");
    }
  } catch (const std::exception&) { // the rest is for `kill_helpers`
  }
}

void engine_service::kill_helpers() const {
  for (const auto pid : actors::list_processes())
    if (pid != ::getpid() && read_text("/proc/" + std::to_string(pid) + "/cmdline").find(folder_.path() + "/") != std::string::npos)
      ::kill(pid, SIGKILL);
}

void engine_service::remove_groups(const std::vector<std::string>& groups) {
  std::error_code ignored;
  for (const auto& hierarchy : fs::directory_iterator("/sys/fs/cgroup", ignored))
    for (const auto& group : groups)
      ::rmdir((hierarchy.path() / group).c_str());
}

// -- Podman --------------------------------------------------------------------------------------------------------------

std::string podman_service::obstacle() { return why_not("/usr/bin/podman", "podman"); }

podman_service::podman_service() {
  // Locks in files: those in shared memory would be one table for every podman of this machine.
  std::ofstream{folder_ / "containers.conf"} << "[engine]\nlock_type = \"file\"\nevents_logger = \"none\"\n"
                                                "[containers]\ndefault_ulimits = []\n";
  start();
}

podman_service::~podman_service() {
  clear();
  kill();
  kill_helpers(); // of each command in a container a conmon stays for a while, in case somebody asks how it ended
  remove_groups({"libpod_parent/conmon", "libpod_parent"});
}

std::vector<std::string> podman_service::command() const {
  return {"/usr/bin/podman", "--root", folder_ / "root", "--runroot", folder_ / "run", "--tmpdir", folder_ / "tmp",
          "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--runtime", container_runtime(),
          "system", "service", "--time", "0", "unix://" + socket()};
}

std::vector<std::string> podman_service::environment() const {
  return {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + (folder_ / "home"), "CONTAINERS_CONF=" + (folder_ / "containers.conf"),
          "TMPDIR=" + fs::temp_directory_path().string()};
}

// -- Docker --------------------------------------------------------------------------------------------------------------

std::string docker_service::obstacle() { return why_not(dockerd_path(), "docker.io"); }

docker_service::docker_service() {
  std::ofstream{folder_ / "daemon.json"} << "{}";
  start();
}

docker_service::~docker_service() {
  clear();
  kill(); // its containerd ends with it
  kill_helpers();
  eventually([&] {
    const auto all = actors::list_processes();
    return std::none_of(all.begin(), all.end(), [&](auto pid) {
      return read_text("/proc/" + std::to_string(pid) + "/cmdline").find(folder_.path() + "/") != std::string::npos;
    });
  });
  for (const auto& point : mounts_below(folder_.path()))
    ::umount2(point.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
  remove_groups({group()});
}

/// One for each service: another dockerd's groups are not in the way.
std::string docker_service::group() const { return fs::path{folder_.path()}.filename().string(); }

std::vector<std::string> docker_service::command() const {
  // Its containerd has ended with it; where nobody reaps that, a new dockerd would wait for it.
  fs::remove(folder_ / "exec/containerd/containerd.pid");
  return {dockerd_path(), "--config-file", folder_ / "daemon.json", "--data-root", folder_ / "data", "--exec-root", folder_ / "exec",
          "--pidfile", folder_ / "pid", "--host", "unix://" + socket(), "--cgroup-parent", "/" + group(), "--storage-driver", "vfs",
          "--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"};
}

std::vector<std::string> docker_service::environment() const {
  return {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + (folder_ / "home"), "TMPDIR=" + fs::temp_directory_path().string()};
}

} // namespace prunella::tests
