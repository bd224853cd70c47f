#include "actors/host/link_watch.hpp"

#include <caf/event_based_actor.hpp>
#include <caf/local_actor.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/site/membership.hpp"
#include "net/links.hpp"
#include "runtime/consensus/consensus_actor.hpp"
#include "runtime/supervised_actor.hpp"

namespace prunella::actors {

namespace {

struct link_watch_state {
  static inline const char* name = "link-watch";
};

using link_watch_self = caf::stateful_actor<link_watch_state, runtime::supervised_actor>;

} // namespace

caf::actor spawn_link_watch(caf::local_actor* parent, link_watch_options options) {
  return parent->spawn(
    [](link_watch_self* self, link_watch_options x) -> caf::behavior {
      // With the links gone, so is the subscription: the supervisor starts this actor again.
      self->monitor(x.links);
      self->set_down_handler([self](const caf::down_msg& down) { self->quit(down.reason); });
      self->send(x.links, net::subscribe_links{caf::actor_cast<caf::actor>(self)});
      return {
        [](const net::link_up&) {},
        [self, consensus = x.consensus](const net::link_down& down) {
          if (const auto target = consensus())
            self->send(target, runtime::peer_lost{member_id_of(down.host)});
        },
      };
    },
    std::move(options));
}

} // namespace prunella::actors
