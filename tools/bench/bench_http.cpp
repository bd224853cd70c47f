// What the agent's HTTP API costs: GET /status of a real agent (a site of one host) beside a bare Beast server with as
// many threads that answers a body of the same size, in turn, with the same load. Then a site of three hosts under the same load:
// how late its heartbeats get.
//
//   bench_http [--seconds S, per figure and run: 1] [--runs N: 7] [--connections N: 32] [--only status|heartbeats]
//              [--program PATH, another prunella to compare with]

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/json.hpp"
#include "net/http_client.hpp"
#include "net/identity.hpp"
#include "tools/bench/bare_http_server.hpp"
#include "tools/bench/child_process.hpp"
#include "tools/bench/figures.hpp"
#include "tools/bench/http_load.hpp"
#include "tools/cli/api_token.hpp"

using namespace prunella;
using namespace prunella::bench;
using namespace std::chrono_literals;

namespace {

[[noreturn]] void stop(const std::string& why) {
  throw std::runtime_error(why);
}

/// A folder that goes with the benchmark.
struct scratch {
  scratch() : path((std::filesystem::temp_directory_path() / "bench-http-XXXXXX").string()) {
    if (::mkdtemp(path.data()) == nullptr)
      stop("no temporary directory");
  }
  scratch(const scratch&) = delete;
  scratch& operator=(const scratch&) = delete;
  ~scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::string path;
};

std::uint16_t free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    stop("no free port");
  ::close(fd);
  return ntohs(address.sin_port);
}

/// Asks again for up to 20 s: an agent that starts, or elects, says so with 503.
boost::json::value get(const std::string& endpoint, const std::string& target) {
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  for (;;) {
    net::http_call_options options;
    options.token = tools::find_api_token(tools::api_token_path());
    const auto outcome = net::http_call(endpoint, "GET", target, {}, options);
    if (const auto* failed = std::get_if<net::http_failure>(&outcome))
      stop(failed->sentence);
    const auto& answer = std::get<net::http_answer>(outcome);
    if (answer.status == 200)
      return config::parse_json(answer.body).value;
    if (answer.status != 503 || std::chrono::steady_clock::now() > deadline)
      stop(target + " answered " + std::to_string(answer.status) + ": " + answer.body);
    std::this_thread::sleep_for(20ms);
  }
}

constexpr auto patience = 20s;

/// A site of real agents, one process each, on this machine; ends with this.
class site {
public:
  site(const std::string& program, const std::string& folder, int hosts) {
    std::filesystem::create_directories(folder);
    std::ofstream file(folder + "/site.yaml");
    file << "kind: site\nname: bench\nliveness: fast\nhosts:\n";
    std::vector<std::string> ids;
    for (int i = 1; i <= hosts; ++i) {
      ids.push_back("host-" + std::to_string(i));
      file << "  - id: " << ids.back() << "\n    address: 127.0.0.1:" << free_port() << "\n    capacity: {cpu: 2, memory: 2Gi}\n";
    }
    file.close();
    net::create_site_identity(folder + "/keys", "bench", ids);
    for (const auto& id : ids)
      start(program, folder, id);
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (status().at("health") != "healthy" || status().at("hosts_up").to_number<int>() < hosts) {
      if (std::chrono::steady_clock::now() > deadline)
        stop("the site is not healthy after 20 s");
      std::this_thread::sleep_for(20ms);
    }
  }

  boost::json::value status() const { return get(endpoints_.begin()->second, "/status"); }
  std::string leader() const { return std::string(status().at("leader").as_string()); }
  const std::map<std::string, std::string>& endpoints() const { return endpoints_; }
  std::uint16_t port(const std::string& host) const {
    const auto& url = endpoints_.at(host);
    return static_cast<std::uint16_t>(std::stoul(url.substr(url.rfind(':') + 1)));
  }

private:
  void start(const std::string& program, const std::string& folder, const std::string& id) {
    const auto data = folder + "/" + id;
    std::filesystem::create_directories(data);
    std::filesystem::copy(net::host_identity_dir(folder + "/keys", id), data + "/tls", std::filesystem::copy_options::recursive);
    const std::vector<std::string> words{program, "host",   "run",   "--site",     folder + "/site.yaml", "--host-id",
                                         id,      "--data-dir", data, "--api", "127.0.0.1:0"};
    auto& agent = *agents_.emplace_back(
      std::make_unique<child_process>(words, child_process::talk::lines, folder + "/" + id + ".log"));
    const auto line = agent.line(patience); // "host-1: API on http://127.0.0.1:40123"
    const auto at = line.find("http://");
    if (at == std::string::npos)
      stop("an agent said `" + line + "` in place of where its API is");
    endpoints_[id] = line.substr(at);
  }

  std::vector<std::unique_ptr<child_process>> agents_;
  std::map<std::string, std::string> endpoints_; ///< API by host
};

struct arguments {
  double length = 1;
  int runs = 7;
  int connections = 32;
  std::string only;
  std::string program = PRUNELLA_PROGRAM;

  http_load_options load(std::uint16_t port) const {
    http_load_options result;
    result.token = tools::find_api_token(tools::api_token_path());
    result.port = port;
    result.connections = connections;
    result.length = std::chrono::duration<double>(length);
    return result;
  }
};

void measure_status(const arguments& given, const std::string& folder) {
  site agent(given.program, folder, 1);
  const auto body = config::json_text(agent.status());
  child_process bare({"/proc/self/exe", "--serve-bare", std::to_string(body.size())}, child_process::talk::lines, {});
  const auto bare_port = static_cast<std::uint16_t>(std::stoul(bare.line(patience)));
  std::map<std::string, std::vector<double>> runs;
  for (int run = 0; run < given.runs; ++run) {
    const auto ours = run_http_load(given.load(agent.port("host-1")));
    const auto theirs = run_http_load(given.load(bare_port));
    runs["status"].push_back(ours.requests_per_second);
    runs["status_p99"].push_back(percentile(ours.latencies_us, 0.99));
    runs["bare"].push_back(theirs.requests_per_second);
    runs["bare_p99"].push_back(percentile(theirs.latencies_us, 0.99));
    runs["ratio"].push_back(ours.requests_per_second / theirs.requests_per_second);
  }
  print("http_status_body", static_cast<double>(body.size()), "B");
  print("http_status", median(runs["status"]), "1/s");
  print("http_status_p99", median(runs["status_p99"]), "us");
  print("http_bare", median(runs["bare"]), "1/s");
  print("http_bare_p99", median(runs["bare_p99"]), "us");
  print("http_status_to_bare", median(runs["ratio"]), "ratio");
}

/// The most that any heartbeat came too late within the last seconds, as the leader saw it.
double worst_lateness_ms(const site& all) {
  double worst = 0;
  const auto hosts = get(all.endpoints().at(all.leader()), "/v1/hosts");
  for (const auto& host : hosts.as_array())
    worst = std::max(worst, host.at("heartbeat_late_us").to_number<double>() / 1000);
  return worst;
}

/// The worst lateness while /status of `host` is asked for `seconds`. The record of the leader reaches back 5 to 10 s,
/// so looking every second misses none.
double lateness_under_load(const site& all, const arguments& given, const std::string& host, int seconds) {
  double worst = 0;
  for (int i = 0; i < seconds; ++i) {
    auto load = given.load(all.port(host));
    load.length = 1s;
    run_http_load(load);
    worst = std::max(worst, worst_lateness_ms(all));
  }
  return worst;
}

void measure_heartbeats(const arguments& given, const std::string& folder) {
  site all(given.program, folder, 3);
  const auto leader = all.leader();
  std::string follower;
  for (const auto& [host, endpoint] : all.endpoints())
    if (host != leader)
      follower = host;
  const auto settle = [] { std::this_thread::sleep_for(11s); }; // until the leader's record holds nothing older
  settle();
  print("http_heartbeat_lateness_idle", worst_lateness_ms(all), "ms");
  const auto at_leader = lateness_under_load(all, given, leader, 12);
  settle();
  const auto at_follower = lateness_under_load(all, given, follower, 12);
  print("http_heartbeat_lateness_leader_asked", at_leader, "ms");
  print("http_heartbeat_lateness_follower_asked", at_follower, "ms");
  print("http_heartbeat_lateness_max", std::max(at_leader, at_follower), "ms");
}

arguments read(int argc, char** argv) {
  arguments result;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string word = argv[i];
    const char* value = argv[i + 1];
    if (word == "--seconds")
      result.length = std::atof(value);
    else if (word == "--runs")
      result.runs = std::atoi(value);
    else if (word == "--connections")
      result.connections = std::atoi(value);
    else if (word == "--only")
      result.only = value;
    else if (word == "--program")
      result.program = value;
    else
      stop("unknown option " + word + "; there are --seconds, --runs, --connections, --only and --program");
  }
  if (result.length <= 0 || result.runs <= 0 || result.connections <= 0)
    stop("--seconds, --runs and --connections are numbers above 0");
  return result;
}

} // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::string(argv[1]) == "--serve-bare")
    serve_bare_http(std::strtoul(argv[2], nullptr, 10));
  try {
    const auto given = read(argc, argv);
    const scratch folder;
    clean_up_when_interrupted(folder.path);
    if (given.only.empty() || given.only == "status")
      measure_status(given, folder.path + "/one");
    if (given.only.empty() || given.only == "heartbeats")
      measure_heartbeats(given, folder.path + "/three");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_http: %s\n", error.what());
    return 1;
  }
}
