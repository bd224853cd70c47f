#include "tests/cluster/image_containers.hpp"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "actors/instance/file_head.hpp"
#include "actors/instance/oci/cgroup.hpp"
#include "actors/instance/proc_filesystem.hpp"
#include "storage/mounts.hpp"

namespace prunella::tests {

namespace {

namespace fs = std::filesystem;

/// The words of a command line, which /proc ends with NULs.
std::vector<std::string> words_of(pid_t pid) {
  std::vector<std::string> words;
  std::istringstream text{actors::file_head("/proc/" + std::to_string(pid) + "/cmdline")};
  for (std::string word; std::getline(text, word, '\0');)
    words.push_back(word);
  return words;
}

} // namespace

std::vector<image_container> image_containers_in(const std::string& folder) {
  std::vector<image_container> found;
  for (const auto pid : actors::list_processes()) {
    const auto words = words_of(pid);
    const auto option = std::find(words.begin(), words.end(), "--bundle");
    if (words.empty() || fs::path(words[0]).filename() != "conmon" || option == words.end() || option + 1 == words.end())
      continue;
    const fs::path bundle{*(option + 1)}; // …/containers/NAME/run/ID
    if (bundle.string().rfind(folder + '/', 0) != 0)
      continue;
    image_container container{bundle.parent_path().parent_path().filename().string(), pid, 0};
    std::istringstream{actors::file_head(bundle / "container.pid")} >> container.main;
    const auto stat = actors::read_proc_stat(container.main);
    if (!stat || stat->parent != pid)
      container.main = 0;
    found.push_back(container);
  }
  return found;
}

void remove_container_traces(const std::string& folder) {
  static_cast<void>(storage::unmount_all(folder));
  std::error_code none;
  for (auto entry = fs::recursive_directory_iterator{folder, fs::directory_options::skip_permission_denied, none};
       entry != fs::recursive_directory_iterator{}; entry.increment(none)) {
    if (none)
      return;
    if (entry->path().parent_path().filename() != "run" || entry.depth() > 4)
      continue;
    entry.disable_recursion_pending();
    const auto group = actors::cgroup_of_container(entry->path().filename().string());
    rmdir(("/sys/fs/cgroup" + group).c_str());
    for (const auto& controller : fs::directory_iterator{"/sys/fs/cgroup", none})
      rmdir((controller.path().string() + group).c_str());
  }
}

} // namespace prunella::tests
