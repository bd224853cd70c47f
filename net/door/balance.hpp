#pragma once

// Which instance a new connection goes to, and what to do when it cannot be reached. Values without sockets or clock.

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "config/fields.hpp"

namespace prunella::net {

using door_time = std::chrono::steady_clock::time_point;

/// An instance in one generation: what a name stands for after it moved is another backend.
using backend_key = std::pair<std::string, std::uint64_t>;

struct door_backend {
  std::string instance;
  std::uint64_t generation = 0;
  std::string host; ///< id of the host where it runs
  /// Numeric ADDRESS:PORT where it may listen: each is tried while the one before refuses. None: it is not on this host.
  std::vector<std::string> addresses;

  bool is_local() const { return !addresses.empty(); }
  backend_key key() const { return {instance, generation}; }

  PRUNELLA_FIELDS(door_backend, instance, generation, host, addresses)
};

struct balance_options {
  /// Local first: an instance of this host is taken until it has so many more connections than the least used other one.
  std::uint32_t local_lead = 16;
  /// Nobody is sent to an instance that could not be reached for so long; doubles with each failure in a row.
  std::chrono::milliseconds suspicion{100};
  std::chrono::milliseconds suspicion_max{5'000};
  /// Others are preferred to an instance that broke a connection for so long: on a busy machine it may take some time to die, and
  /// the kernel takes connections for it meanwhile.
  std::chrono::milliseconds doubt{500};
};

struct backend_use {
  door_backend backend;
  std::uint32_t open = 0;
  bool is_ready = false; ///< false: it was taken out of service, and only keeps what is open
};

/// Whether a port that has `own` of the door's `all` connections may have one more: each may have some, and beyond that as
/// many as it leaves free for the others, so no service's clients can take the door from the rest.
constexpr bool may_take_one_more(std::size_t own, std::size_t all, std::size_t most) {
  constexpr std::size_t some = 64;
  return all < most && (own < some || own < most - all);
}

/// The backends of one published port.
class balancer {
public:
  explicit balancer(balance_options options = {}) : options_(options) {}

  /// `ready` take new connections from now on, others do not. Who is ready again is no longer suspected.
  void set(const std::vector<door_backend>& ready);

  /// The ready backend with the fewest connections, apart from those suspected; of equals the one that was chosen longest
  /// ago. It has one connection more until `failed` or `closed`. Null: there is none now.
  const door_backend* choose(door_time now);

  /// What `choose` gave was reached, could not be reached, ended.
  void connected(const backend_key& key);
  void failed(const backend_key& key, door_time now);
  void closed(const backend_key& key);
  /// It ended before the backend said anything: that may be dying, or may not like what this client said. So others are
  /// preferred for a while (`doubt`), and it goes on to be used where there is no other.
  void broke(const backend_key& key, door_time now);

  /// When the first suspicion ends after `now`; max() if nobody is suspected.
  door_time next_chance(door_time now) const;

  bool is_ready(const backend_key& key) const;
  std::vector<backend_use> uses() const;

private:
  struct entry {
    door_backend backend;
    bool is_ready = false;
    bool is_probed = false; ///< one connection finds out whether a suspected one is back
    std::uint32_t open = 0;
    std::uint32_t failures = 0; ///< in a row
    door_time suspected_until{};
    door_time doubted_until{};
    std::uint64_t chosen_at = 0;
  };

  /// Less is better.
  std::tuple<bool, std::int64_t, std::uint64_t> rank(const entry& x, door_time now) const;
  void let_go(std::map<backend_key, entry>::iterator it);

  balance_options options_;
  std::map<backend_key, entry> entries_;
  std::uint64_t choices_ = 0;
};

struct attempt_options {
  std::chrono::milliseconds connect_timeout{1'000}; ///< for one backend
  std::chrono::milliseconds patience{5'000};        ///< for the whole of it: a client waits while its service is started again
  std::chrono::milliseconds pause{50};              ///< between two looks when there is no backend
};

/// The way of one new connection to a backend: one after the other of those not suspected, until one is reached or patience
/// ends.
class connect_attempt {
public:
  connect_attempt(const attempt_options& options, door_time now) : options_(options), deadline_(now + options.patience) {}

  enum class move : std::uint8_t { connect, wait, give_up };
  struct step {
    move what = move::give_up;
    door_backend backend; ///< to connect to
    door_time until;      ///< connect: give it up then; wait: look again then, or when the backends change
  };

  step next(balancer& backends, door_time now);

  /// The backend of the last step was not reached.
  void failed(balancer& backends, door_time now);
  void connected(balancer& backends);

private:
  attempt_options options_;
  door_time deadline_;
  backend_key last_;
};

} // namespace prunella::net
