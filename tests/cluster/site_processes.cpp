#include "tests/cluster/site_processes.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <set>
#include <system_error>

#include "actors/instance/proc_filesystem.hpp"
#include "tests/cluster/image_containers.hpp"
#include "net/http_client.hpp"
#include "tools/cli/api_token.hpp"
#include "net/identity.hpp"
#include "storage/data_dir.hpp"

namespace prunella::tests {

namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

milliseconds since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - start);
}

/// A free port of `address`. Nobody takes it until the agent listens there: connections to 127.x.y.z leave from 127.0.0.1,
/// and the site has an x.y of its own.
std::string free_endpoint(const std::string& address) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in name{};
  name.sin_family = AF_INET;
  inet_pton(AF_INET, address.c_str(), &name.sin_addr);
  socklen_t size = sizeof(name);
  const bool good = bind(fd, reinterpret_cast<sockaddr*>(&name), size) == 0
                    && getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size) == 0;
  const int error = errno;
  close(fd);
  if (!good)
    throw std::system_error(error, std::generic_category(), "a free port on " + address);
  return address + ':' + std::to_string(ntohs(name.sin_port));
}

/// 127.x.y. of this test alone.
std::string own_network() {
  std::random_device random;
  return "127." + std::to_string(1 + random() % 254) + '.' + std::to_string(random() % 256) + '.';
}

std::string last_lines(const std::string& text, std::size_t bytes) {
  return text.size() <= bytes ? text : "…" + text.substr(text.size() - bytes);
}

} // namespace

actors::problem_view api_answer::problem() const {
  actors::problem_view problem;
  const auto parsed = config::parse_json(body);
  CHECK_MESSAGE(parsed.error.empty(), body);
  CHECK(config::from_json(parsed.value, problem).empty());
  return problem;
}

// -- making it ---------------------------------------------------------------------------------------------------------

site_processes::site_processes(config::liveness_profile liveness, int hosts, bool with_network,
                               const std::function<void(config::site_spec&)>& change) {
  spec_.name = "market";
  spec_.liveness = liveness;
  for (int number = 1; number <= hosts; ++number)
    names_.push_back("host-" + std::to_string(number));
  if (with_network)
    network_ = std::make_unique<site_network>(names_);
  const auto loopback = own_network();
  for (std::size_t i = 0; i < names_.size(); ++i) {
    config::host_spec host;
    host.id = names_[i];
    // In a network of its own a host may have any port.
    host.address = network_ ? network_->address(host.id) + ":7100" : free_endpoint(loopback + std::to_string(i + 1));
    host.labels = {{"host", host.id}};
    host.capacity = {2'000, std::int64_t{1} << 30};
    spec_.hosts.push_back(std::move(host));
  }
  if (change)
    change(spec_);
  auto document = config::to_json(spec_);
  document.as_object()["kind"] = "site";
  std::ofstream{site_file()} << config::pretty_json(document);
  make_keys();
}

void site_processes::make_keys() const {
  const auto authority = area_.path() / "authority";
  net::create_site_identity(authority, spec_.name, names_);
  for (const auto& host : names_) {
    fs::create_directories(data_dir(host));
    fs::copy(net::host_identity_dir(authority, host), data_dir(host) / storage::tls_folder, fs::copy_options::recursive);
  }
}

std::vector<std::string> site_processes::hosts_without(const std::string& host) const {
  auto rest = names_;
  rest.erase(std::remove(rest.begin(), rest.end(), host), rest.end());
  return rest;
}

std::string site_processes::link_address(const std::string& host) const {
  const auto it = std::find_if(spec_.hosts.begin(), spec_.hosts.end(), [&](const auto& x) { return x.id == host; });
  return it->address;
}

std::string site_processes::url(const std::string& host) const {
  const auto it = urls_.find(host);
  return it == urls_.end() ? std::string{} : it->second;
}

std::vector<api_endpoint> site_processes::endpoints(const std::vector<std::string>& hosts) const {
  std::vector<api_endpoint> result;
  for (const auto& host : hosts)
    result.push_back(endpoint(host));
  return result;
}

std::vector<std::string> site_processes::run_words(const std::string& host, const std::string& on_exit) const {
  std::vector<std::string> words{"host",  "run",         "--site",    site_file(), "--host-id", host, "--data-dir", data_dir(host),
                                 "--api", "127.0.0.1:0", "--on-exit", on_exit};
  words.insert(words.end(), more_words.begin(), more_words.end());
  return words;
}

// -- what happens to hosts ---------------------------------------------------------------------------------------------

void site_processes::start(const std::string& host, const std::string& on_exit) {
  REQUIRE_MESSAGE(!lives(host), host << " runs already");
  const auto old = file_text(log_file(host)).size();
  {
    const inside_network there{network_ ? network_->fd(host) : -1};
    agents_[host] = program{run_words(host, on_exit), log_file(host)};
  }
  const std::string sign = "API on ";
  wait_for(host + " says where its API is", [&] {
    if (!lives(host))
      FAIL("the agent of " << host << " ended: " << file_text(log_file(host)).substr(old));
    const auto text = file_text(log_file(host)).substr(old);
    const auto at = text.find(sign);
    const auto end = text.find('\n', at);
    if (at == std::string::npos || end == std::string::npos)
      return false;
    urls_[host] = text.substr(at + sign.size(), end - at - sign.size());
    return true;
  });
}

void site_processes::start_all() {
  for (const auto& host : names_)
    agents_[host]; // so that nothing is inserted later
  for (const auto& host : names_)
    start(host);
  wait_for_agreement(names_);
}

void site_processes::kill_agent(const std::string& host) { agents_[host].kill(); }

void site_processes::kill_hosts(const std::vector<std::string>& hosts) {
  for (const auto& host : hosts)
    agents_[host].signal(SIGKILL);
  for (const auto& host : hosts)
    agents_[host].kill();
  for (const auto& host : hosts)
    wait_for("all processes of " + host + " are gone", [&] {
      const auto left = actors::find_marked_processes(data_dir(host).string());
      for (const auto& process : left)
        kill(process.stat.pid, SIGKILL);
      const auto images = image_containers_in(data_dir(host).string());
      for (const auto& container : images)
        kill(container.main > 0 ? container.main : container.conmon, SIGKILL);
      return left.empty() && images.empty();
    });
}

int site_processes::end(const std::string& host) {
  agents_[host].signal(SIGTERM);
  const auto code = agents_[host].wait();
  REQUIRE_MESSAGE(code, host << " did not end within 30 s\n" << describe());
  return *code;
}

std::map<std::string, pid_t> site_processes::containers_of(const std::string& host) const {
  std::map<std::string, pid_t> result;
  for (const auto& process : actors::find_marked_processes(data_dir(host).string()))
    result.emplace(process.mark.container, process.stat.pid);
  for (const auto& container : image_containers_in(data_dir(host).string()))
    result.emplace(container.name, container.main);
  return result;
}

std::size_t site_processes::processes_of(const std::string& host) const {
  return actors::find_marked_processes(data_dir(host).string()).size();
}

void site_processes::pause(const std::string& host) {
  paused_.insert(host);
  agents_[host].signal(SIGSTOP);
}

void site_processes::resume(const std::string& host) {
  agents_[host].signal(SIGCONT);
  paused_.erase(host);
}

bool site_processes::lives(const std::string& host) const {
  const auto it = agents_.find(host);
  return it != agents_.end() && it->second.is_alive() && paused_.count(host) == 0;
}

// -- asking ------------------------------------------------------------------------------------------------------------

api_answer call_api(const api_endpoint& endpoint, const std::string& method, const std::string& target,
                    const std::string& body, milliseconds limit) {
  net::http_call_options options;
  options.timeout = limit;
  options.token = tools::find_api_token(tools::api_token_path());
  const inside_network there{endpoint.network};
  const auto start = std::chrono::steady_clock::now();
  const auto outcome = net::http_call(endpoint.url, method, target, body, options);
  if (const auto* failure = std::get_if<net::http_failure>(&outcome))
    return {0, failure->sentence, since(start), failure->reason == net::http_failure::kind::refused};
  const auto& answer = std::get<net::http_answer>(outcome);
  return {answer.status, answer.body, since(start), false};
}

api_answer site_processes::call(const std::string& host, const std::string& method, const std::string& target,
                                const std::string& body) const {
  return call_api(endpoint(host), method, target, body);
}

std::string site_processes::some_host() const {
  std::string first;
  for (const auto& host : names_) {
    if (!lives(host))
      continue;
    if (first.empty())
      first = host;
    if (status(host).quorum)
      return host;
  }
  REQUIRE_MESSAGE(!first.empty(), "no host of the site lives");
  return first;
}

std::string site_processes::leader() const {
  std::map<std::string, std::size_t> votes;
  for (const auto& host : names_)
    if (lives(host))
      if (const auto view = status(host); view.quorum && lives(view.leader) && ++votes[view.leader] > names_.size() / 2)
        return view.leader;
  return {};
}

std::vector<actors::instance_view> site_processes::instances() const {
  return get<std::vector<actors::instance_view>>(some_host(), "/v1/instances");
}

actors::instance_view site_processes::instance(const std::string& name) const {
  for (auto& x : instances())
    if (x.name == name)
      return x;
  return {};
}

actors::host_view site_processes::host(const std::string& id) const {
  for (auto& x : get<std::vector<actors::host_view>>(some_host(), "/v1/hosts"))
    if (x.id == id)
      return x;
  return {};
}

actors::application_view site_processes::application(const std::string& name) const {
  for (auto& x : get<std::vector<actors::application_view>>(some_host(), "/v1/applications"))
    if (x.name == name)
      return x;
  return {};
}

api_answer site_processes::apply(const std::string& host, const config::application_spec& spec) const {
  return call(host, "PUT", "/v1/applications/" + spec.name, application_document(spec));
}

api_answer site_processes::scale(const std::string& application, const std::string& service, unsigned replicas) const {
  return call(some_host(), "POST", "/v1/applications/" + application + "/scale",
              R"({"service": ")" + service + R"(", "replicas": )" + std::to_string(replicas) + '}');
}

// -- waiting -----------------------------------------------------------------------------------------------------------

milliseconds site_processes::wait_for(const std::string& what, const std::function<bool()>& done,
                                      milliseconds limit) const {
  const auto start = std::chrono::steady_clock::now();
  const bool good = eventually(done, limit);
  if (!good)
    FAIL(what << ": not within " << limit.count() << " ms\n" << describe());
  return since(start);
}

void site_processes::wait_for_agreement(const std::vector<std::string>& hosts) const {
  wait_for("the hosts follow one leader", [&] {
    std::set<std::string> leaders;
    std::set<std::uint64_t> applied;
    for (const auto& name : hosts) {
      const auto view = status(name);
      leaders.insert(view.quorum ? view.leader : "");
      applied.insert(view.applied);
    }
    return leaders.size() == 1 && applied.size() == 1 && lives(*leaders.begin());
  });
}

void site_processes::wait_for_leader(const std::vector<std::string>& hosts) const {
  wait_for("the hosts follow one leader", [&] {
    std::set<std::string> leaders;
    for (const auto& name : hosts) {
      const auto view = status(name);
      leaders.insert(view.quorum ? view.leader : "");
    }
    return leaders.size() == 1 && lives(*leaders.begin());
  });
}

bool site_processes::all_running(std::size_t count) const {
  const auto all = instances();
  return all.size() == count && std::all_of(all.begin(), all.end(), [](const auto& x) { return x.state == "running"; });
}

milliseconds site_processes::wait_for_running(std::size_t count) const {
  return wait_for(std::to_string(count) + " instances run, and no other", [&] { return all_running(count); });
}

std::string site_processes::describe() const {
  std::string text;
  for (const auto& name : names_) {
    text += "---- " + name + (lives(name) ? " (pid " + std::to_string(agents_[name].pid()) + ")" : " (not running)") + '\n';
    if (lives(name)) {
      text += call(name, "GET", "/status").body;
      text += call(name, "GET", "/v1/instances").body;
    }
    for (const auto& [container, pid] : containers_of(name))
      text += container + " is process " + std::to_string(pid) + '\n';
    text += last_lines(file_text(log_file(name)), 2'000);
  }
  return text;
}

// -- what runs ---------------------------------------------------------------------------------------------------------

config::application_spec simple_application(const std::string& name, std::vector<std::string> command, unsigned replicas) {
  config::container_spec container;
  container.name = "one";
  container.command = std::move(command);
  container.resources = {10, std::int64_t{4} << 20}; // with an image, less is refused
  container.grace = milliseconds{2'000};
  config::service_spec service;
  service.name = "main";
  service.replicas = replicas;
  service.containers = {container};
  config::application_spec spec;
  spec.name = name;
  spec.version = "1";
  spec.services = {service};
  return spec;
}

std::string application_document(const config::application_spec& spec) {
  auto document = config::to_json(spec);
  document.as_object()["kind"] = "application";
  return config::json_text(document);
}

config::application_spec on(const std::string& expression, config::application_spec spec) {
  for (auto& service : spec.services)
    service.placement.match_host_labels = expression;
  return spec;
}

} // namespace prunella::tests
