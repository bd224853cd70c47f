#pragma once

// A network of its own for each host of a site: network namespaces on one bridge, whose cables a test cuts, bends and
// mends. Needs root and iproute2. Nothing of it has a name outside of this process: when the test and what it started are
// gone, the kernel removes namespaces, bridge and cables.

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace prunella::tests {

/// A file descriptor of a network namespace; -1: this process's own.
class network_namespace {
public:
  network_namespace() = default;
  /// A new one, in which only loopback is up.
  static network_namespace make();
  ~network_namespace();
  network_namespace(network_namespace&& other) noexcept;
  network_namespace& operator=(network_namespace&& other) noexcept;

  int fd() const { return fd_; }

private:
  explicit network_namespace(int fd) : fd_{fd} {}

  int fd_ = -1;
};

/// This thread, and what it starts, is in the namespace as long as this object lives. With -1 it does nothing.
class inside_network {
public:
  explicit inside_network(int fd);
  ~inside_network();
  inside_network(const inside_network&) = delete;
  inside_network& operator=(const inside_network&) = delete;

private:
  int back_ = -1;
};

class site_network {
public:
  /// Why this machine cannot do it, as a sentence; empty: it can.
  static std::string why_not();

  /// A place on the bridge that is no host of the site, for clients; the last address.
  static constexpr const char* outside = "outside";

  /// Host N has address 10.77.0.N. All cables are whole.
  explicit site_network(const std::vector<std::string>& hosts);

  std::string address(const std::string& host) const;
  int fd(const std::string& host) const { return at(host).room.fd(); }

  /// Both directions, without a word to either end, as behind a switch that died.
  void cut(const std::string& host);
  void mend(const std::string& host);
  /// What `host` sends is lost; it hears the others.
  void mute(const std::string& host);
  void unmute(const std::string& host);
  /// What the others send to `host` is lost; they hear it.
  void deafen(const std::string& host);
  void undeafen(const std::string& host);
  /// What `host` sends goes at `kilobits` a second, with a queue of `queue_ms`; what does not fit is lost. False if the
  /// kernel has no tbf.
  bool slow_down(const std::string& host, int kilobits, int queue_ms);
  void speed_up(const std::string& host);

private:
  struct place {
    network_namespace room;
    int number = 0;
  };

  const place& at(const std::string& host) const { return places_.at(host); }
  void lose(const std::string& from, const std::string& to);
  void find(const std::string& from, const std::string& to);

  network_namespace switch_;
  std::map<std::string, place> places_;
};

} // namespace prunella::tests
