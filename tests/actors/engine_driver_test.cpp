// Containers of images through the driver, with a real Podman and a real Docker behind it.

#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <iterator>

#include "actors/instance/proc_filesystem.hpp"
#include "tests/actors/command_client.hpp"
#include "tests/actors/engine_service.hpp"
#include "tests/actors/fake_engine.hpp"
#include "tests/actors/oci_fixture.hpp"

using namespace prunella::tests;

namespace {

/// In front of the driver, so that it outlives it.
struct engine_of_test {
  std::unique_ptr<engine_service> owned;
  engine_service& engine = *owned;
};

class engine_driver_under_test : public engine_of_test, public oci_driver_under_test {
public:
  explicit engine_driver_under_test(std::unique_ptr<engine_service> of)
    : engine_of_test{std::move(of)}, oci_driver_under_test({prunella::config::driver_kind::engine, "", engine.socket()}) {
    engine_helper = {fs::read_symlink("/proc/self/exe").parent_path().string() + "/engine_exec_helper"};
    crash_driver();
  }

  bool is_cleared() {
    return eventually([&] { return engine.containers().empty() && starts_of_engine() == 0; }) && records->are_over();
  }
  std::ptrdiff_t starts_of_engine() const {
    std::error_code none;
    const auto folder = fs::directory_iterator(container_folder(data.path(), order("").name) + "/engine", none);
    return std::distance(fs::begin(folder), fs::end(folder));
  }
  std::string told(const std::vector<std::string>& pointers) const { return engine.told(order("").name, pointers); }
};

using maybe_driver = std::unique_ptr<engine_driver_under_test>;

template <class Engine>
maybe_driver make_engine_driver() {
  const auto why = Engine::obstacle();
  if (why.empty())
    return std::make_unique<engine_driver_under_test>(std::make_unique<Engine>());
  MESSAGE("SKIPPED: ", why);
  return nullptr;
}

constexpr auto until_told_to_end = "trap 'exit 5' TERM; echo up; while true; do busybox sleep 0.05; done";

exec_container shell(const std::string& script, std::chrono::milliseconds timeout = 20s) {
  return {oci_driver_under_test::order("").name, 0, {"/bin/sh", "-c", script}, timeout};
}

/// Prints how many processes `sleep 2000` the container has.
exec_container sleepers() {
  return shell("busybox ps -o args | busybox grep -c '[s]leep 2000'");
}

} // namespace

TEST_CASE_TEMPLATE("an engine runs the image's command or its own, with its environment, and keeps nothing but the image", Engine, podman_service, docker_service) {
  const maybe_driver x = make_engine_driver<Engine>();
  if (!x)
    return;
  CHECK(x->run(x->order("")) == "from the image\n");
  CHECK(x->last_exit.known);
  CHECK(x->last_exit.exit_code == 0);
  CHECK(x->run(x->order("echo $GREETING $NAME; busybox hostname; echo oops >&2; exit 7", 2)) == "from the image\nhello popcorn\nweb-1\n");
  CHECK(x->last_exit.exit_code == 7);
  CHECK(x->last_exit.last_words == "oops");
  CHECK(describe_exit(x->last_exit) == "exited with code 7: oops");
  CHECK(x->is_cleared());
  REQUIRE(x->engine.images().size() == 1);
  CHECK(x->engine.images()[0].rfind("localhost/prunella:sha256-", 0) == 0);
}

TEST_CASE_TEMPLATE("at the engine a container has our name, labels that say all of it, no restarts, and no more rights than it needs", Engine, podman_service, docker_service) {
  const maybe_driver x = make_engine_driver<Engine>();
  if (!x)
    return;
  auto order = x->order("cat /etc/motd; busybox grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status; exec busybox sleep 1000");
  order.spec.command[2] = "busybox cat /etc/motd; busybox id -u; busybox grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status | busybox tr -d '\\t'; "
                          "busybox touch /x 2>/dev/null || echo read only; busybox touch /scratch/x /data/x && echo written; exec busybox sleep 1000";
  order.spec.user = "www";
  order.spec.read_only_root = true;
  order.spec.pids = 50;
  order.spec.resources = {500, 64 << 20};
  order.spec.files = {{"/etc/motd", "welcome\n", "0400"}};
  prunella::config::volume_spec memory, kept;
  memory.target = "/scratch";
  memory.kind = prunella::config::volume_kind::tmpfs;
  memory.size_bytes = 1 << 20;
  kept.target = "/data";
  kept.kind = prunella::config::volume_kind::persistent;
  kept.name = "data";
  order.spec.volumes = {memory, kept};
  order.env["PRUNELLA_SITE"] = "harbour";
  order.env["PRUNELLA_HOST"] = "host-1";
  x->start(order);
  REQUIRE(x->has_output("written"));
  CHECK(x->output() == "welcome\n33\nCapEff:0000000000000000\nNoNewPrivs:1\nSeccomp:2\nread only\nwritten\n");
  CHECK(x->engine.containers() == std::vector<std::string>{order.name});
  CHECK(x->told({"/Config/Labels/prunella.instance", "/Config/Labels/prunella.generation", "/Config/Labels/prunella.site",
                 "/Config/Labels/prunella.host"}) == "default.shop.web-1 1 harbour host-1");
  CHECK(x->told({"/HostConfig/RestartPolicy/Name", "/HostConfig/Memory", "/HostConfig/NanoCpus", "/HostConfig/PidsLimit"}) ==
        "no 67108864 500000000 50");
  const auto use = x->ask<container_stats_list>(get_container_stats{}).containers;
  REQUIRE(use.size() == 1);
  CHECK(use[0].processes == 1);
  CHECK(use[0].rss_bytes > 0);
  x->stop(1, 0ms);
  CHECK(x->is_cleared());
}

TEST_CASE_TEMPLATE("an engine's container that is killed is told by its signal, and one that says 137 itself by its code", Engine, podman_service, docker_service) {
  const maybe_driver x = make_engine_driver<Engine>();
  if (!x)
    return;
  const auto started = x->start(x->order("exec busybox sleep 1000"));
  REQUIRE(kill(to_pid(started), SIGKILL) == 0);
  auto exited = x->next_exit();
  CHECK(exited.signal == SIGKILL);
  CHECK_FALSE(exited.out_of_memory);
  if (kernel_at_least(6, 15)) {
    const auto next = x->start(x->order("trap 'exit 137' TERM; echo up; while true; do busybox sleep 0.05; done", 2));
    REQUIRE(x->has_output("up"));
    REQUIRE(kill(to_pid(next), SIGTERM) == 0);
    CHECK(x->next_exit().exit_code == 137);
  }
  CHECK(x->is_cleared());
}

TEST_CASE_TEMPLATE("an engine's container is stopped by its signal first, after the grace by force, and what replaces it has its name", Engine, podman_service, docker_service) {
  const maybe_driver x = make_engine_driver<Engine>();
  if (!x)
    return;
  auto order = x->order("trap 'echo bye; exit 0' INT; echo up; while true; do busybox sleep 0.05; done");
  order.spec.stop_signal = "SIGINT";
  x->start(order);
  REQUIRE(x->has_output("up"));
  const auto first = x->stop();
  CHECK(first.stopped);
  CHECK(first.exit_code == 0);
  CHECK(x->output() == "up\nbye\n");
  x->next_exit();
  x->start(x->order("trap '' TERM; echo two; while true; do busybox sleep 0.05; done", 2));
  REQUIRE(x->has_output("bye\ntwo"));
  CHECK(x->told({"/State/Running"}) == "true"); // by our name, though the first may not be cleared away yet
  x->start(x->order("exec busybox sleep 1000", 3));
  CHECK(x->next_exit().signal == SIGKILL);
  x->ask<container_started>(start_container{x->order("exec busybox sleep 1000", 2)});
  CHECK(is_driver_error(x->error, driver_errc::stale_generation));
  x->stop(3, 0ms);
  CHECK(x->is_cleared());
}

TEST_CASE_TEMPLATE("a command that an engine's image does not have and a folder that is not there refuse the start", Engine, podman_service, docker_service) {
  const maybe_driver x = make_engine_driver<Engine>();
  if (!x)
    return;
  const auto refused = [&](container_order order, driver_errc code) {
    x->ask<container_started>(start_container{order});
    CHECK_MESSAGE(is_driver_error(x->error, code), prunella::runtime::reason_text(x->error));
  };
  auto order = x->order("");
  order.spec.command = {"nosuch"};
  refused(order, driver_errc::command_not_found);
  CHECK(prunella::runtime::reason_text(x->error).find("nosuch") != std::string::npos);
  order.spec.command = {"/etc/passwd"};
  refused(order, driver_errc::command_not_executable);
  order = x->order("");
  order.spec.user = "nobody-here";
  refused(order, driver_errc::invalid_request);
  order = x->order("");
  order.spec.user_namespace = true;
  refused(order, driver_errc::invalid_request);
  CHECK(x->is_cleared());
}

TEST_CASE_TEMPLATE("a fresh driver adopts an engine's container, with a record or by its labels alone, and hears of its end", Engine, podman_service, docker_service) {
  const maybe_driver x = make_engine_driver<Engine>();
  if (!x)
    return;
  const auto order = x->order("trap 'exit 5' TERM; echo up; while true; do busybox sleep 0.05; done");
  const auto started = x->start(order);
  REQUIRE(x->has_output("up"));
  x->end_driver(caf::exit_reason::kill);
  SUBCASE("with its record") {}
  SUBCASE("by its labels") {
    CHECK(x->records->erase(order.name));
  }
  x->driver = x->spawn();
  const auto found = x->ask<recovered_containers>(recover_containers{true});
  REQUIRE(found.containers.size() == 1);
  CHECK(found.containers[0].pid == started.pid);
  CHECK(found.containers[0].spec_hash == order.spec_hash);
  CHECK(x->records->list()->size() == 1);
  const auto again = x->start(order);
  CHECK(again.adopted);
  CHECK(again.pid == started.pid);
  kill(to_pid(started), SIGTERM);
  CHECK(x->next_exit().exit_code == 5);
  CHECK(x->output() == "up\n");
  CHECK(x->is_cleared());
}

TEST_CASE_TEMPLATE("how an engine's container ended while no driver was there is told to who claims it", Engine, podman_service, docker_service) {
  const maybe_driver x = make_engine_driver<Engine>();
  if (!x)
    return;
  const auto order = x->order("trap 'echo sorry >&2; exit 6' TERM; echo up; while true; do busybox sleep 0.05; done");
  const auto started = x->start(order);
  REQUIRE(x->has_output("up"));
  const auto conmon = read_proc_stat(to_pid(started))->parent;
  x->end_driver(caf::exit_reason::kill);
  kill(to_pid(started), SIGTERM);
  REQUIRE(eventually([&] { return is_gone(to_pid(started)) && is_gone(conmon); }));
  x->driver = x->spawn();
  CHECK(x->start(order).adopted);
  const auto exited = x->next_exit();
  CHECK(exited.known);
  CHECK(exited.exit_code == 6);
  CHECK(exited.last_words == "sorry");
  CHECK(x->is_cleared());
}

TEST_CASE_TEMPLATE("containers live on while their engine is away, a start meanwhile says so, and works when it is back", Engine, podman_service, docker_service) {
  const maybe_driver x = make_engine_driver<Engine>();
  if (!x)
    return;
  const auto order = x->order("echo up; exec busybox sleep 1000");
  const auto started = x->start(order);
  REQUIRE(x->has_output("up"));
  x->engine.kill();
  x->crash_driver();
  const auto again = x->start(order);
  CHECK(again.adopted);
  CHECK(again.pid == started.pid);
  auto other = order;
  other.name = "default.shop.web-2.server";
  other.instance = "default.shop.web-2";
  x->ask<container_started>(start_container{other});
  CHECK(is_driver_error(x->error, driver_errc::engine_away));
  CHECK(prunella::runtime::reason_text(x->error).find("the container engine does not answer") == 0);
  const auto exited = x->stop(1, 0ms); // by the kernel alone
  CHECK(exited.stopped);
  CHECK(is_gone(to_pid(started)));
  x->engine.start();
  x->start(other);
  x->ask<container_exited>(stop_container{other.name, 1, 0ms});
  CHECK(x->is_cleared());
}

TEST_CASE_TEMPLATE("what an engine's restart ends is told so and starts again under its name, what it leaves alone goes on", Engine, podman_service, docker_service) {
  const maybe_driver x = make_engine_driver<Engine>();
  if (!x)
    return;
  const auto order = x->order(until_told_to_end);
  const auto started = x->start(order);
  REQUIRE(x->has_output("up\n"));
  x->engine.kill();
  x->engine.start();
  if (Engine::keeps_containers) {
    CHECK(x->start(order).adopted);
    CHECK_FALSE(is_gone(to_pid(started)));
  } else {
    const auto exited = x->next_exit();
    CHECK(describe_exit(exited).find("exited with code 5: its container engine was stopped or restarted") == 0);
    CHECK_FALSE(x->start(order).adopted);
    CHECK(x->has_output("up\nup\n"));
    CHECK(eventually([&] { return x->engine.containers() == std::vector<std::string>{order.name}; }));
  }
  x->stop(1, 0ms);
  CHECK(x->is_cleared());
}

TEST_CASE_TEMPLATE("a container that an engine's restart ended while no driver was there is started again", Engine, podman_service, docker_service) {
  const maybe_driver x = make_engine_driver<Engine>();
  if (!x)
    return;
  const auto order = x->order(until_told_to_end);
  const auto started = x->start(order);
  REQUIRE(x->has_output("up\n"));
  x->end_driver(caf::exit_reason::kill);
  x->engine.kill();
  x->engine.start();
  CHECK(is_gone(to_pid(started)) != Engine::keeps_containers);
  x->driver = x->spawn();
  CHECK(x->start(order).adopted);
  if (!Engine::keeps_containers) { // how it ended is told to who claims it
    const auto exited = x->next_exit();
    CHECK(exited.known);
    CHECK(exited.exit_code == 5);
    CHECK_FALSE(x->start(order).adopted);
    CHECK(x->has_output("up\nup\n"));
  }
  x->stop(1, 0ms);
  CHECK(x->is_cleared());
}

TEST_CASE_TEMPLATE("a name that somebody else's container has at the engine is left to it", Engine, podman_service, docker_service) {
  const maybe_driver x = make_engine_driver<Engine>();
  if (!x)
    return;
  x->run(x->order(""));
  REQUIRE(x->is_cleared());
  const auto name = x->order("").name;
  x->engine.call("POST", "/v1.41/containers/create?name=" + name,
                 R"({"Image":")" + x->engine.images().at(0) + R"(","HostConfig":{"NetworkMode":"host"}})");
  x->start(x->order("echo ours; exec busybox sleep 1000", 2));
  REQUIRE(x->has_output("ours"));
  const auto both = x->engine.containers();
  REQUIRE(both.size() == 2);
  CHECK(both[0] == name);
  CHECK(both[1].rfind(name + ".", 0) == 0);
  x->stop(2, 0ms);
  CHECK(eventually([&] { return x->engine.containers() == std::vector<std::string>{name}; }));
}

TEST_CASE_TEMPLATE("an engine's container that needs more memory than it may have ends by that", Engine, podman_service, docker_service) {
  const maybe_driver x = make_engine_driver<Engine>();
  if (!x)
    return;
  auto order = x->order("exec busybox tail /dev/zero"); // keeps all that it reads, for the last line's sake
  order.spec.resources = {0, 16 << 20};
  x->start(order);
  const auto exited = x->next_exit();
  CHECK((exited.signal == SIGKILL || exited.exit_code == 137));
  if (Engine::tells_of_memory)
    CHECK(describe_exit(exited) == "ran out of memory (its limit is 16 MiB) and was killed");
  CHECK(x->is_cleared());
}

TEST_CASE_TEMPLATE("an engine that stays away fails the start in the end", Engine, podman_service, docker_service) {
  const maybe_driver x = make_engine_driver<Engine>();
  if (!x)
    return;
  x->engine_patience = 0ms;
  x->engine.kill();
  x->crash_driver();
  x->ask<container_started>(start_container{x->order("")});
  x->ask<container_started>(start_container{x->order("", 2)});
  CHECK(is_driver_error(x->error, driver_errc::runtime_failed));
  x->engine.start();
}

TEST_CASE_TEMPLATE("a command in an engine's container has its environment and user, and its code and output are told", Engine, podman_service, docker_service) {
  const maybe_driver x = make_engine_driver<Engine>();
  if (!x)
    return;
  auto order = x->order("exec busybox sleep 1000");
  order.spec.user = "www";
  order.spec.working_directory = "/tmp";
  x->start(order);
  const auto result = x->ask<exec_result>(shell("echo $GREETING $NAME; pwd; busybox id -u; busybox cat; exit 7"));
  CHECK_FALSE(x->error);
  CHECK(result.output == "hello popcorn\n/tmp\n33\n");
  CHECK(result.exit_code == 7);
  CHECK(x->ask<exec_result>(shell("echo oops >&2")).output == "oops\n");
  CHECK(x->ask<exec_result>(shell("exit 127")).exit_code == 127);
  x->ask<exec_result>(exec_container{order.name, 0, {"nosuch"}, 20s});
  CHECK(is_driver_error(x->error, driver_errc::command_not_found));
  x->stop(1, 0ms);
}

TEST_CASE_TEMPLATE("a command in an engine's container that takes too long is killed there with all that it began", Engine, podman_service, docker_service) {
  const maybe_driver x = make_engine_driver<Engine>();
  if (!x)
    return;
  x->start(x->order("exec busybox sleep 1000"));
  const auto result = x->ask<exec_result>(shell("busybox sleep 2000 & echo up; wait", 1s));
  CHECK(result.timed_out);
  CHECK(result.output == "up\n");
  CHECK(eventually([&] { return x->ask<exec_result>(sleepers()).output == "0\n"; }));
  x->stop(1, 0ms);
}

TEST_CASE_TEMPLATE("a person at a terminal in an engine's container has its size, and what runs there ends when the line is cut", Engine, podman_service, docker_service) {
  const maybe_driver x = make_engine_driver<Engine>();
  if (!x)
    return;
  x->start(x->order("exec busybox sleep 1000"));
  const auto plan = x->ask<command_plan>(plan_command{x->order("").name, 0, {"/bin/sh"}, "xterm"});
  REQUIRE_FALSE(x->error);
  command_client person{plan, {true, true, {33, 101}}};
  person.type("while [ \"$(busybox stty size)\" != '33 101' ]; do busybox sleep 0.05; done; echo $NAME\n");
  CHECK_MESSAGE(person.sees("popcorn\r\n"), person.output);
  person.command.resize({44, 122});
  person.type("while [ \"$(busybox stty size)\" != '44 122' ]; do busybox sleep 0.05; done; echo re''sized\n");
  CHECK_MESSAGE(person.sees("resized"), person.output);
  person.type("trap '' HUP; busybox sleep 2000\n");
  REQUIRE(eventually([&] { return x->ask<exec_result>(sleepers()).output == "1\n"; }));
  person.command.hang_up();
  CHECK(eventually([&] { return x->ask<exec_result>(sleepers()).output == "0\n"; }, 20s));
  x->stop(1, 0ms);
}

TEST_CASE_TEMPLATE("a log of an engine's container over the cap is kept in two halves and no line of it is lost", Engine, podman_service, docker_service) {
  const maybe_driver x = make_engine_driver<Engine>();
  if (!x)
    return;
  const auto log = container_log_path(x->data.path(), x->order("").name);
  auto order = x->order("i=0; while [ $i -lt 2000 ]; do echo line $i of the log; i=$((i+1)); done; echo end; exec busybox sleep 1000");
  order.spec.logs.max_size_bytes = 128 * 1024;
  x->start(order);
  REQUIRE(eventually([&] { return (read_text(older_log_path(log)) + read_text(log)).find("F end") != std::string::npos && fs::exists(older_log_path(log)); }));
  REQUIRE(eventually([&] { return fs::exists(log); }));
  const auto all = lines_of(read_text(older_log_path(log)) + read_text(log));
  CHECK(std::count(all.begin(), all.end(), '\n') == 2001);
  x->stop(1, 0ms);
}

TEST_CASE_TEMPLATE("an engine's containers of an instance without a network share one of their own, with nothing but loopback", Engine, podman_service, docker_service) {
  const maybe_driver x = make_engine_driver<Engine>();
  if (!x)
    return;
  auto first = x->order("busybox readlink /proc/self/ns/net; busybox ls /sys/class/net; exec busybox sleep 1000");
  first.network = prunella::config::instance_network::none;
  if (!Engine::joins_networks) {
    x->ask<container_started>(start_container{first});
    CHECK(is_driver_error(x->error, driver_errc::network_failed));
    CHECK(prunella::runtime::reason_text(x->error).find("only Podman") != std::string::npos);
    CHECK(x->is_cleared());
    return;
  }
  auto second = first;
  second.name = "default.shop.web-1.client";
  second.spec.name = "client";
  second.spec.command[2] = "busybox readlink /proc/self/ns/net; busybox ls /sys/class/net";
  x->start(first);
  x->start(second);
  CHECK(x->next_exit().exit_code == 0);
  const auto seen = lines_of(read_text(container_log_path(x->data.path(), second.name)));
  CHECK(seen.find("\nlo\n") != std::string::npos);
  CHECK(x->has_output("lo\n"));
  CHECK(x->output() == seen);
  CHECK(seen.find(fs::read_symlink("/proc/self/ns/net").string()) == std::string::npos);
  // Its network goes with the last that uses it, if that was stopped: so the second has to be cleared away before.
  CHECK(eventually([&] { return x->engine.containers() == std::vector<std::string>{first.name}; }));
  x->stop(1, 0ms);
  CHECK(x->is_cleared());
  CHECK(eventually([&] { return !fs::exists(x->data.path() + "/networks/instances/" + first.instance); }));
}

TEST_CASE_TEMPLATE("a log of an engine's container keeps its bounds when its agent was restarted, takes new ones, and goes with its age", Engine, podman_service, docker_service) {
  const maybe_driver x = make_engine_driver<Engine>();
  if (!x)
    return;
  auto order = x->order("trap 'i=0; while [ $i -lt 2000 ]; do echo line $i of the log; i=$((i+1)); done' USR1; echo up; while true; do busybox sleep 0.05; done");
  const auto log = container_log_path(x->data.path(), order.name);
  const auto started = x->start(order); // with half of its bytes
  REQUIRE(x->has_output("up"));
  x->crash_driver();
  REQUIRE(kill(to_pid(started), SIGUSR1) == 0); // nobody has claimed it: its bounds are those beside the log
  CHECK(eventually([&] { return fs::exists(older_log_path(log)); }));
  order.spec.logs.max_age = 1s;
  CHECK(x->start(order).adopted);
  CHECK(eventually([&] {
    std::error_code none;
    return !fs::exists(older_log_path(log)) && (!fs::exists(log) || fs::file_size(log, none) == 0);
  }, 20s));
  x->stop(1, 0ms);
  CHECK(x->is_cleared());
}

TEST_CASE_TEMPLATE("a container that an engine made without our hearing of it goes with the next one of its name", Engine, podman_service, docker_service) {
  const maybe_driver x = make_engine_driver<Engine>();
  if (!x)
    return;
  x->run(x->order(""));
  REQUIRE(x->is_cleared());
  x->engine.call("POST", "/v1.41/containers/create?name=" + x->order("").name,
                 R"({"Image":")" + x->engine.images().at(0) + R"(","HostConfig":{"NetworkMode":"host"},"Labels":{"prunella.agent":")" + x->data.path() + R"("}})");
  x->start(x->order("echo ours; exec busybox sleep 1000", 2));
  REQUIRE(x->has_output("ours"));
  CHECK(x->told({"/State/Running"}) == "true");
  x->stop(2, 0ms);
  CHECK(x->is_cleared());
}

TEST_CASE("while an engine takes an image, a second start of it comes again, and one of another image is not held up") {
  auto engine = std::make_unique<fake_engine>([](const std::string& line) -> std::optional<std::string> {
    if (line == "GET /version")
      return docker_version();
    if (line.find("images/load") != std::string::npos)
      return std::nullopt;
    return line.find(std::string(64, 'b')) == std::string::npos ? http_text(404, "{}") : http_text(500, R"({"message":"disk on fire"})");
  });
  oci_driver_under_test x{{prunella::config::driver_kind::engine, "", engine->socket()}};
  const struct closer { // before the driver, which waits for the start
    std::unique_ptr<fake_engine>& of;
    ~closer() { of.reset(); }
  } scope{engine};
  auto order = x.order("");
  const auto start_beside = [&](const std::string& instance, const std::string& image) {
    order.instance = instance;
    order.name = instance + ".server";
    order.spec.image = image;
    x.ask<container_started>(start_container{order});
  };
  auto first = x.self->request(x.driver, 60s, start_container{order});
  REQUIRE(eventually([&] {
    const auto lines = engine->lines();
    return std::any_of(lines.begin(), lines.end(), [](const auto& line) { return line.find("images/load") != std::string::npos; });
  }));
  start_beside("default.shop.web-2", "busybox");
  CHECK_MESSAGE(is_driver_error(x.error, driver_errc::image_awaited), prunella::runtime::reason_text(x.error));
  start_beside("default.shop.web-3", "busybox:other");
  CHECK(is_driver_error(x.error, driver_errc::runtime_failed));
  CHECK(prunella::runtime::reason_text(x.error).find("disk on fire") != std::string::npos);
  engine.reset();
  first.receive([](const container_started&) { FAIL("it cannot have started"); },
                [](const caf::error& why) { CHECK(is_driver_error(why, driver_errc::engine_away)); });
}
