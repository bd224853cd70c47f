#include "runtime/consensus/progress.hpp"

#include <algorithm>

namespace prunella::runtime {

void inflight_window::add(std::uint64_t last_index, std::uint64_t bytes) {
  under_way_.push_back({last_index, bytes});
  bytes_ += bytes;
}

void inflight_window::free_to(std::uint64_t index) {
  while (!under_way_.empty() && under_way_.front().last_index <= index) {
    bytes_ -= under_way_.front().bytes;
    under_way_.pop_front();
  }
}

void inflight_window::clear() {
  under_way_.clear();
  bytes_ = 0;
}

void progress::become_probe() {
  next = match + 1;
  state = progress_state::probe;
  probe_sent = false;
  snapshot.reset();
  inflights.clear();
}

void progress::become_replicate() {
  state = progress_state::replicate;
  next = match + 1;
  probe_sent = false;
  snapshot.reset();
  inflights.clear();
}

void progress::become_snapshot(shared_snapshot to_send) {
  state = progress_state::snapshot;
  snapshot = std::move(to_send);
  snapshot_received = 0;
  snapshot_stalled = 0;
  probe_sent = false;
  inflights.clear();
}

bool progress::update(std::uint64_t index) {
  const bool news = index > match;
  if (news) {
    match = index;
    probe_sent = false;
  }
  next = std::max(next, index + 1);
  return news;
}

void progress::restart(std::uint64_t possible_match) {
  ++epoch;
  match = 0;
  become_probe();
  next = possible_match + 1;
}

bool progress::decrease(std::uint64_t rejected, std::uint64_t possible_match) {
  if (state == progress_state::replicate) {
    next = match + 1; // the caller probes; what was sent ahead is gone
    return true;
  }
  if (next - 1 != rejected)
    return false;
  next = std::max(std::min(rejected, possible_match + 1), match + 1);
  probe_sent = false;
  return true;
}

bool progress::paused() const {
  switch (state) {
  case progress_state::probe:
    return probe_sent;
  case progress_state::replicate:
    return inflights.full();
  case progress_state::snapshot:
    return true;
  }
  return true;
}

} // namespace prunella::runtime
