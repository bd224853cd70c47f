#pragma once

// A service of web servers on a site of real processes, and clients of its front door.

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "config/spec.hpp"
#include "tests/cluster/site_processes.hpp"

namespace prunella::tests {

/// The address of `host` without a port.
std::string own_address(const site_processes& site, const std::string& host);

/// The application `shop`: busybox httpd, whose page `/index.html` is the name of its host. All hosts are on one machine, so
/// each instance listens at the address of its host, as those of a site on several machines do by themselves.
/// `/cgi-bin/health` answers 200, after a second while a file `slow` is in the folder of the container, and 503 while
/// one named `sick` is, and adds a line to the file `asked`; `prepare` is shell code that runs there before each start.
config::application_spec web_application(const site_processes& site, std::uint16_t publish, unsigned replicas,
                                         const std::string& prepare = "true");

/// A probe of `/cgi-bin/health`, ten times a second, that fails with the second failure.
config::probe_spec health_probe(const config::application_spec& web);

/// The folder of the first container of the application `shop` on `host`, when it has begun there.
std::filesystem::path web_folder(const site_processes& site, const std::string& host);

/// First line of the page; empty: it was not served.
std::string page_at(const std::string& address, std::uint16_t port);

/// Asks for the page at one host's door, one request after the other, in a thread of its own.
class door_client {
public:
  door_client(std::string address, std::uint16_t port);
  ~door_client() { stop(); }
  door_client(const door_client&) = delete;
  door_client& operator=(const door_client&) = delete;

  void stop();
  int served() const { return served_; }
  int failed() const { return failed_; }
  int longest_ms() const { return longest_ms_; }

private:
  std::atomic<bool> stopping_{false};
  std::atomic<int> served_{0};
  std::atomic<int> failed_{0};
  std::atomic<int> longest_ms_{0};
  std::thread thread_; // last: it looks at the others
};

/// A client at the door of each of `hosts`.
std::vector<std::unique_ptr<door_client>> clients_at(const site_processes& site, const std::vector<std::string>& hosts,
                                                     std::uint16_t port);

/// Until each door has passed on to a ready instance.
void wait_for_doors(const site_processes& site, const std::vector<std::string>& hosts, std::uint16_t port);

/// Waits until each client was served `more` times more.
void await_served(const site_processes& site, const std::vector<std::unique_ptr<door_client>>& clients, int more);

} // namespace prunella::tests
