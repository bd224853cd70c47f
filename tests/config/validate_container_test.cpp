// The rules for containers of images: what they are made with, and what only they may have.

#include <doctest/doctest.h>

#include <functional>

#include "config/limits.hpp"
#include "config/validate.hpp"

using namespace prunella::config;

namespace {

using paths = std::vector<std::string>;

service_spec a_service() {
  service_spec service;
  service.name = "web";
  service.containers.resize(1);
  service.containers[0].name = "main";
  service.containers[0].image = "registry.example/shop/web:1.2";
  return service;
}

/// What is wrong after `change`, without the path of the service.
paths bad_service(const std::function<void(service_spec&)>& change) {
  application_spec app;
  app.name = "shop";
  app.version = "1";
  app.services = {a_service()};
  change(app.services[0]);
  paths found;
  for (const auto& p : validate(app)) {
    CHECK(!p.what.empty());
    CHECK(!p.fix.empty());
    found.push_back(p.path.substr(p.path.find('.') + 1));
  }
  return found;
}

/// The same, of its container.
paths bad(const std::function<void(container_spec&)>& change) {
  auto found = bad_service([&](service_spec& service) { change(service.containers[0]); });
  for (auto& path : found)
    path = path.substr(path.find('.') + 1);
  return found;
}

paths bad_volume(const volume_spec& volume) {
  return bad([&](container_spec& c) { c.volumes = {volume}; });
}

paths bad_host(const std::function<void(host_spec&)>& change) {
  site_spec site;
  site.name = "shop";
  site.hosts = {{"host-1", "10.0.0.1:7101", {}, {1, 1}, {}}};
  change(site.hosts[0]);
  paths found;
  for (const auto& p : validate(site))
    found.push_back(p.path);
  return found;
}

} // namespace

TEST_CASE("a container of an image needs no command, and one without an image does") {
  CHECK(bad([](auto&) {}).empty());
  CHECK(bad([](auto& c) { c.image.clear(); }) == paths{"command"});
  CHECK(bad([](auto& c) { c.image = "two words"; }) == paths{"image"});
}

TEST_CASE("an image has a name that storage can read, so that no site tries in vain to bring what is none") {
  const auto of = [](const std::string& image) { return bad([&](auto& c) { c.image = image; }); };
  const std::string hex(64, 'a');
  const std::vector<std::string> good_names{
      "busybox", "shop/web:2", "localhost:5000/web", "127.0.0.1:5077/base:1", "[::1]:5000/web:1", "r.example/web@sha256:" + hex,
      "r.example:443/web:2@sha256:" + hex, "r.example/" + std::string(245, 'a') + ':' + std::string(128, 't') + "@sha256:" + hex};
  for (const auto& good : good_names)
    CHECK_MESSAGE(of(good).empty(), good);
  const std::vector<std::string> wrong_names{
      "UPPER/case:1", "127.0.0.1:5077/Base:2", "a:b:c", "-x", "file:///etc/passwd", "../../x:1", "two words", "web:", "web@sha256:abc",
      "web@sha512:" + hex + hex, "web@sha256:" + hex.substr(1) + 'A', "w\xc3\xa9", std::string(1, '\0'),
      std::string(limits::image_bytes, 'a'), std::string(limits::image_bytes + 1, 'a')};
  for (const auto& wrong : wrong_names)
    CHECK_MESSAGE(of(wrong) == paths{"image"}, wrong);
  CHECK(bad_service([](auto& s) {
          s.init_containers = s.containers;
          s.init_containers[0].name = "migrate";
          s.init_containers[0].image = "a:b:c";
        }) == paths{"init-containers[0].image"});
}

TEST_CASE("a plain process has no user, read-only root, limit of processes, files, volumes or network of its own") {
  const auto plain = [](auto change) {
    return bad([&](container_spec& c) {
      c.image.clear();
      c.command = {"run"};
      change(c);
    });
  };
  CHECK(plain([](auto& c) { c.stop_signal = "INT"; }).empty());
  CHECK(plain([](auto& c) { c.user = "www"; }) == paths{"user"});
  CHECK(plain([](auto& c) { c.read_only_root = true; }) == paths{"read-only-root"});
  CHECK(plain([](auto& c) { c.user_namespace = true; }) == paths{"user-namespace"});
  CHECK(plain([](auto& c) { c.pids = 10; }) == paths{"pids"});
  CHECK(plain([](auto& c) { c.files = {{"/a", "", "0644"}}; }) == paths{"files"});
  CHECK(plain([](auto& c) { c.volumes = {{"/a", volume_kind::tmpfs, "", "", 0, false}}; }) == paths{"volumes"});
  CHECK(bad_service([](auto& s) {
          s.network = instance_network::none;
          s.containers[0].image.clear();
          s.containers[0].command = {"run"};
        }) == paths{"containers[0].image"});
}

TEST_CASE("a user is a name or number with at most one group behind it") {
  for (const char* good : {"www", "33", "www:media", "1000:1000", "a.b_c-d"})
    CHECK(bad([&](auto& c) { c.user = good; }).empty());
  for (const char* wrong : {":", "www:", ":33", "a:b:c", "a b", "a/b"})
    CHECK(bad([&](auto& c) { c.user = wrong; }) == paths{"user"});
}

TEST_CASE("a stop signal is one that there is") {
  CHECK(bad([](auto& c) { c.stop_signal = "SIGINT"; }).empty());
  CHECK(bad([](auto& c) { c.stop_signal = "SIGNOTHING"; }) == paths{"stop-signal"});
  CHECK(bad([](auto& c) { c.stop_signal = "0"; }) == paths{"stop-signal"});
}

TEST_CASE("files have an absolute path of their own, an octal mode and 256 KiB together") {
  CHECK(bad([](auto& c) { c.files = {{"/etc/a", "x", "0600"}, {"/etc/b", "", "644"}}; }).empty());
  CHECK(bad([](auto& c) { c.files = {{"etc/a", "", "0644"}}; }) == paths{"files[0].path"});
  CHECK(bad([](auto& c) { c.files = {{"/", "", "0644"}}; }) == paths{"files[0].path"});
  CHECK(bad([](auto& c) { c.files = {{"/a/../b", "", "0644"}}; }) == paths{"files[0].path"});
  CHECK(bad([](auto& c) { c.files = {{"/a", "", "0644"}, {"/a", "", "0644"}}; }) == paths{"files[1].path"});
  for (const char* mode : {"", "0", "0888", "rw-r--r--", "4755", "01777"})
    CHECK(bad([&](auto& c) { c.files = {{"/a", "", mode}}; }) == paths{"files[0].mode"});
  const std::string half(limits::file_content_bytes / 2, 'x');
  CHECK(bad([&](auto& c) { c.files = {{"/a", half, "0644"}, {"/b", half, "0644"}}; }).empty());
  CHECK(bad([&](auto& c) { c.files = {{"/a", half, "0644"}, {"/b", half + "x", "0644"}}; }) == paths{"files[1].content"});
}

TEST_CASE("a container that names its driver is one that the driver can run") {
  CHECK(bad([](auto& c) { c.driver = driver_choice::engine; }).empty());
  CHECK(bad([](auto& c) { c.driver = driver_choice::process; }) == paths{"driver"});
  CHECK(bad([](auto& c) { c.image.clear(); c.command = {"run"}; c.driver = driver_choice::process; }).empty());
  CHECK(bad([](auto& c) { c.image.clear(); c.command = {"run"}; c.driver = driver_choice::oci; }) == paths{"driver"});
}

TEST_CASE("arguments are what Linux can take, also without a command") {
  CHECK(bad([](auto& c) { c.arguments = {"-p", "${PORT_http}", ""}; c.ports = {{"http", 80}}; }).empty());
  CHECK(bad([](auto& c) { c.arguments = {std::string("a\0b", 3)}; }) == paths{"arguments[0]"});
  CHECK(bad([](auto& c) { c.arguments.resize(limits::arguments + 1); }) == paths{"arguments"});
}

TEST_CASE("a volume has what its kind needs and nothing else") {
  CHECK(bad_volume({"/a", volume_kind::ephemeral, "", "", 1 << 20, false}).empty());
  CHECK(bad_volume({"/a", volume_kind::tmpfs, "", "", 0, true}).empty());
  CHECK(bad_volume({"/a", volume_kind::persistent, "db", "", 0, false}).empty());
  CHECK(bad_volume({"/a", volume_kind::host_path, "", "/srv", 0, false}).empty());
  CHECK(bad([](auto& c) {
          c.user_namespace = true;
          c.volumes = {{"/a", volume_kind::host_path, "", "/srv", 0, false}};
        }) == paths{"user-namespace"});
  CHECK(bad_volume({"/a", volume_kind::persistent, "db", "", 0, false, true}).empty());
  CHECK(bad_volume({"/a", volume_kind::tmpfs, "", "", 0, false, true}) == paths{"volumes[0].movable"});
  CHECK(bad_volume({"a", volume_kind::tmpfs, "", "", 0, false}) == paths{"volumes[0].target"});
  CHECK(bad_volume({"/a", volume_kind::tmpfs, "db", "", 0, false}) == paths{"volumes[0].name"});
  CHECK(bad_volume({"/a", volume_kind::tmpfs, "", "/srv", 0, false}) == paths{"volumes[0].path"});
  CHECK(bad_volume({"/a", volume_kind::tmpfs, "", "", -1, false}) == paths{"volumes[0].size"});
  CHECK(bad_volume({"/a", volume_kind::persistent, "", "", 0, false}) == paths{"volumes[0].name"});
  CHECK(bad_volume({"/a", volume_kind::persistent, "db", "", 1, false}) == paths{"volumes[0].size"});
  CHECK(bad_volume({"/a", volume_kind::host_path, "", "", 0, false}) == paths{"volumes[0].path"});
  CHECK(bad_volume({"/a", volume_kind::host_path, "", "/srv/../etc", 0, false}) == paths{"volumes[0].path"});
  CHECK(bad([](auto& c) {
          c.files = {{"/a", "", "0644"}};
          c.volumes = {{"/a", volume_kind::tmpfs, "", "", 0, false}};
        }) == paths{"volumes[0].target"});
}

TEST_CASE("nothing is put where the runtime makes something, but shared memory has any size, and the host's files go below /dev") {
  const auto file = [](const char* path) { return bad([&](auto& c) { c.files = {{path, "", "0644"}}; }); };
  const auto memory = [](const char* path) { return bad_volume({path, volume_kind::tmpfs, "", "", 0, false}); };
  const auto of_host = [](const char* path) { return bad_volume({path, volume_kind::host_path, "", "/srv", 0, false}); };
  for (const char* wrong : {"/proc", "/proc/", "//proc/x", "/sys", "/sys/fs/cgroup", "/./sys/x", "/dev", "/dev/", "/", "//", "/."}) {
    CAPTURE(wrong);
    CHECK(file(wrong) == paths{"files[0].path"});
    CHECK(memory(wrong) == paths{"volumes[0].target"});
    CHECK(of_host(wrong) == paths{"volumes[0].target"});
  }
  for (const char* good : {"/process", "/system/x", "/developer", "/srv/proc", "/etc"}) {
    CAPTURE(good);
    CHECK(file(good).empty());
    CHECK(memory(good).empty());
  }
  CHECK(file("/dev/x") == paths{"files[0].path"});
  CHECK(file("/dev/shm") == paths{"files[0].path"});
  CHECK(memory("/dev/x") == paths{"volumes[0].target"});
  CHECK(memory("/dev/shm").empty());
  CHECK(memory("/dev/shm/").empty());
  CHECK(of_host("/dev/log").empty());
}

TEST_CASE("two files or volumes that differ only in how their path is written are in each other's way") {
  for (const char* same : {"/e/", "//e", "/./e", "/e/."})
    CHECK_MESSAGE(bad([&](auto& c) { c.files = {{"/e", "", "0644"}, {same, "", "0644"}}; }) == paths{"files[1].path"}, same);
  CHECK(bad([](auto& c) {
          c.files = {{"/e/f", "", "0644"}};
          c.volumes = {{"/e//f/", volume_kind::tmpfs, "", "", 0, false}};
        }) == paths{"volumes[0].target"});
  CHECK(bad([](auto& c) { c.files = {{"/e/f", "", "0644"}, {"/e", "", "0644"}}; }).empty());
}

TEST_CASE("a text that refers to no variable is refused with the ones there are, and an escaped one is left to a shell") {
  const auto names = [](container_spec& c) { c.ports = {{"http", 80, port_protocol::tcp}}; };
  CHECK(bad([&](auto& c) {
          names(c);
          c.command = {"run", "${PORT_http}", "$${SHELL}", "${PRUNELLA_HOST}", "$HOME", "${X:-1}"};
        }).empty());
  CHECK(bad([&](auto& c) { c.command = {"run", "${PORT_http}"}; }) == paths{"command[1]"});
  CHECK(bad([&](auto& c) { c.env = {{"A", "${HOSTS}"}}; }) == paths{"env.A"});
  CHECK(bad([&](auto& c) { c.files = {{"/a", "${a} ${b}", "0644"}}; }) == paths{"files[0].content"});
}

TEST_CASE("init containers have names of their own among all and no ports") {
  const auto init = [](service_spec& s) {
    s.init_containers = s.containers;
    s.init_containers[0].name = "migrate";
  };
  CHECK(bad_service(init).empty());
  CHECK(bad_service([&](auto& s) {
          init(s);
          s.init_containers[0].name = "main";
        }) == paths{"init-containers[0].name"});
  CHECK(bad_service([&](auto& s) {
          init(s);
          s.init_containers[0].ports = {{"http", 80, port_protocol::tcp}};
        }) == paths{"init-containers[0].ports"});
  CHECK(bad_service([&](auto& s) { s.init_containers.resize(17, s.containers[0]); }).front() == "init-containers");
  CHECK(bad_service([](auto& s) { s.network = instance_network::none; }).empty());
  CHECK(bad_service([](auto& s) {
          s.network = instance_network::none;
          s.containers[0].probes.liveness.tcp.port = 80;
        }) == paths{"containers[0].probes.liveness"});
  CHECK(bad_service([](auto& s) {
          s.network = instance_network::none;
          s.containers[0].probes.liveness.command = {"true"};
        }).empty());
}

TEST_CASE("an instance on a bridge may listen on the port that it publishes, as its ports are its own") {
  const auto publish = [](instance_network network) {
    return [network](service_spec& s) {
      s.network = network;
      s.containers[0].ports = {{"http", 80, port_protocol::tcp, 80}};
    };
  };
  CHECK(bad_service(publish(instance_network::bridge)).empty());
  CHECK(bad_service(publish(instance_network::host)).size() == 1);
}

TEST_CASE("a host names each driver once, a runtime only for oci, a socket only for engine, and absolute paths that it allows") {
  CHECK(bad_host([](auto& h) { h.drivers = {{driver_kind::process, ""}, {driver_kind::oci, "/usr/bin/crun"}}; }).empty());
  CHECK(bad_host([](auto& h) { h.drivers = {{driver_kind::oci, ""}, {driver_kind::oci, ""}}; }) ==
        paths{"hosts[0].drivers[1]"});
  CHECK(bad_host([](auto& h) { h.drivers = {{driver_kind::engine, ""}, {driver_kind::oci, ""}}; }).empty());
  CHECK(bad_host([](auto& h) { h.drivers = {{driver_kind::engine, "", "/run/podman/podman.sock"}}; }).empty());
  CHECK(bad_host([](auto& h) { h.drivers = {{driver_kind::engine, "", "podman.sock"}}; }) == paths{"hosts[0].drivers[0].socket"});
  CHECK(bad_host([](auto& h) { h.drivers = {{driver_kind::engine, "", '/' + std::string(106, 's')}}; }).empty());
  CHECK(bad_host([](auto& h) { h.drivers = {{driver_kind::engine, "", '/' + std::string(107, 's')}}; }) == paths{"hosts[0].drivers[0].socket"});
  CHECK(bad_host([](auto& h) { h.drivers = {{driver_kind::engine, "/usr/bin/runc"}}; }) == paths{"hosts[0].drivers[0].runtime"});
  CHECK(bad_host([](auto& h) { h.drivers = {{driver_kind::oci, "", "/run/docker.sock"}}; }) == paths{"hosts[0].drivers[0].socket"});
  CHECK(bad_host([](auto& h) { h.drivers = {{driver_kind::process, "/x"}}; }) == paths{"hosts[0].drivers[0].runtime"});
  CHECK(bad_host([](auto& h) { h.drivers = {{driver_kind::oci, "crun"}}; }) == paths{"hosts[0].drivers[0].runtime"});
  CHECK(bad_host([](auto& h) { h.host_paths = {"/srv", "media"}; }) == paths{"hosts[0].host-paths[1]"});
}

TEST_CASE("the bounds of a log are 64 KiB or more, and a minute or more if they have an age") {
  CHECK(bad([](auto& c) { c.logs = {limits::least_log_bytes, std::chrono::milliseconds{0}}; }).empty());
  CHECK(bad([](auto& c) { c.logs = {limits::least_log_bytes - 1, std::chrono::milliseconds{0}}; }) == paths{"logs.max-size"});
  CHECK(bad([](auto& c) { c.logs = {limits::memory_bytes + 1, std::chrono::milliseconds{0}}; }) == paths{"logs.max-size"});
  CHECK(bad([](auto& c) { c.logs.max_size_bytes = -1; }) == paths{"logs.max-size"});
  CHECK(bad([](auto& c) { c.logs.max_age = std::chrono::milliseconds{60'000}; }).empty());
  CHECK(bad([](auto& c) { c.logs.max_age = std::chrono::milliseconds{59'999}; }) == paths{"logs.max-age"});
  CHECK(bad([](auto& c) { c.logs.max_age = std::chrono::milliseconds{-1}; }) == paths{"logs.max-age"});
}

TEST_CASE("a disk limit is 1 MiB or more, and more than the container's logs may take") {
  const auto with = [](std::int64_t disk, std::int64_t logs) {
    return bad([=](auto& c) {
      c.disk_bytes = disk;
      c.logs.max_size_bytes = logs;
    });
  };
  CHECK(with(0, 100'000).empty());
  CHECK(with(limits::least_disk_bytes, limits::least_disk_bytes - 1).empty());
  CHECK(with(limits::least_disk_bytes, limits::least_disk_bytes) == paths{"disk"});
  CHECK(with(limits::least_disk_bytes - 1, 100'000) == paths{"disk"});
  CHECK(with(-1, 100'000) == paths{"disk"});
  CHECK(with(limits::memory_bytes + 1, 100'000) == paths{"disk"});
}

TEST_CASE("a container of an image has 4 MiB of memory or more, as its start takes more than two, a process has any") {
  const auto with = [](std::int64_t memory, bool has_image) {
    return bad([=](auto& c) {
      c.resources.memory_bytes = memory;
      if (!has_image) {
        c.image.clear();
        c.command = {"serve"};
      }
    });
  };
  CHECK(with(0, true).empty());
  CHECK(with(4 << 20, true).empty());
  CHECK(with((4 << 20) - 1, true) == paths{"resources.memory"});
  CHECK(with(1, true) == paths{"resources.memory"});
  CHECK(with(1, false).empty());
}
