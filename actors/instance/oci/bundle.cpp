#include "actors/instance/oci/bundle.hpp"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "actors/instance/file_head.hpp"
#include "actors/instance/oci/container_users.hpp"
#include "actors/instance/oci/seccomp_profile.hpp"
#include "config/host_paths.hpp"
#include "config/json.hpp"
#include "storage/images/platform.hpp"
#include "storage/images/root_filesystem.hpp"
#include "storage/mounts.hpp"

namespace prunella::actors {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t max_hostname = 64;

driver_failure unusable(const std::string& path, const std::string& why) {
  return {driver_errc::data_directory_unusable,
          "the container's folder `" + path + "` cannot be made: " + why + "; free space or look after the disk"};
}

std::uint64_t hard_limit_of_open_files() {
  rlimit limit{};
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max != RLIM_INFINITY ? limit.rlim_max : 0;
}

std::variant<boost::json::object, driver_failure> find_seccomp() {
  const std::string path{default_seccomp_path};
  const auto profile = file_head(path, 1 << 20);
  if (profile.empty())
    return driver_failure{driver_errc::invalid_request,
                          "there is no seccomp profile at " + path + "; install Debian's package golang-github-containers-common"};
  return seccomp_section(profile, default_capabilities, storage::this_platform().architecture);
}

/// Without a profile none: the agent says so (`seccomp_obstacle`).
boost::json::object default_seccomp() {
  auto section = find_seccomp();
  auto* found = std::get_if<boost::json::object>(&section);
  return found == nullptr ? boost::json::object{} : std::move(*found);
}

/// `tenant.application.service-N` → `application`.
std::string application_of(const std::string& instance) {
  const auto start = instance.find('.') + 1;
  return instance.substr(start, instance.find('.', start) - start);
}

/// Collects the parts of one bundle; the first failure ends it.
class bundle_maker {
public:
  bundle_maker(const container_order& order, const provided_image& image, std::string folder, std::string cgroup,
               const bundle_network& network, const bundle_options& options)
    : order_(order), image_(image), folder_(std::move(folder)), cgroup_(std::move(cgroup)), network_(network),
      options_(options) {}

  std::optional<driver_failure> run() {
    using step = void (bundle_maker::*)();
    for (const step next : {&bundle_maker::claim, &bundle_maker::mount, &bundle_maker::find_user, &bundle_maker::add_volumes,
                            &bundle_maker::add_files, &bundle_maker::write_config}) {
      (this->*next)();
      if (failure_)
        return std::move(failure_);
    }
    return std::nullopt;
  }

  driver_result<std::vector<container_mount>> run_mounts(const image_user& user) {
    request_.user = user;
    for_engine_ = true;
    add_volumes();
    add_files();
    if (failure_)
      return *std::move(failure_);
    return std::move(request_.mounts);
  }

private:
  /// Of a container with a user namespace.
  void claim() {
    if (!order_.spec.user_namespace)
      return;
    auto claimed = claim_users(folder_);
    if (auto* failure = std::get_if<driver_failure>(&claimed)) {
      failure_ = std::move(*failure);
      return;
    }
    users_ = std::get<container_users>(claimed);
    request_.users = users_.range;
    auto made = storage::make_user_namespace(users_.range);
    if (made)
      user_namespace_ = std::move(*made);
    else
      failure_ = no_user_namespace(made.error().message);
  }

  static driver_failure no_user_namespace(const std::string& why) {
    return {driver_errc::no_driver, "this host cannot give a container a user namespace: " + why
                                      + "; leave out `user-namespace`, or run it on another host"};
  }

  void mount() {
    auto mounted = request_.users ? storage::mount_root(image_.layers, folder_, users_.folder + "/root", user_namespace_)
                                  : storage::mount_root(image_.layers, folder_);
    if (!mounted.ok() && request_.users) {
      failure_ = no_user_namespace(mounted.error().message);
      return;
    }
    if (!mounted.ok()) {
      failure_ = driver_failure{driver_errc::data_directory_unusable, mounted.error().message};
      return;
    }
    request_.root = mounted->root;
  }

  void find_user() {
    auto user = container_user(order_.spec.user, image_.config.user,
                               [this](const char* path, std::size_t most) { return read_in_root(request_.root, path, most); });
    if (auto* failure = std::get_if<driver_failure>(&user))
      failure_ = std::move(*failure);
    else
      request_.user = std::get<image_user>(std::move(user));
  }

  // -- volumes ---------------------------------------------------------------------------------------------------------

  void add_volumes() {
    auto volumes = order_.spec.volumes;
    // One below another comes after it, else the outer one would hide it.
    std::sort(volumes.begin(), volumes.end(), [](const auto& a, const auto& b) { return a.target < b.target; });
    for (const auto& volume : volumes) {
      if (failure_)
        return;
      taken_.insert(volume.target);
      add_volume(volume);
    }
  }

  void add_volume(const config::volume_spec& volume) {
    const bool in_memory = volume.kind == config::volume_kind::tmpfs
                           || (volume.kind == config::volume_kind::ephemeral && volume.size_bytes > 0);
    if (in_memory)
      return request_.mounts.push_back({"", volume.target, volume.read_only, volume.size_bytes});
    if (volume.kind == config::volume_kind::host_path) {
      auto real = host_volume(volume.path, options_.host_paths);
      if (auto* failure = std::get_if<driver_failure>(&real))
        failure_ = std::move(*failure);
      else
        request_.mounts.push_back({held(std::get<std::string>(real), volume.read_only), volume.target, volume.read_only, 0});
      return;
    }
    const auto path = volume.kind == config::volume_kind::persistent
                        ? persistent_volume_path(options_.data_directory, order_.instance, volume.name)
                        : folder_ + "/volumes/" + std::to_string(request_.mounts.size());
    make_folder_of_user(path);
    request_.mounts.push_back({request_.users ? under_its_owners(path) : path, volume.target, volume.read_only, 0});
  }

  /// Where a path of the host shows that was found right: a mount holds what it was then. Who may write above it could put a link
  /// to anything there until the runtime mounts it. An engine has to find it by its name.
  std::string held(const std::string& path, bool read_only) {
    if (for_engine_)
      return path;
    const auto shown = folder_ + "/volumes/" + std::to_string(request_.mounts.size());
    std::error_code error;
    fs::create_directories(fs::is_directory(path, error) ? shown : folder_ + "/volumes", error);
    if (!error && !fs::exists(shown, error))
      std::ofstream{shown}.close();
    if (const auto mounted = storage::mount_bound(path, shown, read_only); !mounted.ok())
      failure_ = driver_failure{driver_errc::volume_refused, "the host path `" + path + "` cannot be given to the container: "
                                                               + mounted.error().message};
    return shown;
  }

  /// Where a volume shows to a container with a user namespace; on the disk it belongs to the same as without one.
  std::string under_its_owners(const std::string& path) {
    const auto shown = users_.folder + '/' + std::to_string(request_.mounts.size());
    if (failure_)
      return shown;
    if (::mkdir(shown.c_str(), 0700) != 0)
      failure_ = unusable(shown, std::strerror(errno));
    else if (const auto mounted = storage::mount_idmapped(path, shown, user_namespace_, false); !mounted.ok())
      failure_ = no_user_namespace(mounted.error().message);
    return shown;
  }

  /// Owned by the container's user if it is new; what a container made of it later stays. It is there only when it is owned: of
  /// a start that was killed in between another folder is left, which the next one takes.
  void make_folder_of_user(const std::string& path) {
    std::error_code error;
    if (fs::exists(path, error))
      return;
    const auto next = path + ".new"; // no name of a volume
    fs::create_directories(next, error);
    if (error)
      failure_ = unusable(path, error.message());
    else if (::chown(next.c_str(), request_.user.uid, request_.user.gid) != 0 || ::rename(next.c_str(), path.c_str()) != 0)
      failure_ = unusable(path, std::strerror(errno));
  }

  // -- files -----------------------------------------------------------------------------------------------------------

  void add_files() {
    for (const auto& file : order_.spec.files)
      add_file(file.path, file.content, static_cast<mode_t>(std::stoul(file.mode, nullptr, 8)), request_.user);
    request_.hostname = hostname_of(order_.instance);
    const auto& name = request_.hostname;
    add_default("/etc/hostname", name + "\n");
    add_default("/etc/hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
                                + (network_.address.empty() ? std::string{"127.0.0.1"} : network_.address) + ' ' + name + "\n");
    if (order_.network == config::instance_network::none)
      return;
    add_default("/etc/resolv.conf", resolver_text(file_head("/etc/resolv.conf"), network_.name_server,
                                                  network_.path.empty() ? std::string{} : application_of(order_.instance)));
  }

  /// Unless the spec has something of its own there, or above it.
  void add_default(const std::string& path, const std::string& content) {
    if (taken_.count(path) == 0 && taken_.count("/etc") == 0)
      add_file(path, content, 0644, image_user{});
  }

  void add_file(const std::string& target, const std::string& content, mode_t mode, const image_user& owner) {
    if (failure_)
      return;
    const auto path = folder_ + "/files/" + std::to_string(taken_.size());
    taken_.insert(target);
    std::error_code error;
    fs::create_directories(folder_ + "/files", error);
    std::ofstream file{path, std::ios::binary};
    file << content;
    file.close();
    const auto base = request_.users ? request_.users->base : 0;
    if (!file || ::chown(path.c_str(), base + owner.uid, base + owner.gid) != 0 || ::chmod(path.c_str(), mode) != 0) {
      failure_ = unusable(path, std::strerror(errno));
      return;
    }
    request_.mounts.push_back({path, target, true, 0});
  }

  // -- config.json -----------------------------------------------------------------------------------------------------

  void write_config() {
    request_.image = image_.config;
    request_.container = order_.spec;
    request_.env = order_.env;
    request_.read_only_root = order_.spec.read_only_root;
    request_.cgroup = cgroup_;
    request_.network = network_.path.empty() ? container_network::host : container_network::joined;
    request_.network_path = network_.path;
    if (order_.spec.pids > 0)
      request_.pids = order_.spec.pids;
    if (!options_.controllers.pids)
      request_.pids = 0;
    if (!options_.controllers.memory)
      request_.container.resources.memory_bytes = 0;
    request_.open_files = options_.open_files;
    request_.swap_is_counted = options_.swap_is_counted;
    request_.seccomp = options_.seccomp;
    request_.resets_oom_score = options_.is_protected;
    auto document = runtime_spec(request_);
    if (auto* failure = std::get_if<driver_failure>(&document)) {
      failure_ = std::move(*failure);
      return;
    }
    const auto path = folder_ + "/config.json";
    std::ofstream file{path, std::ios::binary};
    file << config::json_text(std::get<boost::json::object>(document));
    file.close();
    if (!file)
      failure_ = unusable(path, std::strerror(errno));
  }

  const container_order& order_;
  const provided_image& image_;
  const std::string folder_;
  const std::string cgroup_;
  const bundle_network& network_;
  const bundle_options& options_;
  runtime_spec_request request_;
  container_users users_;           ///< if `request_.users`
  storage::unique_fd user_namespace_; ///< the same
  bool for_engine_ = false;
  std::set<std::string> taken_; ///< targets in the container
  std::optional<driver_failure> failure_;
};

} // namespace

std::string seccomp_obstacle() {
  const auto section = find_seccomp();
  const auto* failure = std::get_if<driver_failure>(&section);
  return failure == nullptr ? std::string{} : failure->message;
}

bundle_options options_of_machine(std::string data_directory, std::vector<std::string> host_paths) {
  bundle_options options;
  options.data_directory = std::move(data_directory);
  options.host_paths = std::move(host_paths);
  options.open_files = hard_limit_of_open_files();
  options.controllers = prepare_cgroups();
  options.swap_is_counted = cgroup_counts_swap();
  options.seccomp = default_seccomp();
  options.is_protected = file_head("/proc/self/oom_score_adj").rfind('-', 0) == 0; // a score that is raised only root may lower
  return options;
}

std::string persistent_volume_path(const std::string& data_directory, const std::string& instance,
                                   const std::string& volume) {
  return data_directory + "/volumes/" + instance + "/" + volume;
}

std::variant<std::string, driver_failure> host_volume(const std::string& path, const std::vector<std::string>& allowed) {
  const auto refuse = [&](const std::string& why) {
    return driver_failure{driver_errc::volume_refused, "the host path `" + path + "` cannot be given to the container: " + why};
  };
  if (!config::is_below(fs::path(path).lexically_normal().string(), allowed))
    return refuse("this host allows " + (allowed.empty() ? std::string{"none"} : "only what is below its `host-paths`")
                  + "; add it to `host-paths` of the host in the site's document, or use a persistent volume");
  std::error_code error;
  const auto real = fs::canonical(path, error);
  if (error)
    return refuse(error.message() + "; create it on this host");
  std::vector<std::string> real_allowed;
  for (const auto& prefix : allowed)
    if (const auto followed = fs::canonical(prefix, error); !error)
      real_allowed.push_back(followed.string());
  if (!config::is_below(real.string(), real_allowed))
    return refuse("a link in it leads to `" + real.string() + "`, which this host does not allow");
  return real.string();
}

std::optional<driver_failure> make_bundle(const container_order& order, const provided_image& image,
                                          const std::string& folder, const std::string& cgroup,
                                          const bundle_network& network, const bundle_options& options) {
  return bundle_maker{order, image, folder, cgroup, network, options}.run();
}

driver_result<std::vector<container_mount>> make_mounts(const container_order& order, const image_user& user,
                                                        const std::string& folder, const bundle_network& network,
                                                        const bundle_options& options) {
  return bundle_maker{order, {}, folder, {}, network, options}.run_mounts(user);
}

std::string resolver_text(const std::string& host, const std::string& name_server, const std::string& application) {
  if (name_server.empty())
    return host;
  // The host's own resolvers stay behind it, for as long as no agent is there to answer; one on the host's loopback cannot
  // be reached from another network.
  std::string text = "nameserver " + name_server + '\n';
  std::istringstream lines{host};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words{line};
    std::string word, value;
    words >> word >> value;
    const bool is_loopback = value.rfind("127.", 0) == 0 || value == "::1";
    const bool is_replaced = !application.empty() && (word == "search" || word == "domain" || (word == "nameserver" && is_loopback));
    if (!word.empty() && !is_replaced)
      text += line + '\n';
  }
  return application.empty() ? text : text + "search " + application + '\n';
}

std::string hostname_of(const std::string& instance) {
  return instance.substr(instance.rfind('.') + 1).substr(0, max_hostname);
}

} // namespace prunella::actors
