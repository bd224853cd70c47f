#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "actors/site/site_state.hpp"

namespace prunella::tests {

/// A site whose application `default.shop` has a service `web` with one container `front`: its first instance is on host-1, its
/// second one on host-2. Both hosts are up.
inline std::shared_ptr<actors::site_state> shop_on_two_hosts() {
  auto state = std::make_shared<actors::site_state>();
  auto& spec = state->applications["default.shop"].spec;
  spec.name = "shop";
  spec.services.resize(1);
  spec.services[0].name = "web";
  spec.services[0].containers.resize(1);
  spec.services[0].containers[0].name = "front";
  spec.services[0].containers[0].command = {"serve"};
  for (const std::uint32_t replica : {1U, 2U}) {
    auto& x = state->assignments["default.shop.web-" + std::to_string(replica)];
    x.tenant = "default";
    x.application = "shop";
    x.service = "web";
    x.replica = replica;
    x.generation = 1;
    x.host = "host-" + std::to_string(replica);
    state->hosts[x.host].up = true;
  }
  return state;
}

} // namespace prunella::tests
