#include "net/door/balance.hpp"

#include <algorithm>
#include <iterator>
#include <set>

namespace prunella::net {

void balancer::set(const std::vector<door_backend>& ready) {
  std::set<backend_key> wanted;
  for (const auto& backend : ready) {
    wanted.insert(backend.key());
    auto& x = entries_[backend.key()];
    if (!x.is_ready) {
      x.failures = 0;
      x.is_probed = false;
      x.suspected_until = {};
      x.doubted_until = {};
    }
    x.is_ready = true;
    x.backend = backend;
  }
  for (auto it = entries_.begin(); it != entries_.end();) {
    const auto next = std::next(it);
    if (wanted.count(it->first) == 0) {
      it->second.is_ready = false;
      let_go(it);
    }
    it = next;
  }
}

std::tuple<bool, std::int64_t, std::uint64_t> balancer::rank(const entry& x, door_time now) const {
  const auto use = static_cast<std::int64_t>(x.open) - (x.backend.is_local() ? options_.local_lead : 0);
  return {x.doubted_until > now, use, x.chosen_at};
}

const door_backend* balancer::choose(door_time now) {
  entry* best = nullptr;
  for (auto& [key, x] : entries_) {
    const bool is_suspected = x.suspected_until > now || x.is_probed;
    if (!x.is_ready || is_suspected)
      continue;
    if (best == nullptr || rank(x, now) < rank(*best, now))
      best = &x;
  }
  if (best == nullptr)
    return nullptr;
  ++best->open;
  best->is_probed = best->failures > 0;
  best->chosen_at = ++choices_;
  return &best->backend;
}

void balancer::connected(const backend_key& key) {
  const auto it = entries_.find(key);
  if (it == entries_.end())
    return;
  it->second.failures = 0;
  it->second.is_probed = false;
}

void balancer::failed(const backend_key& key, door_time now) {
  const auto it = entries_.find(key);
  if (it == entries_.end())
    return;
  auto& x = it->second;
  const auto doublings = std::min(x.failures, 20U);
  // Many that are refused at once say it once.
  if (x.suspected_until <= now) {
    x.suspected_until = now + std::min(options_.suspicion * (std::int64_t{1} << doublings), options_.suspicion_max);
    ++x.failures;
  }
  x.is_probed = false;
  closed(key);
}

void balancer::closed(const backend_key& key) {
  const auto it = entries_.find(key);
  if (it == entries_.end())
    return;
  it->second.open -= it->second.open > 0 ? 1 : 0;
  let_go(it);
}

void balancer::broke(const backend_key& key, door_time now) {
  if (const auto it = entries_.find(key); it != entries_.end())
    it->second.doubted_until = now + options_.doubt;
  closed(key);
}

void balancer::let_go(std::map<backend_key, entry>::iterator it) {
  if (!it->second.is_ready && it->second.open == 0)
    entries_.erase(it);
}

door_time balancer::next_chance(door_time now) const {
  auto first = door_time::max();
  for (const auto& [key, x] : entries_)
    if (x.is_ready && x.suspected_until > now)
      first = std::min(first, x.suspected_until);
  return first;
}

bool balancer::is_ready(const backend_key& key) const {
  const auto it = entries_.find(key);
  return it != entries_.end() && it->second.is_ready;
}

std::vector<backend_use> balancer::uses() const {
  std::vector<backend_use> result;
  for (const auto& [key, x] : entries_)
    result.push_back({x.backend, x.open, x.is_ready});
  return result;
}

connect_attempt::step connect_attempt::next(balancer& backends, door_time now) {
  if (now >= deadline_)
    return {move::give_up, {}, now};
  if (const auto* backend = backends.choose(now)) {
    last_ = backend->key();
    return {move::connect, *backend, std::min(deadline_, now + options_.connect_timeout)};
  }
  const auto chance = backends.next_chance(now);
  const auto look = chance == door_time::max() ? now + options_.pause : std::max(chance, now + std::chrono::milliseconds{1});
  return {move::wait, {}, std::min(deadline_, look)};
}

void connect_attempt::failed(balancer& backends, door_time now) {
  backends.failed(last_, now);
}

void connect_attempt::connected(balancer& backends) {
  backends.connected(last_);
}

} // namespace prunella::net
