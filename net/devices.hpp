#pragma once

// Network devices, their addresses and routes, of the network namespace of the calling thread: over rtnetlink(7). Each
// function opens a socket of its own, asks the kernel and waits for its answer, which takes well below a millisecond and
// at most a second. All but the lists need CAP_NET_ADMIN.
//
// A `problem` is a sentence about what failed; empty: it is done.

#include <cstdint>
#include <string>
#include <vector>

#include "config/fields.hpp"
#include "config/networks.hpp"

namespace prunella::net {

struct network_device {
  int index = 0;
  std::string name;
  std::string alias; ///< a text for people that its owner gave it (`ip link set alias`)
  std::string kind;  ///< `bridge`, `veth`, …; empty for real ones
  bool is_up = false;

  PRUNELLA_FIELDS(network_device, index, name, alias, kind, is_up)
};

struct device_address {
  int device = 0;
  config::interface_address address;
  std::uint32_t renewed_at = 0; ///< when it was put last, or given a new lifetime: hundredths of a second since the boot

  PRUNELLA_FIELDS(device_address, device, address, renewed_at)
};

/// An IPv4 route of the main table; the default route has length 0.
struct device_route {
  int device = 0;
  config::ipv4_network to;

  PRUNELLA_FIELDS(device_route, device, to)
};

std::vector<network_device> list_devices(std::string& problem);
std::vector<device_address> list_addresses(std::string& problem);
std::vector<device_route> list_routes(std::string& problem);

/// Makes a bridge that is up, with `alias`. A problem if there is a device of that name (at most 15 bytes).
std::string add_bridge(const std::string& name, const std::string& alias);
std::string remove_device(int device);

/// Gives `device` the address, or a new lifetime to one that it has. The kernel takes it away after `lifetime_s` seconds;
/// 0: never.
std::string put_address(int device, const config::interface_address& address, std::uint32_t lifetime_s = 0);
/// One that is not there is no problem.
std::string remove_address(int device, const config::interface_address& address);

/// Makes every address of `network` one of this host: sockets can be bound to each, and what comes in over `device` is
/// answered (ARP too). Goes with the device.
std::string put_local_network(int device, const config::ipv4_network& network);

/// Tells neighbours where an address is. Keeps a packet socket from one time to the next: the kernel lets its closing
/// wait for all processors, 10 to 40 ms.
class address_announcer {
public:
  address_announcer() = default;
  ~address_announcer();
  address_announcer(const address_announcer&) = delete;
  address_announcer& operator=(const address_announcer&) = delete;

  /// Says that `address` is at `device` now: gratuitous ARP, or an unsolicited neighbour advertisement (RFC 5227, RFC
  /// 4861 §7.2.6). Needs CAP_NET_RAW.
  std::string announce(const std::string& device, const config::interface_address& address);

  /// Closes the socket.
  void rest();

private:
  std::string announce_v4(const std::string& device, const std::string& address);

  int packets_ = -1; ///< -1: not open yet
};

} // namespace prunella::net
