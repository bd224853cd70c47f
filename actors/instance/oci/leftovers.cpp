#include "actors/instance/oci/leftovers.hpp"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <sstream>
#include <thread>
#include <vector>

#include "actors/instance/file_head.hpp"
#include "actors/instance/proc_filesystem.hpp"
#include "actors/instance/process.hpp"

namespace prunella::actors {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t max_environment = 128 * 1024;
constexpr std::chrono::milliseconds look_again{5}; // the kernel tells nobody that a group of version 1 is empty

/// Calls `is_done` until it is true or `patience` is over.
template <class Predicate>
bool repeat_until(Predicate is_done, std::chrono::milliseconds patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!is_done()) {
    if (std::chrono::steady_clock::now() >= until)
      return false;
    std::this_thread::sleep_for(look_again);
  }
  return true;
}

/// True: there was none.
bool kill_those_of_start(const std::string& id) {
  bool none = true;
  for (const auto pid : list_processes()) {
    const auto stat = read_proc_stat(pid);
    const auto process = stat ? open_process(pid, stat->start_ticks) : std::nullopt; // before the look: then it is that one
    if (!process || !is_of_start(pid, id))
      continue;
    none = false;
    signal_process(*process, SIGKILL);
  }
  return none;
}

/// The group in each tree: of version 2 there is one, at the mount itself, of version 1 one per controller.
std::vector<std::string> folders_of(const std::string& path, const std::string& mount) {
  std::vector<std::string> folders;
  std::error_code none;
  if (fs::exists(mount + path, none))
    folders.push_back(mount + path);
  for (const auto& tree : fs::directory_iterator(mount, none))
    if (tree.is_directory(none) && !tree.is_symlink(none) && fs::exists(tree.path().string() + path, none))
      folders.push_back(tree.path().string() + path);
  return folders;
}

void kill_all_in(const std::string& folder) {
  std::istringstream list{file_head(folder + "/cgroup.procs", 1 << 20)};
  for (pid_t pid = 0; list >> pid;)
    if (pid > 1)
      ::kill(pid, SIGKILL);
}

} // namespace

std::string start_variable(const std::string& folder) { return "XDG_RUNTIME_DIR=" + folder; }

bool is_of_start(pid_t pid, const std::string& id) {
  const auto environment = '\0' + file_head("/proc/" + std::to_string(pid) + "/environ", max_environment);
  const auto found = environment.find('\0' + start_variable({}));
  return found != std::string::npos && fs::path{environment.c_str() + found + 1}.filename() == id;
}

bool end_processes_of_start(const std::string& id, std::chrono::milliseconds patience) {
  int empty = 0; // one scan proves nothing: in the middle of an execve a process shows no environment
  return repeat_until(
    [&] {
      empty = kill_those_of_start(id) ? empty + 1 : 0;
      return empty == 2;
    },
    patience);
}

bool remove_cgroup(const std::string& path, std::chrono::milliseconds patience, const std::string& mount) {
  const auto folders = folders_of(path, mount);
  const auto is_removed = [](const std::string& folder) {
    if (::rmdir(folder.c_str()) == 0 || errno == ENOENT)
      return true;
    kill_all_in(folder);
    return false;
  };
  bool all = true;
  for (const auto& folder : folders)
    all = repeat_until([&] { return is_removed(folder); }, patience) && all;
  return all;
}

} // namespace prunella::actors
