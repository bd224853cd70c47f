#include "tests/cluster/web_service.hpp"

#include <algorithm>
#include <chrono>
#include <system_error>
#include <utility>

#include "config/address.hpp"
#include "net/http_client.hpp"
#include "tests/net/door_fixture.hpp"

namespace prunella::tests {

using namespace std::chrono_literals;

std::string own_address(const site_processes& site, const std::string& host) {
  return config::parse_address(site.link_address(host))->host;
}

config::application_spec web_application(const site_processes& site, std::uint16_t publish, unsigned replicas,
                                         const std::string& prepare) {
  std::string addresses;
  for (const auto& host : site.hosts())
    addresses += host + ") A=" + own_address(site, host) + ";; ";
  // Lines of a header end with CR LF; what `echo` makes of a backslash, `printf` makes of two.
  const std::string health = "{ echo '#!/bin/sh'; echo 'echo >> ../asked; [ -e ../slow ] && sleep 1'; "
                             "echo '[ -e ../sick ] && printf \"Status: 503 Sick\\\\r\\\\n\"'; "
                             "echo 'printf \"Content-Type: text/plain\\\\r\\\\n\\\\r\\\\nok\\\\n\"'; } > cgi-bin/health; "
                             "chmod +x cgi-bin/health; ";
  auto spec = simple_application(
    "shop",
    {"sh", "-c",
     "echo >> asked; case $PRUNELLA_HOST in " + addresses + "esac; echo $PRUNELLA_HOST > index.html; mkdir -p cgi-bin; " + health + prepare
       + "; exec busybox httpd -f -p $A:$PRUNELLA_PORT_HTTP -h ."},
    replicas);
  auto container_port = publish;
  while (container_port == publish)
    container_port = free_port(own_address(site, site.hosts().front()));
  spec.services[0].containers[0].ports = {{"http", container_port, config::port_protocol::tcp, publish}};
  spec.services[0].containers[0].grace = 200ms;
  spec.services[0].restart.intensity = 100;
  return spec;
}

config::probe_spec health_probe(const config::application_spec& web) {
  config::probe_spec probe;
  probe.http.port = web.services[0].containers[0].ports[0].port;
  probe.http.path = "/cgi-bin/health";
  probe.period = 100ms;
  probe.timeout = 2s;
  probe.failures = 2;
  return probe;
}

std::filesystem::path web_folder(const site_processes& site, const std::string& host) {
  std::filesystem::path folder;
  site.wait_for("the application shop has begun on " + host, [&] {
    std::error_code gone; // the agent makes and removes files meanwhile
    std::filesystem::recursive_directory_iterator at(site.data_dir(host) / "containers", gone);
    for (const std::filesystem::recursive_directory_iterator end; !gone && at != end && folder.empty(); at.increment(gone))
      if (at->path().filename() == "index.html")
        folder = at->path().parent_path();
    return !folder.empty();
  });
  return folder;
}

std::string page_at(const std::string& address, std::uint16_t port) {
  net::http_call_options options;
  options.timeout = 8s;
  const auto outcome = net::http_call("http://" + address + ':' + std::to_string(port), "GET", "/index.html", {}, options);
  const auto* answer = std::get_if<net::http_answer>(&outcome);
  return answer == nullptr || answer->status != 200 ? std::string{} : answer->body.substr(0, answer->body.find('\n'));
}

door_client::door_client(std::string address, std::uint16_t port)
  : thread_([this, address = std::move(address), port] {
      while (!stopping_) {
        const auto start = std::chrono::steady_clock::now();
        (page_at(address, port).empty() ? failed_ : served_) += 1;
        const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start);
        longest_ms_ = std::max(longest_ms_.load(), static_cast<int>(took.count()));
      }
    }) {}

void door_client::stop() {
  stopping_ = true;
  if (thread_.joinable())
    thread_.join();
}

std::vector<std::unique_ptr<door_client>> clients_at(const site_processes& site, const std::vector<std::string>& hosts,
                                                     std::uint16_t port) {
  std::vector<std::unique_ptr<door_client>> clients;
  for (const auto& host : hosts)
    clients.push_back(std::make_unique<door_client>(own_address(site, host), port));
  return clients;
}

void wait_for_doors(const site_processes& site, const std::vector<std::string>& hosts, std::uint16_t port) {
  for (const auto& host : hosts)
    site.wait_for("the door of " + host + " answers", [&] { return !page_at(own_address(site, host), port).empty(); });
}

void await_served(const site_processes& site, const std::vector<std::unique_ptr<door_client>>& clients, int more) {
  std::vector<int> before;
  for (const auto& client : clients)
    before.push_back(client->served());
  site.wait_for("each client is served", [&] {
    for (std::size_t i = 0; i < clients.size(); ++i)
      if (clients[i]->served() < before[i] + more)
        return false;
    return true;
  });
}

} // namespace prunella::tests
