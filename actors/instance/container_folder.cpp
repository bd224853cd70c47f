#include "actors/instance/container_folder.hpp"

#include <filesystem>
#include <system_error>

#include "actors/instance/container_input.hpp"
#include "actors/instance/proc_filesystem.hpp"
#include "actors/instance/raw_log.hpp"
#include "storage/mounts.hpp"

namespace prunella::actors {

namespace {

std::string variable(std::string_view name, const std::string& value) {
  return std::string{name} + "=" + value;
}

std::string folder_aside(const std::string& data_directory) {
  return data_directory + "/removed";
}

} // namespace

std::string container_folder(const std::string& data_directory, const std::string& container) {
  return data_directory + "/containers/" + container;
}

std::vector<std::string> make_environment(const container_order& order, const std::string& agent) {
  // In front, so that one page of /proc/PID/environ is enough to find them.
  std::vector<std::string> environment{variable(mark_agent_variable, agent),
                                       variable(mark_container_variable, order.name),
                                       variable(mark_generation_variable, std::to_string(order.generation))};
  for (const auto& [name, value] : order.env)
    if (name != mark_agent_variable && name != mark_container_variable && name != mark_generation_variable)
      environment.push_back(variable(name, value));
  if (order.env.count("PATH") == 0)
    environment.push_back(variable("PATH", std::string{default_path}));
  return environment;
}

driver_result<launch_request> prepare_folder(const container_order& order, const std::string& data_directory,
                                             const std::string& agent) {
  namespace fs = std::filesystem;
  const std::string folder = container_folder(data_directory, order.name);
  launch_request request;
  request.command = order.spec.command;
  request.command.insert(request.command.end(), order.spec.arguments.begin(), order.spec.arguments.end());
  request.environment = make_environment(order, agent);
  request.working_directory = order.spec.working_directory.empty() ? folder + "/work" : order.spec.working_directory;
  if (order.has_input)
    request.input_path = container_input_path(folder);
  request.output_path = raw_stdout_path(folder);
  request.error_path = raw_stderr_path(folder);
  std::error_code error;
  fs::create_directories(folder + "/work", error);
  if (!error)
    fs::permissions(folder, fs::perms::owner_all, error);
  if (error)
    return driver_failure{driver_errc::data_directory_unusable,
                          "the container's folder `" + folder + "` cannot be made: " + error.message()
                            + "; free space or give the agent a data directory it may write to"};
  return request;
}

std::vector<std::string> folders_except(const std::set<std::string>& keep, const std::string& data_directory) {
  namespace fs = std::filesystem;
  std::vector<std::string> unwanted;
  std::error_code none; // of containers yet
  for (const auto& entry : fs::directory_iterator(container_folder(data_directory, ""), none))
    if (auto name = entry.path().filename().string(); keep.count(name) == 0)
      unwanted.push_back(std::move(name));
  return unwanted;
}

std::optional<driver_failure> set_folders_aside(const std::vector<std::string>& containers, const std::string& data_directory) {
  namespace fs = std::filesystem;
  std::optional<driver_failure> first;
  const auto aside = folder_aside(data_directory);
  std::error_code error;
  fs::create_directories(aside, error);
  for (const auto& container : containers) {
    auto place = aside + "/" + container; // unless an earlier one of this name is still being deleted
    for (int i = 1; fs::exists(place, error); ++i)
      place = aside + "/" + container + "." + std::to_string(i);
    fs::rename(container_folder(data_directory, container), place, error);
    if (error && !first)
      first = driver_failure{driver_errc::data_directory_unusable,
                             "the folder of " + container + " cannot be moved to `" + aside + "`: " + error.message() + "; look after the disk"};
  }
  return first;
}

void delete_folders_aside(const std::string& data_directory) {
  namespace fs = std::filesystem;
  std::error_code none; // was set aside yet
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(folder_aside(data_directory), none))
    found.push_back(entry.path().string());
  for (const auto& folder : found)
    static_cast<void>(storage::remove_folder(folder));
  fs::create_directories(folder_aside(data_directory), none); // now: on a full disk it could not be made to make room
}

} // namespace prunella::actors
