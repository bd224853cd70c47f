#pragma once

// Questions that every host answers for itself: its events, doors, use, actors. The answers become one; hosts that gave
// none are named in the header `Prunella-Unreachable`. Part of the API actor.

#include <string>

#include <caf/fwd.hpp>

#include "actors/api/api_actor.hpp"
#include "actors/api/api_call.hpp"

namespace prunella::actors {

class every_host {
public:
  /// Both outlive it.
  every_host(caf::event_based_actor* self, const api_options& options) : self_(self), options_(options) {}

  void answer_events(const api_call& call);
  void answer_services(const net::http_responder& respond);
  void answer_use(const api_call& call);
  void answer_actors(const net::http_responder& respond);

private:
  /// Sends `request` to actor `name` of every host and calls `done(rows, unreachable)` when each has answered or failed.
  template <class Row, class Answer, class Request, class Take, class Done>
  void gather(const std::string& actor_name, const Request& request, Take take, Done done);

  caf::event_based_actor* self_;
  const api_options& options_;
};

} // namespace prunella::actors
