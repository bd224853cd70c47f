#pragma once

// Hands the leader's `ready_table` out to the hosts that wait for a change of it (`watch_ready`). A part of the site actor,
// which forwards to it; it answers through that actor and keeps time by its clock.

#include <cstdint>
#include <map>
#include <string>

#include <caf/fwd.hpp>
#include <caf/response_promise.hpp>
#include <caf/result.hpp>
#include <caf/typed_response_promise.hpp>

#include "actors/messages.hpp"
#include "actors/site/ready_board.hpp"

namespace prunella::actors {

/// Timers of the site actor.
struct refresh_ready {
  std::uint8_t unused = 0;

  PRUNELLA_FIELDS(refresh_ready, unused)
};
struct end_ready_watch {
  std::string host;
  std::uint64_t ticket = 0;

  PRUNELLA_FIELDS(end_ready_watch, host, ticket)
};

class ready_watch {
public:
  ready_watch(caf::event_based_actor* self, std::uint64_t term) : self_(self), board_(term) {}
  ~ready_watch();

  /// From now on there is a table; until then who asks waits.
  void start();

  caf::result<ready_table> on_watch(const watch_ready& x);

  /// Something that the table is made of may have changed: a `refresh_ready` comes a moment later, one for many changes.
  void on_change();
  void on_refresh(const site_state& state, const observations& seen);
  void on_end(const end_ready_watch& x);

private:
  struct waiter {
    caf::typed_response_promise<ready_table> promise;
    std::uint64_t ticket = 0;
  };

  caf::event_based_actor* self_;
  ready_board board_;
  std::map<std::string, waiter> waiters_; ///< bounded: hosts of the site
  std::uint64_t last_ticket_ = 0;
  bool has_started_ = false;
  bool is_refresh_due_ = false;
};

} // namespace prunella::actors
