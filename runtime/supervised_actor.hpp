#pragma once

// The base of our actors: `caf::stateful_actor<my_state, runtime::supervised_actor>`. Beyond caf::event_based_actor:
//  - its exceptions end it with their text as reason (CAF's default loses the text);
//  - anybody may ask how many messages wait for it, also while it hangs in a handler.
//
// How the mailbox depth is counted: CAF 0.17.6's mailbox().size() takes the incoming stack over into the reader's
// queue, so only the actor itself may call it, and the actor profiler that could count from outside is not compiled
// into Debian's CAF. Both ways a message takes, enqueue and consume, are virtual; two relaxed atomic steps per message
// count what came minus what was handled.

#include <atomic>
#include <cstdint>

#include <caf/event_based_actor.hpp>
#include <caf/invoke_message_result.hpp>
#include <caf/mailbox_element.hpp>

#include "runtime/exit_reason.hpp"

namespace prunella::runtime {

/// Something that can be asked, from any thread, how many messages wait for it.
class mailbox_meter {
public:
  virtual std::int64_t waiting_messages() const = 0;

protected:
  ~mailbox_meter() = default;
};

class supervised_actor : public caf::event_based_actor, public mailbox_meter {
public:
  using super = caf::event_based_actor;
  using super::enqueue;

  explicit supervised_actor(caf::actor_config& config) : super(config) {
    set_exception_handler([](std::exception_ptr& thrown) { return error_of(thrown); });
  }

  void enqueue(caf::mailbox_element_ptr message, caf::execution_unit* unit) override {
    waiting_.fetch_add(1, std::memory_order_relaxed);
    super::enqueue(std::move(message), unit);
  }

  std::int64_t waiting_messages() const final { return waiting_.load(std::memory_order_relaxed); }

protected:
  caf::invoke_message_result consume(caf::mailbox_element& message) override {
    struct handled { // also when the handler throws
      std::atomic<std::int64_t>& waiting;
      bool is_skipped = false;
      ~handled() { waiting.fetch_sub(is_skipped ? 0 : 1, std::memory_order_relaxed); }
    } guard{waiting_};
    const auto result = super::consume(message);
    guard.is_skipped = result == caf::invoke_message_result::skipped; // it stays in the mailbox
    return result;
  }

private:
  std::atomic<std::int64_t> waiting_{0};
};

} // namespace prunella::runtime
