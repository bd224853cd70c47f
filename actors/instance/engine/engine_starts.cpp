#include "actors/instance/engine/engine_backend_state.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <shared_mutex>
#include <thread>

#include "actors/host/wall_clock.hpp"
#include "actors/instance/engine/engine_process.hpp"
#include "actors/instance/file_head.hpp"
#include "actors/instance/image_start.hpp"
#include "actors/instance/log_bounds.hpp"
#include "actors/instance/oci/conmon.hpp"
#include "actors/instance/oci/image_user.hpp"
#include "actors/instance/proc_filesystem.hpp"
#include "config/signal.hpp"

namespace prunella::actors {

namespace fs = std::filesystem;

namespace {

constexpr std::chrono::milliseconds notice_pause{10};
constexpr std::chrono::milliseconds notice_patience{2'000};
constexpr std::chrono::milliseconds load_patience{500}; ///< for the loads of other starts: those wait for a thread, too

/// As many as there can be numbers: Podman sets its own limit to that, and without CAP_SYS_RESOURCE what it starts cannot
/// have more.
std::uint64_t most_processes() {
  std::uint64_t numbers = 32'768;
  const auto text = file_head("/proc/sys/kernel/pid_max");
  std::from_chars(text.data(), text.data() + text.size(), numbers);
  rlimit limit{};
  const bool is_limited = ::getrlimit(RLIMIT_NPROC, &limit) == 0 && limit.rlim_max != RLIM_INFINITY;
  return is_limited ? std::min<std::uint64_t>(limit.rlim_max, numbers) : numbers;
}

} // namespace

std::string engine_backend::draw() {
  const std::lock_guard lock{mutex_};
  auto number = random_();
  std::string text;
  for (int i = 0; i < 16; ++i, number >>= 4)
    text += "0123456789abcdef"[number & 15];
  return text;
}

std::optional<driver_failure> engine_backend::check(const container_order& order, const provided_image*) {
  const auto refuse = [&](const std::string& why) { return driver_failure{driver_errc::invalid_request, order.name + " " + why}; };
  if (auto failure = check_image_order(order, options_.host_paths))
    return failure;
  if (order.has_input)
    return refuse("has a standard input, which the driver engine does not give to a task: leave `-i` out, or run it on a host with the driver oci");
  if (order.spec.disk_bytes > 0)
    return refuse("has a limit of disk, which the driver engine cannot keep: leave `disk` out, or run it on a host with the driver oci");
  if (order.spec.user_namespace)
    return refuse("wants a user namespace, which the driver engine does not make: set the engine's own `userns-remap`, or run it on a "
                  "host with the driver oci");
  return std::nullopt;
}

driver_result<launched_container> engine_backend::launch(const container_order& order, const provided_image* image) {
  if (auto failure = check(order, image))
    return *std::move(failure);
  if (image == nullptr)
    return driver_failure{driver_errc::invalid_request, order.name + " names no image"};
  remove_left_over();
  const auto folder = starts_folder(order.name) + "/" + draw();
  if (auto failure = make_start_folder(folder))
    return *std::move(failure);
  auto made = make(order, *image, folder);
  if (auto* failure = std::get_if<driver_failure>(&made)) {
    options_.networks->leave(order.instance, folder, false);
    std::error_code ignored;
    fs::remove_all(folder, ignored);
    return std::move(*failure);
  }
  const auto& id = std::get<std::string>(made);
  std::ofstream{folder + "/" + std::string{engine_id_file}} << id;
  auto launched = run(order, *image, id);
  if (std::holds_alternative<driver_failure>(launched)) {
    remove(order.name, id);
    options_.networks->leave(order.instance, folder, false);
  } else {
    std::get<launched_container>(launched).address = options_.networks->address_of(order.instance);
  }
  return launched;
}

driver_result<engine_create_request> engine_backend::request_for(const container_order& order, const provided_image& image,
                                                                 const std::string& folder) {
  const auto version = client_.version();
  if (const auto* failure = failure_in(version))
    return *failure;
  const bool is_podman = std::get<engine_version>(version).is_podman;
  if (!is_podman && order.network != config::instance_network::host)
    return driver_failure{driver_errc::network_failed,
                          order.name + " wants a network of its own, which only Podman takes from outside: give the service `network: host`, or run "
                                       "it on a host with Podman or the driver oci"};
  auto network = join_network(*options_.networks, order, folder); // whose user is the folder: it is there before its container
  if (const auto* failure = failure_in(network))
    return *failure;
  const auto& joined = std::get<bundle_network>(network);
  auto user = container_user(order.spec.user, image.config.user,
                             [&](const char* path, std::size_t most) { return read_in_layers(image.layers, path, most); });
  if (auto* failure = std::get_if<driver_failure>(&user))
    return std::move(*failure);
  auto mounts = make_mounts(order, std::get<image_user>(user), folder, joined, bundle_);
  if (const auto* failure = failure_in(mounts))
    return *failure;
  engine_create_request request;
  request.order = order;
  request.image = engine_image_name(image.manifest);
  request.image_stop_signal = image.config.stop_signal;
  request.agent = options_.agent;
  request.hostname = hostname_of(order.instance);
  request.network_mode = joined.path.empty() ? "host" : "ns:" + joined.path;
  request.mounts = std::get<std::vector<container_mount>>(std::move(mounts));
  request.is_root = std::get<image_user>(user).uid == 0;
  if (is_podman)
    request.log_path = log_path(order.name);
  request.log_cap_bytes = conmon_log_cap(order.spec.logs);
  request.open_files = bundle_.open_files;
  request.processes = most_processes();
  request.swap_is_counted = bundle_.swap_is_counted;
  return request;
}

/// Has the image at the engine. Where another start is bringing it, or as many as may are bringing others, this one comes again.
std::optional<driver_failure> engine_backend::provide(const provided_image& image) {
  auto there = client_.has(image);
  if (const auto* failure = failure_in(there))
    return *failure;
  if (std::get<bool>(there))
    return std::nullopt;
  const auto turn = loads_.take(engine_image_name(image.manifest), load_patience);
  if (!turn)
    return driver_failure{driver_errc::image_awaited, "the container engine is still taking this image, or others before it, for other containers"};
  there = client_.has(image); // who was before us may have brought it
  if (const auto* failure = failure_in(there))
    return *failure;
  return std::get<bool>(there) ? std::nullopt : client_.load(image);
}

/// → id of the container, which does not run yet.
driver_result<std::string> engine_backend::make(const container_order& order, const provided_image& image, const std::string& folder) {
  auto request = request_for(order, image, folder);
  if (const auto* failure = failure_in(request))
    return *failure;
  const std::shared_lock lock{images_mutex_};
  if (auto failure = provide(image))
    return *std::move(failure);
  {
    const std::lock_guard used{mutex_};
    images_used_[engine_image_name(image.manifest)] = std::chrono::steady_clock::now();
  }
  return create(order, create_body(std::get<engine_create_request>(request)));
}

/// Whatever becomes of it: where the answer was lost, the engine may have made it all the same, and `sweep` finds it.
driver_result<std::string> engine_backend::create(const container_order& order, const std::string& body) {
  {
    const std::lock_guard lock{mutex_};
    making_.insert(order.name);
  }
  auto created = create_named(order, body);
  const std::lock_guard lock{mutex_};
  making_.erase(making_.find(order.name));
  if (const auto* id = std::get_if<std::string>(&created))
    known_.insert(*id);
  else
    is_swept_ = false;
  return created;
}

/// Under the container's name, which an earlier start that waits to be cleared away gives up. If somebody else has it, with
/// a few letters behind it: what runs is told by labels.
driver_result<std::string> engine_backend::create_named(const container_order& order, const std::string& body) {
  auto created = client_.create(order.name, body);
  if (const auto* failure = failure_in(created))
    return *failure;
  if (auto& id = std::get<std::optional<std::string>>(created))
    return *std::move(id);
  auto holder = client_.inspect(order.name);
  if (const auto* failure = failure_in(holder))
    return *failure;
  const auto& found = std::get<std::optional<engine_container>>(holder);
  const auto agent = found ? found->labels.find(std::string{label_agent}) : decltype(found->labels.find({})){};
  const bool is_ours = found && agent != found->labels.end() && agent->second == options_.agent;
  auto name = order.name;
  if (is_ours && !found->is_running) {
    static_cast<void>(client_.rename(found->id, name + ".ended-" + draw().substr(0, 8)));
    const std::lock_guard lock{mutex_};
    is_swept_ = is_swept_ && known_.count(found->id) > 0;
  } else if (found)
    name += "." + draw().substr(0, 8);
  created = client_.create(name, body);
  if (const auto* failure = failure_in(created))
    return *failure;
  if (auto& id = std::get<std::optional<std::string>>(created))
    return *std::move(id);
  return driver_failure{driver_errc::runtime_failed, "the container engine has another container with the name " + name + ", remove or rename it"};
}

driver_result<launched_container> engine_backend::run(const container_order& order, const provided_image& image, const std::string& id) {
  launched_container launched;
  auto& record = launched.record;
  record.name = order.name;
  record.runtime_id = id;
  record.log_path = log_path(order.name);
  record.driver = config::driver_kind::engine;
  record.stop_signal = config::stop_signal(order.spec.stop_signal, image.config.stop_signal);
  record.started_at_ms = wall_clock_ms(); // from here on it may print
  if (auto failure = client_.start(id))
    return with_advice(*std::move(failure), order.spec, image.config);
  auto looked = client_.inspect(id);
  if (const auto* failure = failure_in(looked))
    return *failure;
  const auto& found = std::get<std::optional<engine_container>>(looked);
  if (!found)
    return driver_failure{driver_errc::runtime_failed, order.name + " was removed at the engine a moment after its start"};
  attach(launched, *found);
  if (!launched.main.pidfd && still_runs(id)) // else it is over already, which is found out as of any other
    return driver_failure{driver_errc::no_driver, "the container engine runs " + order.name + " as process " + std::to_string(found->pid)
                                                    + ", which this agent does not see: the engine has to be on the same machine, and the "
                                                      "agent in no container of its own"};
  static_cast<void>(cgroup_of(record));
  keep_log_bounds(record.log_path, order.spec.logs); // before the first line
  follow_log(launched);
  return launched;
}

/// Whether what has no process that this agent sees goes on to run, as the engine says: it notices an end a moment later.
bool engine_backend::still_runs(const std::string& id) {
  const auto until = std::chrono::steady_clock::now() + notice_patience;
  for (; std::chrono::steady_clock::now() < until; std::this_thread::sleep_for(notice_pause)) {
    auto again = client_.inspect(id);
    const auto* found = std::get_if<std::optional<engine_container>>(&again);
    if (found == nullptr || !*found || !(*found)->is_running)
      return false;
  }
  return true;
}

/// Finds the processes of a container as the engine has seen it.
void engine_backend::attach(launched_container& container, const engine_container& found) {
  auto& record = container.record;
  if (found.pid > 0)
    if (auto main = find_engine_process(found.pid, found.id)) {
      record.pid = main->pid;
      record.start_time_ticks = main->start_ticks;
      container.main = std::move(*main);
    }
  if (found.monitor_pid > 0)
    if (const auto conmon = find_conmon(found.monitor_pid, found.id)) { // for its log; it becomes the program that clears away
      record.monitor_pid = conmon->pid;
      record.monitor_start_ticks = conmon->start_ticks;
    }
}

void engine_backend::note_network(launched_container& container) const {
  for (auto& folder : folders_of(starts_folder(container.record.name), container.record.runtime_id, engine_id_file))
    container.network_user = std::move(folder);
}

/// Podman's conmon writes the log itself; of others the engine is asked, also of one that is away now.
void engine_backend::follow_log(launched_container& container) {
  const auto& record = container.record;
  if (record.monitor_pid > 0) {
    const auto bundle = bundle_of_conmon(record.monitor_pid);
    if (!bundle.empty())
      container.logs = {{record.log_path, bundle + "/ctl", conmon_log_cap_of(command_line_of(record.monitor_pid))}};
    return;
  }
  const auto version = client_.version();
  if (const auto* known = std::get_if<engine_version>(&version); known != nullptr && known->is_podman)
    return;
  logs_.follow(record.runtime_id, record.log_path, [pid = record.pid, ticks = record.start_time_ticks] {
    const auto stat = read_proc_stat(static_cast<pid_t>(pid));
    return stat && stat->start_ticks == ticks && stat->state != 'Z';
  });
  container.logs = {{record.log_path, {}, 0, true}};
}

} // namespace prunella::actors
