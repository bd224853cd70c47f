// Gratuitous ARP and unsolicited neighbour advertisements.

#include "net/devices.hpp"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/icmp6.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "net/closed_late.hpp"

namespace prunella::net {

namespace {

constexpr int hardware_bytes = 6; ///< Ethernet

/// Closed at the end of its scope.
struct raw_socket {
  explicit raw_socket(int opened) : fd(opened) {}
  raw_socket(const raw_socket&) = delete;
  raw_socket& operator=(const raw_socket&) = delete;
  ~raw_socket() {
    if (fd >= 0)
      ::close(fd);
  }
  int fd;
};

std::string text_of(const std::string& device, const char* what) {
  return std::string{"the neighbours on "} + device + " cannot be told of an address: " + what + ": " + std::strerror(errno);
}

/// Where frames of `device` come from; false, with errno: it has no Ethernet address, or it is not there.
bool find_own_end(int any_socket, const std::string& device, sockaddr_ll& own) {
  ifreq request{};
  if (device.size() >= sizeof request.ifr_name) {
    errno = ENODEV;
    return false;
  }
  device.copy(request.ifr_name, device.size());
  if (::ioctl(any_socket, SIOCGIFHWADDR, &request) != 0)
    return false;
  if (request.ifr_hwaddr.sa_family != ARPHRD_ETHER) {
    errno = EPROTONOSUPPORT;
    return false;
  }
  own = {};
  own.sll_family = AF_PACKET;
  own.sll_ifindex = static_cast<int>(::if_nametoindex(device.c_str()));
  own.sll_halen = hardware_bytes;
  std::memcpy(own.sll_addr, request.ifr_hwaddr.sa_data, hardware_bytes);
  return own.sll_ifindex > 0;
}

/// The body of an ARP message for Ethernet and IPv4 (RFC 826).
struct arp_message {
  std::uint16_t hardware = htons(ARPHRD_ETHER);
  std::uint16_t protocol = htons(ETH_P_IP);
  std::uint8_t hardware_size = hardware_bytes;
  std::uint8_t protocol_size = 4;
  std::uint16_t operation = 0;
  std::uint8_t from_hardware[hardware_bytes] = {};
  std::uint8_t from[4] = {};
  std::uint8_t to_hardware[hardware_bytes] = {};
  std::uint8_t to[4] = {};
};
static_assert(sizeof(arp_message) == 28);

struct neighbour_message {
  nd_neighbor_advert advert{};
  std::uint8_t option = ND_OPT_TARGET_LINKADDR;
  std::uint8_t option_size = 1; ///< in units of 8 bytes
  std::uint8_t hardware[hardware_bytes] = {};
};
static_assert(sizeof(neighbour_message) == 32);

std::string announce_v6(const std::string& device, const std::string& address) {
  const raw_socket socket{::socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6)};
  sockaddr_ll own{};
  if (socket.fd < 0 || !find_own_end(socket.fd, device, own))
    return text_of(device, "an ICMPv6 socket");
  sockaddr_in6 from{};
  from.sin6_family = AF_INET6;
  if (::inet_pton(AF_INET6, address.c_str(), &from.sin6_addr) != 1)
    return device + ": `" + address + "` is no IPv6 address";
  const int hops = 255; // a receiver refuses any other
  if (::setsockopt(socket.fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof hops) != 0
      || ::setsockopt(socket.fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &own.sll_ifindex, sizeof own.sll_ifindex) != 0
      || ::bind(socket.fd, reinterpret_cast<const sockaddr*>(&from), sizeof from) != 0)
    return text_of(device, "an ICMPv6 socket");
  neighbour_message message;
  message.advert.nd_na_type = ND_NEIGHBOR_ADVERT;
  message.advert.nd_na_flags_reserved = ND_NA_FLAG_OVERRIDE;
  message.advert.nd_na_target = from.sin6_addr;
  std::memcpy(message.hardware, own.sll_addr, hardware_bytes);
  sockaddr_in6 all_nodes{};
  all_nodes.sin6_family = AF_INET6;
  all_nodes.sin6_scope_id = static_cast<std::uint32_t>(own.sll_ifindex);
  ::inet_pton(AF_INET6, "ff02::1", &all_nodes.sin6_addr);
  if (::sendto(socket.fd, &message, sizeof message, 0, reinterpret_cast<const sockaddr*>(&all_nodes), sizeof all_nodes) < 0)
    return text_of(device, "a neighbour advertisement");
  return {};
}

} // namespace

address_announcer::~address_announcer() { rest(); }

void address_announcer::rest() {
  if (packets_ >= 0)
    ::close(packets_);
  packets_ = -1;
}

std::string address_announcer::announce(const std::string& device, const config::interface_address& address) {
  return address.is_v6 ? announce_v6(device, address.address) : announce_v4(device, address.address);
}

std::string address_announcer::announce_v4(const std::string& device, const std::string& address) {
  // Of no protocol, so that it hears nothing: binding it to one would wait as closing it does.
  if (packets_ < 0)
    packets_ = closed_late(::socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_ll own{};
  if (packets_ < 0 || !find_own_end(packets_, device, own))
    return text_of(device, "a packet socket");
  sockaddr_ll everybody = own;
  everybody.sll_protocol = htons(ETH_P_ARP);
  std::memset(everybody.sll_addr, 0xff, hardware_bytes);
  arp_message message;
  std::memcpy(message.from_hardware, own.sll_addr, hardware_bytes);
  if (::inet_pton(AF_INET, address.c_str(), message.from) != 1)
    return device + ": `" + address + "` is no IPv4 address";
  std::memcpy(message.to, message.from, sizeof message.to);
  // Some take notice of the one, some of the other.
  for (const auto operation : {ARPOP_REQUEST, ARPOP_REPLY}) {
    message.operation = htons(static_cast<std::uint16_t>(operation));
    if (operation == ARPOP_REPLY)
      std::memcpy(message.to_hardware, own.sll_addr, hardware_bytes);
    if (::sendto(packets_, &message, sizeof message, 0, reinterpret_cast<const sockaddr*>(&everybody), sizeof everybody)
        < 0)
      return text_of(device, "gratuitous ARP");
  }
  return {};
}

} // namespace prunella::net
