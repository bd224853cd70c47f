#pragma once

// What a request to the API is about.

#include <cstdint>

namespace prunella::actors {

enum class api_route : std::uint8_t {
  ready,
  status,
  hosts,
  applications,
  application,
  instances,
  images,
  import_image,
  events,
  services,
  actors,
  use_of_hosts,
  use_of_containers,
  logs,
  open_session,
  read_session,
  write_session,
  close_session,
  put_application,
  delete_application,
  scale_service,
  roll_back,
  restart_service,
  restart_instance,
  drain_host,
  undrain_host,
  kill_actor,
};

} // namespace prunella::actors
