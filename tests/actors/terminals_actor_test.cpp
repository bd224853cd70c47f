// The actor "terminals" with tasks of a scripted driver: sessions of this host, and of others that may be silent. On virtual time.

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>

#include <caf/event_based_actor.hpp>
#include <caf/response_promise.hpp>
#include <caf/result.hpp>
#include <caf/scoped_actor.hpp>

#include "actors/api/api_call.hpp"
#include "actors/terminal/terminals_actor.hpp"
#include "actors/type_ids.hpp"
#include "config/json.hpp"
#include "runtime/exit_reason.hpp"
#include "tests/actors/scripted_driver.hpp"
#include "tests/actors/shop_fixture.hpp"
#include "tests/runtime/virtual_time.hpp"
#include "tests/storage/temporary_folder.hpp"

using namespace prunella;
using namespace prunella::actors;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace {

const std::string front = "default.shop.web-1.front"; // on host-1, whose actor is tested

struct terminals_fixture {
  terminals_fixture() {
    options.host = "host-1";
    options.address = "127.0.0.1";
    options.state = std::make_shared<state_cell>();
    options.state->set(shop_on_two_hosts());
    options.actor_on = [this](const std::string& host, const std::string& name) {
      return name == "driver" ? (has_driver ? driver : caf::actor{}) : host == "host-1" ? terminals : other;
    };
    options.site = [] { return caf::actor{}; };
    options.draw_session = [this] { return "session0000" + std::to_string(++drawn); };
    options.log_path = [this](const std::string& container) { return folder.path() + "/" + container + "/log"; };
  }

  void spawn() {
    caf::scoped_actor parent(world.system());
    terminals = world.own(spawn_terminals(parent.ptr(), options));
    world.settle();
  }

  caf::expected<terminal_opened> open() {
    open_terminal x;
    x.container = front;
    x.command = {"dump"};
    x.is_task = true;
    return world.ask<terminal_opened>(terminals, 30s, x);
  }

  /// The container of the task that was opened last.
  std::string task() const { return machine->starts.back(); }

  void print(const std::string& text) const {
    const auto path = options.log_path(task());
    std::filesystem::create_directories(std::filesystem::path{path}.parent_path());
    std::ofstream{path, std::ios::app} << "2026-11-21T12:00:00.000Z stdout F " << text << '\n';
  }

  struct reader {
    std::shared_ptr<std::optional<terminal_output>> answer = std::make_shared<std::optional<terminal_output>>();
    std::shared_ptr<std::string> refused = std::make_shared<std::string>();
  };
  reader read(const std::string& session, std::uint64_t after = 0, std::uint32_t wait_ms = 0) {
    reader made;
    world.own(world.system().spawn([=](caf::event_based_actor* self) {
      self->request(terminals, 3'600s, read_terminal{session, after, wait_ms})
        .then([=](terminal_output& x) { made.answer->emplace(std::move(x)); },
              [=](const caf::error& why) { *made.refused = runtime::reason_text(why); });
    }));
    world.settle();
    return made;
  }

  /// A client's request to open a session in the instance `of`.
  void open_through_api(const std::string& of) {
    status = 0;
    net::routed_request request;
    request.request.body = R"({"of": ")" + of + R"(", "command": ["ls"]})";
    caf::anon_send(terminals, api_call{api_route::open_session, std::move(request), net::http_responder{[this](net::http_response x) {
                                         status = x.status;
                                         body = x.body;
                                       }}});
    world.settle();
  }

  virtual_time world;
  temporary_folder folder;
  std::shared_ptr<scripted_host> machine = std::make_shared<scripted_host>();
  caf::actor driver = world.own(spawn_scripted_driver(world.system(), machine));
  bool has_driver = true;
  terminals_options options;
  caf::actor terminals;
  caf::actor other; ///< of host-2
  int drawn = 0;
  unsigned status = 0;
  std::string body;
};

} // namespace

TEST_CASE_FIXTURE(terminals_fixture, "a read waits until the task prints, and is answered with nothing when its time is over") {
  spawn();
  const auto session = open()->session;
  const auto first = read(session, 0, 1'000);
  world.advance(900ms);
  CHECK_FALSE(*first.answer);
  world.advance(200ms);
  REQUIRE(*first.answer);
  CHECK((*first.answer)->chunks.empty());
  const auto second = read(session, 0, 5'000);
  print("hello");
  world.advance(100ms);
  REQUIRE(*second.answer);
  REQUIRE((*second.answer)->chunks.size() == 1);
  CHECK((*second.answer)->chunks[0].bytes == "hello\n");
  CHECK_FALSE((*second.answer)->is_over);
  machine->end(task(), 3);
  const auto last = read(session, 1, 5'000);
  world.advance(100ms);
  REQUIRE(*last.answer);
  CHECK((*last.answer)->is_over);
  CHECK((*last.answer)->exit_code == 3);
}

TEST_CASE_FIXTURE(terminals_fixture, "a session whose client is silent for ten seconds ends with its task, and one that is read does not") {
  spawn();
  const auto left = open()->session;
  const auto left_task = task();
  const auto kept = open()->session;
  for (int i = 0; i < 3; ++i) {
    world.advance(4s);
    CHECK(*read(kept).answer);
  }
  CHECK(machine->stops == std::vector<std::string>{left_task});
  CHECK(machine->running.count(left_task) == 0);
  CHECK(machine->running.size() == 1);
  CHECK(read(left).refused->find("there is no such session on host-1") == 0);
  CHECK(*read(kept).answer);
}

TEST_CASE_FIXTURE(terminals_fixture, "a client that says goodbye ends its task at once, also before it has printed anything") {
  spawn();
  const auto session = open()->session;
  caf::anon_send(terminals, close_terminal{session});
  world.settle();
  CHECK(machine->stops == std::vector<std::string>{task()});
  CHECK_FALSE(read(session).refused->empty());
}

TEST_CASE_FIXTURE(terminals_fixture, "one session more than a host takes is refused in words, until one has ended") {
  options.max_sessions = 2;
  spawn();
  const auto first = open();
  REQUIRE(first);
  REQUIRE(open());
  const auto refused = open();
  REQUIRE_FALSE(refused);
  CHECK(runtime::reason_text(refused.error()) == "2 sessions are open on host-1");
  caf::anon_send(terminals, close_terminal{first->session});
  world.advance(1s); // its task has ended
  CHECK(open());
}

TEST_CASE_FIXTURE(terminals_fixture, "a task that cannot be started, a driver that is away and one that is silent open no session") {
  options.max_sessions = 1;
  spawn();
  machine->refuse[front + "-run-session00001"].push_back({driver_errc::command_not_found, "the command `dump` was not found"});
  CHECK(runtime::reason_text(open().error()) == "the command `dump` was not found");
  has_driver = false;
  CHECK(runtime::reason_text(open().error()).find("the driver of host-1 is starting") == 0);
  has_driver = true;
  machine->silent = true;
  CHECK(open().error() == caf::sec::request_timeout);
  machine->silent = false;
  CHECK(open()); // none of them counts
}

TEST_CASE_FIXTURE(terminals_fixture, "a second read takes the place of the first, whose client has given up") {
  spawn();
  const auto session = open()->session;
  const auto first = read(session, 0, 5'000);
  const auto second = read(session, 0, 5'000);
  REQUIRE(*first.answer);
  CHECK((*first.answer)->chunks.empty());
  CHECK_FALSE(*second.answer);
}

TEST_CASE_FIXTURE(terminals_fixture, "a host that does not answer, and one that is no host of the site, are sentences") {
  other = world.own(world.system().spawn([](caf::event_based_actor* self) -> caf::behavior {
    return {[self](const open_terminal&) -> caf::result<terminal_opened> {
      static_cast<void>(self->make_response_promise()); // dropped: nobody ever hears of it
      return caf::delegated<terminal_opened>{};
    }};
  }));
  spawn();
  open_through_api("shop.web-2");
  world.advance(7'999ms);
  CHECK(status == 0);
  world.advance(1ms);
  CHECK(status == 503);
  CHECK(body.find("host-2 does not answer") != std::string::npos);
  net::routed_request request;
  request.path["session"] = "host-9~session00001";
  caf::anon_send(terminals, api_call{api_route::read_session, std::move(request), net::http_responder{[this](net::http_response x) {
                                       status = x.status;
                                       body = x.body;
                                     }}});
  world.settle();
  CHECK(status == 404);
  CHECK(body.find("there is no session on host-9") != std::string::npos);
}
