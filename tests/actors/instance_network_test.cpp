// Instances on a real bridge, with the CNI plugins as Debian ships them, in a network of the test's own.

#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "actors/instance/network/instance_networks.hpp"
#include "actors/instance/network/network_namespace.hpp"
#include "actors/instance/oci/bundle.hpp"
#include "actors/instance/unique_fd.hpp"
#include "net/devices.hpp"
#include "storage/images/idmapped_mount.hpp"
#include "tests/actors/oci_fixture.hpp"
#include "tests/cluster/site_network.hpp"
#include "tests/net/door_fixture.hpp"

using namespace prunella;
using namespace prunella::tests;

namespace {

host_bridge_options bridge_options(const std::string& data, bool outbound = true) {
  return {config::network_of_host(*config::parse_network("10.84.0.0/16"), 1), outbound, data};
}

std::string obstacle() {
  if (::geteuid() != 0)
    return "network namespaces need root";
  return missing_for_cni(std::string{default_cni_folder}, true);
}

/// A network of this test alone for everything that is started within this object's life; nothing, with a word to who reads
/// the output, where this machine has none.
struct network_room {
  network_namespace made = network_namespace::make();
  inside_network here{made.fd()};

  /// A new one begins with what the machine is set to.
  network_room() { std::ofstream{"/proc/sys/net/ipv4/ip_forward"} << "0\n"; }

  static std::unique_ptr<network_room> open() {
    if (const auto why = obstacle(); !why.empty()) {
      MESSAGE("SKIPPED: " << why);
      return nullptr;
    }
    return std::make_unique<network_room>();
  }
};

std::vector<std::string> device_names(const std::string& kind = {}) {
  std::string problem;
  std::vector<std::string> names;
  for (const auto& device : net::list_devices(problem))
    if (kind.empty() || device.kind == kind)
      names.push_back(device.name);
  CHECK(problem == "");
  return names;
}

/// Rules that the plugin made for masquerading; 0 also where the kernel has no such table.
std::size_t masquerade_rules() {
  storage::child_order order;
  order.command = {"/usr/sbin/iptables", "-t", "nat", "-S"};
  order.environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  order.go_on = [](std::chrono::milliseconds passed) { return passed < 10s; };
  const auto text = must(storage::run_child(order)).output;
  std::size_t count = 0;
  for (auto at = text.find("MASQUERADE"); at != text.npos; at = text.find("MASQUERADE", at + 1))
    ++count;
  return count;
}

/// Addresses on the plugins' account.
std::size_t leases(const std::string& data) {
  std::size_t count = 0;
  std::error_code none; // yet
  for (const auto& entry : std::filesystem::recursive_directory_iterator(data + "/networks/leases", none))
    count += config::parse_ipv4(entry.path().filename().string()).has_value() ? 1 : 0;
  return count;
}

/// Takes the namespace, as that does, and leaves its file.
void power_cut(const std::string& path) {
  REQUIRE(::umount2(path.c_str(), MNT_DETACH) == 0);
  REQUIRE(std::filesystem::is_regular_file(path));
}

instance_networks networks_of(const std::string& data, std::shared_ptr<host_bridge> bridge, const std::string& plugins = {}) {
  instance_networks_options options;
  options.data_directory = data;
  options.bridge = std::move(bridge);
  if (!plugins.empty())
    options.cni_folder = plugins;
  return instance_networks{std::move(options)};
}

std::string problem_of(const driver_result<instance_network_place>& result) {
  const auto* failure = std::get_if<driver_failure>(&result);
  REQUIRE(failure);
  CHECK(failure->code == driver_errc::network_failed);
  return failure->message;
}

constexpr auto bridge = config::instance_network::bridge;

} // namespace

TEST_CASE("the configuration for the plugins gives the host's half for instances, and a way out only when asked for") {
  const host_bridge made{bridge_options("/data")};
  const auto text = cni_configuration(made, "/data/leases");
  CHECK(made.name().size() == 15);
  CHECK(text.find(R"("subnet":"10.84.4.0/22")") != text.npos);
  CHECK(text.find(R"("rangeStart":"10.84.4.2")") != text.npos);
  CHECK(text.find(R"("rangeEnd":"10.84.5.255")") != text.npos);
  CHECK(text.find(R"("ipMasq":true)") != text.npos);
  const auto closed = cni_configuration(host_bridge{bridge_options("/data", false)}, "/data/leases");
  CHECK(closed.find(R"("ipMasq":false)") != closed.npos);
  CHECK(closed.find(R"("isDefaultGateway":false)") != closed.npos);
  CHECK(host_bridge{bridge_options("/other")}.name() != made.name());
}

TEST_CASE("what a plugin answers is read with care, and its own words say why it failed") {
  CHECK(std::get<std::string>(parse_cni_address(R"({"ips":[{"address":"10.84.4.7/22","gateway":"10.84.4.1"}]})")) == "10.84.4.7");
  for (const auto* bad : {"", "[]", "{}", R"({"ips":[]})", R"({"ips":[1]})", R"({"ips":[{"address":5}]})",
                          R"({"ips":[{"address":"fd00::1/64"}]})", R"({"ips":[{"address":"10.84.4.7/22")"})
    CHECK_MESSAGE(std::holds_alternative<driver_failure>(parse_cni_address(bad)), bad);
  CHECK(explain_cni(R"({"code":999,"msg":"no IP addresses available","details":"range full"})", "x")
        == "no IP addresses available: range full");
  CHECK(explain_cni("", "panic:\nnothing") == "panic: nothing");
  CHECK(explain_cni("", "") == "it gave no reason");
}

TEST_CASE("a container's resolver asks this host first, the host's others behind it, and looks for siblings") {
  const std::string host = "# made by hand\ndomain lan\nsearch lan\nnameserver 127.0.0.53\nnameserver 10.0.0.1\noptions edns0\n";
  CHECK(resolver_text(host, "", "shop") == host);
  CHECK(resolver_text(host, "10.84.4.1", "shop")
        == "nameserver 10.84.4.1\n# made by hand\nnameserver 10.0.0.1\noptions edns0\nsearch shop\n");
  CHECK(resolver_text(host, "10.84.4.1", "") == "nameserver 10.84.4.1\n" + host);
}

TEST_CASE("an instance's network has an address of the host's part, is shared by its users and goes with the last of them") {
  const auto room = network_room::open();
  if (!room)
    return;
  const scratch_directory data;
  const auto made = std::make_shared<host_bridge>(bridge_options(data.path()));
  auto networks = networks_of(data.path(), made);
  networks.recover({});
  CHECK(device_names() == std::vector<std::string>{"lo"});
  const auto first = std::get<instance_network_place>(networks.join("default.shop.web-1", bridge, "a"));
  CHECK(first.address == "10.84.4.2");
  CHECK(is_network_namespace(first.path));
  CHECK(networks.address_of("default.shop.web-1") == first.address);
  CHECK(networks.name_server() == "10.84.4.1");
  CHECK(std::get<instance_network_place>(networks.join("default.shop.web-1", bridge, "b")).address == first.address);
  const auto second = std::get<instance_network_place>(networks.join("default.shop.web-2", bridge, "c"));
  CHECK(second.address == "10.84.4.3");
  CHECK(masquerade_rules() == 2);

  networks.leave("default.shop.web-1", "a", true);
  CHECK(is_network_namespace(first.path));
  networks.leave("default.shop.web-1", "b", false); // it is started again
  CHECK(is_network_namespace(first.path));
  CHECK(std::get<instance_network_place>(networks.join("default.shop.web-1", bridge, "d")).address == first.address);
  networks.leave("default.shop.web-1", "d", true);
  CHECK_FALSE(std::filesystem::exists(data.path() + "/networks/instances/default.shop.web-1"));
  networks.leave("default.shop.web-2", "c", true);
  CHECK(masquerade_rules() == 0);
  CHECK(device_names("veth").empty());
  made->remove();
  CHECK(device_names() == std::vector<std::string>{"lo"});
}

TEST_CASE("the next agent keeps the networks of what runs, and collects the others with their veths, rules and addresses") {
  const auto room = network_room::open();
  if (!room)
    return;
  const scratch_directory data;
  const auto made = std::make_shared<host_bridge>(bridge_options(data.path()));
  std::string path;
  {
    auto crashed = networks_of(data.path(), made);
    static_cast<void>(crashed.join("default.shop.web-1", bridge, "a"));
    path = std::get<instance_network_place>(crashed.join("default.shop.web-2", bridge, "b")).path;
    static_cast<void>(crashed.join("default.shop.quiet-1", config::instance_network::none, "c"));
  }
  {
    auto next = networks_of(data.path(), std::make_shared<host_bridge>(bridge_options(data.path())));
    next.recover({{"default.shop.web-2", "b"}});
    CHECK(next.address_of("default.shop.web-2") == "10.84.4.3");
    CHECK(next.address_of("default.shop.web-1") == "");
    CHECK(next.name_server() == "10.84.4.1");
    CHECK(is_network_namespace(path));
    CHECK(device_names("veth").size() == 1);
    CHECK(masquerade_rules() == 1);
  }
  remove_network_namespace(path); // by hand, with its file
  auto last = networks_of(data.path(), made);
  last.recover({});
  CHECK(eventually([] { return device_names() == std::vector<std::string>{"lo"}; })); // the kernel clears namespaces away later
  CHECK_FALSE(std::filesystem::exists(data.path() + "/networks/leases"));
  CHECK(std::get<instance_network_place>(last.join("default.shop.web-1", bridge, "a")).address == "10.84.4.2");
  last.leave("default.shop.web-1", "a", true);
}

TEST_CASE("without a way out an instance has a route to its host's part only, and the host forwards nothing") {
  const auto room = network_room::open();
  if (!room)
    return;
  for (const bool outbound : {false, true}) {
    const scratch_directory data;
    const auto made = std::make_shared<host_bridge>(bridge_options(data.path(), outbound));
    auto networks = networks_of(data.path(), made);
    const auto joined = std::get<instance_network_place>(networks.join("default.shop.web-1", bridge, "a"));
    CHECK(masquerade_rules() == (outbound ? 1 : 0));
    CHECK(read_text("/proc/sys/net/ipv4/ip_forward") == (outbound ? "1\n" : "0\n"));
    {
      const actors::unique_fd inside{::open(joined.path.c_str(), O_RDONLY | O_CLOEXEC)};
      const inside_network there{inside.get()};
      std::string problem;
      std::vector<std::string> routes;
      for (const auto& route : net::list_routes(problem))
        routes.push_back(network_text(route.to));
      std::sort(routes.begin(), routes.end());
      CHECK(routes == (outbound ? std::vector<std::string>{"0.0.0.0/0", "10.84.4.0/22"} : std::vector<std::string>{"10.84.4.0/22"}));
    }
    networks.leave("default.shop.web-1", "a", true);
    made->remove();
  }
}

TEST_CASE("a range in use, a foreign device and missing plugins are named, and nothing is left behind") {
  const auto room = network_room::open();
  if (!room)
    return;
  const scratch_directory data;
  const auto made = std::make_shared<host_bridge>(bridge_options(data.path()));
  auto without = networks_of(data.path(), made, data.path() + "/nowhere");
  CHECK(problem_of(without.join("default.shop.web-1", bridge, "a")).find("containernetworking-plugins") != std::string::npos);

  REQUIRE(net::add_bridge("lan0", "the shop's") == "");
  std::string none;
  const auto devices = net::list_devices(none);
  const auto lan = std::find_if(devices.begin(), devices.end(), [](const auto& x) { return x.name == "lan0"; });
  REQUIRE(net::put_address(lan->index, {"10.84.5.9", 16, false}) == "");
  auto networks = networks_of(data.path(), made);
  const auto taken = problem_of(networks.join("default.shop.web-1", bridge, "a"));
  CHECK(taken.find("is in use by lan0 (10.84.0.0/16)") != std::string::npos);
  CHECK(taken.find("networks: {range") != std::string::npos);
  REQUIRE(net::remove_device(lan->index) == "");

  REQUIRE(net::add_bridge(made->name(), "somebody's") == "");
  const auto foreign = problem_of(networks.join("default.shop.web-1", bridge, "a"));
  CHECK(foreign.find("this agent did not make it") != std::string::npos);
  made->remove();
  CHECK(device_names("bridge") == std::vector<std::string>{made->name()});
  CHECK_FALSE(std::filesystem::exists(data.path() + "/networks/instances/default.shop.web-1"));

  auto nobody = networks_of(data.path(), nullptr);
  CHECK(problem_of(nobody.join("default.shop.web-1", bridge, "a")).find("offers no `network: bridge`") != std::string::npos);
}

TEST_CASE("what the plugins are told is written once, not under the eyes of those that read it, and is mended when it was cut off") {
  const auto room = network_room::open();
  if (!room)
    return;
  const scratch_directory data;
  const auto path = data.path() + "/networks/cni.json";
  const auto made = std::make_shared<host_bridge>(bridge_options(data.path()));
  auto networks = networks_of(data.path(), made);
  const auto look = [&] {
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    return std::make_pair(status.st_ino, std::make_pair(status.st_mtim.tv_sec, status.st_mtim.tv_nsec));
  };
  static_cast<void>(networks.join("default.shop.web-1", bridge, "a"));
  const auto first = look();
  const auto text = read_text(path);
  static_cast<void>(networks.join("default.shop.web-2", bridge, "b"));
  CHECK(look() == first);
  std::ofstream{path, std::ios::trunc} << text.substr(0, 20);
  static_cast<void>(std::get<instance_network_place>(networks.join("default.shop.web-3", bridge, "c")));
  CHECK(read_text(path) == text);
  for (const auto* user : {"a", "b", "c"})
    networks.leave("default.shop.web-" + std::to_string(user[0] - 'a' + 1), user, true);
  made->remove();
}

TEST_CASE("an address that the plugin does not take back is set aside until it does, also over the next agent, and few are at once") {
  const auto room = network_room::open();
  if (!room)
    return;
  const scratch_directory data;
  const std::filesystem::path plugins = data.path() + "/plugins", refuse = plugins / "refuse";
  const std::filesystem::path real{default_cni_folder};
  std::filesystem::create_directory(plugins);
  std::filesystem::create_symlink(real / "host-local", plugins / "host-local");
  std::ofstream{plugins / "bridge"} << "#!/bin/sh\n[ \"$CNI_COMMAND\" = DEL ] && [ -e " << refuse.string()
                                    << " ] && echo '{\"code\":1,\"msg\":\"iptables is locked\"}' && exit 1\nexec " << (real / "bridge").string()
                                    << "\n";
  std::filesystem::permissions(plugins / "bridge", std::filesystem::perms::owner_all);
  const auto made = std::make_shared<host_bridge>(bridge_options(data.path()));
  const auto folder = data.path() + "/networks/instances/default.shop.web-1";
  {
    auto networks = networks_of(data.path(), made, plugins);
    static_cast<void>(networks.join("default.shop.db-1", bridge, "z"));
    static_cast<void>(networks.join("default.shop.web-1", bridge, "a"));
    std::ofstream{refuse} << "";
    networks.leave("default.shop.web-1", "a", true);
    CHECK(std::filesystem::exists(folder));
    CHECK(networks.address_of("default.shop.web-1") == "");
    const auto other = std::get<instance_network_place>(networks.join("default.shop.web-1", bridge, "b"));
    CHECK(other.address == "10.84.4.4"); // the one it had is not free
    CHECK(is_network_namespace(other.path));
    CHECK(std::filesystem::exists(folder + "_1"));
    CHECK(masquerade_rules() == 3);
    networks.leave("default.shop.web-1", "b", true);
    for (const auto* user : {"c", "d", "e"}) {
      static_cast<void>(std::get<instance_network_place>(networks.join("default.shop.web-1", bridge, user)));
      networks.leave("default.shop.web-1", user, true);
    }
    const auto full = problem_of(networks.join("default.shop.web-1", bridge, "f"));
    CHECK(full.find("iptables is locked") != std::string::npos);
    CHECK(full.find("neither can 4 before it") != std::string::npos);
  }
  {
    auto next = networks_of(data.path(), made, plugins);
    next.recover({{"default.shop.db-1", "z"}});
    CHECK(std::filesystem::exists(folder));
    std::filesystem::remove(refuse);
    CHECK(std::get<instance_network_place>(next.join("default.shop.web-1", bridge, "g")).address == "10.84.4.8");
    CHECK(masquerade_rules() == 6);
    next.leave("default.shop.web-1", "g", true);
    CHECK_FALSE(std::filesystem::exists(folder));
  }
  auto last = networks_of(data.path(), made, plugins);
  last.recover({{"default.shop.db-1", "z"}});
  for (int i = 1; i <= 4; ++i)
    CHECK_FALSE(std::filesystem::exists(folder + "_" + std::to_string(i)));
  CHECK(masquerade_rules() == 1);
  CHECK(leases(data.path()) == 1);
  last.leave("default.shop.db-1", "z", true);
  CHECK(masquerade_rules() == 0);
  made->remove();
}

TEST_CASE("after a reboot, which leaves the files and takes namespaces, bridge and rules, an instance gets its network again") {
  auto room = network_room::open();
  if (!room)
    return;
  const scratch_directory data;
  for (const bool is_user_known : {false, true})
    for (const bool is_address_written : {true, false}) {
      CAPTURE(is_user_known);
      CAPTURE(is_address_written);
      {
        auto before = networks_of(data.path(), std::make_shared<host_bridge>(bridge_options(data.path())));
        const auto path = std::get<instance_network_place>(before.join("default.shop.web-1", bridge, "a")).path;
        power_cut(path);
        if (!is_address_written)
          std::ofstream{std::filesystem::path{path}.parent_path() / "address"} << "";
      }
      room.reset();
      room = network_room::open();
      const auto made = std::make_shared<host_bridge>(bridge_options(data.path()));
      auto after = networks_of(data.path(), made);
      after.recover(is_user_known ? std::vector<std::pair<std::string, std::string>>{{"default.shop.web-1", "a"}}
                                  : std::vector<std::pair<std::string, std::string>>{});
      const auto joined = after.join("default.shop.web-1", bridge, "b");
      REQUIRE(std::holds_alternative<instance_network_place>(joined));
      CHECK(is_network_namespace(std::get<instance_network_place>(joined).path));
      CHECK(device_names("veth").size() == 1);
      CHECK(masquerade_rules() == 1);
      CHECK(leases(data.path()) == 1);
      after.leave("default.shop.web-1", "a", true);
      after.leave("default.shop.web-1", "b", true);
      CHECK_FALSE(std::filesystem::exists(data.path() + "/networks/instances/default.shop.web-1"));
      CHECK(leases(data.path()) == 0);
      made->remove();
    }
}

TEST_CASE("of a namespace that is gone while the bridge and the rules stayed, neither an address nor a rule is left") {
  const auto room = network_room::open();
  if (!room)
    return;
  const scratch_directory data;
  const auto made = std::make_shared<host_bridge>(bridge_options(data.path()));
  auto networks = networks_of(data.path(), made);
  static_cast<void>(networks.join("default.shop.db-1", bridge, "z"));
  power_cut(std::get<instance_network_place>(networks.join("default.shop.web-1", bridge, "a")).path);
  networks.leave("default.shop.web-1", "a", true);
  CHECK(masquerade_rules() == 1);
  CHECK(leases(data.path()) == 1);
  CHECK_FALSE(std::filesystem::exists(data.path() + "/networks/instances/default.shop.web-1"));
  networks.leave("default.shop.db-1", "z", true);
  made->remove();
}

TEST_CASE("containers of an instance share its network, reach the host, and keep it over a crash of the agent") {
  const auto room = network_room::open();
  if (!room)
    return;
  auto x = make_oci_driver();
  if (!x)
    return;
  x->end_driver(caf::exit_reason::user_shutdown);
  x->bridge = std::make_shared<host_bridge>(bridge_options(x->data.path()));
  x->driver = x->spawn();
  auto order = x->order("busybox ip -4 address show eth0; busybox cat /etc/hosts /etc/resolv.conf; exec busybox sleep 1000");
  order.network = bridge;
  const auto started = x->start(order);
  CHECK(started.address == "10.84.4.2");
  CHECK(x->has_output("nameserver 10.84.4.1"));
  CHECK(x->output().find("inet 10.84.4.2/22") != std::string::npos);
  CHECK(x->output().find("10.84.4.2 web-1\n") != std::string::npos);
  CHECK(x->output().find("search shop\n") != std::string::npos);
  const test_listener on_host("10.84.4.1:0");
  auto sibling = x->order("busybox ip -4 address show eth0; echo hello | busybox nc 10.84.4.1 "
                          + on_host.address().substr(on_host.address().rfind(':') + 1));
  sibling.name = "default.shop.web-1.other";
  sibling.network = bridge;
  x->start(sibling);
  CHECK(on_host.accept().receive_to_end() == "hello\n");
  x->next_exit();
  const auto log = lines_of(read_text(container_log_path(x->data.path(), sibling.name)));
  CHECK(log.find("inet 10.84.4.2/22") != std::string::npos);

  x->crash_driver();
  const auto again = x->start(order);
  CHECK(again.adopted);
  CHECK(again.pid == started.pid);
  CHECK(again.address == "10.84.4.2");
  x->stop();
  CHECK(eventually([&] { return device_names("veth").empty(); }));
  CHECK(x->nothing_is_left());
}

TEST_CASE("a container with a user namespace on the bridge has the address, serves a low port as its root, and does not rule the network") {
  const auto room = network_room::open();
  if (!room)
    return;
  auto x = make_oci_driver();
  if (!x)
    return;
  if (const auto why = storage::idmapping_obstacle(x->data.path()); !why.empty()) {
    MESSAGE("SKIPPED: ", why);
    return;
  }
  x->end_driver(caf::exit_reason::user_shutdown);
  x->bridge = std::make_shared<host_bridge>(bridge_options(x->data.path()));
  x->driver = x->spawn();
  auto order = x->order("busybox id -u; busybox ip -4 address show eth0; busybox ip link set eth0 down 2>/dev/null || echo not ours; "
                        "echo from-inside | busybox nc -l -p 80; exec busybox sleep 1000");
  order.network = bridge;
  order.spec.user_namespace = true;
  const auto started = x->start(order);
  CHECK(started.address == "10.84.4.2");
  CHECK(x->has_output("not ours"));
  const test_listener on_host("10.84.4.1:0");
  auto sibling = order;
  sibling.name = "default.shop.web-1.other";
  sibling.spec.command[2] = "echo hello | busybox nc 10.84.4.1 " + on_host.address().substr(on_host.address().rfind(':') + 1);
  x->start(sibling);
  CHECK(on_host.accept().receive_to_end() == "hello\n");
  x->next_exit();
  CHECK(x->output().find("inet 10.84.4.2/22") != std::string::npos);
  CHECK(x->output().rfind("0\n", 0) == 0);
  const auto seen = x->ask<exec_result>(
    exec_container{order.name, 0, {"/bin/sh", "-c", "busybox id -u; busybox ip -4 address show eth0; busybox ip link set eth0 down || echo not ours"}});
  CHECK_FALSE(x->error);
  CHECK(seen.output.rfind("0\n", 0) == 0);
  CHECK(seen.output.find("inet 10.84.4.2/22") != std::string::npos);
  CHECK(seen.output.find("not ours") != std::string::npos);
  struct stat owner {};
  REQUIRE(::stat(("/proc/" + std::to_string(started.pid)).c_str(), &owner) == 0);
  CHECK(owner.st_uid >= 0x7000'0000);
  storage::child_order ask;
  ask.command = {"/bin/busybox", "nc", "10.84.4.2", "80"};
  ask.go_on = [](std::chrono::milliseconds passed) { return passed < 10s; };
  CHECK(eventually([&] { return must(storage::run_child(ask)).output == "from-inside\n"; }));
  x->crash_driver();
  const auto again = x->start(order);
  CHECK(again.adopted);
  CHECK(again.address == "10.84.4.2");
  x->stop(1, 0ms);
  CHECK(eventually([&] { return device_names("veth").empty(); }));
  CHECK(x->nothing_is_left());
}
