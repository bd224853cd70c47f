#include "net/links.hpp"

#include <random>
#include <stdexcept>
#include <utility>

#include <caf/actor_system.hpp>

#include "net/link_broker.hpp"
#include "net/link_proxy.hpp"

namespace prunella::net {

namespace {

link_options checked(link_options options) {
  require_valid(options);
  if (options.host != options.identity.host_id)
    throw std::invalid_argument("link options: `host` must be the host id of `identity`");
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

  caf::actor start() override {
    hub_->start();
    return spawn_link_broker(hub_);
  }

  caf::actor remote(const std::string& host, const std::string& name) override {
    return make_remote_proxy(hub_->system, hub_->channel(host), name);
  }

  std::uint64_t incarnation() const override { return hub_->options.incarnation; }

private:
  std::shared_ptr<link_hub> hub_;
};

} // namespace

link_hub::link_hub(caf::actor_system& owner, link_options given)
  : link_channels(owner, std::move(given)), tls(options.identity) {}

std::shared_ptr<links> make_links(caf::actor_system& system, link_options options) {
  return std::make_shared<broker_links>(system, std::move(options));
}

} // namespace prunella::net
