#pragma once

// How instances and containers are named: `tenant.application.service-N[.container]`. Names of tenants, applications,
// services and containers have no dots (config/validate.hpp), so a name can be taken apart again.

#include <cstdint>
#include <string>
#include <string_view>

namespace prunella::actors {

/// `tenant.application`: the key of an application in a site.
std::string application_key(std::string_view tenant, std::string_view application);

/// `tenant.application.service-N`; replicas count from 1.
std::string instance_name(std::string_view tenant, std::string_view application, std::string_view service,
                          std::uint32_t replica);

/// `tenant.application.service-N.container`.
std::string container_name(std::string_view instance, std::string_view container);

struct instance_name_parts {
  std::string tenant;
  std::string application;
  std::string service;
  std::uint32_t replica = 0; ///< 0: the text is no instance name, and the other parts are empty
};

instance_name_parts parse_instance_name(std::string_view name);

} // namespace prunella::actors
