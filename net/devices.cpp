#include "net/devices.hpp"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <string_view>

namespace prunella::net {

namespace {

constexpr std::size_t answer_bytes = 64 * 1024;

std::string text_of(int error, const std::string& what) {
  return what + ": " + std::strerror(error);
}

/// A request as the kernel reads it: header, family header, attributes, each padded to four bytes.
class request {
public:
  template <class Body>
  request(std::uint16_t type, std::uint16_t flags, const Body& body) {
    nlmsghdr header{};
    header.nlmsg_type = type;
    header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    append(&header, sizeof header);
    append(&body, sizeof body);
  }

  void add(std::uint16_t type, const void* data, std::size_t size) {
    rtattr attribute{};
    attribute.rta_type = type;
    attribute.rta_len = static_cast<std::uint16_t>(RTA_LENGTH(size));
    append(&attribute, sizeof attribute);
    append(data, size);
  }
  void add(std::uint16_t type, std::string_view text) { add(type, text.data(), text.size()); }

  /// An attribute that holds others: those that `fill` adds.
  void add_nested(std::uint16_t type, const std::function<void()>& fill) {
    const auto at = bytes_.size();
    add(type, nullptr, 0);
    fill();
    rtattr attribute{};
    attribute.rta_type = type;
    attribute.rta_len = static_cast<std::uint16_t>(bytes_.size() - at);
    std::memcpy(bytes_.data() + at, &attribute, sizeof attribute);
  }

  std::string take() {
    nlmsghdr header{};
    std::memcpy(&header, bytes_.data(), sizeof header);
    header.nlmsg_len = static_cast<std::uint32_t>(bytes_.size());
    std::memcpy(bytes_.data(), &header, sizeof header);
    return std::move(bytes_);
  }

private:
  void append(const void* data, std::size_t size) {
    if (size > 0)
      bytes_.append(static_cast<const char*>(data), size);
    bytes_.resize((bytes_.size() + 3) / 4 * 4, '\0');
  }

  std::string bytes_;
};

/// Attributes of one message, by type; later ones win.
class attributes {
public:
  attributes(const char* data, std::size_t size) {
    while (size >= sizeof(rtattr)) {
      rtattr head{};
      std::memcpy(&head, data, sizeof head);
      if (head.rta_len < sizeof head || head.rta_len > size)
        return;
      const auto type = static_cast<std::size_t>(head.rta_type & NLA_TYPE_MASK);
      if (type < std::size(values_))
        values_[type] = {data + sizeof head, head.rta_len - sizeof head};
      const auto step = std::min<std::size_t>(RTA_ALIGN(head.rta_len), size);
      data += step;
      size -= step;
    }
  }

  std::string_view get(std::size_t type) const { return type < std::size(values_) ? values_[type] : std::string_view{}; }
  std::string text(std::size_t type) const {
    const auto value = get(type);
    return std::string{value.substr(0, value.find('\0'))};
  }

private:
  std::string_view values_[128];
};

using on_message = std::function<void(std::uint16_t type, const char* body, std::size_t size)>;

/// Sends and reads up to the end of the answer; the kernel's error number, 0: done.
int ask(std::string message, const on_message& take) {
  const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0)
    return errno;
  const timeval limit{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  int error = -1; // no answer yet
  if (::sendto(fd, message.data(), message.size(), 0, reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel) < 0)
    error = errno;
  std::string buffer(answer_bytes, '\0');
  while (error < 0) {
    const auto got = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0) {
      error = got < 0 ? errno : ECONNRESET;
      break;
    }
    for (std::size_t at = 0; error < 0 && at + sizeof(nlmsghdr) <= static_cast<std::size_t>(got);) {
      nlmsghdr header{};
      std::memcpy(&header, buffer.data() + at, sizeof header);
      if (header.nlmsg_len < sizeof header || at + header.nlmsg_len > static_cast<std::size_t>(got))
        break;
      const auto* body = buffer.data() + at + sizeof header;
      const auto size = header.nlmsg_len - sizeof header;
      if (header.nlmsg_type == NLMSG_DONE) {
        error = 0;
      } else if (header.nlmsg_type == NLMSG_ERROR && size >= sizeof(int)) {
        int code = 0;
        std::memcpy(&code, body, sizeof code);
        error = -code;
      } else if (take) {
        take(header.nlmsg_type, body, size);
      }
      at += NLMSG_ALIGN(header.nlmsg_len);
    }
  }
  ::close(fd);
  return error;
}

int order(request& what) {
  return ask(what.take(), {});
}

/// Messages of `type` with a body of type `Body`, and their attributes.
template <class Body>
std::string list(std::uint16_t get, std::uint16_t type, unsigned char family, const std::string& what,
                 const std::function<void(const Body&, const attributes&)>& take) {
  Body body{};
  std::memcpy(&body, &family, sizeof family); // the first byte of each
  request message(get, NLM_F_DUMP, body);
  const int error = ask(message.take(), [&](std::uint16_t got, const char* bytes, std::size_t size) {
    if (got != type || size < sizeof(Body))
      return;
    Body found{};
    std::memcpy(&found, bytes, sizeof found);
    const auto skipped = std::min<std::size_t>(NLMSG_ALIGN(sizeof found), size);
    take(found, attributes(bytes + skipped, size - skipped));
  });
  return error == 0 ? std::string{} : text_of(error, "the kernel does not list " + what);
}

/// The bytes of a numeric address; empty if it is none.
std::string bytes_of(const config::interface_address& address) {
  std::string bytes(address.is_v6 ? 16 : 4, '\0');
  return ::inet_pton(address.is_v6 ? AF_INET6 : AF_INET, address.address.c_str(), bytes.data()) == 1 ? bytes : std::string{};
}

std::string full_text(const config::interface_address& address) {
  return address.address + '/' + std::to_string(address.length);
}

} // namespace

std::vector<network_device> list_devices(std::string& problem) {
  std::vector<network_device> found;
  problem = list<ifinfomsg>(RTM_GETLINK, RTM_NEWLINK, AF_UNSPEC, "network devices",
                            [&](const ifinfomsg& link, const attributes& given) {
                              const auto info = given.get(IFLA_LINKINFO);
                              found.push_back({link.ifi_index, given.text(IFLA_IFNAME), given.text(IFLA_IFALIAS),
                                               attributes(info.data(), info.size()).text(IFLA_INFO_KIND),
                                               (link.ifi_flags & IFF_UP) != 0});
                            });
  return found;
}

std::vector<device_address> list_addresses(std::string& problem) {
  std::vector<device_address> found;
  problem = list<ifaddrmsg>(RTM_GETADDR, RTM_NEWADDR, AF_UNSPEC, "addresses",
                            [&](const ifaddrmsg& head, const attributes& given) {
                              // Of a point-to-point device IFA_ADDRESS is the other end.
                              auto bytes = given.get(IFA_LOCAL);
                              if (bytes.empty())
                                bytes = given.get(IFA_ADDRESS);
                              const bool is_v6 = head.ifa_family == AF_INET6;
                              char text[INET6_ADDRSTRLEN] = {};
                              if (bytes.size() != (is_v6 ? 16U : 4U)
                                  || ::inet_ntop(head.ifa_family, bytes.data(), text, sizeof text) == nullptr)
                                return;
                              ifa_cacheinfo times{};
                              if (const auto told = given.get(IFA_CACHEINFO); told.size() == sizeof times)
                                std::memcpy(&times, told.data(), sizeof times);
                              const config::interface_address address{text, head.ifa_prefixlen, is_v6};
                              found.push_back({static_cast<int>(head.ifa_index), address, times.tstamp});
                            });
  return found;
}

std::vector<device_route> list_routes(std::string& problem) {
  std::vector<device_route> found;
  problem = list<rtmsg>(RTM_GETROUTE, RTM_NEWROUTE, AF_INET, "routes", [&](const rtmsg& head, const attributes& given) {
    if (head.rtm_table != RT_TABLE_MAIN || head.rtm_family != AF_INET)
      return;
    device_route route;
    route.to.length = head.rtm_dst_len;
    if (const auto bytes = given.get(RTA_DST); bytes.size() == 4) {
      std::uint32_t base = 0;
      std::memcpy(&base, bytes.data(), sizeof base);
      route.to.base = ntohl(base);
    }
    if (const auto bytes = given.get(RTA_OIF); bytes.size() == sizeof route.device)
      std::memcpy(&route.device, bytes.data(), sizeof route.device);
    found.push_back(route);
  });
  return found;
}

std::string add_bridge(const std::string& name, const std::string& alias) {
  ifinfomsg body{};
  body.ifi_flags = IFF_UP;
  body.ifi_change = IFF_UP;
  request made(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, body);
  made.add(IFLA_IFNAME, name + '\0');
  made.add_nested(IFLA_LINKINFO, [&] { made.add(IFLA_INFO_KIND, "bridge"); });
  if (const int error = order(made); error != 0)
    return text_of(error, "the bridge " + name + " cannot be made");
  body.ifi_index = static_cast<int>(::if_nametoindex(name.c_str()));
  request marked(RTM_SETLINK, NLM_F_ACK, body); // a new device takes no alias
  marked.add(IFLA_IFALIAS, alias);
  const int error = order(marked);
  return error == 0 ? std::string{} : text_of(error, "the bridge " + name + " cannot be marked as ours");
}

std::string remove_device(int device) {
  ifinfomsg body{};
  body.ifi_index = device;
  request gone(RTM_DELLINK, NLM_F_ACK, body);
  const int error = order(gone);
  return error == 0 || error == ENODEV ? std::string{}
                                       : text_of(error, "device " + std::to_string(device) + " cannot be removed");
}

std::string put_address(int device, const config::interface_address& address, std::uint32_t lifetime_s) {
  const auto bytes = bytes_of(address);
  ifaddrmsg body{};
  body.ifa_family = address.is_v6 ? AF_INET6 : AF_INET;
  body.ifa_prefixlen = address.length;
  body.ifa_index = static_cast<std::uint32_t>(device);
  if (address.is_v6)
    body.ifa_flags = IFA_F_NODAD; // who had it is gone, and waiting for a second would be the whole point lost
  request given(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, body);
  given.add(IFA_LOCAL, bytes);
  given.add(IFA_ADDRESS, bytes);
  if (lifetime_s > 0) {
    ifa_cacheinfo lifetime{};
    lifetime.ifa_valid = lifetime_s;
    lifetime.ifa_prefered = lifetime_s;
    given.add(IFA_CACHEINFO, &lifetime, sizeof lifetime);
  }
  const int error = bytes.empty() ? EINVAL : order(given);
  return error == 0 ? std::string{} : text_of(error, "the address " + full_text(address) + " cannot be set");
}

std::string remove_address(int device, const config::interface_address& address) {
  const auto bytes = bytes_of(address);
  ifaddrmsg body{};
  body.ifa_family = address.is_v6 ? AF_INET6 : AF_INET;
  body.ifa_prefixlen = address.length;
  body.ifa_index = static_cast<std::uint32_t>(device);
  request gone(RTM_DELADDR, NLM_F_ACK, body);
  gone.add(IFA_LOCAL, bytes);
  const int error = bytes.empty() ? EINVAL : order(gone);
  return error == 0 || error == EADDRNOTAVAIL || error == ENODEV
           ? std::string{}
           : text_of(error, "the address " + full_text(address) + " cannot be removed");
}

std::string put_local_network(int device, const config::ipv4_network& network) {
  rtmsg body{};
  body.rtm_family = AF_INET;
  body.rtm_dst_len = static_cast<unsigned char>(network.length);
  body.rtm_table = RT_TABLE_LOCAL;
  body.rtm_type = RTN_LOCAL;
  body.rtm_scope = RT_SCOPE_HOST;
  body.rtm_protocol = RTPROT_STATIC;
  request made(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, body);
  const std::uint32_t base = htonl(network.base);
  made.add(RTA_DST, &base, sizeof base);
  made.add(RTA_OIF, &device, sizeof device);
  const int error = order(made);
  return error == 0 ? std::string{} : text_of(error, "the addresses " + network_text(network) + " cannot be made local");
}

} // namespace prunella::net
