#pragma once

// The Docker Engine API from 1.40 on as Docker (19.03 and later) and Podman (4 and later) speak it: request bodies and
// answers as values. Pure. https://docs.docker.com/reference/api/engine/version/v1.41/

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "actors/instance/driver.hpp"
#include "actors/instance/oci/runtime_spec.hpp"
#include "actors/instance/process.hpp"
#include "config/fields.hpp"
#include "storage/container_records.hpp"

namespace prunella::actors {

/// The version of the API that is spoken, or the nearest that the engine has, but none before `least_engine_api`.
inline constexpr std::string_view best_engine_api = "1.41";
inline constexpr std::string_view least_engine_api = "1.40";

struct engine_version {
  std::string name;        ///< `Docker 24.0.7`, `Podman 4.3.1`: for people
  std::string api;         ///< the version to speak: `1.41`
  bool is_podman = false;  ///< it takes network namespaces and writes logs where it is told

  PRUNELLA_FIELDS(engine_version, name, api, is_podman)
};

/// What `GET /version` says. Failure: runtime_failed for what is no such answer, no_driver for a version that is too old.
std::variant<engine_version, driver_failure> parse_engine_version(std::string_view body);

/// What the engine says is wrong, out of the body of an answer that is not 2xx.
std::string engine_message(std::string_view body);

// -- images --------------------------------------------------------------------------------------------------------------

/// Under which name the image with this manifest (`sha256:…`) is known to engines: it says which bytes it is, and no name
/// that people use is touched.
std::string engine_image_name(const std::string& manifest);
inline constexpr std::string_view engine_image_repository = "localhost/prunella";

struct engine_image {
  std::string id;
  std::vector<std::string> diff_ids; ///< of its layers, lowest first

  PRUNELLA_FIELDS(engine_image, id, diff_ids)
};
std::optional<engine_image> parse_engine_image(std::string_view body);

/// The names in `localhost/prunella` that `GET /images/json` lists.
std::vector<std::string> parse_engine_images(std::string_view body);

/// Refuses what `POST /images/load` answered, if it says so in its stream: the sentence is the engine's.
std::optional<std::string> load_problem(std::string_view body);

/// The head of a file in a tar archive (POSIX ustar; sizes of 8 GiB and more in base 256, as GNU tar has them). `name` has at
/// most 99 bytes.
std::string tar_header(const std::string& name, std::uint64_t size);

/// `manifest.json` of an archive as `docker save` writes it: the configuration is the file `config.json`, the layers are
/// `layer-0`, `layer-1` …, lowest first.
std::string archive_manifest(const std::string& image_name, std::size_t layers);

// -- containers ----------------------------------------------------------------------------------------------------------

/// Marks of our containers at the engine.
inline constexpr std::string_view label_agent = "prunella.agent"; ///< whose they are: the agent's data directory

struct engine_create_request {
  container_order order;
  std::string image;                   ///< name or id at the engine
  std::string image_stop_signal;       ///< of its configuration
  std::string agent;                   ///< for `label_agent`
  std::string hostname;
  std::string network_mode;            ///< `host`, `none`, `ns:/path`
  std::vector<container_mount> mounts; ///< files, folders, memory
  bool is_root = true;                 ///< the container's user has the number 0
  std::string log_path;                ///< Podman writes there; empty: the engine keeps it, bounded by `log_cap_bytes`
  std::int64_t log_cap_bytes = 0;
  std::uint64_t open_files = 0;        ///< as in `runtime_spec_request`
  std::uint64_t processes = 0;         ///< as `open_files`, of the container's user; left out, Podman asks for more than it may have
  bool swap_is_counted = false;
};

/// Body of `POST /containers/create`. Always: no new privileges, `default_capabilities` (none for a user that is not root), no
/// restarts by the engine, the engine's own seccomp profile and masked paths, memory without swap where it is counted.
std::string create_body(const engine_create_request& request);

struct engine_container {
  std::string id;
  bool is_running = false; ///< also while it is paused
  std::int64_t pid = 0;    ///< of its main process on the host; 0: it does not run
  std::int32_t exit_code = 0;
  bool out_of_memory = false;
  bool was_started = false;
  std::int64_t started_at_ms = 0; ///< 0: not known
  std::int64_t memory_limit_bytes = 0;
  std::int64_t monitor_pid = 0;   ///< of its conmon; only in Podman's own dialect
  std::map<std::string, std::string> labels;

  PRUNELLA_FIELDS(engine_container, id, is_running, pid, exit_code, out_of_memory, was_started, started_at_ms,
                  memory_limit_bytes, monitor_pid, labels)
};

/// What `GET /containers/ID/json` says (of Podman also `/libpod/…`).
std::optional<engine_container> parse_engine_container(std::string_view body);

/// As `collect` tells it: 128 + N is how a shell says signal N.
process_end end_of(const engine_container& container);

struct engine_listed {
  std::string id;
  std::map<std::string, std::string> labels;

  PRUNELLA_FIELDS(engine_listed, id, labels)
};
std::optional<std::vector<engine_listed>> parse_engine_list(std::string_view body);
/// Target of the request for all containers, running or not, of `agent`.
std::string list_target(const std::string& agent);

/// The record of a container, as far as its labels say it. Nothing: they are not complete.
std::optional<storage::container_record> record_of(const std::map<std::string, std::string>& labels);

/// Id in the answer of `POST /containers/create` and `POST /containers/ID/exec`.
std::string parse_engine_id(std::string_view body);

// -- commands in containers ----------------------------------------------------------------------------------------------

std::string exec_body(const std::vector<std::string>& command, bool has_input, bool has_terminal);

struct engine_command {
  bool is_running = false;
  bool has_ended = false; ///< Docker answers before it has begun one: then it is neither
  std::int64_t pid = 0;
  std::int32_t exit_code = 0;

  PRUNELLA_FIELDS(engine_command, is_running, has_ended, pid, exit_code)
};
std::optional<engine_command> parse_engine_command(std::string_view body);

/// Percent-encodes all but letters, digits and `-._~`.
std::string percent_encoded(std::string_view text);

} // namespace prunella::actors
