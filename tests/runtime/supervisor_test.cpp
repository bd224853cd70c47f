// The supervisor actor on virtual time: what CAF does to the decisions of `supervision`.

#include <doctest/doctest.h>

#include <caf/sec.hpp>

#include "tests/runtime/supervisor_fixture.hpp"

using namespace prunella;
using namespace prunella::runtime;
using namespace prunella::tests;
using namespace std::chrono_literals;
using config::restart_strategy;
using config::restart_type;
using words = std::vector<std::string>;

TEST_CASE("a child starts when the one before it has said that it is ready") {
  supervised_world world;
  world.begin(tree_of({worker_that_says_ready(spec_of("a"), world.start()), world.obedient("b")}));
  CHECK(world.log->taken() == words{"a up"});
  CHECK(world.row("a").state == "starting");
  CHECK(world.row("b").state == "stopped");
  world.tell("a", do_say_ready{});
  CHECK(world.log->taken() == words{"b up"});
  CHECK(world.row("a").state == "running");
}

TEST_CASE("a child that never says ready is killed at its start timeout, and the supervisor ends with a sentence") {
  supervised_world world;
  auto spec = spec_of("a");
  spec.start_timeout = 700ms;
  world.begin(tree_of({worker_that_says_ready(spec, world.start())}));
  auto end = world.watch(world.root);
  world.advance(699ms);
  CHECK(!end->has_value());
  world.advance(1ms);
  REQUIRE(end->has_value());
  CHECK(reason_text(**end) == "a child could not be started: child 'a': it did not say that it is ready within 700 ms "
                              "and was killed");
}

TEST_CASE("an actor that ends right after it said ready was ready: its end is not a failed start") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    supervised_world world{seed};
    auto start = [](const start_context& my) -> caf::actor {
      return my.self->spawn([parent = my.parent](caf::event_based_actor*) { parent.say_ready(); });
    };
    world.begin(
        tree_of({worker_that_says_ready(spec_of("once", restart_type::transient), start), world.obedient("b")}));
    CHECK(world.log->taken() == words{"b up"});
    CHECK(world.row("once").last_reason == "it ended normally");
  }
}

TEST_CASE("the matrix {permanent, transient, temporary} x {normal, shutdown, abnormal, killed} on real exit reasons") {
  using kinds = std::vector<exit_kind>;
  for (auto type : {restart_type::permanent, restart_type::transient, restart_type::temporary})
    for (auto how : kinds{exit_kind::normal, exit_kind::shutdown, exit_kind::abnormal, exit_kind::killed}) {
      CAPTURE(config::to_text(type));
      CAPTURE(static_cast<int>(how));
      supervised_world world;
      world.begin(tree_of({world.obedient("a", type)}));
      const auto first = world.at("a");
      world.tell("a", do_end{how});
      const bool is_restarted =
          type == restart_type::permanent ||
          (type == restart_type::transient && (how == exit_kind::abnormal || how == exit_kind::killed));
      CHECK(static_cast<bool>(world.at("a")) == is_restarted);
      CHECK(world.at("a") != first);
      CHECK(world.row("a").restarts == (is_restarted ? 1u : 0u));
      CHECK((world.row("a").path.empty()) == (type == restart_type::temporary));
    }
}

TEST_CASE("the text of an exception reaches the tree and the observer") {
  supervised_world world;
  world.begin(tree_of({world.obedient("a")}));
  world.tell("a", do_throw{"disk full"});
  CHECK(world.row("a").last_reason == "the actor threw an exception: disk full");
  REQUIRE(world.events.size() == 4);
  CHECK(world.events[1].path == "host-1/root/a");
  CHECK(world.events[1].report.kind == report_kind::exited);
  CHECK(world.events[1].report.end == exit_kind::abnormal);
  CHECK(world.events[1].report.reason == "the actor threw an exception: disk full");
  CHECK(world.events[2].report.kind == report_kind::restart_scheduled);
  CHECK(world.events[3].report.kind == report_kind::started);
}

TEST_CASE("events also reach an observing actor, as messages") {
  supervised_world world;
  auto observer = world.collect<supervision_event>();
  world.options.on_event = tell(observer.handle);
  world.begin(tree_of({world.obedient("a")}));
  REQUIRE(observer.got->size() == 1);
  CHECK(observer.got->front().path == "host-1/root/a");
  CHECK(observer.got->front().report.kind == report_kind::started);
}

TEST_CASE("an orderly shutdown ends children in reverse order, then the supervisor, with exit reason user_shutdown") {
  supervised_world world;
  world.begin(tree_of({world.obedient("a"), world.obedient("b"), world.obedient("c")}));
  auto end = world.watch(world.root);
  world.log->taken();
  caf::anon_send_exit(world.root, caf::exit_reason::user_shutdown);
  world.settle();
  CHECK(world.log->taken() == words{"c down", "b down", "a down"});
  REQUIRE(end->has_value());
  CHECK(**end == caf::exit_reason::user_shutdown);
  CHECK(reason_text(**end) == "it was told to shut down");
  CHECK(world.paths() == words{"host-1/root"});
}

TEST_CASE("a child that does not end when asked is killed after its grace, and the next one waits for that") {
  supervised_world world;
  auto spec = spec_of("b");
  spec.shutdown = shutdown_policy::after(2s);
  world.begin(tree_of({world.obedient("a"), worker(spec, world.start(stubborn_worker))}));
  world.log->taken();
  caf::anon_send_exit(world.root, caf::exit_reason::user_shutdown);
  world.advance(1999ms);
  CHECK(world.log->taken().empty());
  CHECK(world.row("b").state == "stopping");
  world.advance(1ms);
  CHECK(world.log->taken() == words{"b down", "a down"});
}

TEST_CASE("one_for_all: the group goes down in reverse order and comes up in order") {
  supervised_world world;
  world.begin(tree_of({world.obedient("a"), world.obedient("b"), world.obedient("c")}, restart_strategy::one_for_all));
  world.log->taken();
  world.tell("b", do_end{exit_kind::abnormal});
  CHECK(world.log->taken() == words{"b down", "c down", "a down", "a up", "b up", "c up"});
}

TEST_CASE("escalation: a level that exceeds its intensity gives up, its parent restarts it afresh, then gives up too") {
  supervised_world world;
  auto middle = tree_of({world.obedient("leaf")});
  world.begin(tree_of({supervisor(spec_of("middle"), middle), world.obedient("bystander")}));
  auto end = world.watch(world.root);
  world.log->taken();
  // Two restarts are allowed per level: the third failure ends `middle`, the ninth the root.
  for (int failure = 1; failure <= 8; ++failure) {
    world.tell("middle/leaf", do_end{exit_kind::abnormal});
    REQUIRE(!end->has_value());
    REQUIRE(world.row("middle").restarts == static_cast<std::uint32_t>(failure / 3));
  }
  CHECK(world.row("middle").last_reason.find("child 'leaf': the actor threw an exception: it broke") !=
        std::string::npos);
  CHECK(world.log->alive["host-1/root/bystander"] == 1);
  world.tell("middle/leaf", do_end{exit_kind::abnormal});
  REQUIRE(end->has_value());
  CHECK(**end == supervision_errc::gave_up);
  // The whole chain is in the reason, down to the first cause.
  CHECK(reason_text(**end).find("child 'middle': the supervisor gave up") != std::string::npos);
  CHECK(reason_text(**end).find("child 'leaf': the actor threw an exception: it broke") != std::string::npos);
  CHECK(world.log->alive["host-1/root/bystander"] == 0);
}

TEST_CASE("a nested supervisor is ready when its children are, and its failed start fails its parent") {
  supervised_world world;
  auto inner = tree_of({worker_that_says_ready(spec_of("slow"), world.start())});
  auto spec = spec_of("inner");
  world.begin(tree_of({supervisor(spec, inner), world.obedient("after")}));
  CHECK(world.log->taken() == words{"slow up"});
  SUBCASE("ready") {
    world.tell("inner/slow", do_say_ready{});
    CHECK(world.log->taken() == words{"after up"});
    CHECK(world.row("inner").strategy == "one_for_one");
    CHECK(world.paths() == words{"host-1/root", "host-1/root/after", "host-1/root/inner", "host-1/root/inner/slow"});
  }
  SUBCASE("failed") {
    auto end = world.watch(world.root);
    world.tell("inner/slow", do_throw{"no disk"});
    REQUIRE(end->has_value());
    CHECK(reason_text(**end).find("child 'inner': ") != std::string::npos);
    CHECK(reason_text(**end).find("no disk") != std::string::npos);
  }
}

TEST_CASE("a killed supervisor takes its children down and is restarted, and no child ever runs twice at a time") {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    supervised_world world{seed};
    auto deepest = tree_of({world.obedient("x"), worker(spec_of("y"), world.start(stubborn_worker))});
    auto inner = tree_of({world.obedient("a"), supervisor(spec_of("deep"), deepest)}, restart_strategy::one_for_all);
    world.begin(tree_of({supervisor(spec_of("inner"), inner), world.obedient("b")}));
    const auto first = world.at("inner");
    // Restarts are under way in the subtree when its top is killed.
    caf::anon_send(world.at("inner/deep/x"), do_end{exit_kind::abnormal});
    caf::anon_send(world.at("inner/a"), do_end{exit_kind::abnormal});
    caf::anon_send_exit(first, caf::exit_reason::kill);
    world.settle();
    CHECK(world.at("inner") != first);
    CHECK(world.row("inner").last_reason == "it was killed");
    for (const auto* below : {"inner/a", "inner/deep/x", "inner/deep/y", "b"}) {
      CAPTURE(below);
      const auto path = std::string{"host-1/root/"} + below;
      CHECK(world.log->alive[path] == 1);
      CHECK(world.log->max_alive[path] == 1);
      CHECK(world.row(below).state == "running");
      CHECK(static_cast<bool>(world.at(below)));
    }
  }
}

TEST_CASE("what a killed supervisor leaves hanging below it is waited for, at the limit the parent gives up") {
  supervised_world world;
  world.options.orphan_timeout = 3s;
  auto inner = tree_of({world.obedient("a")});
  world.begin(tree_of({supervisor(spec_of("inner"), inner)}));
  auto end = world.watch(world.root);
  const auto stuck = world.at("inner/a");
  world.hang(stuck);
  caf::anon_send_exit(world.at("inner"), caf::exit_reason::kill);
  world.advance(2999ms);
  CHECK(!end->has_value());
  CHECK(world.log->max_alive["host-1/root/inner/a"] == 1);
  SUBCASE("it ends in time: the supervisor is restarted") {
    world.wake(stuck);
    world.advance(1h);
    CHECK(!end->has_value());
    CHECK(world.log->alive["host-1/root/inner/a"] == 1);
    CHECK(world.log->max_alive["host-1/root/inner/a"] == 1);
  }
  SUBCASE("it does not: nothing is started beside it") {
    world.advance(1ms);
    REQUIRE(end->has_value());
    CHECK(**end == supervision_errc::unkillable);
    CHECK(reason_text(**end).find("left 'host-1/root/inner/a' running") != std::string::npos);
    CHECK(world.log->max_alive["host-1/root/inner/a"] == 1);
  }
}

TEST_CASE("an actor that hangs is shown with what waits for it, and a level above gives up when it cannot be killed") {
  supervised_world world;
  auto inner = tree_of({world.obedient("a")});
  inner.spec.kill_timeout = 4s;
  auto once = spec_of("inner", restart_type::temporary);
  world.begin(tree_of({supervisor(once, inner)}));
  const auto stuck = world.at("inner/a");
  world.hang(stuck);
  for (int i = 0; i < 3; ++i)
    caf::anon_send(stuck, i);
  world.settle();
  CHECK(world.row("inner/a").mailbox == 3);
  caf::anon_send_exit(stuck, caf::exit_reason::kill);
  CHECK(world.row("inner/a").mailbox == 4);
  const auto inner_supervisor = world.at("inner");
  auto end = world.watch(inner_supervisor);
  auto answer = world.ask<child_done>(inner_supervisor, 1min, terminate_child{"a"});
  REQUIRE(!answer);
  CHECK(answer.error() == supervision_errc::unkillable);
  REQUIRE(end->has_value());
  CHECK(**end == supervision_errc::unkillable);
  world.wake(stuck);
}

TEST_CASE("a killed root leaves nothing running") {
  supervised_world world;
  auto inner = tree_of({world.obedient("x"), world.obedient("y")});
  world.begin(tree_of({world.obedient("a"), supervisor(spec_of("inner"), inner)}));
  caf::anon_send_exit(world.root, caf::exit_reason::kill);
  world.settle();
  for (const auto& [path, alive] : world.log->alive) {
    const auto& name = path; // clang captures no structured binding
    CAPTURE(name);
    CHECK(alive == 0);
  }
  CHECK(world.log->alive.size() == 3);
}

TEST_CASE("a start function that throws has failed with that text, one that returns nothing is OTP's ignore") {
  supervised_world world;
  world.begin(tree_of({worker(spec_of("nothing"), [](const start_context&) { return caf::actor{}; })}));
  CHECK(world.row("nothing").state == "stopped");
  auto thrower = worker(spec_of("x"), [](const start_context&) -> caf::actor { throw std::runtime_error("no port"); });
  auto answer = world.ask<child_started>(world.root, 1s, start_child{thrower});
  REQUIRE(!answer);
  CHECK(answer.error() == supervision_errc::start_failed);
  CHECK(reason_text(answer.error()) ==
        "a child could not be started: 'host-1/root/x': its start function threw: no port");
  CHECK(world.row("x").path.empty());
}

TEST_CASE("child_adm: children are started, listed, counted, terminated, restarted and deleted by message") {
  supervised_world world;
  world.begin(tree_of({world.obedient("a")}));
  auto started = world.ask<child_started>(world.root, 1s, start_child{world.obedient("b")});
  REQUIRE(started);
  CHECK(started->path == "host-1/root/b");
  CHECK(started->actor == world.at("b"));
  auto rows = world.ask<actor_rows>(world.root, 1s, which_children{});
  REQUIRE(rows);
  REQUIRE(rows->rows.size() == 2);
  CHECK(rows->rows[1].path == "host-1/root/b");
  CHECK(world.ask<child_done>(world.root, 1s, terminate_child{"b"})->path == "host-1/root/b");
  CHECK(!world.at("b"));
  CHECK(*world.ask<child_counts>(world.root, 1s, count_children{}) == child_counts{2, 1, 0, 2});
  auto again = world.ask<child_started>(world.root, 1s, restart_child{"b"});
  REQUIRE(again);
  CHECK(again->actor == world.at("b"));
  auto refused = world.ask<child_done>(world.root, 1s, delete_child{"b"});
  REQUIRE(!refused);
  CHECK(reason_text(refused.error()) == "the child is running: terminate it first: 'host-1/root/b'");
  CHECK(world.ask<child_done>(world.root, 1s, terminate_child{"b"}));
  CHECK(world.ask<child_done>(world.root, 1s, delete_child{"b"}));
  CHECK(world.row("b").path.empty());
  auto missing = world.ask<child_started>(world.root, 1s, start_child{worker(spec_of("c"), {})});
  REQUIRE(!missing);
  CHECK(missing.error() == supervision_errc::invalid_spec);
}

TEST_CASE("a refused start_child of an existing child leaves that child as it is") {
  supervised_world world;
  world.begin(tree_of({world.obedient("a")}));
  auto other = worker(spec_of("a"), [](const start_context&) -> caf::actor { throw std::runtime_error("wrong one"); });
  CHECK(!world.ask<child_started>(world.root, 1s, start_child{other}));
  world.tell("a", do_end{exit_kind::abnormal});
  CHECK(world.row("a").state == "running");
}

TEST_CASE("whoever waits for a supervisor that is killed is told at once, not at its timeout") {
  supervised_world world;
  world.begin(tree_of({}));
  auto slow = worker_that_says_ready(spec_of("slow"), world.start());
  auto answer = std::make_shared<caf::error>();
  world.own(world.system().spawn([=, root = world.root](caf::event_based_actor* asker) {
    asker->request(root, 60min, start_child{slow})
        .then([](child_started&) {}, [=](caf::error& reason) { *answer = reason; });
  }));
  world.settle();
  CHECK(!*answer);
  caf::anon_send_exit(world.root, caf::exit_reason::kill);
  world.settle();
  CHECK(*answer == supervision_errc::shutting_down);
}

TEST_CASE("the tree lists every actor with its state, in tree order, and what it cannot know it says") {
  supervised_world world;
  auto plain = worker(spec_of("plain"), [](const start_context& my) -> caf::actor {
    return my.self->spawn([](caf::event_based_actor*) -> caf::behavior { return {[](int) {}}; });
  });
  auto inner = tree_of({world.obedient("leaf")}, restart_strategy::rest_for_one);
  world.begin(tree_of({supervisor(spec_of("core"), inner), world.obedient("core-b"), plain}));
  world.advance(1500ms);
  world.tell("core/leaf", do_end{exit_kind::abnormal});
  world.advance(250ms);
  auto rows = world.ask<actor_rows>(world.root, 1s, list_tree{});
  REQUIRE(rows);
  words paths;
  for (const auto& row : rows->rows)
    paths.push_back(row.path);
  CHECK(paths ==
        words{"host-1/root", "host-1/root/core", "host-1/root/core/leaf", "host-1/root/core-b", "host-1/root/plain"});
  CHECK(rows->rows[0].kind == "supervisor");
  CHECK(rows->rows[1].strategy == "rest_for_one");
  CHECK(rows->rows[1].age_ms == 1750);
  CHECK(rows->rows[2] == actor_row{"host-1/root/core/leaf", "worker", "running", 1, 0, 250,
                                   "the actor threw an exception: it broke", ""});
  CHECK(rows->rows[4].mailbox == -1);
}

TEST_CASE("kill_actor ends an actor at or below the supervisor, and refuses every other path") {
  supervised_world world;
  world.begin(tree_of({world.obedient("a")}));
  const auto first = world.at("a");
  CHECK(world.ask<child_done>(world.root, 1s, kill_actor{"host-1/root/a"}));
  world.settle();
  CHECK(world.row("a").restarts == 1);
  CHECK(world.row("a").last_reason == "it was killed");
  CHECK(world.at("a") != first);
  for (const auto* path : {"host-1/root/b", "host-1", "host-1/rootless", ""}) {
    CAPTURE(path);
    CHECK(!world.ask<child_done>(world.root, 1s, kill_actor{path}));
  }
}

TEST_CASE("backoff in virtual time: the first restart at once, the second 100 ms later, not 99") {
  supervised_world world;
  auto spec = spec_of("a");
  spec.backoff = backoff_options{};
  world.begin(tree_of({worker(spec, world.start())}));
  world.tell("a", do_end{exit_kind::abnormal});
  CHECK(world.row("a").state == "running");
  world.tell("a", do_end{exit_kind::abnormal});
  CHECK(world.row("a").state == "restarting");
  CHECK(world.events.back().report.delay == 100ms);
  world.advance(99ms);
  CHECK(world.row("a").state == "restarting");
  world.advance(1ms);
  CHECK(world.row("a").state == "running");
}

TEST_CASE("the domain's ladder: containers, instance, application, giving up is an event, not an outage") {
  supervised_world world;
  // applications (dynamic, independent) > application (dynamic) > instance (static, strategy of the service) >
  // container
  auto applications = tree_of({});
  applications.spec.order = shutdown_order::together;
  world.begin(tree_of({supervisor(spec_of("applications"), applications)}));
  auto container = [&](const char* id) {
    auto spec = spec_of(id);
    spec.backoff = backoff_options{};
    return worker(spec, world.start());
  };
  auto instance = tree_of({container("web"), container("sidecar")}, restart_strategy::rest_for_one);
  auto application = tree_of({});
  application.spec.limit = {0, 60s};
  REQUIRE(
      world.ask<child_started>(world.at("applications"), 1s,
                               start_child{supervisor(spec_of("default.shop", restart_type::temporary), application)}));
  REQUIRE(world.ask<child_started>(world.at("applications/default.shop"), 1s,
                                   start_child{supervisor(spec_of("default.shop.front-1"), instance)}));
  CHECK(world.row("applications/default.shop/default.shop.front-1/web").state == "running");
  world.events.clear();
  for (int failure = 0; failure < 3; ++failure) {
    world.tell("applications/default.shop/default.shop.front-1/web", do_throw{"no licence"});
    world.advance(1s);
  }
  CHECK(!world.at("applications/default.shop"));
  CHECK(static_cast<bool>(world.at("applications")));
  REQUIRE(!world.events.empty());
  const auto& last = world.events.back();
  CHECK(last.path == "host-1/root/applications/default.shop");
  CHECK(last.report.kind == report_kind::exited);
  CHECK(last.report.reason.find("no licence") != std::string::npos);
  for (const auto& [path, alive] : world.log->alive)
    CHECK(alive == 0);
}

TEST_CASE("an invalid tree is refused when it is spawned, with everything that is wrong") {
  supervised_world world;
  auto tree = tree_of({world.obedient("a"), worker(spec_of("a"), {})});
  CHECK_THROWS_WITH_AS(spawn_supervisor(world.system(), tree, world.options),
                       "invalid supervision tree: child 'a': its id is used twice; ids are unique under a supervisor; "
                       "child 'a' has no start function; give it one",
                       std::invalid_argument);
  auto broken = supervisor(spec_of("inner"), tree_of({world.obedient("x/y")}));
  world.begin(tree_of({broken}));
  CHECK(!world.at("inner"));
}

TEST_CASE("reason_text: every reason is a sentence, and a category of one's own keeps its text") {
  CHECK(reason_text({}) == "it ended normally");
  CHECK(reason_text(caf::exit_reason::kill) == "it was killed");
  CHECK(reason_text(caf::sec::request_timeout) == "request_timeout");
  CHECK(reason_text(caf::error{7, caf::atom("own"), caf::make_message(std::string{"the belt is torn"})}) ==
        "the belt is torn");
  CHECK(reason_text(to_error(supervision_errc::gave_up, "")) == sentence(supervision_errc::gave_up));
  CHECK(exit_kind_of(caf::exit_reason::unreachable) == exit_kind::abnormal);
}

TEST_CASE("the tree forgets a path only for the actor it leads to") {
  supervised_world world;
  auto one = world.own(world.system().spawn([](caf::event_based_actor*) -> caf::behavior { return {[](int) {}}; }));
  auto two = world.own(world.system().spawn([](caf::event_based_actor*) -> caf::behavior { return {[](int) {}}; }));
  const auto entry_of = [](const caf::actor& actor) {
    actor_entry entry;
    entry.actor = actor.address();
    return entry;
  };
  actor_tree tree;
  tree.put("a/x", entry_of(one));
  tree.put("a/x", entry_of(two));
  tree.remove("a/x", one.address());
  CHECK(tree.find("a/x") == two);
  CHECK(!tree.find("a"));
  tree.remove("a/x", two.address());
  CHECK(!tree.find("a/x"));
  CHECK(tree.list(world.now()).empty());
}

TEST_CASE("what is below a removed path stays until it is removed itself") {
  actor_tree tree;
  for (const auto* path : {"root", "root/b", "root/b/leaf", "root/a", "root/b-2"})
    tree.put(path, {});
  tree.remove("root/b");
  const auto paths = [&] {
    words all;
    for (const auto& row : tree.list(instant{}))
      all.push_back(row.path);
    return all;
  };
  CHECK(paths() == words{"root", "root/a", "root/b/leaf", "root/b-2"});
  tree.remove_below("root/b");
  CHECK(paths() == words{"root", "root/a", "root/b-2"});
  CHECK(tree.list(instant{}, "root/a").size() == 1);
  CHECK(tree.list(instant{}, "roo").empty());
}
