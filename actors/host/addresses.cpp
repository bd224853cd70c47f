#include "actors/host/addresses.hpp"

#include <stdexcept>

#include "config/address.hpp"
#include "net/link_lookup.hpp"

namespace prunella::actors {

std::string numeric_address(const std::string& address) {
  const auto parsed = config::parse_address(address);
  if (!parsed)
    throw std::runtime_error("`" + address + "` is no address; it is written as " + std::string{config::address_form});
  return config::address_text({net::look_up_host(parsed->host).front(), parsed->port});
}

} // namespace prunella::actors
