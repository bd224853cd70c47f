#include "net/links.hpp"

#include <random>
#include <stdexcept>
#include <utility>

#include "caf/actor_system.hpp"

#include "net/link_broker.hpp"
#include "net/link_proxy.hpp"

namespace prunella::net {

namespace {

link_options checked(link_options options) {
  const auto require = [](bool holds, const char* text) {
    if (!holds)
      throw std::invalid_argument(std::string("link options: ") + text);
  };
  const auto& limits = options.limits;
  require(options.host == options.identity.host_id, "`host` must be the host id of `identity`");
  require(limits.max_frame >= 1024, "`max_frame` must be at least 1024 bytes");
  require(limits.window_bytes >= limits.max_frame + 4, "`window_bytes` must be at least `max_frame` + 4");
  require(limits.send_queue_bytes >= limits.max_frame + 4, "`send_queue_bytes` must be at least `max_frame` + 4");
  require(limits.request_slots > 0 && limits.max_connections > 0 && limits.max_handshakes > 0 &&
            limits.write_watermark > 0,
          "no limit may be 0");
  const auto& timeouts = options.timeouts;
  for (const auto each : {timeouts.handshake, timeouts.keep_alive, timeouts.idle, timeouts.stall, timeouts.frame,
                          timeouts.request, timeouts.patience, timeouts.backoff_initial, timeouts.backoff_max,
                          timeouts.goodbye, timeouts.tick})
    require(each.count() > 0, "no timeout may be 0");
  require(timeouts.idle > timeouts.keep_alive, "`idle` must be longer than `keep_alive`");
  if (options.incarnation == 0) {
    std::random_device device;
    options.incarnation = (static_cast<std::uint64_t>(device()) << 32 | device()) | 1;
  }
  return options;
}

class broker_links final : public links {
public:
  broker_links(caf::actor_system& system, link_options options)
    : hub_(std::make_shared<link_hub>(system, checked(std::move(options)))) {}

  caf::actor start() override { return spawn_link_broker(hub_); }

  caf::actor remote(const std::string& host, const std::string& name) override {
    return make_remote_proxy(hub_->system, hub_->channel(host), name);
  }

  std::uint64_t incarnation() const override { return hub_->options.incarnation; }

private:
  std::shared_ptr<link_hub> hub_;
};

} // namespace

link_hub::link_hub(caf::actor_system& owner, link_options given)
  : system(owner), options(std::move(given)), tls(options.identity) {}

std::shared_ptr<link_channel> link_hub::channel(const std::string& host) {
  std::lock_guard guard(mutex_);
  auto& channel = channels_[host];
  if (!channel)
    channel = std::make_shared<link_channel>(host, options.limits, options.timeouts, wakeup, shared_counters);
  return channel;
}

std::shared_ptr<links> make_links(caf::actor_system& system, link_options options) {
  return std::make_shared<broker_links>(system, std::move(options));
}

} // namespace prunella::net
