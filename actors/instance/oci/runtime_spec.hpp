#pragma once

// The `config.json` that runc or crun runs: image configuration + order → OCI runtime specification 1.0.2. Pure.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <boost/json/object.hpp>

#include "actors/instance/driver.hpp"
#include "actors/instance/oci/image_user.hpp"
#include "config/spec.hpp"
#include "storage/images/documents.hpp"
#include "storage/images/idmapped_mount.hpp"

namespace prunella::actors {

/// What a container may do as root of itself: what servers need to drop to their own user, own files and bind low
/// ports. Docker's list without MKNOD, AUDIT_WRITE, NET_RAW, SETFCAP and SYS_CHROOT.
inline const std::vector<std::string> default_capabilities{"CAP_CHOWN",  "CAP_DAC_OVERRIDE", "CAP_FOWNER",
                                                           "CAP_FSETID", "CAP_KILL",         "CAP_NET_BIND_SERVICE",
                                                           "CAP_SETGID", "CAP_SETPCAP",      "CAP_SETUID"};

inline constexpr std::int64_t default_pids = 1024;
inline constexpr std::int64_t shared_memory_bytes = std::int64_t{64} << 20;

struct container_mount {
  std::string source; ///< absolute, on the host; empty: memory
  std::string target; ///< absolute, in the container
  bool read_only = false;
  std::int64_t size_bytes = 0; ///< of memory at most; 0: half of what the machine has

  PRUNELLA_FIELDS(container_mount, source, target, read_only, size_bytes)
};

enum class container_network : std::uint8_t {
  own,    ///< a new, empty one
  joined, ///< that of the instance, at `network_path`
  host,   ///< the host's: no isolation
};

struct runtime_spec_request {
  storage::image_config image;
  /// `command`, `working_directory` and `resources` count; empty: the image's, or no limit.
  config::container_spec container;
  std::map<std::string, std::string> env; ///< complete, as in `container_order`; wins over the image's
  image_user user;
  std::string root; ///< absolute; where the root file system is mounted
  bool read_only_root = false;
  std::string hostname;
  std::string cgroup; ///< as `cgroup_of_container` has it; below the runtime's own cgroup root, v1 and v2
  container_network network = container_network::own;
  std::string network_path; ///< of the namespace, for `joined`
  std::vector<container_mount> mounts;
  /// Whom its users are on the host, in a user namespace of its own; nothing: themselves.
  std::optional<storage::id_range> users;
  std::int64_t pids = default_pids;
  /// The highest limit of open files that this agent may hand on (its own hard limit): without CAP_SYS_RESOURCE it can
  /// only be lowered. 0: not set, inherited.
  std::uint64_t open_files = 0;
  /// Whether the kernel counts swap (memory.memsw.* in v1, memory.swap.* in v2); if so, a memory limit allows none.
  bool swap_is_counted = false;
  boost::json::object seccomp; ///< from `seccomp_section`; empty: none
  bool resets_oom_score = false; ///< conmon and the runtime hand on the agent's, which must not protect the container
};

/// The whole document, but for the limit of the processor, which follows (`limit_processor`): under it the 30 ms of the
/// runtime itself would be stretched to seconds. Always: no new privileges, `default_capabilities` (none at all but the right to have them for a
/// user that is not root), masked and read-only kernel paths, no devices but the runtime's own, namespaces of its own
/// (pid, ipc, uts, mount, cgroup, and network as asked). The container's `command` replaces entrypoint and command of
/// the image. Errors (invalid_request): nothing to run, a working directory or mount that is not absolute, a NUL, a
/// variable without name.
std::variant<boost::json::object, driver_failure> runtime_spec(const runtime_spec_request& request);

} // namespace prunella::actors
