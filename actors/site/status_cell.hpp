#pragma once

// How the site is, as the `site` actor of this host keeps it while this host leads: whoever asks often need not ask the actor.

#include <memory>
#include <mutex>
#include <utility>

#include "actors/api/views.hpp"
#include "actors/site/site_state.hpp"
#include "runtime/instant.hpp"

namespace prunella::actors {

/// Thread-safe. Holds what is the same for all hosts (see `fill_status`).
class status_cell {
public:
  /// `of`: the state that `status` was made from.
  void set(std::shared_ptr<const status_view> status, std::shared_ptr<const site_state> of, runtime::instant now) {
    std::lock_guard<std::mutex> guard{mutex_};
    status_ = std::move(status);
    of_ = std::move(of);
    confirmed_ = now;
  }

  /// Who kept `status` ends; that of a successor stays.
  void clear(const std::shared_ptr<const status_view>& status) {
    std::lock_guard<std::mutex> guard{mutex_};
    if (status_ == status)
      status_ = nullptr;
  }

  /// Null if this host does not lead, if the status is not of `state`, or if it was not confirmed since `since`: an actor that
  /// hangs, or a change that it has not seen, never shows as an old truth.
  std::shared_ptr<const status_view> get(const std::shared_ptr<const site_state>& state, runtime::instant since) const {
    std::lock_guard<std::mutex> guard{mutex_};
    return of_ == state && confirmed_ >= since ? status_ : nullptr;
  }

private:
  mutable std::mutex mutex_;
  std::shared_ptr<const status_view> status_;
  std::shared_ptr<const site_state> of_;
  runtime::instant confirmed_{};
};

} // namespace prunella::actors
