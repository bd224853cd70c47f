#pragma once

// What each command takes, as parsed. The agent's commands are run by functions that the program hands in, so that the
// command line knows their words and not their workings.

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tools/cli/api.hpp"

namespace prunella::tools {

enum class output_format {
  table, ///< cut to the width of the terminal
  wide,  ///< the same, whole
  json,
  yaml
};

struct apply_options {
  connection_options connection;
  std::vector<std::string> files; ///< `-`: standard input
  bool wait = false;              ///< until all of it runs
  std::chrono::milliseconds wait_limit = std::chrono::minutes{1};
};

struct get_options {
  connection_options connection;
  std::string what; ///< what the API lists below /v1: hosts, applications, instances, services, images, events, use/…
  output_format output = output_format::table;
  std::string application; ///< instances of this one only; empty: all
  std::string after;       ///< events behind this id; empty: from the oldest kept
  std::uint32_t limit = 0; ///< at most so many events; 0: as many as the API gives
  bool watch = false;      ///< again and again, until interrupted
};

struct scale_options {
  connection_options connection;
  std::string service; ///< APPLICATION/SERVICE
  std::uint32_t replicas = 0;
};

struct rollback_options {
  connection_options connection;
  std::string application;
};

struct restart_options {
  connection_options connection;
  std::string what; ///< APPLICATION/SERVICE or an instance
};

struct drain_options {
  connection_options connection;
  std::string host;
  bool drained = true; ///< false: it takes instances again
};

struct delete_options {
  connection_options connection;
  std::string application;
};

struct tree_options {
  connection_options connection;
  bool actors = false; ///< the agents' actors instead of what the site runs
};

struct status_options {
  connection_options connection;
  output_format output = output_format::table;
};

/// Of `inspect PATH` and `kill PATH`.
struct path_options {
  connection_options connection;
  std::string path;
};

/// `image import FILE|FOLDER [--name REFERENCE]`
struct image_import_options {
  connection_options connection;
  std::string path;
  std::string name; ///< empty: as the file says
};

/// `logs INSTANCE[/CONTAINER]|APPLICATION[/SERVICE]`
struct logs_options {
  connection_options connection;
  std::string name;
  bool follow = false;       ///< until interrupted
  bool all_replicas = false; ///< else the first of each service
  bool all_hosts = false;    ///< also lines on hosts where the instances were before
  bool timestamps = false;
  std::string since; ///< a duration; empty: from the oldest line kept
  std::string tail;  ///< a number of lines; empty: all
};

/// `exec [-i] [-t] INSTANCE[/CONTAINER] -- COMMAND`, or `run APPLICATION/SERVICE -- COMMAND`
struct exec_options {
  connection_options connection;
  std::string name;
  std::vector<std::string> command;
  bool input = false;    ///< this program's input becomes the command's
  bool terminal = false; ///< it gets one
  bool task = false;     ///< `run`
};

struct validate_options {
  std::vector<std::string> files;
};

struct console_options {
  connection_options connection;
};

/// `site init -f FILE --dir DIR`
struct site_init_options {
  std::string file;
  std::string dir;
};

/// `site up -f FILE`
struct site_up_options {
  std::string file;
  std::string data_dir;
  std::uint16_t api_port = 7070; ///< of the first host; the others count up from it; 0: each takes a free one
  std::vector<std::string> insecure_registries; ///< as in `host_run_options`
};

/// `host run --site FILE --host-id ID --data-dir DIR --api ADDRESS:PORT [--on-exit keep|stop]`
struct host_run_options {
  std::string site_file;
  std::string host_id;
  std::string data_dir;
  std::string api;
  std::string registry_auth;                    ///< file of pull secrets; empty: `registry-auth.json` in the data directory
  std::string registry_certs;                   ///< folder with `ca.crt`; empty: the system's authorities
  std::vector<std::string> insecure_registries; ///< `HOST:PORT`, asked over plain HTTP
  /// What the agent runs ends with it; otherwise it goes on, and the next agent on this data takes it over.
  bool stop_containers = false;
};

/// `host repair --site FILE --host-id ID --data-dir DIR`
struct host_repair_options {
  std::string site_file;
  std::string host_id;
  std::string data_dir;
};

/// What runs the agent's commands; each returns the exit code.
struct agent_commands {
  std::function<int(const site_init_options&)> site_init;
  std::function<int(const site_up_options&)> site_up;
  std::function<int(const host_run_options&)> host_run;
  std::function<int(const host_repair_options&)> host_repair;
};

} // namespace prunella::tools
