#pragma once

// The agent of one host: everything that `prunella host run` runs. Gives the composition (`composition.hpp`, with the tree)
// its outer parts, links over TLS, processes and files, and decides which actors get threads of their own.

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "actors/host/image_worker.hpp"
#include "actors/host/log_sink.hpp"
#include "config/spec.hpp"

namespace prunella::actors {

struct agent_options {
  config::site_spec site;
  std::string host;     ///< one of the site's
  std::string data_dir; ///< of this host
  std::string identity_dir;
  std::string api = "127.0.0.1:7070"; ///< loopback only
  std::string api_token{};            ///< who uses the API must show it, but for `/healthz` and `/readyz`; empty: nobody must
  std::string version;
  registry_options registries; ///< an `auth_file` that is not given is `DATA_DIR/registry-auth.json`, if that is there
  std::vector<std::string> engine_helper{}; ///< program and arguments that run a command in a container of an engine
  std::vector<std::string> address_guard{}; ///< program and arguments of the guard of the site's address; empty: it has none
  log_sink log;
};

/// How an agent ended.
struct agent_end {
  bool failed = false;
  std::string reason;
};

/// The disk of the data directory is full, so nothing was started. Nothing is wrong: with room it can be.
class no_room : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

class agent {
public:
  /// Opens the data directory and starts everything. Throws std::runtime_error with a sentence and a next step: foreign or
  /// locked data, missing identity, port in use; `no_room`.
  explicit agent(agent_options options);
  ~agent();

  agent(const agent&) = delete;
  agent& operator=(const agent&) = delete;

  /// Where the API listens: http://127.0.0.1:7070
  std::string api_url() const;

  /// Blocks until the agent's tree gave up, or `interrupt` was called.
  void wait();

  /// Makes `wait` return. Any thread.
  void interrupt();

  /// Ends the agent. `stop_containers`: and what it runs, each with its own grace; otherwise the containers stay and the
  /// next agent on this data adopts them.
  agent_end stop(bool stop_containers);

private:
  struct parts;
  std::unique_ptr<parts> parts_;
};

} // namespace prunella::actors
