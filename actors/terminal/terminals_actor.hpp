#pragma once

// Commands that somebody sits at, in the containers of a host; and the API's `/v1/sessions` for those of the whole site: the
// host that is asked passes a client's reads and writes on to the host that has the container. All that a session is lives
// there; it ends when its client reads no more.
// Restart type: permanent. A crash ends all sessions.

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include "actors/site/state_cell.hpp"
#include "actors/terminal/terminal_messages.hpp"

namespace prunella::actors {

struct terminals_options {
  std::string host;
  std::string address; ///< of the host, without a port
  std::shared_ptr<state_cell> state;
  /// The actor `name` on `host`; an invalid handle if it is local and not running. "driver" is asked here only.
  std::function<caf::actor(const std::string& host, const std::string& name)> actor_on;
  std::function<caf::actor()> site; ///< of the leader; an invalid handle if none is known
  std::function<std::string()> draw_session; ///< a name that nobody guesses, of at least 12 letters and digits
  std::function<std::string(const std::string& container)> log_path; ///< on this host
  std::size_t max_sessions = 16;             ///< more → too_many
  std::chrono::milliseconds client_patience{10'000}; ///< a session that was not read for that long is ended
  std::chrono::milliseconds tick{100};
  std::chrono::milliseconds plan_timeout{5'000};
  std::chrono::milliseconds host_timeout{3'000}; ///< for an answer of another host, beyond what it was told to wait
};

/// Understands the messages of `terminal_messages.hpp`, and `api_call` of `/v1/sessions`.
caf::actor spawn_terminals(caf::local_actor* parent, terminals_options options);

} // namespace prunella::actors
