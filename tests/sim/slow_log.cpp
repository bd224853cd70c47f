#include "tests/sim/slow_log.hpp"

#include <algorithm>

#include <caf/actor_cast.hpp>
#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include "runtime/consensus/log_writer.hpp"
#include "runtime/supervised_actor.hpp"

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(std::shared_ptr<prunella::runtime::write_request>)

namespace prunella::tests {

namespace {

struct slow_log_state;
using slow_log_self = caf::stateful_actor<slow_log_state, runtime::supervised_actor>;

struct slow_log_state {
  static inline const char* name = "slow_log";

  explicit slow_log_state(slow_log_self* self) : self_(self) {}
  ~slow_log_state() {
    if (writer_)
      caf::anon_send_exit(writer_, caf::exit_reason::kill);
  }

  caf::behavior start(slow_log_options options) {
    draw_delay_ = std::move(options.draw_delay);
    runtime::log_writer_options inner;
    inner.open = std::move(options.open);
    inner.detached = false;
    inner.say_ready = std::move(options.say_ready);
    writer_ = runtime::spawn_log_writer(self_->system(), std::move(inner));
    self_->monitor(writer_);
    self_->set_down_handler([this](const caf::down_msg& down) { self_->quit(down.reason); });
    return {
      [this](runtime::load_log& message) { return self_->delegate(writer_, std::move(message)); },
      [this](runtime::log_write& message) {
        client_ = caf::actor_cast<caf::actor>(self_->current_sender());
        done_at_ = std::max(done_at_, self_->clock().now()) + draw_delay_();
        self_->delayed_send(self_, done_at_ - self_->clock().now(), std::move(message.request));
      },
      [this](std::shared_ptr<runtime::write_request>& request) {
        self_->send(writer_, runtime::log_write{std::move(request)});
      },
      [this](const runtime::log_written& done) { self_->send(client_, done); },
    };
  }

private:
  slow_log_self* self_;
  caf::actor writer_;
  caf::actor client_;
  caf::actor_clock::time_point done_at_;
  std::function<std::chrono::microseconds()> draw_delay_;
};

} // namespace

caf::actor spawn_slow_log(caf::actor_system& system, slow_log_options options) {
  return system.spawn([](slow_log_self* self, slow_log_options x) { return self->state.start(std::move(x)); },
                      std::move(options));
}

} // namespace prunella::tests
