#include "actors/site/leadership_actor.hpp"

#include <caf/actor_addr.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/local_actor.hpp>
#include <caf/stateful_actor.hpp>

#include "runtime/consensus/consensus_actor.hpp"
#include "runtime/exit_reason.hpp"
#include "runtime/supervised_actor.hpp"

namespace prunella::actors {

namespace {

using namespace std::chrono_literals;

constexpr auto child_timeout = 30s;
constexpr auto retry_after = 200ms;

struct step_again {
  std::uint64_t epoch = 0;

  PRUNELLA_FIELDS(step_again, epoch)
};

struct leadership_state;
using leadership_self = caf::stateful_actor<leadership_state, runtime::supervised_actor>;

struct leadership_state {
  static inline const char* name = "leadership";

  explicit leadership_state(leadership_self* self) : self_(self) {}

  caf::behavior start(leadership_actor_options options) {
    options_ = std::move(options);
    self_->send(options_.consensus(), runtime::subscribe_consensus{true, true});
    self_->set_down_handler([this](const caf::down_msg& down) { on_supervisor_down(down); });
    // A site actor of a life before this one decides for a term that may be over.
    stop_site();
    return {
      [this](const runtime::leadership_changed& x) { on_changed(x); },
      [this](const runtime::log_applied& x) { on_applied(x); },
      [this](const step_again& x) {
        if (x.epoch == epoch_ && !busy_)
          stop_site();
      },
    };
  }

private:
  void on_changed(const runtime::leadership_changed& x) {
    const auto before = options_.cell->get();
    if (!before.leader.empty())
      former_ = before.leader;
    leadership now;
    now.term = x.term;
    now.leader = x.leader == 0 ? std::string{} : options_.host_of(x.leader);
    const bool leads = x.role == runtime::raft_role::leader;
    now.role = leads ? "leader" : options_.is_controller ? "controller" : "follower";
    options_.cell->set(now);
    if (options_.on_changed && (now.leader != before.leader || (now.term != before.term && !now.leader.empty())))
      options_.on_changed(now);
    if (leads && wanted_term_ != x.term && options_.on_elected)
      options_.on_elected(x.term, former_);
    wanted_term_ = leads ? x.term : 0;
    for (const auto& listener : options_.listeners())
      self_->send(listener, leader_changed{now});
    step();
  }

  void on_applied(const runtime::log_applied& x) {
    for (const auto& listener : options_.listeners())
      self_->send(listener, state_applied{x.index});
  }

  /// One start or stop at a time, until the site actor of the wanted term runs, or none.
  void step() {
    if (busy_ || running_term_ == wanted_term_)
      return;
    if (running_term_ != 0)
      return stop_site();
    start_site();
  }

  void start_site() {
    busy_ = true;
    const auto term = wanted_term_;
    auto options = options_.site_options(term, former_ == options_.host ? std::string{} : former_);
    auto child = runtime::worker(runtime::spec_of("site"), [options](const runtime::start_context& my) mutable {
      auto now = options;
      options.last_heard.clear(); // true at the election only; a restarted site actor grants every host a full period
      return spawn_site(my.self, std::move(now));
    });
    const auto supervisor = options_.supervisor();
    self_->request(supervisor, child_timeout, runtime::start_child{std::move(child)})
      .then(
        [this, term, supervisor](const runtime::child_started&) {
          busy_ = false;
          running_term_ = term;
          watched_ = supervisor.address();
          self_->monitor(supervisor);
          step();
        },
        [this](const caf::error&) {
          // Most likely one is still there, from a life of this actor before.
          busy_ = false;
          stop_site();
        });
  }

  /// Its successor starts without children.
  void on_supervisor_down(const caf::down_msg& down) {
    if (down.source != watched_)
      return;
    watched_ = nullptr;
    running_term_ = 0;
    step();
  }

  void stop_site() {
    busy_ = true;
    self_->request(options_.supervisor(), child_timeout, runtime::terminate_child{"site"})
      .then([this](const runtime::child_done&) { delete_site(); }, [this](const caf::error&) { delete_site(); });
  }

  void delete_site() {
    self_->request(options_.supervisor(), child_timeout, runtime::delete_child{"site"})
      .then([this](const runtime::child_done&) { on_stopped(); },
            [this](const caf::error& reason) {
              // Nothing of that name is as good as stopped; everything else is tried again.
              if (reason == runtime::supervision_errc::not_found)
                return on_stopped();
              busy_ = false;
              self_->delayed_send(self_, retry_after, step_again{++epoch_});
            });
  }

  void on_stopped() {
    busy_ = false;
    watched_ = nullptr;
    running_term_ = 0;
    step();
  }

  leadership_self* self_;
  leadership_actor_options options_;
  std::string former_;
  std::uint64_t wanted_term_ = 0;
  std::uint64_t running_term_ = 0;
  std::uint64_t epoch_ = 0;
  bool busy_ = false;
  caf::actor_addr watched_; ///< the supervisor of the site actor that was started last
};

} // namespace

caf::actor spawn_leadership(caf::local_actor* parent, leadership_actor_options options) {
  return parent->spawn([](leadership_self* self, leadership_actor_options x) { return self->state.start(std::move(x)); },
                       std::move(options));
}

} // namespace prunella::actors
