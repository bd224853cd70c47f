#include "net/link_channels.hpp"

#include <stdexcept>
#include <utility>

#include <caf/actor_system.hpp>
#include <caf/scheduler/abstract_coordinator.hpp>

namespace prunella::net {

link_channels::link_channels(caf::actor_system& owner, link_options given) : system(owner), options(std::move(given)), members_(options.peers) {}

std::shared_ptr<link_channel> link_channels::channel(const std::string& host) {
  std::lock_guard guard(mutex_);
  auto& channel = channels_[host];
  if (!channel)
    channel = std::make_shared<link_channel>(host, options.limits, options.timeouts, wakeup, shared_counters);
  return channel;
}

void link_channels::start() {
  for (const auto& member : members())
    if (member.host != options.host)
      channel(member.host)->connecting(system.clock().now());
}

std::vector<link_peer_address> link_channels::members() const {
  std::lock_guard guard(mutex_);
  return members_;
}

void link_channels::set_members(std::vector<link_peer_address> members) {
  std::lock_guard guard(mutex_);
  members_ = std::move(members);
}

void link_channels::stop() {
  wakeup->detach();
  std::map<std::string, std::shared_ptr<link_channel>> all;
  {
    std::lock_guard guard(mutex_);
    all = channels_;
  }
  for (auto& [host, channel] : all) {
    channel->down(link_errc::link_lost, "the links of this host stopped", {});
    channel->unreachable("the links of this host are not running");
  }
}

void require_valid(const link_options& options) {
  const auto require = [](bool holds, const char* text) {
    if (!holds)
      throw std::invalid_argument(std::string("link options: ") + text);
  };
  const auto& limits = options.limits;
  require(limits.max_frame >= 1024, "`max_frame` must be at least 1024 bytes");
  require(limits.window_bytes >= limits.max_frame + 4, "`window_bytes` must be at least `max_frame` + 4");
  require(limits.send_queue_bytes >= link_queue::cost_of(limits.max_frame + 4, true),
          "`send_queue_bytes` must have room for a request of `max_frame`");
  require(limits.request_slots > 0 && limits.max_connections > 0 && limits.max_handshakes > 0 &&
            limits.write_watermark > 0,
          "no limit may be 0");
  const auto& timeouts = options.timeouts;
  for (const auto each : {timeouts.handshake, timeouts.keep_alive, timeouts.idle, timeouts.stall, timeouts.frame,
                          timeouts.request, timeouts.patience, timeouts.backoff_initial, timeouts.backoff_max,
                          timeouts.goodbye, timeouts.tick, timeouts.quiet_tick})
    require(each.count() > 0, "no timeout may be 0");
  require(timeouts.idle > timeouts.keep_alive, "`idle` must be longer than `keep_alive`");
}

} // namespace prunella::net
