#include "net/memory_network.hpp"

#include <algorithm>

#include <caf/actor_system.hpp>
#include <caf/send.hpp>

namespace prunella::net {

std::uint64_t memory_network_core::next_life() {
  std::lock_guard guard(mutex_);
  return ++lives_;
}

bool memory_network_core::draw(double probability) {
  // Not std::uniform_real_distribution: its sequence may differ between library versions, and a seed must replay.
  return probability > 0 && static_cast<double>(random_() >> 11) * 0x1.0p-53 < probability;
}

std::chrono::microseconds memory_network_core::draw_delay() {
  const auto span = std::max<std::int64_t>((faults_.max_delay - faults_.min_delay).count(), 0);
  return faults_.min_delay + std::chrono::microseconds(random_() % (static_cast<std::uint64_t>(span) + 1));
}

bool memory_network_core::connected(const pair_key& pair) const {
  const auto a = hosts_.find(pair.first);
  const auto b = hosts_.find(pair.second);
  const auto entry = pairs_.find(pair);
  return a != hosts_.end() && b != hosts_.end() && a->second.members.count(pair.second) > 0 &&
         b->second.members.count(pair.first) > 0 && (entry == pairs_.end() || !entry->second.cut);
}

void memory_network_core::evaluate(const pair_key& pair, const std::string& reason, bool at_once) {
  auto& entry = pairs_[pair];
  const bool wanted = connected(pair);
  if (wanted == entry.up && wanted) {
    ++entry.epoch; // healed before anybody noticed
    return;
  }
  if (wanted == entry.up)
    return;
  ++entry.epoch;
  for (const auto& [self, peer] : {pair, pair_key{pair.second, pair.first}}) {
    const auto host = hosts_.find(self);
    if (host == hosts_.end())
      continue;
    if (wanted)
      caf::delayed_anon_send(host->second.actor, draw_delay(),
                             memory_up{peer, links_ + 1, hosts_.at(peer).incarnation});
    else
      caf::delayed_anon_send(host->second.actor, at_once ? draw_delay() : host->second.detection,
                             memory_down{peer, entry.link, entry.epoch, reason});
  }
  if (wanted) {
    entry.up = true;
    entry.link = ++links_;
    entry.last_arrival.clear();
  } else if (at_once) {
    entry.up = false;
  }
}

void memory_network_core::evaluate_all(const std::string& host, const std::string& reason, bool at_once) {
  for (const auto& [other, entry] : hosts_)
    if (other != host)
      evaluate(key(host, other), reason, at_once);
}

void memory_network_core::join(const std::string& host, caf::actor actor, std::uint64_t incarnation,
                               std::set<std::string> members, std::chrono::milliseconds detection) {
  std::lock_guard guard(mutex_);
  if (hosts_.erase(host) > 0)
    evaluate_all(host, "its process was restarted", true);
  hosts_[host] = {std::move(actor), incarnation, std::move(members), detection};
  // A pair that was still up towards an earlier life ends first.
  for (auto& [pair, entry] : pairs_)
    if (pair.first == host || pair.second == host)
      entry.up = false;
  evaluate_all(host, {}, true);
}

void memory_network_core::set_members(const std::string& host, std::uint64_t incarnation,
                                      std::set<std::string> members) {
  std::lock_guard guard(mutex_);
  const auto it = hosts_.find(host);
  if (it == hosts_.end() || it->second.incarnation != incarnation)
    return;
  const auto before = std::exchange(it->second.members, std::move(members));
  for (const auto& [other, entry] : hosts_)
    if (other != host && before.count(other) != it->second.members.count(other))
      evaluate(key(host, other), "it is not a member of this site any more", true);
}

void memory_network_core::leave(const std::string& host, std::uint64_t incarnation, bool polite) {
  std::lock_guard guard(mutex_);
  const auto it = hosts_.find(host);
  if (it == hosts_.end() || it->second.incarnation != incarnation)
    return;
  hosts_.erase(it);
  evaluate_all(host, polite ? "the host is stopping" : "nothing was heard for too long", polite);
}

void memory_network_core::power_off(const std::string& host) {
  std::uint64_t incarnation = 0;
  {
    std::lock_guard guard(mutex_);
    const auto it = hosts_.find(host);
    incarnation = it == hosts_.end() ? 0 : it->second.incarnation;
  }
  leave(host, incarnation, false);
}

bool memory_network_core::confirm_up(const std::string& self, const memory_up& up) {
  std::lock_guard guard(mutex_);
  const auto& entry = pairs_[key(self, up.host)];
  return entry.up && entry.link == up.link;
}

bool memory_network_core::confirm_down(const std::string& self, const memory_down& down) {
  std::lock_guard guard(mutex_);
  auto& entry = pairs_[key(self, down.host)];
  if (entry.link == down.link && entry.epoch == down.epoch) {
    entry.up = false;
    return true;
  }
  // A later link, or healed. The old link itself is over in any case if another one took its place.
  return entry.link != down.link;
}

void memory_network_core::transmit(const std::string& from, const std::string& to, std::uint64_t link,
                                   byte_buffer bytes) {
  std::lock_guard guard(mutex_);
  ++sent;
  const auto pair = key(from, to);
  auto& entry = pairs_[pair];
  if (!entry.up || entry.link != link || !connected(pair) || draw(faults_.loss))
    return;
  const auto& target = hosts_.at(to).actor;
  const auto now = target->home_system().clock().now();
  auto& last = entry.last_arrival[from];
  for (int copies = draw(faults_.duplicate) ? 2 : 1; copies > 0; --copies) {
    auto arrival = now + draw_delay();
    if (draw(faults_.reorder))
      arrival += 2 * faults_.max_delay;
    else
      last = arrival = std::max(arrival, last);
    ++delivered;
    caf::delayed_anon_send(target, arrival - now, memory_frame{from, link, bytes});
  }
}

void memory_network_core::set_faults(memory_faults faults) {
  std::lock_guard guard(mutex_);
  faults_ = faults;
}

void memory_network_core::cut(const std::string& a, const std::string& b) {
  std::lock_guard guard(mutex_);
  if (!std::exchange(pairs_[key(a, b)].cut, true))
    evaluate(key(a, b), "nothing was heard for too long", false);
}

void memory_network_core::heal(const std::string& a, const std::string& b) {
  std::lock_guard guard(mutex_);
  if (std::exchange(pairs_[key(a, b)].cut, false))
    evaluate(key(a, b), {}, true);
}

std::set<std::string> memory_network_core::hosts() const {
  std::lock_guard guard(mutex_);
  std::set<std::string> result;
  for (const auto& [host, entry] : hosts_)
    result.insert(host);
  return result;
}

std::set<std::pair<std::string, std::string>> memory_network_core::cuts() const {
  std::lock_guard guard(mutex_);
  std::set<pair_key> result;
  for (const auto& [pair, entry] : pairs_)
    if (entry.cut)
      result.insert(pair);
  return result;
}

} // namespace prunella::net
