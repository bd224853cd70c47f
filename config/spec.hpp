#pragma once

// What a user asks for: the documents of a config file as values. Everything here is plain data; the reader that makes it
// from YAML or JSON, with positions in its errors, is `reader.hpp`; limits across fields are checked by `validate.hpp`.

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/fields.hpp"

namespace prunella::config {

using labels = std::map<std::string, std::string>;

/// The text of each enumerator, in order of its value; the one source for YAML, JSON and messages.
template <class Enum>
struct enum_texts;

/// The text of `value` as it is written in config files and the API.
template <class Enum>
std::string_view to_text(Enum value) {
  return enum_texts<Enum>::value[static_cast<std::size_t>(value)];
}

/// Sets `out` to the enumerator whose text is `text`; false (and no change) if there is none.
template <class Enum>
bool from_text(std::string_view text, Enum& out) {
  const auto& texts = enum_texts<Enum>::value;
  for (std::size_t i = 0; i < texts.size(); ++i)
    if (texts[i] == text) {
      out = static_cast<Enum>(i);
      return true;
    }
  return false;
}

/// When a child that ended is started again (Erlang/OTP, `supervisor:child_spec()`).
enum class restart_type : std::uint8_t {
  permanent, ///< always
  transient, ///< only after an abnormal end
  temporary, ///< never
};

/// Who else is restarted when a child has to be (Erlang/OTP, `supervisor:strategy()`).
enum class restart_strategy : std::uint8_t {
  one_for_one,  ///< only the child itself
  one_for_all,  ///< all children
  rest_for_one, ///< the child and those started after it
};

/// What a host that lost touch with its site does with a service's instances (DESIGN: leases).
enum class cut_off_mode : std::uint8_t {
  keep_running, ///< uptime first: a second copy may run elsewhere meanwhile
  exclusive,    ///< never two copies: stopped when the lease runs out
  stop_after,   ///< stopped after `when_cut_off_spec::after`
};

/// What becomes of an update whose instances do not get ready.
enum class update_failure : std::uint8_t {
  rollback, ///< back to the version before
  pause,    ///< it stays as far as it came, until somebody decides
};

/// How quickly a site suspects a silent host; the figures are in `runtime/liveness.hpp`.
enum class liveness_profile : std::uint8_t { fast, balanced, patient };

/// Whether a host votes in the site's consensus. `automatic`: the first 1, 3 or 5 hosts of the site do.
enum class controller_choice : std::uint8_t { automatic, yes, no };

enum class port_protocol : std::uint8_t { tcp, udp };

/// Where a host answers on a published port.
enum class publish_scope : std::uint8_t {
  all,      ///< on the host's addresses
  loopback, ///< only to who is on the host itself
};

/// What runs containers on a host.
enum class driver_kind : std::uint8_t {
  process, ///< plain processes: what names no image
  oci,     ///< images, by runc or crun under conmon
  engine,  ///< images, by a Docker or Podman that is there already
};

/// What runs a container, where its spec says so.
enum class driver_choice : std::uint8_t {
  automatic, ///< plain processes as such, images by the first of the host's drivers that can
  process,
  oci,
  engine,
};

/// The network that the containers of an instance share.
enum class instance_network : std::uint8_t {
  host,   ///< the host's own: its ports are the instance's
  none,   ///< only a loopback interface
  bridge, ///< a network behind the host: an own address, and the names of the site's services
};

/// What a container finds at a volume's target.
enum class volume_kind : std::uint8_t {
  ephemeral,  ///< empty at each start; with a size it lies in memory, else on the host's disk
  persistent, ///< kept on the host for the instance, through every restart and new version
  host_path,  ///< a folder or file of the host, which its `host-paths` must allow
  tmpfs,      ///< empty at each start, in memory
};

template <>
struct enum_texts<restart_type> {
  static constexpr std::array<std::string_view, 3> value{"permanent", "transient", "temporary"};
};
template <>
struct enum_texts<restart_strategy> {
  static constexpr std::array<std::string_view, 3> value{"one_for_one", "one_for_all", "rest_for_one"};
};
template <>
struct enum_texts<cut_off_mode> {
  static constexpr std::array<std::string_view, 3> value{"keep-running", "exclusive", "stop-after"};
};
template <>
struct enum_texts<update_failure> {
  static constexpr std::array<std::string_view, 2> value{"rollback", "pause"};
};
template <>
struct enum_texts<liveness_profile> {
  static constexpr std::array<std::string_view, 3> value{"fast", "balanced", "patient"};
};
template <>
struct enum_texts<controller_choice> {
  static constexpr std::array<std::string_view, 3> value{"auto", "yes", "no"};
};
template <>
struct enum_texts<port_protocol> {
  static constexpr std::array<std::string_view, 2> value{"tcp", "udp"};
};
template <>
struct enum_texts<publish_scope> {
  static constexpr std::array<std::string_view, 2> value{"all", "loopback"};
};

template <>
struct enum_texts<driver_kind> {
  static constexpr std::array<std::string_view, 3> value{"process", "oci", "engine"};
};
template <>
struct enum_texts<driver_choice> {
  static constexpr std::array<std::string_view, 4> value{"automatic", "process", "oci", "engine"};
};
template <>
struct enum_texts<instance_network> {
  static constexpr std::array<std::string_view, 3> value{"host", "none", "bridge"};
};
template <>
struct enum_texts<volume_kind> {
  static constexpr std::array<std::string_view, 4> value{"ephemeral", "persistent", "host-path", "tmpfs"};
};

/// An amount of what a host has and a container reserves. Zero means: none asked for.
struct resources {
  std::int64_t cpu_millis = 0;   ///< thousandths of a core; written `500m` or `0.5`
  std::int64_t memory_bytes = 0; ///< written `64Mi`, `1Gi`, `500M` or plain bytes

  PRUNELLA_FIELDS(resources, cpu_millis, memory_bytes)
};

/// A driver that a host offers. Written as its kind alone, or as a map with options.
struct driver_spec {
  driver_kind kind = driver_kind::process;
  std::string runtime;  ///< of `oci`: path of the OCI runtime; empty: runc, else crun, wherever the system has it
  std::string socket{}; ///< of `engine`: path of the engine's unix socket; empty: where Docker, else Podman has it

  PRUNELLA_FIELDS(driver_spec, kind, runtime, socket)
};

/// One machine of a site.
struct host_spec {
  std::string id;      ///< unique in the site; also the name in the host's certificate
  std::string address; ///< `ADDRESS:PORT` where its links listen; IPv6 as `[::1]:7001`
  config::labels labels;
  resources capacity; ///< what placement may hand out; both > 0
  controller_choice controller = controller_choice::automatic;
  /// `ADDRESS:PORT` where its front door takes what the doors of other hosts pass on; empty: the address of its links,
  /// with a free port that it tells the others.
  std::string door{};
  std::vector<driver_spec> drivers{};    ///< each kind once; none: process, and oci where its programs are
  std::vector<std::string> host_paths{}; ///< below these a container may be given the host's files; none: nowhere
  /// The network device that takes the site's `address` while this host holds it, such as `eth0`; empty: it never does.
  std::string interface{};

  PRUNELLA_FIELDS(host_spec, id, address, labels, capacity, controller, door, drivers, host_paths, interface)
};

/// How the hosts of a site share the images that its applications need.
struct image_settings {
  std::uint32_t copies = 2;         ///< hosts that have each image, if there are so many
  std::int64_t bandwidth_bytes = 0; ///< per second, of what a host copies from others; 0: no bound; written `bandwidth: 5M`

  std::int64_t uplink_bytes = 0;    ///< per second, of what a host pulls from registries; 0: no bound; `uplink-bandwidth: 1M`

  PRUNELLA_FIELDS(image_settings, copies, bandwidth_bytes, uplink_bytes)
};

/// The networks behind the hosts of a site, for instances with `network: bridge`.
struct network_settings {
  std::string range = "10.84.0.0/16"; ///< IPv4; each host takes its 64th part (`networks.hpp`)
  bool outbound = true;               ///< instances reach what the host reaches, by its address; false: only their host's network

  PRUNELLA_FIELDS(network_settings, range, outbound)
};

/// `kind: site`.
struct site_spec {
  std::string name;
  config::labels labels;
  liveness_profile liveness = liveness_profile::balanced;
  std::vector<host_spec> hosts; ///< 1 … 64
  image_settings images{};
  network_settings networks{};
  /// `ADDRESS/LENGTH` that one of the hosts with an `interface` holds, so that clients outside need to know only one;
  /// empty: there is none.
  std::string address{};

  PRUNELLA_FIELDS(site_spec, name, labels, liveness, hosts, images, networks, address)
};

/// A port that a container listens on. Reserved on the host the instance is placed on.
struct port_spec {
  std::string name; ///< reaches the container as `PRUNELLA_PORT_<NAME>`
  std::uint16_t port = 0;
  port_protocol protocol = port_protocol::tcp;
  /// On which every host of the site answers and passes on to a ready instance of the service; 0: not published. Such a
  /// port belongs to one application, and no container may listen on it.
  std::uint16_t publish = 0;
  publish_scope publish_on = publish_scope::all;

  PRUNELLA_FIELDS(port_spec, name, port, protocol, publish, publish_on)
};

/// How often and how fast something that failed is started again.
/// More than `intensity` restarts within `period` and the level above decides (Erlang/OTP, restart intensity).
struct restart_spec {
  restart_type type = restart_type::permanent;
  std::uint32_t intensity = 5;
  std::chrono::milliseconds period{60'000};
  std::chrono::milliseconds backoff_initial{100}; ///< before the second restart in a row; the first is immediate
  std::chrono::milliseconds backoff_max{10'000};  ///< doubling stops here

  PRUNELLA_FIELDS(restart_spec, type, intensity, period, backoff_initial, backoff_max)
};

/// A file that a container finds, with the text that the spec holds.
struct file_spec {
  std::string path;          ///< absolute, in the container
  std::string content;       ///< variables in it are replaced (`variables.hpp`)
  std::string mode = "0644"; ///< octal; it belongs to the container's user

  PRUNELLA_FIELDS(file_spec, path, content, mode)
};

struct volume_spec {
  std::string target; ///< absolute, in the container
  volume_kind kind = volume_kind::ephemeral;
  std::string name;            ///< of `persistent`: containers of one instance share what they name alike
  std::string path;            ///< of `host-path`: absolute, on the host
  std::int64_t size_bytes = 0; ///< of `ephemeral` and `tmpfs`: at most, 0: no limit of its own; written `size: 64Mi`
  bool read_only = false;
  bool movable = false; ///< of `persistent`: its instance may go to another host, and begins there with an empty one

  PRUNELLA_FIELDS(volume_spec, target, kind, name, path, size_bytes, read_only, movable)
};

/// GET of `path` on a port of the container; good: a status from `expect_min` to `expect_max`.
struct http_probe_spec {
  std::uint16_t port = 0; ///< 0: none
  std::string path = "/";
  std::string host; ///< header `Host`; empty: the address that is asked
  std::map<std::string, std::string> headers;
  std::uint16_t expect_min = 200; ///< both written `expect: 200-399` or `expect: 204`
  std::uint16_t expect_max = 399;

  PRUNELLA_FIELDS(http_probe_spec, port, path, host, headers, expect_min, expect_max)
};

/// Good: the connection is taken.
struct tcp_probe_spec {
  std::uint16_t port = 0; ///< 0: none

  PRUNELLA_FIELDS(tcp_probe_spec, port)
};

/// How a container is asked whether it is well; with none of the three it is not.
struct probe_spec {
  http_probe_spec http;
  tcp_probe_spec tcp;
  std::vector<std::string> command; ///< argv, run in the container; good: exit code 0
  std::chrono::milliseconds period{10'000};
  std::chrono::milliseconds timeout{1'000};
  std::uint32_t failures = 3;                ///< in a row, until it counts as failed
  std::uint32_t successes = 1;               ///< in a row, until it counts as good again
  std::chrono::milliseconds start_delay{0};  ///< from the start of the container to the first one
  std::chrono::milliseconds max_latency{0};  ///< a good answer that comes later counts as a bad one; 0: it does not

  bool is_set() const { return http.port != 0 || tcp.port != 0 || !command.empty(); }

  PRUNELLA_FIELDS(probe_spec, http, tcp, command, period, timeout, failures, successes, start_delay, max_latency)
};

struct probes_spec {
  probe_spec startup;   ///< until it is good the others wait; what fails for good is ended
  probe_spec liveness;  ///< what fails is ended, and started again as the service says
  probe_spec readiness; ///< what fails gets no traffic

  PRUNELLA_FIELDS(probes_spec, startup, liveness, readiness)
};

/// How much a host keeps of what a container prints.
struct log_spec {
  std::int64_t max_size_bytes = 10 * 1024 * 1024; ///< written `max-size: 10Mi`; the older half goes first
  std::chrono::milliseconds max_age{0};           ///< older lines go too; 0: only the size counts

  PRUNELLA_FIELDS(log_spec, max_size_bytes, max_age)
};

/// One container of an instance: of an image, or without one a process group of the host. What a process group cannot
/// have (user, read-only-root, pids, files, volumes) needs an image.
struct container_spec {
  std::string name;
  std::vector<std::string> command; ///< argv; `command[0]` is looked up in PATH; empty: the image's entrypoint and command
  std::vector<std::string> arguments; ///< behind `command`, or behind the image's entrypoint in place of its command
  std::map<std::string, std::string> env; ///< added to the variables the agent sets (`PRUNELLA_*`)
  std::string working_directory;          ///< empty: the image's, or the container's own folder in the data directory
  config::resources resources;            ///< reserved on the host
  std::vector<port_spec> ports;
  std::chrono::milliseconds grace{10'000}; ///< between the stop signal and SIGKILL
  std::string image;        ///< `registry.example/shop/web:1.2`, best with `@sha256:…`; empty: a process of the host
  std::string user;         ///< `name`, `uid`, `name:group`, `uid:gid`; empty: the image's
  bool read_only_root = false;
  std::uint32_t pids = 0; ///< processes and threads at most; 0: 1024
  std::vector<file_spec> files;
  std::vector<volume_spec> volumes;
  std::string stop_signal; ///< `SIGINT`, `INT` or `2`; empty: the image's, or SIGTERM
  probes_spec probes;
  std::int64_t disk_bytes = 0; ///< that it may fill on the host: its root, ephemeral volumes on disk, logs; 0: no limit
  log_spec logs;
  bool user_namespace = false; ///< its root is nobody on the host
  driver_choice driver = driver_choice::automatic;

  PRUNELLA_FIELDS(container_spec, name, command, arguments, env, working_directory, resources, ports, grace, image, user,
                  read_only_root, pids, files, volumes, stop_signal, probes, disk_bytes, logs, user_namespace, driver)
};

/// Which hosts may hold an instance, and which are better.
struct placement_spec {
  std::string match_host_labels;          ///< label expression (`label_expression.hpp`); empty: every host
  std::string spread_by;                  ///< host label over whose values replicas spread; empty: over hosts
  std::vector<std::string> anti_affinity; ///< services of this application never on the same host; may name itself

  PRUNELLA_FIELDS(placement_spec, match_host_labels, spread_by, anti_affinity)
};

struct when_cut_off_spec {
  cut_off_mode mode = cut_off_mode::keep_running;
  std::chrono::milliseconds after{0}; ///< only with `stop_after`, then > 0

  PRUNELLA_FIELDS(when_cut_off_spec, mode, after)
};

/// How the instances of a service come to a changed spec that they have to be restarted for.
struct update_spec {
  std::uint32_t parallel = 1;                    ///< instances that may be away for it at a time, 1 … 1000
  std::chrono::milliseconds healthy_time{5'000}; ///< an instance has to be ready so long before the next one is updated
  std::chrono::milliseconds deadline{300'000};   ///< an updated instance that is not ready after it has failed
  update_failure on_failure = update_failure::rollback; ///< where the version before is known to run; else pause

  PRUNELLA_FIELDS(update_spec, parallel, healthy_time, deadline, on_failure)
};

/// A part of an application: `replicas` copies of a group of containers.
struct service_spec {
  std::string name;
  std::uint32_t replicas = 1; ///< 0 … 1000
  placement_spec placement;
  restart_strategy strategy = restart_strategy::one_for_one; ///< over the containers of an instance
  restart_spec restart;                                      ///< of each container
  when_cut_off_spec when_cut_off;
  std::vector<container_spec> containers; ///< 1 … 16, started in this order
  /// 0 … 16, run one after the other to exit code 0 before the first of `containers` is started.
  std::vector<container_spec> init_containers;
  instance_network network = instance_network::host; ///< of all of them
  update_spec update;
  /// Before an instance is stopped it takes no new connections of the front door, and those that are open may end, at most
  /// so long; 0: they are cut off.
  std::chrono::milliseconds drain{5'000};

  PRUNELLA_FIELDS(service_spec, name, replicas, placement, strategy, restart, when_cut_off, containers, init_containers,
                  network, update, drain)
};

/// `kind: application`.
struct application_spec {
  std::string tenant = "default";
  std::string name;
  std::string version;
  config::labels labels;
  restart_strategy strategy = restart_strategy::one_for_one; ///< over the instances on one host
  std::uint32_t intensity = 3;                               ///< fresh restarts of instances per `period` on one host …
  std::chrono::milliseconds period{60'000};                  ///< … before the site tries another host
  std::vector<service_spec> services;                        ///< 1 … 64

  PRUNELLA_FIELDS(application_spec, tenant, name, version, labels, strategy, intensity, period, services)
};

} // namespace prunella::config
