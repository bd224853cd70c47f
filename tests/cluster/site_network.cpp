#include "tests/cluster/site_network.hpp"

#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

extern char** environ;

namespace prunella::tests {

namespace {

using words = std::vector<std::string>;

constexpr const char* this_network = "/proc/thread-self/ns/net";
constexpr const char* nowhere = "02:00:00:00:00:99"; ///< no port of the bridge has it

int open_this_network() { return open(this_network, O_RDONLY | O_CLOEXEC); }

/// Runs a command of iproute2 in the network of this thread; what it prints is dropped. Its exit code, 127: not found.
int run(const words& command) {
  std::vector<char*> argv;
  for (const auto& word : command)
    argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  pid_t pid = 0;
  const int failed = posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  int status = 0;
  if (failed != 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
    return 127;
  return WEXITSTATUS(status);
}

void must(const words& command) {
  if (run(command) == 0)
    return;
  std::string text;
  for (const auto& word : command)
    text += word + ' ';
  throw std::runtime_error("failed: " + text);
}

std::string port_of(int number) { return "port" + std::to_string(number); }
std::string address_of(int number) { return "10.77.0." + std::to_string(number); }
std::string path_of(int fd) { return "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(fd); }

} // namespace

// -- namespaces --------------------------------------------------------------------------------------------------------

network_namespace network_namespace::make() {
  int fd = -1;
  int error = 0;
  std::thread{[&] { // leaves the network of this process for good, so it is a thread's last work
    if (unshare(CLONE_NEWNET) != 0 || (fd = open_this_network()) < 0)
      error = errno;
    else if (run({"ip", "link", "set", "lo", "up"}) != 0)
      error = ENOENT;
  }}.join();
  if (error != 0) {
    if (fd >= 0)
      close(fd);
    throw std::system_error(error, std::generic_category(), "a network namespace");
  }
  return network_namespace{fd};
}

network_namespace::~network_namespace() {
  if (fd_ >= 0)
    close(fd_);
}

network_namespace::network_namespace(network_namespace&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}

network_namespace& network_namespace::operator=(network_namespace&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

inside_network::inside_network(int fd) {
  if (fd < 0)
    return;
  back_ = open_this_network();
  if (back_ < 0 || setns(fd, CLONE_NEWNET) != 0)
    throw std::system_error(errno, std::generic_category(), "entering a network namespace");
}

inside_network::~inside_network() {
  if (back_ < 0)
    return;
  if (setns(back_, CLONE_NEWNET) != 0)
    std::terminate(); // everything after this would happen in the wrong network
  close(back_);
}

// -- the site's --------------------------------------------------------------------------------------------------------

std::string site_network::why_not() {
  if (geteuid() != 0)
    return "network namespaces need root";
  try {
    const auto probe = network_namespace::make();
    const inside_network here{probe.fd()};
    if (run({"ip", "link", "add", "name", "br0", "type", "bridge"}) != 0)
      return "`ip link add type bridge` fails: iproute2 or the kernel's bridge is missing";
    if (run({"ip", "link", "add", "name", "port0", "type", "veth", "peer", "name", "eth0"}) != 0)
      return "`ip link add type veth` fails: the kernel's veth is missing";
  } catch (const std::exception& problem) {
    return problem.what();
  }
  return {};
}

site_network::site_network(const std::vector<std::string>& hosts) : switch_{network_namespace::make()} {
  const inside_network here{switch_.fd()};
  must({"ip", "link", "add", "name", "br0", "type", "bridge"});
  must({"ip", "link", "set", "br0", "up"});
  int number = 0;
  auto all = hosts;
  all.push_back(outside);
  for (const auto& host : all) {
    auto& x = places_[host];
    x.number = ++number;
    x.room = network_namespace::make();
    const auto port = port_of(x.number);
    must({"ip", "link", "add", "name", port, "type", "veth", "peer", "name", "eth0", "netns", path_of(x.room.fd())});
    must({"ip", "link", "set", port, "master", "br0", "up"});
    const inside_network there{x.room.fd()};
    must({"ip", "address", "add", address_of(x.number) + "/24", "dev", "eth0"});
    must({"ip", "link", "set", "eth0", "up"});
  }
}

std::string site_network::address(const std::string& host) const { return address_of(at(host).number); }

void site_network::cut(const std::string& host) {
  const inside_network here{switch_.fd()};
  must({"ip", "link", "set", port_of(at(host).number), "nomaster"});
}

void site_network::mend(const std::string& host) {
  const inside_network here{switch_.fd()};
  must({"ip", "link", "set", port_of(at(host).number), "master", "br0"});
}

void site_network::lose(const std::string& from, const std::string& to) {
  const inside_network here{at(from).room.fd()};
  must({"ip", "neigh", "replace", address(to), "lladdr", nowhere, "dev", "eth0", "nud", "permanent"});
}

void site_network::find(const std::string& from, const std::string& to) {
  const inside_network here{at(from).room.fd()};
  run({"ip", "neigh", "del", address(to), "dev", "eth0"}); // another fault of the same cable may have been mended before
}

void site_network::mute(const std::string& host) {
  for (const auto& [other, x] : places_)
    if (other != host)
      lose(host, other);
}

void site_network::unmute(const std::string& host) {
  for (const auto& [other, x] : places_)
    if (other != host)
      find(host, other);
}

void site_network::deafen(const std::string& host) {
  for (const auto& [other, x] : places_)
    if (other != host)
      lose(other, host);
}

void site_network::undeafen(const std::string& host) {
  for (const auto& [other, x] : places_)
    if (other != host)
      find(other, host);
}

bool site_network::slow_down(const std::string& host, int kilobits, int queue_ms) {
  const inside_network here{at(host).room.fd()};
  return run({"tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", std::to_string(kilobits) + "kbit", "burst", "2kb",
              "latency", std::to_string(queue_ms) + "ms"}) == 0;
}

void site_network::speed_up(const std::string& host) {
  const inside_network here{at(host).room.fd()};
  must({"tc", "qdisc", "del", "dev", "eth0", "root"});
}

} // namespace prunella::tests
