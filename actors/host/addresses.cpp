#include "actors/host/addresses.hpp"

#include <netdb.h>
#include <sys/socket.h>

#include <array>
#include <memory>
#include <stdexcept>

#include "config/address.hpp"

namespace prunella::actors {

std::string numeric_address(const std::string& address) {
  const auto parsed = config::parse_address(address);
  if (!parsed)
    throw std::runtime_error("`" + address + "` is no address; it is written as " + std::string{config::address_form});
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failed = getaddrinfo(parsed->host.c_str(), nullptr, &hints, &found);
  if (failed != 0)
    throw std::runtime_error("the address " + parsed->host + " cannot be looked up: " + gai_strerror(failed)
                             + ". Use a number, or a name that this machine's resolver knows");
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> guard{found, freeaddrinfo};
  std::array<char, NI_MAXHOST> text{};
  getnameinfo(found->ai_addr, found->ai_addrlen, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST);
  return config::address_text({text.data(), parsed->port});
}

} // namespace prunella::actors
