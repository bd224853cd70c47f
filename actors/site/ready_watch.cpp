#include "actors/site/ready_watch.hpp"

#include <utility>

#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>

namespace prunella::actors {

namespace {

/// Of many reports that come together, the first is not told before the others were taken.
constexpr std::chrono::milliseconds refresh_after{2};

} // namespace

/// CAF says nothing to who waits for an actor that ended.
ready_watch::~ready_watch() {
  for (auto& [host, x] : waiters_)
    x.promise.deliver(board_.table());
}

caf::result<ready_table> ready_watch::on_watch(const watch_ready& x) {
  board_.note_door(x.host, x.door);
  on_change();
  const auto& table = board_.table();
  if (table.revision != 0 && (x.term != table.term || x.revision != table.revision))
    return table;
  auto& mine = waiters_[x.host];
  if (mine.ticket != 0)
    mine.promise.deliver(table);
  mine.ticket = ++last_ticket_;
  mine.promise = self_->make_response_promise<ready_table>();
  self_->delayed_send(self_, ready_watch_hold, end_ready_watch{x.host, mine.ticket});
  return mine.promise;
}

void ready_watch::start() {
  has_started_ = true;
  on_change();
}

void ready_watch::on_change() {
  if (has_started_ && !std::exchange(is_refresh_due_, true))
    self_->delayed_send(self_, refresh_after, refresh_ready{});
}

void ready_watch::on_refresh(const site_state& state, const observations& seen) {
  is_refresh_due_ = false;
  if (!board_.refresh(state, seen))
    return;
  for (auto& [host, x] : std::exchange(waiters_, {}))
    x.promise.deliver(board_.table());
}

void ready_watch::on_end(const end_ready_watch& x) {
  const auto it = waiters_.find(x.host);
  if (it == waiters_.end() || it->second.ticket != x.ticket)
    return;
  it->second.promise.deliver(board_.table());
  waiters_.erase(it);
}

} // namespace prunella::actors
