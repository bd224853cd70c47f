#include "actors/host/agent.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <random>
#include <stdexcept>
#include <system_error>
#include <thread>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/io/middleman.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include "actors/host/address_guard.hpp"
#include "actors/host/addresses.hpp"
#include "actors/host/composition.hpp"
#include "actors/host/disk_room.hpp"
#include "actors/host/driver_watch.hpp"
#include "actors/instance/container_driver.hpp"
#include "actors/instance/driver_error.hpp"
#include "actors/instance/network/cni.hpp"
#include "actors/instance/oci/bundle.hpp"
#include "actors/site/membership.hpp"
#include "config/address.hpp"
#include "net/http_server.hpp"
#include "net/identity.hpp"
#include "net/link_socket.hpp"
#include "runtime/consensus/log_writer.hpp"
#include "runtime/exit_reason.hpp"
#include "storage/begin_anew.hpp"
#include "storage/data_dir.hpp"
#include "storage/images/idmapped_mount.hpp"

namespace prunella::actors {

namespace {

using namespace std::chrono_literals;

/// A container may have a grace of up to an hour, and the agent waits for it; who cannot kills the agent.
constexpr auto stop_limit = 61min;

struct agent_config : caf::actor_system_config {
  agent_config() {
    load<caf::io::middleman>();
    announce(*this);
    // `sharing` sleeps while there is nothing to do; the default polls (CAF.md §3: 0.9 % of a core, 400 wake-ups/s).
    set("scheduler.policy", caf::atom("sharing"));
    set("scheduler.max-threads", std::clamp<std::size_t>(std::thread::hardware_concurrency(), 2, 4));
  }
};

/// Missing keys, told from a data directory that is none or that this user may not look into.
void require_keys(const agent_options& x) {
  struct stat status {};
  if (::stat(x.identity_dir.c_str(), &status) == 0)
    return;
  if (errno == ENOTDIR)
    throw std::runtime_error(x.data_dir + " is not a folder, so it cannot be a data directory; choose another with --data-dir");
  if (errno != ENOENT)
    throw std::runtime_error("cannot look into the data directory " + x.data_dir + ": " + std::generic_category().message(errno)
                             + "; run as the user that owns it, or change its owner");
  throw std::runtime_error("there are no keys in " + x.identity_dir + "; make them with `prunella site init` and copy the "
                           "folder of " + x.host + " there");
}

/// What shows from outside is refused before the data directory is touched: a mistyped command must not mark it as some
/// other host's.
agent_options checked(agent_options x) {
  require_host(x.site, x.host);
  require_keys(x);
  const auto site = net::site_of(net::load_identity(x.identity_dir, x.host));
  if (!site.empty() && site != x.site.name)
    throw std::runtime_error("the keys in " + x.identity_dir + " are of site " + site + ", not of site " + x.site.name
                             + "; copy the folder of " + x.host + " from where `prunella site init` made those of "
                             + x.site.name);
  return x;
}

/// Under the tree, a port that is taken would only show after all restarts. `address`: numeric.
void require_free(const std::string& address, const std::string& host) {
  net::socket_address parsed;
  std::string problem;
  const int fd = net::parse_socket_address(address, parsed, problem) ? net::listen_on(parsed, problem) : -1;
  if (fd < 0)
    throw std::runtime_error(problem + "; stop what listens there, or give " + host + " another `address` in the site's document");
  ::close(fd);
}

/// A wrong row shows when it is read, and must show here: later nothing would replace the file.
storage::result<std::unique_ptr<storage::site_database>> open_checked_database(const std::string& path,
                                                                               const storage::host_owner& owner) {
  auto opened = storage::open_site_database(path, owner);
  if (opened.ok())
    if (const auto rows = (*opened)->load_all(); !rows.ok())
      return rows.error();
  return opened;
}

/// Where instances of this host may listen. One of several hosts on a machine (its address is loopback) has its own first: on
/// 127.0.0.1 may be those of all.
std::vector<std::string> door_addresses(const std::string& own) {
  const bool is_loopback = own.rfind("127.", 0) == 0 || own == "::1";
  std::vector<std::string> result{"127.0.0.1"};
  if (own != result.front())
    result.insert(is_loopback ? result.begin() : result.end(), own);
  if (own != "::1")
    result.push_back("::1");
  return result;
}

template <class T>
T opened(storage::result<T> outcome) {
  if (!outcome.ok() && outcome.error().code == storage::storage_errc::disk_full)
    throw no_room{outcome.error().message};
  return storage::or_throw(std::move(outcome));
}

std::uint64_t random_seed() {
  std::random_device device;
  return (static_cast<std::uint64_t>(device()) << 32) | device();
}

} // namespace

struct agent::parts {
  explicit parts(agent_options x);
  ~parts();

  outer_parts outside();
  void give_images(outer_parts& x);
  const config::driver_spec* image_driver() const;
  host_findings find_abilities() const;
  std::shared_ptr<net::address_device> make_address_device() const;
  std::shared_ptr<host_bridge> make_bridge() const;
  void watch_root();
  const config::host_spec& own() const;

  agent_options options;
  storage::host_owner owner;
  storage::data_dir data;
  available_drivers drivers;
  std::shared_ptr<host_bridge> bridge; ///< null: no container here can be on one
  std::unique_ptr<driver_watch> offer;
  std::atomic<bool> disk_is_full{false};
  agent_config config;
  caf::actor_system system;
  std::shared_ptr<storage::container_records> records;
  net::prober probes;
  composition inside;
  caf::actor root;
  caf::actor watcher; ///< held: a monitor does not keep its actor alive, and an unreachable one never hears of the end
  std::unique_ptr<net::http_server> http;
  std::mutex end_mutex;
  std::condition_variable end_changed;
  bool interrupted = false;
  bool root_ended = false;
  caf::error root_reason;
};

agent::parts::parts(agent_options x)
  : options(checked(std::move(x))),
    owner{options.site.name, options.host},
    data(opened(storage::data_dir::open(options.data_dir, owner))),
    drivers(find_drivers(own().drivers)),
    bridge(make_bridge()),
    system(config),
    records(opened(storage::open_container_records(data.file("containers.db"), owner))),
    inside(system, {options.site, options.host, options.version}, outside()) {
  net::http_server_options api;
  api.address = options.api;
  api.token = options.api_token;
  api.open_paths = {"/healthz", "/readyz"};
  api.niceness = 5; // who asks as fast as they can must not make a heartbeat late
  http = std::make_unique<net::http_server>(api, inside.router());
  for (const auto& why : drivers.missing)
    if (options.log)
      options.log(log_level::warning, options.host + " does not have a driver that its `drivers` name: " + why);
  root = inside.start();
  watch_root();
}

agent::parts::~parts() {
  http.reset();
  if (root)
    caf::anon_send_exit(root, caf::exit_reason::kill);
  inside.release();
  root = nullptr;
  watcher = nullptr;
  // Actors hold references into `inside`, which goes before the system does.
  system.await_all_actors_done();
}

/// Links over TLS, processes, SQLite files in the data directory, the machine's clock.
outer_parts agent::parts::outside() {
  outer_parts x;
  x.make_links = [this](net::link_options links) {
    links.identity = net::load_identity(options.identity_dir, options.host);
    links.listen = numeric_address(links.listen);
    require_free(links.listen, options.host);
    return net::make_links(system, std::move(links));
  };
  const auto found = find_abilities();
  if (!found.seccomp_obstacle.empty())
    x.warnings.push_back(found.seccomp_obstacle);
  const auto* images = image_driver();
  const bool has_oci = images != nullptr && images->kind == config::driver_kind::oci;
  if (auto why = has_oci ? cgroup_obstacle(prepare_cgroups()) : std::string{}; !why.empty())
    x.warnings.push_back(std::move(why));
  for (const auto& warning : x.warnings)
    if (options.log)
      options.log(log_level::warning, warning);
  offer = std::make_unique<driver_watch>(found, [this](const std::string& why) {
    if (options.log)
      options.log(log_level::warning, options.host + " runs no new containers of images: " + why);
  });
  if (images != nullptr && images->kind == config::driver_kind::engine)
    offer->watch_engine(images->socket);
  x.offer = [this] {
    auto all = offer->offer();
    disk_is_full = is_full(space_of(options.data_dir), disk_is_full);
    if (disk_is_full)
      add_full_disk(all);
    return all;
  };
  x.probe = [this](net::probe_question question, std::function<void(const net::probe_finding&)> done) {
    probes.ask(std::move(question), std::move(done));
  };
  x.make_door = [this](net::door_options door) {
    // The site's document has a port for links; the door has its own.
    const auto mine = config::parse_address(numeric_address(door.address));
    door.address = mine->host;
    door.tunnel = door.tunnel.empty() ? net::join_address(mine->host, 0) : numeric_address(door.tunnel);
    door.identity = net::load_identity(options.identity_dir, options.host);
    host_door_parts made;
    made.own_addresses = door_addresses(mine->host);
    const auto tunnel_host = config::parse_address(door.tunnel);
    made.door = net::make_front_door(door);
    made.bridge = bridge;
    made.make_names = [on = bridge] {
      net::name_server_options names;
      names.address = on->gateway();
      names.clients = on->network().network;
      return net::make_name_server(names);
    };
    made.tunnel = net::join_address(tunnel_host ? tunnel_host->host : mine->host, made.door->tunnel_port());
    return made;
  };
  if (!own().interface.empty())
    x.address_device = make_address_device();
  x.spawn_driver = [this] {
    container_driver_options driver;
    driver.data_directory = data.path();
    driver.records = records;
    driver.drivers = drivers.drivers;
    driver.host_paths = own().host_paths;
    driver.bridge = bridge;
    driver.engine_helper = options.engine_helper;
    driver.images = [this] { return inside.local("images"); };
    return spawn_container_driver(system, driver);
  };
  x.spawn_log = [this](log_hooks hooks) {
    runtime::log_writer_options log;
    log.open = [this] {
      return storage::open_raft_log(data.file("raft.db"), {options.site.name, member_id_of(options.host)});
    };
    log.say_ready = std::move(hooks.say_ready);
    log.on_stalled = std::move(hooks.on_stalled);
    return runtime::spawn_log_writer(system, log);
  };
  x.open_database = [this](const file_trouble& told) {
    const auto path = data.file("site.db");
    return storage::open_or_begin_anew(path, [&] { return open_checked_database(path, owner); }, told);
  };
  x.open_journal = [this](const file_trouble& told) {
    const auto path = data.file("events.db");
    return storage::open_or_begin_anew(path, [&] { return storage::open_event_journal(path, owner, {}); }, told);
  };
  give_images(x);
  x.draw_seed = random_seed;
  x.data_directory = data.path();
  x.own_threads = true;
  x.log = options.log;
  return x;
}

/// What has an image goes to oci here: the first driver for images takes it.
/// What runs images; null: nothing does.
const config::driver_spec* agent::parts::image_driver() const {
  const auto first = std::find_if(drivers.drivers.begin(), drivers.drivers.end(),
                                  [](const auto& x) { return x.kind != config::driver_kind::process; });
  return first == drivers.drivers.end() ? nullptr : &*first;
}

/// What takes the site's address.
std::shared_ptr<net::address_device> agent::parts::make_address_device() const {
  auto device = net::make_address_device(own().interface);
  if (options.address_guard.empty())
    return device;
  return make_guarded_device(std::move(device), own().interface, options.address_guard, [this](const std::string& why) {
    if (options.log)
      options.log(log_level::warning, options.host + ": " + why);
  });
}

host_findings agent::parts::find_abilities() const {
  host_findings found;
  for (const auto& driver : drivers.drivers)
    found.drivers.push_back(driver.kind);
  found.bridge_obstacle = bridge ? missing_for_cni(std::string{default_cni_folder}, options.site.networks.outbound)
                                 : "the site's document has no range of networks for its hosts (`networks`)";
  const auto* images = image_driver();
  if (images == nullptr || images->kind != config::driver_kind::oci)
    return found;
  found.oci_runtime = version_of_runtime(images->runtime);
  found.users_obstacle = storage::idmapping_obstacle(data.path());
  if (const auto why = seccomp_obstacle(); !why.empty())
    found.seccomp_obstacle = "containers of images run here without a filter of system calls: " + why + " and restart the agent";
  return found;
}

/// The host's part of the site's range; nothing is made before somebody needs it.
std::shared_ptr<host_bridge> agent::parts::make_bridge() const {
  const bool runs_images = std::any_of(drivers.drivers.begin(), drivers.drivers.end(),
                                       [](const auto& x) { return x.kind != config::driver_kind::process; });
  const auto range = config::parse_network(options.site.networks.range);
  if (!runs_images || !range)
    return nullptr;
  const auto& hosts = options.site.hosts;
  const auto mine = std::find_if(hosts.begin(), hosts.end(), [&](const auto& x) { return x.id == options.host; });
  return std::make_shared<host_bridge>(
    host_bridge_options{config::network_of_host(*range, static_cast<std::size_t>(mine - hosts.begin())),
                        options.site.networks.outbound, std::filesystem::absolute(data.path()).lexically_normal().string()});
}

void agent::parts::give_images(outer_parts& x) {
  storage::image_store_options store;
  store.owner = owner;
  x.images = std::make_shared<storage::shared_images>(data.file("images"), store);
  x.find_image_name = make_image_name_finder(system);
  x.may_unpack_images = ::geteuid() == 0;
  x.make_image_runner = [this, images = x.images](std::function<caf::actor(const std::string&)> keeper_of,
                                                std::function<config::image_settings()> settings) {
    image_worker_options workers;
    workers.images = images;
    workers.registry = options.registries;
    if (workers.registry.auth_file.empty())
      workers.registry.auth_file = data.file("registry-auth.json");
    workers.keeper_of = std::move(keeper_of);
    workers.bytes_per_second = [settings] { return settings().bandwidth_bytes; };
    workers.uplink_bytes_per_second = [settings] { return settings().uplink_bytes; };
    return make_image_runner(system, std::move(workers));
  };
}

/// What the site's document says of this host, which it has (`checked`).
const config::host_spec& agent::parts::own() const {
  return *std::find_if(options.site.hosts.begin(), options.site.hosts.end(), [&](const auto& x) { return x.id == options.host; });
}

void agent::parts::watch_root() {
  watcher = system.spawn([this](caf::event_based_actor* self) {
    self->monitor(root);
    self->set_down_handler([this, self](const caf::down_msg& down) {
      std::lock_guard<std::mutex> guard{end_mutex};
      root_ended = true;
      root_reason = down.reason;
      end_changed.notify_all();
      self->quit();
    });
    return caf::behavior{[](caf::unit_t) {}};
  });
}

agent::agent(agent_options options) : parts_(std::make_unique<parts>(std::move(options))) {}

agent::~agent() = default;

std::string agent::api_url() const { return parts_->http->url(); }

void agent::wait() {
  std::unique_lock<std::mutex> guard{parts_->end_mutex};
  parts_->end_changed.wait(guard, [this] { return parts_->interrupted || parts_->root_ended; });
}

void agent::interrupt() {
  std::lock_guard<std::mutex> guard{parts_->end_mutex};
  parts_->interrupted = true;
  parts_->end_changed.notify_all();
}

agent_end agent::stop(bool stop_containers) {
  auto& x = *parts_;
  x.http->stop();
  if (const auto driver = x.inside.local("driver"); driver && !stop_containers) {
    caf::scoped_actor self{x.system};
    self->request(driver, 5s, release_containers{"the agent ends"}).receive([](caf::unit_t) {}, [](const caf::error&) {});
  }
  caf::anon_send_exit(x.root, caf::exit_reason::user_shutdown);
  std::unique_lock<std::mutex> guard{x.end_mutex};
  const bool ended = x.end_changed.wait_for(guard, stop_limit, [&x] { return x.root_ended; });
  if (!ended)
    return {true, "the agent's actors did not end in time"};
  if (stop_containers && x.bridge)
    x.bridge->remove();
  const auto kind = runtime::exit_kind_of(x.root_reason);
  const bool failed = kind == runtime::exit_kind::abnormal || kind == runtime::exit_kind::killed;
  return {failed, runtime::reason_text(x.root_reason)};
}

} // namespace prunella::actors
