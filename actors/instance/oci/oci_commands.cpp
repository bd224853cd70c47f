#include "actors/instance/oci/oci_backend_state.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "actors/instance/command_runner.hpp"
#include "actors/instance/file_head.hpp"
#include "actors/instance/oci/cgroup.hpp"
#include "config/json.hpp"
#include "storage/os_files.hpp"

namespace prunella::actors {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view exec_pid_prefix = "exec.pid."; ///< of files in the folder of a start

/// The process of the bundle with another command: runc would take the rest from there if it is told nothing else, crun would
/// run it as root, without `noNewPrivileges`.
std::optional<driver_failure> write_process(const std::string& folder, const std::string& path, const container_order& order,
                                            const plan_command& request) {
  const auto bundle = config::parse_json(file_head(folder + "/config.json", 4 << 20));
  const auto* document = bundle.value.if_object();
  const auto* process = document == nullptr ? nullptr : document->if_contains("process");
  if (process == nullptr || !process->is_object())
    return driver_failure{driver_errc::runtime_failed, "the bundle " + folder + " cannot be read any more; restart the container"};
  auto made = process->get_object();
  made["args"] = boost::json::array(request.command.begin(), request.command.end());
  made["terminal"] = !request.terminal.empty();
  if (!request.terminal.empty() && order.env.count("TERM") == 0) { // the image's says nothing of this terminal
    boost::json::array environment;
    if (const auto* known = made.if_contains("env"); known != nullptr && known->is_array())
      for (const auto& variable : known->get_array())
        if (!variable.is_string() || variable.get_string().find("TERM=") != 0)
          environment.push_back(variable);
    environment.emplace_back("TERM=" + request.terminal);
    made["env"] = std::move(environment);
  }
  std::ofstream file{path, std::ios::binary};
  file << config::json_text(made);
  file.close();
  if (file)
    return std::nullopt;
  ::unlink(path.c_str());
  return driver_failure{driver_errc::data_directory_unusable, "the file `" + path + "` cannot be made; free space or look after the disk"};
}

/// runc joins the namespaces of a container as its config lists them, the user namespace first, and from there the kernel refuses
/// the network: it was made outside and belongs to the host's root. So runc is shown the container without its network, in a
/// root of its own, and is started in that network. False: it does not keep its state as runc does, or the file cannot be made.
bool show_without_network(const std::string& state, const std::string& folder) {
  std::error_code error;
  if (fs::exists(folder + "/state.json", error))
    return true;
  auto parsed = config::parse_json(file_head(state, 4 << 20));
  auto* document = parsed.value.if_object();
  auto* made = document == nullptr ? nullptr : document->if_contains("config");
  auto* namespaces = made == nullptr || !made->is_object() ? nullptr : made->get_object().if_contains("namespaces");
  if (namespaces == nullptr || !namespaces->is_array())
    return false;
  boost::json::array others;
  for (const auto& one : namespaces->get_array()) {
    const auto* type = one.is_object() ? one.get_object().if_contains("type") : nullptr;
    if (type == nullptr || !type->is_string() || type->get_string().find("NEWNET") != 0)
      others.push_back(one);
  }
  *namespaces = std::move(others);
  fs::create_directories(folder, error);
  return !error && storage::write_file_atomically(folder + "/state.json", config::json_text(parsed.value)).ok();
}

} // namespace

driver_result<command_plan> oci_backend::plan(const launched_container& container, const container_order& order,
                                              const plan_command& request) {
  const auto& record = container.record;
  const auto folder = run_folder(record.name) + "/" + record.runtime_id;
  command_plan plan;
  plan.container = record.name;
  plan.generation = record.generation;
  plan.pid_file = folder + "/" + std::string{exec_pid_prefix} + std::to_string(++last_exec_);
  plan.cgroup = cgroup_of_container(record.runtime_id);
  const auto process = process_file_of(plan.pid_file);
  if (auto failure = write_process(folder, process, order, request))
    return *std::move(failure);
  plan.command = runtime_command({"exec", "--pid-file", plan.pid_file, "--process", process, record.runtime_id});
  const bool joins_network = order.spec.user_namespace && order.network != config::instance_network::host;
  const auto root = folder + "/exec"; // of this start: gone with its folder
  if (joins_network && show_without_network(runtime_root() + "/" + record.runtime_id + "/state.json", root + "/" + record.runtime_id))
    plan.command = {"/usr/bin/nsenter", "--net=/proc/" + std::to_string(record.pid) + "/ns/net", "--", options_.runtime, "--root", root,
                    "exec", "--pid-file", plan.pid_file, "--process", process, record.runtime_id};
  plan.environment = runtime_environment();
  plan.working_directory = folder;
  return plan;
}

/// Those that the last agent did not live to see the end of.
void oci_backend::end_commands(const storage::container_record& record) const {
  std::error_code none;
  const fs::path folder = run_folder(record.name) + "/" + record.runtime_id;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder, none))
    if (entry.path().filename().string().rfind(exec_pid_prefix, 0) == 0)
      files.push_back(entry.path());
  for (const auto& file : files) {
    kill_command_inside(file.string(), cgroup_of_container(record.runtime_id));
    fs::remove(file, none);
  }
}

} // namespace prunella::actors
