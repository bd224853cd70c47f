#pragma once

// The fixture of every actor test: one actor system in one thread on a clock that only the test moves. Nothing in it
// sleeps or waits: what should have happened has happened when `settle()` or `advance()` returns.
//
//   prunella::tests::virtual_time world;
//   auto ticker = world.own(world.system().spawn(my_actor));  // killed at the end of the test
//   world.settle();                                           // its init has run, every message is delivered
//   world.advance(10s);                                       // each timer fires at its exact time, in order
//   auto answer = world.ask<my_reply>(ticker, 1s, my_request{});
//   REQUIRE(answer);
//
// Why not CAF's own test_coordinator_fixture: its `run()` and destructor fire timers until none is left, so an actor
// with a periodic tick hangs the test, and one jump of 10 s gives a 1 s ticker a single tick. Here time moves from one
// due timer to the next with everything delivered in between, and every loop has a limit that ends in a sentence.
//
// Rules: never `spawn<detached>` and never a blocking `receive` in code under test (both are real threads or real
// waiting, CAF.md §12); read time from `self->clock().now()`, not from std::chrono::steady_clock.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <caf/actor.hpp>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/expected.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

namespace prunella::tests {

struct virtual_time_options {
  /// 0: messages are delivered in the order of sending. Otherwise the next actor to run is drawn from this seed: a
  /// reproducible interleaving (messages from one actor to another stay in order, as CAF promises).
  std::uint64_t seed = 0;
  /// More messages than this in one `settle()` is an endless ping-pong, and an exception.
  std::size_t max_deliveries = 1'000'000;
  /// More timers than this in one `advance()` is a timer that re-arms itself without delay, and an exception.
  std::size_t max_timers = 1'000'000;
  /// Called on the configuration before the system starts: message types, error categories.
  std::function<void(caf::actor_system_config&)> configure;
};

class virtual_time {
public:
  using time_point = caf::actor_clock::time_point;
  using duration = caf::actor_clock::duration_type;

  explicit virtual_time(virtual_time_options options = {})
      : options_(std::move(options)), config_(options_), system_(config_), random_(options_.seed), self(system_),
        start_(scheduler().clock().now()) {
    system_.await_actors_before_shutdown(false);
  }

  /// Kills every owned actor, delivers what that causes and drops every timer, so that tickers cannot hang the end.
  ~virtual_time() {
    for (auto i = owned_.rbegin(); i != owned_.rend(); ++i)
      caf::anon_send_exit(*i, caf::exit_reason::kill);
    owned_.clear();
    hung_.clear();
    try {
      settle();
    } catch (const std::exception&) {
      // The test has reported this, or will by its own checks; a destructor must not throw.
    }
    scheduler().clock().cancel_all();
  }

  virtual_time(const virtual_time&) = delete;
  virtual_time& operator=(const virtual_time&) = delete;

  caf::actor_system& system() { return system_; }

  caf::scheduler::test_coordinator& scheduler() {
    return dynamic_cast<caf::scheduler::test_coordinator&>(system_.scheduler());
  }

  time_point now() { return scheduler().clock().now(); }

  /// Virtual time since the fixture was made.
  duration elapsed() { return now() - start_; }

  /// Delivers messages until none is waiting. Time stands still.
  /// Throws std::runtime_error after `max_deliveries`.
  std::size_t settle() {
    auto& jobs = scheduler().jobs;
    std::size_t deliveries = 0;
    while (jobs.size() > bring_to_front()) {
      if (++deliveries > options_.max_deliveries)
        throw std::runtime_error("virtual_time::settle: still not quiet after " +
                                 std::to_string(options_.max_deliveries) +
                                 " deliveries; two actors answer each other without end");
      scheduler().run_once();
    }
    return deliveries;
  }

  /// From now on `actor` handles nothing, as if it hung in a handler: messages to it pile up and not even a kill ends
  /// it.
  template <class Handle>
  void hang(const Handle& actor) {
    hung_.insert(dynamic_cast<caf::resumable*>(caf::actor_cast<caf::abstract_actor*>(actor)));
  }

  /// Ends what `hang` began.
  template <class Handle>
  void wake(const Handle& actor) {
    hung_.erase(dynamic_cast<caf::resumable*>(caf::actor_cast<caf::abstract_actor*>(actor)));
  }

  /// Lets `amount` of virtual time pass: each timer due in it fires at its own time, and everything that follows from
  /// it is delivered before the next one. Throws std::runtime_error after `max_timers`.
  void advance(duration amount) {
    const auto end = now() + amount;
    settle();
    for (std::size_t timers = 0; step(end); ++timers)
      if (timers >= options_.max_timers)
        throw std::runtime_error("virtual_time::advance: more than " + std::to_string(options_.max_timers) +
                                 " timers; one re-arms itself without delay");
    scheduler().clock().current_time = end;
  }

  /// Advances from timer to timer until `done()` holds or `limit` has passed; returns `done()`.
  template <class Predicate>
  bool advance_until(Predicate done, duration limit) {
    const auto end = now() + limit;
    settle();
    for (std::size_t timers = 0; !done(); ++timers) {
      if (timers >= options_.max_timers)
        throw std::runtime_error("virtual_time::advance_until: more than " + std::to_string(options_.max_timers) +
                                 " timers; one re-arms itself without delay");
      if (!step(end)) {
        scheduler().clock().current_time = end;
        return done();
      }
    }
    return true;
  }

  /// Hands `actor` to the fixture: it is killed at the end of the test, the last one first.
  template <class Handle>
  Handle own(Handle actor) {
    owned_.push_back(caf::actor_cast<caf::actor>(actor));
    return actor;
  }

  /// Sends a request and advances until the reply is there, at most by `timeout` (then sec::request_timeout, as a real
  /// asker would see). `Reply` is the one type in the reply, or void. Never blocks.
  template <class Reply, class Handle, class... Ts>
  caf::expected<Reply> ask(const Handle& to, duration timeout, Ts... content) {
    auto answer = std::make_shared<std::optional<caf::expected<Reply>>>();
    own(system_.spawn([=](caf::event_based_actor* asker) {
      auto on_error = [=](caf::error& reason) { answer->emplace(std::move(reason)); };
      if constexpr (std::is_void_v<Reply>)
        asker->request(to, timeout, content...).then([=] { answer->emplace(); }, on_error);
      else
        asker->request(to, timeout, content...)
            .then([=](Reply& reply) { answer->emplace(std::move(reply)); }, on_error);
    }));
    if (!advance_until([&] { return answer->has_value(); }, timeout))
      throw std::runtime_error("virtual_time::ask: neither a reply nor a timeout came");
    return **answer;
  }

  /// Records how `actor` ends: empty while it lives, then its exit reason (empty error: normal).
  template <class Handle>
  std::shared_ptr<const std::optional<caf::error>> watch(const Handle& actor) {
    auto end = std::make_shared<std::optional<caf::error>>();
    own(system_.spawn([=](caf::event_based_actor* watcher) -> caf::behavior {
      watcher->set_down_handler([=](caf::down_msg& down) { *end = down.reason; });
      watcher->monitor(actor);
      return {[](caf::unit_t) {}};
    }));
    settle();
    return end;
  }

  /// An actor that keeps each `Message` it gets, in order.
  template <class Message>
  struct collector {
    caf::actor handle;
    std::shared_ptr<std::vector<Message>> got;
  };

  template <class Message>
  collector<Message> collect() {
    auto got = std::make_shared<std::vector<Message>>();
    auto handle = own(system_.spawn([=](caf::event_based_actor*) -> caf::behavior {
      return {[=](const Message& message) { got->push_back(message); }};
    }));
    settle();
    return {handle, got};
  }

private:
  struct configuration : caf::actor_system_config {
    explicit configuration(const virtual_time_options& options) {
      set("scheduler.policy", caf::atom("testing"));
      if (options.configure)
        options.configure(*this);
    }
  };

  /// Moves the job to run next to the front and those of hung actors to the end; returns how many hang.
  std::size_t bring_to_front() {
    auto& jobs = scheduler().jobs;
    std::size_t hanging = 0;
    if (!hung_.empty()) {
      auto first_hung =
          std::stable_partition(jobs.begin(), jobs.end(), [&](auto* job) { return hung_.count(job) == 0; });
      hanging = static_cast<std::size_t>(jobs.end() - first_hung);
    }
    if (const auto ready = jobs.size() - hanging; options_.seed != 0 && ready > 0) {
      const auto pick = static_cast<std::ptrdiff_t>(random_() % ready);
      std::rotate(jobs.begin(), jobs.begin() + pick, jobs.begin() + pick + 1);
    }
    return hanging;
  }

  /// Fires the timers of the next due time, if that is not after `end`; false if there is none.
  bool step(time_point end) {
    auto& clock = scheduler().clock();
    const auto& schedule = clock.schedule();
    if (schedule.empty() || schedule.begin()->first > end)
      return false;
    const auto due = schedule.begin()->first;
    clock.advance_time(due > clock.now() ? due - clock.now() : duration{0});
    settle();
    return true;
  }

  virtual_time_options options_;
  configuration config_;
  caf::actor_system system_;
  std::mt19937_64 random_;
  std::vector<caf::actor> owned_;
  std::set<caf::resumable*> hung_;

public:
  /// For plain sends from the test body; do not call its blocking `receive`.
  caf::scoped_actor self;

private:
  time_point start_;
};

} // namespace prunella::tests
