// What the front door costs: requests to a bare HTTP server directly, through the door of the host it is on, through the
// door of another host and its tunnel, and through nginx as a TCP proxy (one worker, as the door has one thread), in turn, with
// the same load. On kept connections, and with a connection for each request.
//
//   bench_door [--seconds S, per figure and run: 1] [--runs N: 7] [--connections N: 32]
//
// Debian's nginx-light with libnginx-mod-stream; left out where they are not installed.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <iostream>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/door/door.hpp"
#include "net/identity.hpp"
#include "net/link_socket.hpp"
#include "tools/bench/bare_http_server.hpp"
#include "tools/bench/child_process.hpp"
#include "tools/bench/figures.hpp"
#include "tools/bench/http_load.hpp"

using namespace prunella;
using namespace prunella::bench;
using namespace std::chrono_literals;

namespace {

constexpr auto patience = 20s;
constexpr std::size_t body_bytes = 600; ///< about what GET /status answers

[[noreturn]] void stop(const std::string& why) {
  throw std::runtime_error(why);
}

// -- a door in a process of its own --------------------------------------------------------------------------------------

/// `--door host-N KEYS LOCAL_PORT REMOTE_PORT BACKEND`: prints where other doors find it, reads where the other one is, and
/// says `ready`. LOCAL_PORT leads to the instance on this host, REMOTE_PORT to that on host-2.
int serve_door(char** words) {
  const std::string host = words[2];
  const std::string backend = words[6];
  const auto port_of = [](const char* text) { return static_cast<std::uint16_t>(std::atoi(text)); };
  net::door_options options;
  options.host = host;
  options.address = host == "host-1" ? "127.0.0.1" : "127.0.0.2";
  options.tunnel = options.address + ":0";
  options.identity = net::load_identity(net::host_identity_dir(words[3], host), host);
  const auto door = net::make_front_door(options);
  std::cout << options.address << ':' << door->tunnel_port() << std::endl;
  std::string other;
  std::getline(std::cin, other);
  net::door_plan plan;
  const bool is_first = host == "host-1";
  const net::door_backend local{"default.shop.web-1", 1, host, {backend}};
  const net::door_backend remote{"default.shop.web-2", 1, "host-2", is_first ? std::vector<std::string>{} : std::vector{backend}};
  plan.services = {{"local", port_of(words[4]), {}, {}, {local}}, {"remote", port_of(words[5]), {}, {}, {remote}}};
  plan.peers[is_first ? "host-2" : "host-1"] = {other, false};
  door->apply(plan);
  std::promise<std::string> problem;
  door->status([&](const auto& rows) {
    std::string text = "ready";
    for (const auto& row : rows)
      text = row.problem.empty() ? text : row.problem;
    problem.set_value(text);
  });
  std::cout << problem.get_future().get() << std::endl;
  std::getline(std::cin, other); // until the benchmark ends
  return 0;
}

std::uint16_t free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), size) != 0
      || ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    stop("no free port");
  ::close(fd);
  return ntohs(address.sin_port);
}

std::unique_ptr<child_process> start_nginx(const std::string& folder, std::uint16_t port, std::uint16_t backend) {
  const std::string module = "/usr/lib/nginx/modules/ngx_stream_module.so";
  if (::access("/usr/sbin/nginx", X_OK) != 0 || ::access(module.c_str(), R_OK) != 0) {
    std::fprintf(stderr, "bench_door: nginx is left out; install nginx-light and libnginx-mod-stream to have it beside\n");
    return nullptr;
  }
  std::ofstream(folder + "/nginx.conf") << "load_module " << module << ";\nworker_processes 1;\ndaemon off;\npid " << folder
                                        << "/nginx.pid;\nerror_log " << folder << "/nginx.log;\n"
                                        << "events { worker_connections 4096; }\n"
                                        << "stream { server { listen 127.0.0.1:" << port << "; proxy_pass 127.0.0.1:" << backend
                                        << "; } }\n";
  // Its worker would outlive a master that is killed: one process does both.
  return std::make_unique<child_process>(
    std::vector<std::string>{"/usr/sbin/nginx", "-c", folder + "/nginx.conf", "-g", "master_process off;"},
    child_process::talk::none, folder + "/nginx.err");
}

// -- loads ---------------------------------------------------------------------------------------------------------------

/// One request on a connection of its own; false if it was not answered.
bool ask_once(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  const std::string request = "GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n";
  char answer[4096];
  const bool good = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0
                    && ::send(fd, request.data(), request.size(), MSG_NOSIGNAL) > 0
                    && ::recv(fd, answer, sizeof answer, 0) > 0;
  ::close(fd);
  return good;
}

void await_answer(std::uint16_t port) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!ask_once(port)) {
    if (std::chrono::steady_clock::now() > deadline)
      stop("nothing answers on port " + std::to_string(port));
    std::this_thread::sleep_for(10ms);
  }
}

/// Connections per second of one client, each with one request.
double connections_per_second(std::uint16_t port, double seconds) {
  const auto start = std::chrono::steady_clock::now();
  const auto took = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
  int count = 0;
  for (; took() < seconds; ++count)
    if (!ask_once(port))
      stop("a connection to port " + std::to_string(port) + " was not answered");
  return count / took();
}

struct arguments {
  double length = 1;
  int runs = 7;
  int connections = 32;
};

arguments read(int argc, char** argv) {
  arguments result;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string word = argv[i];
    if (word == "--seconds")
      result.length = std::atof(argv[i + 1]);
    else if (word == "--runs")
      result.runs = std::atoi(argv[i + 1]);
    else if (word == "--connections")
      result.connections = std::atoi(argv[i + 1]);
    else
      stop("unknown option " + word + "; there are --seconds, --runs and --connections");
  }
  if (result.length <= 0 || result.runs <= 0 || result.connections <= 0)
    stop("--seconds, --runs and --connections are numbers above 0");
  return result;
}

void measure(const arguments& given, const std::string& folder) {
  net::create_site_identity(folder + "/keys", "bench", {"host-1", "host-2"});
  child_process bare({"/proc/self/exe", "--serve-bare", std::to_string(body_bytes)}, child_process::talk::lines, {});
  const auto backend = static_cast<std::uint16_t>(std::stoul(bare.line(patience)));
  const auto local = free_port();
  auto remote = free_port();
  auto proxy = free_port();
  const auto start_door = [&](const std::string& host) {
    return std::make_unique<child_process>(
      std::vector<std::string>{"/proc/self/exe", "--door", host, folder + "/keys", std::to_string(local), std::to_string(remote),
                               "127.0.0.1:" + std::to_string(backend)},
      child_process::talk::lines, std::string{});
  };
  const auto first = start_door("host-1");
  const auto second = start_door("host-2");
  const auto first_address = first->line(patience);
  const auto second_address = second->line(patience);
  first->say(second_address);
  second->say(first_address);
  for (auto* door : {first.get(), second.get()})
    if (const auto said = door->line(patience); said != "ready")
      stop(said);
  const auto nginx = start_nginx(folder, proxy, backend);
  std::map<std::string, std::uint16_t> ways{{"direct", backend}, {"local", local}, {"remote", remote}};
  if (nginx)
    ways["nginx"] = proxy;
  for (const auto& [name, port] : ways)
    await_answer(port);

  std::map<std::string, std::vector<double>> runs;
  for (int run = 0; run < given.runs; ++run) {
    for (const auto& [name, port] : ways) {
      http_load_options load;
      load.port = port;
      load.connections = given.connections;
      load.length = std::chrono::duration<double>(given.length);
      const auto result = run_http_load(load);
      runs[name].push_back(result.requests_per_second);
      runs[name + "_p99"].push_back(percentile(result.latencies_us, 0.99));
      runs[name + "_connections"].push_back(connections_per_second(port, given.length));
    }
    for (const std::string kind : {"", "_p99", "_connections"})
      for (const std::string name : {"local", "remote"})
        for (const std::string peer : {"direct", "nginx"})
          if (ways.count(peer) != 0)
            runs[name + kind + "_to_" + peer].push_back(runs[name + kind].back() / runs[peer + kind].back());
  }
  for (const auto& [name, values] : runs) {
    const bool is_ratio = name.find("_to_") != std::string::npos;
    const bool is_time = name.find("_p99") != std::string::npos;
    print("door_" + name, median(values), is_ratio ? "ratio" : is_time ? "us" : "1/s");
  }
}

} // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::string(argv[1]) == "--serve-bare")
    serve_bare_http(std::strtoul(argv[2], nullptr, 10));
  if (argc == 7 && std::string(argv[1]) == "--door")
    return serve_door(argv);
  std::string folder = (std::filesystem::temp_directory_path() / "bench-door-XXXXXX").string();
  try {
    const auto given = read(argc, argv);
    if (::mkdtemp(folder.data()) == nullptr)
      stop("no temporary directory");
    clean_up_when_interrupted(folder);
    measure(given, folder);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_door: %s\n", error.what());
    std::filesystem::remove_all(folder);
    return 1;
  }
  std::filesystem::remove_all(folder);
}
