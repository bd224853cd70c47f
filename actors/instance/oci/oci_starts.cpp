#include "actors/instance/oci/oci_backend_state.hpp"

#include <unistd.h>

#include <exception>
#include <utility>
#include <variant>

#include "actors/host/wall_clock.hpp"
#include "actors/instance/file_head.hpp"
#include "actors/instance/image_start.hpp"
#include "actors/instance/oci/cgroup.hpp"
#include "actors/instance/oci/conmon.hpp"
#include "actors/instance/oci/container_users.hpp"
#include "actors/instance/proc_filesystem.hpp"
#include "config/signal.hpp"
#include "storage/mounts.hpp"

namespace prunella::actors {

namespace {

constexpr std::chrono::milliseconds create_patience{60'000}; ///< for conmon and the runtime to make a container
constexpr std::size_t shown_name = 160; ///< of the container, in its id: a file name has at most 255 bytes

/// The process that has `pid` now.
std::optional<process_handle> find_process(pid_t pid) {
  const auto stat = pid > 0 ? read_proc_stat(pid) : std::nullopt;
  return stat ? open_process(pid, stat->start_ticks) : std::nullopt;
}

} // namespace

/// Different from every other of this machine, also of other agents.
std::string oci_backend::draw_id(const std::string& name) {
  std::uint64_t number = 0;
  {
    const std::lock_guard lock{id_mutex_};
    number = random_();
  }
  std::string id = name.substr(0, shown_name) + ".";
  for (int shift = 60; shift >= 0; shift -= 4)
    id += "0123456789abcdef"[(number >> shift) & 15];
  return id;
}

std::optional<driver_failure> oci_backend::check(const container_order& order, const provided_image*) {
  if (auto failure = check_image_order(order, options_.host_paths))
    return failure;
  if (order.spec.user_namespace && !user_namespace_obstacle_.empty())
    return driver_failure{driver_errc::no_driver, "this host cannot give " + order.name + " a user namespace: " + user_namespace_obstacle_
                                                    + "; leave out `user-namespace`, or run it on another host"};
  return std::nullopt;
}

std::optional<driver_failure> oci_backend::make_folders(const std::string& folder) const {
  for (const auto& path : {folder, runtime_root(), exit_folder()})
    if (auto failure = make_start_folder(path))
      return failure;
  return std::nullopt;
}

driver_result<launched_container> oci_backend::launch(const container_order& order, const provided_image* image) {
  if (auto failure = check(order, image))
    return *std::move(failure);
  if (image == nullptr)
    return driver_failure{driver_errc::invalid_request, order.name + " names no image"};
  end_left_over_of(order.name);
  if (auto failure = room_.look(order.name))
    return *std::move(failure);
  const auto id = draw_id(order.name);
  const auto folder = run_folder(order.name) + "/" + id;
  auto started = make_folders(folder);
  if (started)
    return *std::move(started);
  const auto undo = [&] {
    remove(order.name, id);
    options_.networks->leave(order.instance, id, false);
  };
  try {
    auto launched = run(order, *image, id, folder);
    if (!std::holds_alternative<driver_failure>(launched))
      return launched;
    auto full = room_.look(order.name); // before its own part of it is free again
    undo();
    return full ? driver_result<launched_container>{*std::move(full)} : std::move(launched);
  } catch (const std::exception&) { // no memory, no thread: the driver says so
    undo();
    throw;
  }
}

driver_result<launched_container> oci_backend::run(const container_order& order, const provided_image& image,
                                                   const std::string& id, const std::string& folder) {
  auto network = join_network(*options_.networks, order, id);
  if (auto* failure = std::get_if<driver_failure>(&network))
    return std::move(*failure);
  const auto& joined = std::get<bundle_network>(network);
  if (auto failure = make_bundle(order, image, folder, cgroup_of_container(id), joined, bundle_))
    return *std::move(failure);
  conmon_request request;
  request.conmon = options_.conmon;
  request.runtime = options_.runtime;
  request.runtime_root = runtime_root();
  request.id = id;
  request.bundle = folder;
  request.exit_folder = exit_folder();
  request.log_path = log_path(order.name);
  request.has_input = order.has_input;
  request.log_cap_bytes = conmon_log_cap(order.spec.logs);
  auto created = launch_conmon(request, create_patience);
  if (auto* failure = std::get_if<driver_failure>(&created))
    return with_advice(std::move(*failure), order.spec, image.config);
  static_cast<void>(storage::unmount_all(folder + "/volumes")); // the container has mounts of its own now
  auto main = find_process(std::get<conmon_report>(created).pid);
  auto conmon = find_process(pid_in(conmon_pid_path(folder)));
  if (!main || !conmon)
    return driver_failure{driver_errc::runtime_failed, order.name + " or its conmon ended before it was started"};
  if (order.spec.user_namespace)
    give_output(main->pid, folder);
  launched_container launched;
  launched.record.started_at_ms = wall_clock_ms(); // from here on it may print
  if (auto failure = start(id))
    return with_advice(*std::move(failure), order.spec, image.config);
  if (auto failure = limit(order, id))
    return *std::move(failure);
  launched.record.name = order.name;
  launched.record.runtime_id = id;
  launched.record.pid = main->pid;
  launched.record.start_time_ticks = main->start_ticks;
  launched.record.monitor_pid = conmon->pid;
  launched.record.monitor_start_ticks = conmon->start_ticks;
  launched.record.log_path = request.log_path;
  launched.main = std::move(*main);
  launched.watched = std::move(*conmon);
  launched.logs = {log_of(launched.record)};
  launched.address = joined.address;
  launched.record.stop_signal = config::stop_signal(order.spec.stop_signal, image.config.stop_signal);
  return launched;
}

/// What conmon reads from belongs to the host's root, whom such a container has not: opened by name (`/dev/stdout`) it would be
/// refused.
void oci_backend::give_output(pid_t main, const std::string& folder) {
  const auto range = range_of(folder);
  for (const auto* output : {"/fd/1", "/fd/2"})
    if (range && ::chown(("/proc/" + std::to_string(main) + output).c_str(), range->base, range->base) != 0)
      return; // it still prints to what it inherits
}

/// Not before the start: what the runtime does between its `start` and the container's first instruction takes seconds of
/// a hundredth of a core. So the container has the first moments of its life without a limit, about 20 ms.
std::optional<driver_failure> oci_backend::limit(const container_order& order, const std::string& id) const {
  const auto millis = bundle_.controllers.cpu ? order.spec.resources.cpu_millis : 0;
  auto problem = millis > 0 ? limit_processor(cgroup_of_container(id), millis) : std::string{};
  if (problem.empty())
    return std::nullopt;
  return driver_failure{driver_errc::runtime_failed, order.name + " was ended again: " + problem};
}

std::optional<driver_failure> oci_backend::start(const std::string& id) const {
  const auto end = runtime({"start", id});
  if (!end.ok())
    return driver_failure{driver_errc::runtime_failed, end.error().message};
  if (end->succeeded())
    return std::nullopt;
  return explain_runtime(end->errors);
}

} // namespace prunella::actors
