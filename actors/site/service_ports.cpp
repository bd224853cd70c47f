#include "actors/site/service_ports.hpp"

#include <algorithm>

namespace prunella::actors {

bool uses_names(const site_state& state) {
  return std::any_of(state.applications.begin(), state.applications.end(), [](const auto& x) {
    const auto& services = x.second.spec.services;
    return std::any_of(services.begin(), services.end(),
                       [](const auto& service) { return service.network == config::instance_network::bridge; });
  });
}

std::set<std::pair<std::string, std::string>> reached_services(const site_state& state) {
  std::set<std::pair<std::string, std::string>> result;
  const bool has_names = uses_names(state);
  for (const auto& [key, record] : state.applications)
    for (const auto& service : record.spec.services)
      for (const auto& container : service.containers)
        for (const auto& port : container.ports)
          if (has_names || port.publish != 0)
            result.emplace(key, service.name);
  return result;
}

} // namespace prunella::actors
