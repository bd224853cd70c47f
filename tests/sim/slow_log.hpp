#pragma once

// A log writer whose disk takes its time: what it was handed is lost if its host dies before the write is done.

#include <chrono>
#include <functional>
#include <memory>

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include "storage/raft_log.hpp"

namespace prunella::tests {

struct slow_log_options {
  std::function<storage::result<std::unique_ptr<storage::raft_log>>()> open;
  std::function<void()> say_ready;
  std::function<std::chrono::microseconds()> draw_delay; ///< of each write; they stay in order
};

/// As `runtime::spawn_log_writer`.
caf::actor spawn_slow_log(caf::actor_system& system, slow_log_options options);

} // namespace prunella::tests
