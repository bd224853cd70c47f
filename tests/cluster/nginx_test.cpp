// A server that people really run: nginx as Debian packages it, in an image that is pushed to a registry and served by a site.

#include <doctest/doctest.h>

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>

#include "actors/api/image_view.hpp"
#include "storage/images/child_process.hpp"
#include "tests/actors/busybox_image.hpp"
#include "tests/cluster/image_site.hpp"
#include "tests/cluster/web_service.hpp"
#include "tests/net/door_fixture.hpp"
#include "tests/storage/damage.hpp"
#include "tests/storage/images/real_registry.hpp"
#include "tests/storage/outcome.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace fs = std::filesystem;

namespace {

std::string obstacle() {
  if (const auto why = image_site_obstacle(); !why.empty())
    return why;
  for (const auto* program : {"/usr/bin/skopeo", "/usr/bin/docker-registry", "/usr/sbin/nginx", "/usr/bin/dpkg-query"})
    if (::access(program, X_OK) != 0)
      return std::string{program} + " is not installed";
  return {};
}

/// What Debian's packages brought to this machine, documentation left out; sorted, folders before what is in them.
std::set<std::string> files_of(std::vector<std::string> packages) {
  storage::child_order order;
  order.command = {"dpkg-query", "--listfiles"};
  order.command.insert(order.command.end(), packages.begin(), packages.end());
  order.environment = {"PATH=/usr/bin:/bin"};
  std::istringstream lines(must(storage::run_child(order)).output);
  std::set<std::string> found;
  for (std::string line; std::getline(lines, line);)
    if (line.rfind("/usr/share/doc", 0) != 0 && line.rfind("/usr/share/man", 0) != 0 && fs::exists(fs::symlink_status(line)))
      found.insert(line);
  return found;
}

/// The packages' own files, what the program is linked with, and the users of Debian's base system.
test_image nginx_image() {
  auto files = files_of({"nginx", "nginx-common"});
  for (const auto& library : libraries_of("/usr/sbin/nginx"))
    files.insert(library);
  files.insert({"/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/var/log/nginx/", "/var/lib/nginx/"});
  tar_builder tar;
  std::set<std::string> folders;
  for (const auto& file : files)
    for (auto folder = fs::path{file.substr(1)}.parent_path(); !folder.empty(); folder = folder.parent_path())
      folders.insert(folder.string());
  for (const auto* folder : {"dev", "proc", "run", "sys"})
    folders.insert(folder);
  for (const auto& folder : folders)
    tar.folder(folder);
  for (const auto& file : files) {
    std::error_code gone;
    const auto target = fs::canonical(file, gone);
    if (!gone && fs::is_regular_file(target))
      tar.file(file.substr(1), read_bytes(target), file.rfind("/etc/", 0) == 0 ? 0644 : 0755);
  }
  test_image image({tar.bytes()}, packing::zstd);
  image.config_members = R"("Entrypoint":["/usr/sbin/nginx"],"Cmd":["-g","daemon off; error_log stderr;"],"StopSignal":"SIGQUIT")";
  return image;
}

/// The value of `field` in /proc/PID/status; "" if it has none.
std::string status_of(pid_t pid, const std::string& field) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);)
    if (line.rfind(field + ":\t", 0) == 0)
      return line.substr(field.size() + 2);
  return {};
}

/// Children of `parent` that run as the user `uid`.
std::vector<pid_t> children_as(pid_t parent, const std::string& uid) {
  std::vector<pid_t> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const auto name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != name.npos)
      continue;
    const auto pid = static_cast<pid_t>(std::stol(name));
    if (status_of(pid, "PPid") == std::to_string(parent) && status_of(pid, "Uid").rfind(uid + '\t', 0) == 0)
      found.push_back(pid);
  }
  return found;
}

} // namespace

TEST_CASE("nginx as Debian packages it is pulled once, serves its page at every host as www-data, and moves when its host is lost") {
  if (const auto why = obstacle(); !why.empty()) {
    MESSAGE("SKIPPED: ", why);
    return;
  }
  site_processes site;
  std::optional<real_registry> registry{std::in_place, site.folder() / "registry"};
  const auto name = registry->push(nginx_image(), "shop/nginx:1.22");
  site.more_words = {"--insecure-registry", registry->address()};
  site.start_all();

  const auto publish = free_port(own_address(site, "host-1"));
  auto spec = simple_application("shop", {});
  auto& container = spec.services[0].containers[0];
  container.image = name;
  container.resources = {500, 64 << 20};
  auto port = publish;
  while (port == publish)
    port = free_port(own_address(site, "host-1"));
  container.ports = {{"http", port, config::port_protocol::tcp, publish}};
  container.files = {{"/etc/nginx/conf.d/shop.conf",
                      "server { listen ${ADDRESS}:${PORT_http}; location / { return 200 ${HOST}\\n; } }\n", "0644"}};
  config::probe_spec ready;
  ready.http.port = port;
  ready.http.path = "/";
  ready.period = 100ms;
  container.probes.readiness = ready;
  REQUIRE_MESSAGE(site.apply(spec).is_good(), site.apply(spec).body);
  site.wait_for_running(1);
  wait_for_doors(site, site.hosts(), publish);
  const auto home = site.instance("default.shop.main-1");
  for (const auto& host : site.hosts())
    CHECK(page_at(own_address(site, host), publish) == home.host);

  // Root within the container's list of capabilities starts workers as the image's www-data, and neither can have more.
  const auto master = static_cast<pid_t>(home.pid);
  site.wait_for("its workers run as www-data", [&] { return !children_as(master, "33").empty(); });
  for (const auto pid : {master, children_as(master, "33").front()}) {
    CHECK(status_of(pid, "NoNewPrivs") == "1");
    CHECK(status_of(pid, "Seccomp") == "2");
  }
  // What nginx heals by itself is no restart of ours; the end of nginx is.
  const auto worker = children_as(master, "33").front();
  REQUIRE(kill(worker, SIGKILL) == 0);
  site.wait_for("nginx has another worker", [&] {
    const auto workers = children_as(master, "33");
    return !workers.empty() && std::find(workers.begin(), workers.end(), worker) == workers.end();
  });
  CHECK(site.instance("default.shop.main-1").restarts == 0);
  REQUIRE(kill(master, SIGKILL) == 0);
  site.wait_for("nginx was started again", [&] {
    const auto now = site.instance("default.shop.main-1");
    return now.state == "running" && now.pid != home.pid && now.restarts == 1;
  });

  // The image is at a second host already: nobody needs the registry for a failover.
  const auto copies = [&] {
    std::size_t present = 0;
    for (const auto& image : site.get<std::vector<actors::image_view>>(site.some_host(), "/v1/images"))
      present += static_cast<std::size_t>(std::count_if(image.hosts.begin(), image.hosts.end(), [](const auto& x) { return x.state == "present"; }));
    return present;
  };
  site.wait_for("two hosts have the image", [&] { return copies() >= 2; });
  registry.reset();
  site.kill_host(home.host);
  const auto rest = site.hosts_without(home.host);
  site.wait_for("another host serves the page", [&] {
    const auto page = page_at(own_address(site, rest.front()), publish);
    return !page.empty() && page != home.host;
  });
  CHECK(page_at(own_address(site, rest.back()), publish) == site.instance("default.shop.main-1").host);
}
