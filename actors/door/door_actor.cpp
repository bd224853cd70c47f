#include "actors/door/door_actor.hpp"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <utility>

#include <caf/actor_cast.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/local_actor.hpp>
#include <caf/response_promise.hpp>
#include <caf/result.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_response_promise.hpp>
#include <caf/unit.hpp>

#include "actors/door/door_plan.hpp"
#include "actors/door/names_plan.hpp"
#include "actors/host/host_actor.hpp"
#include "actors/site/leadership_actor.hpp"
#include "actors/site/service_ports.hpp"
#include "runtime/supervised_actor.hpp"

namespace prunella::actors {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds own_timeout{5'000};
constexpr std::size_t max_waiting = 64;
constexpr std::size_t max_leaving = 1'000;

struct watch_again {
  std::uint64_t epoch = 0;

  PRUNELLA_FIELDS(watch_again, epoch)
};

struct try_names_again {
  std::uint8_t unused = 0;

  PRUNELLA_FIELDS(try_names_again, unused)
};

/// From the door's thread.
struct door_said {
  std::uint64_t ticket = 0;
  std::vector<net::door_listener_status> ports;

  PRUNELLA_FIELDS(door_said, ticket, ports)
};

struct instance_unused {
  std::uint64_t ticket = 0;

  PRUNELLA_FIELDS(instance_unused, ticket)
};

struct door_state;
using door_self = caf::stateful_actor<door_state, runtime::supervised_actor>;

struct door_state {
  static inline const char* name = "door";

  explicit door_state(door_self* self) : self_(self) {}

  caf::behavior start(door_actor_options options) {
    options_ = std::move(options);
    ask_own();
    watch();
    refresh();
    return {
      [this](const own_report& x) {
        own_[x.report.instance] = x.report;
        if (!is_ready(x.report)) // from now on its reports say it
          draining_.erase(x.report.instance);
        refresh();
      },
      [this](const own_instance_gone& x) {
        own_.erase(x.instance);
        draining_.erase(x.instance);
        refresh();
      },
      [this](const drain_instance& x) { return on_drain(x); },
      [this](const state_applied&) { refresh(); },
      [this](const leader_changed&) {
        ++epoch_;
        watch();
      },
      [this](const watch_again& x) {
        if (x.epoch == epoch_)
          watch();
      },
      [this](const try_names_again&) {
        is_names_retry_due_ = false;
        refresh();
      },
      [this](const door_status_request&) { return on_status(); },
      [this](door_said& x) { on_said(x); },
      [this](const instance_unused& x) {
        if (auto node = leaving_.extract(x.ticket))
          node.mapped().deliver(caf::unit);
      },
    };
  }

private:
  /// What ran before this actor: the host actor tells it only what changes.
  void ask_own() {
    const auto host = options_.actor_on(options_.host, "host");
    if (!host)
      return; // it is being started, and will say everything
    self_->request(host, own_timeout, get_reports{})
      .then(
        [this](const own_reports& x) {
          for (const auto& report : x.reports)
            own_.emplace(report.instance, report); // what was said meanwhile is newer
          refresh();
        },
        [](const caf::error&) {});
  }

  /// One question to the leader at a time.
  void watch() {
    const auto leader = options_.leader->get().leader;
    const auto site = leader.empty() ? caf::actor{} : options_.actor_on(leader, "site");
    if (!site)
      return again();
    self_->request(site, ready_watch_hold + own_timeout,
                   watch_ready{options_.host, table_.term, table_.revision, options_.parts.tunnel})
      .then(
        [this, epoch = epoch_](ready_table& x) {
          if (epoch != epoch_)
            return;
          const bool is_news = x.term != table_.term || x.revision != table_.revision;
          if (is_news) {
            table_ = merged(table_, std::move(x));
            refresh();
          }
          // A leader that just started has nothing to say yet and says so at once.
          table_.revision == 0 ? again() : watch();
        },
        [this, epoch = epoch_](const caf::error&) {
          if (epoch == epoch_)
            again();
        });
  }

  void again() {
    self_->delayed_send(self_, options_.retry_after, watch_again{epoch_});
  }

  void refresh() {
    const auto state = options_.state->get();
    refresh_names(*state);
    const auto listened_on = texts_of(addresses_);
    auto plan = make_door_plan({*state, options_.host, options_.parts.own_addresses, own_, draining_, table_, listened_on});
    if (plan == plan_)
      return;
    plan_ = plan;
    options_.parts.door->apply(std::move(plan));
  }

  void refresh_names(const site_state& state) {
    const auto& bridge = options_.parts.bridge;
    if (!bridge)
      return;
    if (!uses_names(state))
      return end_names();
    if (!names_ && !begin_names())
      return;
    addresses_ = place_services(state, bridge->network().services, addresses_);
    auto table = make_name_table(state, addresses_, own_);
    if (table == name_table_)
      return;
    name_table_ = table;
    names_->set(std::move(table));
  }

  bool begin_names() {
    if (is_names_retry_due_)
      return false;
    auto problem = options_.parts.bridge->ensure();
    if (problem.empty())
      try {
        names_ = options_.parts.make_names();
        name_table_ = {};
      } catch (const std::runtime_error& failure) {
        problem = failure.what();
      }
    if (problem != names_problem_ && options_.on_names)
      options_.on_names(problem);
    names_problem_ = problem;
    if (names_)
      return true;
    is_names_retry_due_ = true;
    self_->delayed_send(self_, options_.retry_names_after, try_names_again{});
    return false;
  }

  /// The bridge stays for as long as an instance is on it, which may be one that is about to stop.
  void end_names() {
    names_.reset();
    addresses_.clear();
    const bool is_used = std::any_of(own_.begin(), own_.end(), [](const auto& x) { return !x.second.address.empty(); });
    if (!is_used && options_.parts.bridge->is_up())
      options_.parts.bridge->remove();
  }

  static std::map<std::string, std::string> texts_of(const service_addresses& addresses) {
    std::map<std::string, std::string> result;
    for (const auto& [service, address] : addresses)
      result[service] = config::ipv4_text(address);
    return result;
  }

  /// It may be said before the report that it stops, and before the state that replaces it.
  caf::result<void> on_drain(const drain_instance& x) {
    auto& generation = draining_[x.instance];
    generation = std::max(generation, x.generation);
    refresh();
    if (leaving_.size() >= max_leaving)
      return {};
    const auto ticket = ++last_ticket_;
    const auto promise = self_->make_response_promise();
    leaving_.emplace(ticket, promise);
    options_.parts.door->when_unused({x.instance, x.generation}, [ticket, self = caf::actor_cast<caf::actor>(self_)] {
      caf::anon_send(self, instance_unused{ticket});
    });
    return promise;
  }

  caf::result<door_status_answer> on_status() {
    if (waiting_.size() >= max_waiting)
      return door_status_answer{options_.host, {}};
    const auto ticket = ++last_ticket_;
    const auto promise = self_->make_response_promise<door_status_answer>();
    waiting_.emplace(ticket, promise);
    options_.parts.door->status(
      [ticket, self = caf::actor_cast<caf::actor>(self_)](std::vector<net::door_listener_status> ports) {
        caf::anon_send(self, door_said{ticket, std::move(ports)});
      });
    return promise;
  }

  void on_said(door_said& x) {
    if (auto node = waiting_.extract(x.ticket))
      node.mapped().deliver(door_status_answer{options_.host, std::move(x.ports)});
  }

  door_self* self_;
  door_actor_options options_;
  std::map<std::string, instance_report> own_; ///< bounded: instances of this host
  ready_table table_;
  net::door_plan plan_;
  std::unique_ptr<net::name_server> names_;
  net::name_table name_table_; ///< that it has
  service_addresses addresses_;
  std::string names_problem_;
  bool is_names_retry_due_ = false;
  std::map<std::uint64_t, caf::typed_response_promise<door_status_answer>> waiting_;
  std::map<std::string, std::uint64_t> draining_; ///< told to stop, with generation, until their own reports say so
  std::map<std::uint64_t, caf::response_promise> leaving_; ///< by ticket
  std::uint64_t last_ticket_ = 0;
  std::uint64_t epoch_ = 0; ///< counts leaders: what an earlier one says no longer counts
};

} // namespace

caf::actor spawn_door(caf::local_actor* parent, door_actor_options options) {
  return parent->spawn([](door_self* self, door_actor_options x) { return self->state.start(std::move(x)); },
                       std::move(options));
}

} // namespace prunella::actors
