// What supervision costs, beside Erlang/OTP (supervision.erl, the same program; left out if `erl` is not installed).
// Prints `name value unit`.
//
// Counted is a restart from crash to up: N children under one one_for_one supervisor; each crashes as soon as a driver
// hears that it is up, so all of them crash concurrently; a restart counts when the driver hears of the new one. As in
// OTP, whose start_link waits for init, the supervisor waits until the child says that it is ready ("restarts"); workers
// that are ready as soon as they are spawned are counted apart ("restarts_plain"). Each life of a supervisor makes
// a bounded number of restarts, because OTP's list of restarts makes longer lives ever slower.
//
//   bench_supervision            everything
//   bench_supervision restarts | million      only that

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <unistd.h>

#include "runtime/exit_reason.hpp"
#include "runtime/supervised_actor.hpp"
#include "runtime/supervisor.hpp"
#include "tools/bench/figures.hpp"

namespace {

using namespace prunella;
using bench::median;
using bench::print;
using clock_type = std::chrono::steady_clock;

struct child_up {
  caf::actor child;

  PRUNELLA_FIELDS(child_up, child)
};

struct crash_child {
  std::uint8_t unused = 0;

  PRUNELLA_FIELDS(crash_child, unused)
};

struct config_type : caf::actor_system_config {
  config_type() {
    // As the agent.
    set("scheduler.policy", caf::atom("sharing"));
    set("scheduler.max-threads", std::clamp<std::size_t>(std::thread::hardware_concurrency(), 2, 4));
    runtime::add_supervision_errors(*this);
    add_message_type<child_up>("child_up");
    add_message_type<crash_child>("crash_child");
  }
};

// -- the program: a gen_server and its supervisor ------------------------------------------------------------------------

struct server_state {};
using server = caf::stateful_actor<server_state, runtime::supervised_actor>;

caf::behavior server_behavior(server* self, const caf::actor& driver, const runtime::parent_link& parent) {
  parent.say_ready();
  if (driver)
    self->send(driver, child_up{caf::actor_cast<caf::actor>(self)});
  return {[self](crash_child) { self->quit(runtime::to_error(runtime::supervision_errc::exception, "crashed")); }};
}

/// What the children of a run share.
struct population {
  caf::actor driver; ///< hears of each child that is up; none: nobody does
  bool says_ready = false;
};

runtime::supervised_child child_of(int number, const population& shared) {
  const auto start = [of = &shared](const runtime::start_context& my) {
    return caf::actor{my.self->spawn(server_behavior, of->driver, of->says_ready ? my.parent : runtime::parent_link{})};
  };
  const auto spec = runtime::spec_of(std::to_string(number));
  return shared.says_ready ? runtime::worker_that_says_ready(spec, start) : runtime::worker(spec, start);
}

runtime::supervision_tree tree_of(int children, const population& shared) {
  runtime::supervision_tree tree;
  tree.spec.limit = {100'000, std::chrono::milliseconds{1}};
  tree.spec.order = runtime::shutdown_order::together;
  for (int i = 1; i <= children; ++i)
    tree.children.push_back(child_of(i, shared));
  return tree;
}

// -- restarts ------------------------------------------------------------------------------------------------------------

struct shape {
  int children = 0;
  int restarts = 0; ///< per life of a supervisor
  int lives = 0;
};

/// Crashes every child as soon as it is up, until `restarts` restarts are up; then tells `asker` how many ns that took,
/// from the first crash.
struct driver_state {
  std::vector<caf::actor> first;
  clock_type::time_point start;
  int awaited = 0;
  int to_crash = 0;
};

caf::behavior driver_behavior(caf::stateful_actor<driver_state>* self, const caf::actor& asker, shape x) {
  auto& state = self->state;
  state.awaited = x.restarts;
  state.to_crash = x.restarts - x.children;
  return {[self, asker, x, &state](const child_up& up) {
    if (static_cast<int>(state.first.size()) < x.children) {
      state.first.push_back(up.child);
      if (static_cast<int>(state.first.size()) < x.children)
        return;
      state.start = clock_type::now();
      if (x.restarts > 0)
        for (const auto& child : state.first)
          self->send(child, crash_child{});
    } else {
      --state.awaited;
      if (state.to_crash-- > 0)
        self->send(up.child, crash_child{});
    }
    if (state.awaited == 0)
      self->send(asker, std::chrono::duration_cast<std::chrono::nanoseconds>(clock_type::now() - state.start).count());
  }};
}

/// One life of a supervisor: the time from the first crash until `restarts` restarts are up.
std::chrono::nanoseconds one_life(caf::actor_system& system, const shape& x, bool says_ready) {
  caf::scoped_actor self{system};
  const population shared{system.spawn(driver_behavior, caf::actor_cast<caf::actor>(self), x), says_ready};
  runtime::supervisor_options options;
  options.path = "bench";
  const auto root = runtime::spawn_supervisor(system, tree_of(x.children, shared), options);
  std::chrono::nanoseconds time{};
  self->receive([&](std::int64_t took) { time = std::chrono::nanoseconds{took}; });
  self->send_exit(shared.driver, caf::exit_reason::user_shutdown);
  self->monitor(root);
  caf::anon_send_exit(root, caf::exit_reason::user_shutdown);
  self->receive([](const caf::down_msg&) {});
  return time;
}

double restarts_per_second(caf::actor_system& system, const shape& x, bool says_ready) {
  std::chrono::nanoseconds total{};
  for (int life = 0; life < x.lives; ++life)
    total += one_life(system, x, says_ready);
  return static_cast<double>(x.restarts) * x.lives / std::chrono::duration<double>(total).count();
}

// -- a million -----------------------------------------------------------------------------------------------------------

double resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  double size = 0, pages = 0;
  statm >> size >> pages;
  return pages * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

/// `count` children, a thousand under each supervisor, added one by one: resident bytes of the process per child.
double bytes_per_child(caf::actor_system& system, int count) {
  constexpr int per_group = 1'000;
  const auto before = resident_bytes();
  caf::scoped_actor self{system};
  const population nobody_asks{};
  runtime::supervision_tree top;
  for (int group = 1; group <= count / per_group; ++group)
    top.children.push_back(runtime::supervisor(runtime::spec_of(std::to_string(group)), tree_of(0, nobody_asks)));
  runtime::supervisor_options options;
  options.path = "bench";
  const auto root = runtime::spawn_supervisor(system, std::move(top), options);
  for (int group = 1; group <= count / per_group; ++group) {
    const auto path = "bench/" + std::to_string(group);
    caf::actor supervisor;
    while (!(supervisor = options.tree->find(path)))
      std::this_thread::yield(); // only right after the start
    for (int i = 1; i <= per_group; ++i)
      self->send(supervisor, runtime::start_child{child_of(i, nobody_asks)});
    int started = 0;
    self->receive_for(started, per_group)([](const runtime::child_started&) {});
  }
  const auto used = resident_bytes() - before;
  self->monitor(root);
  caf::anon_send_exit(root, caf::exit_reason::kill);
  self->receive([](const caf::down_msg&) {});
  return used / count;
}

// -- Erlang --------------------------------------------------------------------------------------------------------------

/// The compiled Erlang program; none if Erlang is not installed.
class erlang {
public:
  erlang() {
    std::string pattern = (std::filesystem::temp_directory_path() / "bench-supervision-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr)
      return;
    folder_ = pattern;
    const auto compile = "erlc -o " + folder_ + " " PRUNELLA_BENCH_DIR "/supervision.erl >/dev/null 2>&1";
    usable_ = std::system(compile.c_str()) == 0;
    if (!usable_)
      std::fprintf(stderr, "bench_supervision: no Erlang beside it, because erlc is missing; install erlang-base\n");
  }
  erlang(const erlang&) = delete;
  erlang& operator=(const erlang&) = delete;
  ~erlang() { std::filesystem::remove_all(folder_); }

  bool usable() const { return usable_; }

  /// The number that the program prints for `arguments`.
  double run(const std::string& arguments) const {
    const auto command = "erl +P 2000000 -noshell -pa " + folder_ + " -run supervision main " + arguments;
    double value = 0;
    FILE* pipe = ::popen(command.c_str(), "r");
    if (pipe == nullptr || std::fscanf(pipe, "%lf", &value) != 1)
      std::fprintf(stderr, "bench_supervision: `%s` printed no number\n", command.c_str());
    if (pipe != nullptr)
      ::pclose(pipe);
    return value;
  }

private:
  std::string folder_;
  bool usable_ = false;
};

void bench_restarts(const erlang& otp) {
  const std::vector<std::pair<std::string, shape>> shapes = {
      {"1", {1, 1'000, 20}}, {"100", {100, 1'000, 50}}, {"1000", {1'000, 10'000, 3}}};
  constexpr int runs = 5;
  for (const auto& [label, x] : shapes) {
    std::vector<double> ours, plain, theirs, ratios;
    for (int run = 0; run < runs; ++run) {
      config_type config;
      caf::actor_system system{config};
      plain.push_back(restarts_per_second(system, x, false));
      ours.push_back(restarts_per_second(system, x, true));
      if (!otp.usable())
        continue;
      theirs.push_back(otp.run(std::to_string(x.children) + " " + std::to_string(x.restarts) + " " + std::to_string(x.lives)));
      ratios.push_back(ours.back() / theirs.back());
    }
    const auto name = "supervision_restarts_" + label + "_children";
    print(name, median(ours), "1/s");
    print(name + "_plain", median(plain), "1/s");
    if (otp.usable()) {
      print(name + "_otp", median(theirs), "1/s");
      print(name + "_to_otp", median(ratios), "ratio");
    }
  }
}

void bench_million(const erlang& otp) {
  constexpr int count = 1'000'000;
  {
    config_type config;
    caf::actor_system system{config};
    const auto bytes = bytes_per_child(system, count);
    print("supervision_bytes_per_actor", bytes, "B");
    print("supervision_million_actors_rss", bytes * count / (1024 * 1024), "MiB");
  }
  if (otp.usable())
    print("supervision_bytes_per_actor_otp", otp.run("million " + std::to_string(count)), "B");
}

} // namespace

int main(int argc, char** argv) {
  const std::string only = argc > 1 ? argv[1] : "";
  const erlang otp;
  if (only.empty() || only == "restarts")
    bench_restarts(otp);
  if (only.empty() || only == "million")
    bench_million(otp);
}
