#include "actors/instance/network/network_namespace.hpp"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "actors/instance/unique_fd.hpp"
#include "net/devices.hpp"

namespace prunella::actors {

namespace {

constexpr auto namespace_file_system = 0x6e736673; // NSFS_MAGIC

bool raise_loopback() {
  const unique_fd socket{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  ifreq request{};
  std::memcpy(request.ifr_name, "lo", 3);
  request.ifr_flags = IFF_UP;
  return socket && ::ioctl(socket.get(), SIOCSIFFLAGS, &request) == 0;
}

/// Low ports for any user: the network is the instance's own, so they guard nothing there. A container with a user namespace
/// cannot set that itself. In the network of the calling thread.
bool free_low_ports() {
  const unique_fd setting{::open("/proc/thread-self/root/proc/sys/net/ipv4/ip_unprivileged_port_start", O_WRONLY | O_CLOEXEC)};
  return setting && ::write(setting.get(), "0\n", 2) == 2;
}

/// In the network of the calling thread.
std::string put_device(const std::string& name, const std::string& address) {
  if (auto problem = net::add_bridge(name, {}); !problem.empty())
    return problem;
  std::string problem;
  const auto devices = net::list_devices(problem);
  const auto made = std::find_if(devices.begin(), devices.end(), [&](const auto& x) { return x.name == name; });
  if (made == devices.end())
    return problem.empty() ? "the device " + name + " is not there" : problem;
  return net::put_address(made->index, {address, 32, false});
}

} // namespace

std::string make_network_namespace(const std::string& path) {
  if (!unique_fd{::open(path.c_str(), O_CREAT | O_RDONLY | O_CLOEXEC, 0400)})
    return "the file " + path + " cannot be made: " + std::strerror(errno);
  int error = 0;
  // Leaves the network of this process for good, so it is a thread's only work.
  std::thread{[&] {
    if (::unshare(CLONE_NEWNET) != 0 || !raise_loopback() || !free_low_ports()
        || ::mount("/proc/thread-self/ns/net", path.c_str(), nullptr, MS_BIND, nullptr) != 0)
      error = errno;
  }}.join();
  if (error == 0)
    return {};
  remove_network_namespace(path);
  return "a network namespace cannot be made at " + path + ": " + std::strerror(error);
}

std::string make_stand_in(const std::string& path, const std::string& name, const std::string& address) {
  auto problem = make_network_namespace(path);
  if (!problem.empty())
    return problem;
  std::thread{[&] {
    const unique_fd made{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    problem = made && ::setns(made.get(), CLONE_NEWNET) == 0 ? put_device(name, address)
                                                             : "the network namespace cannot be entered: " + std::string{std::strerror(errno)};
  }}.join();
  if (!problem.empty())
    remove_network_namespace(path);
  return problem;
}

bool is_network_namespace(const std::string& path) {
  struct statfs status {};
  return ::statfs(path.c_str(), &status) == 0 && status.f_type == namespace_file_system;
}

void remove_network_namespace(const std::string& path) {
  while (::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
  }
  ::unlink(path.c_str());
}

} // namespace prunella::actors
