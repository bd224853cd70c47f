#include "actors/instance/engine/engine_process.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "actors/instance/file_head.hpp"
#include "actors/instance/oci/image_user.hpp"
#include "actors/instance/proc_filesystem.hpp"

namespace prunella::actors {

namespace fs = std::filesystem;

namespace {

std::optional<process_handle> find_marked(std::int64_t pid, const char* file, const std::string& mark) {
  if (pid <= 0 || file_head("/proc/" + std::to_string(pid) + "/" + file).find(mark) == std::string::npos)
    return std::nullopt;
  const auto stat = read_proc_stat(static_cast<pid_t>(pid));
  return stat ? open_process(static_cast<pid_t>(pid), stat->start_ticks) : std::nullopt;
}

bool is_whiteout(const std::string& path) {
  struct stat found {};
  return ::lstat(path.c_str(), &found) == 0 && S_ISCHR(found.st_mode) && found.st_rdev == 0;
}

} // namespace

std::optional<process_handle> find_engine_process(std::int64_t pid, const std::string& id) {
  return find_marked(pid, "cgroup", id);
}

std::optional<process_handle> find_conmon(std::int64_t pid, const std::string& id) {
  return find_marked(pid, "cmdline", id);
}

std::string bundle_in(std::string_view command_line) {
  constexpr std::string_view option{"\0-b\0", 4};
  const auto at = command_line.find(option);
  if (at == std::string_view::npos)
    return {};
  const auto rest = command_line.substr(at + option.size());
  return std::string{rest.substr(0, rest.find('\0'))};
}

std::string command_line_of(std::int64_t pid) {
  return file_head("/proc/" + std::to_string(pid) + "/cmdline");
}

std::string bundle_of_conmon(std::int64_t pid) {
  return bundle_in(command_line_of(pid));
}

std::string cgroup_in(std::string_view text) {
  std::string unified;
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const auto controllers = line.find(':');
    const auto path = line.find(':', controllers + 1);
    if (controllers == std::string_view::npos || path == std::string_view::npos)
      continue;
    const auto names = line.substr(controllers + 1, path - controllers - 1);
    if (names == "memory")
      return std::string{line.substr(path + 1)};
    if (names.empty())
      unified = line.substr(path + 1);
  }
  return unified;
}

std::string cgroup_of_process(std::int64_t pid) {
  return cgroup_in(file_head("/proc/" + std::to_string(pid) + "/cgroup"));
}

std::string read_in_layers(const std::vector<std::string>& layers, const std::string& path, std::size_t max_bytes) {
  for (const auto& layer : layers) {
    if (is_whiteout(layer + path))
      return {};
    if (auto text = read_in_root(layer, path, max_bytes); !text.empty())
      return text;
  }
  return {};
}

std::vector<std::string> folders_of(const std::string& starts, const std::string& id, std::string_view id_file) {
  std::vector<std::string> found;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(starts, none))
    if (entry.is_directory(none) && (id.empty() || file_head((entry.path() / id_file).string()) == id))
      found.push_back(entry.path().string());
  return found;
}

} // namespace prunella::actors
