#pragma once

// The newest applied state of the site on this host, for everyone in the process who reads it.

#include <memory>
#include <mutex>

#include "actors/site/site_state.hpp"

namespace prunella::actors {

/// Thread-safe. Readers keep what they got; it never changes under them.
class state_cell {
public:
  std::shared_ptr<const site_state> get() const {
    std::lock_guard<std::mutex> guard{mutex_};
    return state_;
  }

  void set(std::shared_ptr<const site_state> state) {
    std::lock_guard<std::mutex> guard{mutex_};
    state_ = std::move(state);
  }

private:
  mutable std::mutex mutex_;
  std::shared_ptr<const site_state> state_ = std::make_shared<site_state>();
};

/// Sent within the process after a batch of the log was applied and `state_cell` holds the result.
struct state_applied {
  std::uint64_t index = 0;

  PRUNELLA_FIELDS(state_applied, index)
};

} // namespace prunella::actors
