#include "actors/host/link_watch.hpp"

#include <map>

#include <caf/event_based_actor.hpp>
#include <caf/local_actor.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/site/membership.hpp"
#include "net/links.hpp"
#include "runtime/consensus/consensus_actor.hpp"
#include "runtime/supervised_actor.hpp"

namespace prunella::actors {

namespace {

using namespace std::chrono_literals;

constexpr auto look_again_after = 50ms;

struct look_for_links {
  std::uint8_t unused = 0;

  PRUNELLA_FIELDS(look_for_links, unused)
};

struct link_watch_state;
using link_watch_self = caf::stateful_actor<link_watch_state, runtime::supervised_actor>;

struct link_watch_state {
  static inline const char* name = "link-watch";

  explicit link_watch_state(link_watch_self* self) : self_(self) {}

  caf::behavior start(link_watch_options options) {
    options_ = std::move(options);
    // With the links gone, so is the subscription.
    self_->set_down_handler([this](const caf::down_msg&) { subscribe(); });
    subscribe();
    return {
      [this](const net::link_up& up) {
        if (const auto it = problems_.find(up.host); it != problems_.end()) {
          problems_.erase(it);
          record(up.host, "failing", "up", "");
        }
      },
      [this](const net::link_problem& problem) {
        if (problems_[problem.host] == problem.reason)
          return; // told by an earlier life of the links
        problems_[problem.host] = problem.reason;
        record(problem.host, "", "failing", problem.reason);
      },
      [this](const net::link_down& down) {
        if (const auto target = options_.consensus())
          self_->send(target, runtime::peer_lost{member_id_of(down.host)});
      },
      [this](const look_for_links&) { subscribe(); },
    };
  }

private:
  void record(const std::string& host, const char* from, const char* to, const std::string& reason) const {
    options_.record({"", 0, 0, "link/" + host, from, to, reason, ""});
  }

  /// The links may be restarting at this moment; they hang under another supervisor.
  void subscribe() {
    const auto links = options_.links();
    if (!links)
      return self_->delayed_send(self_, look_again_after, look_for_links{});
    self_->monitor(links);
    self_->send(links, net::subscribe_links{caf::actor_cast<caf::actor>(self_)});
  }

  link_watch_self* self_;
  link_watch_options options_;
  std::map<std::string, std::string> problems_; ///< by host, as last told; bounded by the members
};

} // namespace

caf::actor spawn_link_watch(caf::local_actor* parent, link_watch_options options) {
  return parent->spawn([](link_watch_self* self, link_watch_options x) { return self->state.start(std::move(x)); },
                       std::move(options));
}

} // namespace prunella::actors
