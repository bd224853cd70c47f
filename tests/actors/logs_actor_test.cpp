// The actor "logs": this host's files in pages, and the logs of a site whose other hosts may be silent. On virtual time.

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
#include "actors/api/log_view.hpp"
#include "actors/instance/driver_error.hpp"
#include "actors/logs/logs_actor.hpp"
#include "actors/type_ids.hpp"
#include "config/json.hpp"
#include "runtime/exit_reason.hpp"
#include "tests/actors/shop_fixture.hpp"
#include "tests/runtime/virtual_time.hpp"
#include "tests/storage/temporary_folder.hpp"

using namespace prunella;
using namespace prunella::actors;
using namespace std::chrono_literals;

namespace {

using texts = std::vector<std::string>;

const std::string here = "default.shop.web-1.front";  // on host-1, whose actor is tested
const std::string there = "default.shop.web-2.front"; // on host-2

struct logs_fixture {
  logs_fixture() {
    options.host = "host-1";
    options.state = std::make_shared<state_cell>();
    options.state->set(prunella::tests::shop_on_two_hosts());
    options.actor_on = [this](const std::string& host, const std::string&) { return host == "host-1" ? logs : other; };
    options.log_path = [this](const std::string& container) { return folder.path() + "/" + container; };
    options.clock = [] { return time_ms{1'795'262'400'000}; };
  }

  void spawn() {
    caf::scoped_actor parent(world.system());
    logs = world.own(spawn_logs(parent.ptr(), options));
    world.settle();
  }

  void print(const std::string& container, const std::string& text) const {
    std::ofstream{options.log_path(container), std::ios::app} << "2026-11-21T12:00:00.000Z stdout F " << text << '\n';
  }

  /// Host-2 answers with a line, once it is asked without a wait; what it is told to wait for does not come.
  caf::actor host_with_a_line(bool is_silent) {
    return world.own(world.system().spawn([this, is_silent](caf::event_based_actor* self) -> caf::behavior {
      return {[this, is_silent, self](const read_logs& x) -> caf::result<logs_read> {
        ++asked;
        if (is_silent || x.wait_ms > 0) {
          promises.push_back(self->make_response_promise());
          return caf::delegated<logs_read>{};
        }
        logs_read read;
        read.pages.resize(x.queries.size());
        if (!x.queries[0].has_position)
          read.pages[0].entries.push_back({1'795'262'400'000, false, false, "from there", {7, 50}});
        read.pages[0].next = {7, 50};
        return read;
      }};
    }));
  }

  /// `GET /v1/logs` with these parameters; the answer comes in `status` and `view`.
  void ask(net::http_parameters query) {
    status = 0;
    net::routed_request request;
    request.query = std::move(query);
    caf::anon_send(logs, api_call{api_route::logs, std::move(request), net::http_responder{[this](net::http_response response) {
                                    status = response.status;
                                    view = {};
                                    const auto problems = config::from_json(config::parse_json(response.body).value, view);
                                    CHECK((status != 200 || problems.empty()));
                                  }}});
    world.settle();
  }

  texts lines() const {
    texts all;
    for (const auto& line : view.lines)
      all.push_back(line.text);
    return all;
  }

  /// A reader of this host's log of `here`, behind what there is.
  struct reader {
    std::shared_ptr<std::optional<logs_read>> answer = std::make_shared<std::optional<logs_read>>();
    std::shared_ptr<std::string> refused = std::make_shared<std::string>();
  };
  reader wait_for(std::uint32_t wait_ms, const std::string& container = here) {
    reader made;
    world.own(world.system().spawn([=](caf::event_based_actor* self) {
      log_query query;
      query.container = container;
      query.tail = 0;
      self->request(logs, 3'600s, read_logs{{query}, wait_ms, max_log_bytes})
        .then([=](logs_read& x) { made.answer->emplace(std::move(x)); },
              [=](const caf::error& why) { *made.refused = runtime::reason_text(why); });
    }));
    world.settle();
    return made;
  }

  tests::virtual_time world;
  tests::temporary_folder folder;
  logs_actor_options options;
  caf::actor logs;
  caf::actor other; ///< of host-2
  int asked = 0;
  std::vector<caf::response_promise> promises;
  unsigned status = 0;
  logs_view view;
};

} // namespace

TEST_CASE_FIXTURE(logs_fixture, "a host that does not answer within its time is a sentence beside the lines of the others") {
  other = host_with_a_line(true);
  spawn();
  print(here, "from here");
  ask({{"of", "shop"}, {"all-replicas", "true"}});
  world.advance(1'999ms);
  CHECK(status == 0);
  world.advance(1ms);
  CHECK(status == 200);
  CHECK(lines() == texts{"from here"});
  REQUIRE(view.notes.size() == 1);
  CHECK(view.notes[0].find("host-2 does not say what it keeps of these logs: ") == 0);
  CHECK(view.unread == texts{"host-2"});
}

TEST_CASE_FIXTURE(logs_fixture, "a host without the actor is said to be starting, at once") {
  spawn();
  print(here, "from here");
  ask({{"of", "shop"}, {"all-replicas", "true"}});
  CHECK(status == 200);
  CHECK(lines() == texts{"from here"});
  CHECK(view.notes == texts{"host-2 does not say what it keeps of these logs: it is starting; try again in a moment"});
}

TEST_CASE_FIXTURE(logs_fixture, "a host that is down is said to be so, with the reason and where else to look") {
  auto state = std::make_shared<site_state>(*options.state->get());
  state->hosts["host-2"].up = false;
  state->hosts["host-2"].reason = "no heartbeat for 500ms";
  options.state->set(state);
  spawn();
  ask({{"of", "shop.web-2"}});
  CHECK(status == 200);
  CHECK(lines().empty());
  CHECK(view.unread == texts{"host-2"});
  CHECK(view.notes == texts{"host-2 is down (no heartbeat for 500ms), and what it keeps of these logs can be read when it is back; "
                            "all-hosts shows what others keep"});
  ask({{"of", "shop.web-2"}, {"all-hosts", "true"}});
  CHECK(view.notes.size() == 1);
  CHECK(view.notes[0].find("all-hosts") == std::string::npos);
}

TEST_CASE_FIXTURE(logs_fixture, "who waits for news of two hosts gets that of one while the other goes on waiting") {
  other = host_with_a_line(false);
  spawn();
  print(here, "from here");
  ask({{"of", "shop"}, {"all-replicas", "true"}});
  CHECK(lines() == texts{"from here", "from there"});
  const auto next = view.next;
  ask({{"of", "shop"}, {"all-replicas", "true"}, {"after", next}, {"wait", "5s"}});
  world.advance(1s);
  CHECK(status == 0);
  print(here, "more");
  world.advance(100ms);
  CHECK(status == 200);
  CHECK(lines() == texts{"more"});
  CHECK(view.notes.empty());
  ask({{"of", "shop"}, {"all-replicas", "true"}, {"after", view.next}, {"wait", "5s"}});
  world.advance(10s); // neither the wait nor the host of which no page comes holds it up for ever
  CHECK(status == 200);
  CHECK(lines().empty());
}

TEST_CASE_FIXTURE(logs_fixture, "all hosts are asked for an instance, and those lines say where they are kept") {
  other = host_with_a_line(false);
  spawn();
  print(here, "now");
  ask({{"of", "shop.web-1"}, {"all-hosts", "true"}});
  CHECK(status == 200);
  REQUIRE(view.lines.size() == 2);
  CHECK(view.lines[0].host + ' ' + view.lines[0].text == "host-1 now");
  CHECK(view.lines[1].host + ' ' + view.lines[1].text == "host-2 from there");
  CHECK(view.lines[1].container == here);
  CHECK(view.containers == texts{here + "@host-1", here + "@host-2"});
  ask({{"of", "shop.web-1"}, {"all-hosts", "true"}, {"after", view.next}});
  CHECK(view.lines.empty());
  CHECK(view.notes.empty());
}

TEST_CASE_FIXTURE(logs_fixture, "an instance that comes back to a host is followed without what it printed there before, and a note says where it is") {
  auto state = *options.state->get();
  auto& x = state.assignments["default.shop.web-1"];
  x.host = "host-2";
  options.state->set(std::make_shared<site_state>(state));
  other = host_with_a_line(false);
  spawn();
  print(here, "an old line");
  ask({{"of", "shop.web-1"}, {"tail", "1"}});
  CHECK(lines() == texts{"from there"});
  x.host = "host-1";
  x.assigned_at = options.clock() + 1; // after the old line
  options.state->set(std::make_shared<site_state>(state));
  ask({{"of", "shop.web-1"}, {"tail", "1"}, {"after", view.next}});
  CHECK(lines().empty());
  CHECK(view.notes == texts{here + " is on host-1 now; all-hosts shows what it printed elsewhere"});
  print(here, "a new line");
  ask({{"of", "shop.web-1"}, {"tail", "1"}, {"after", view.next}});
  CHECK(lines() == texts{"a new line"});
  CHECK(view.notes.empty());
}

TEST_CASE_FIXTURE(logs_fixture, "a reader that waits is answered within 100 ms of what is printed, and with nothing when its time is over") {
  spawn();
  print(here, "old");
  const auto first = wait_for(5'000);
  const auto second = wait_for(1'000, there);
  CHECK_FALSE(*first.answer);
  world.advance(999ms);
  CHECK_FALSE(*second.answer);
  world.advance(101ms);
  REQUIRE(*second.answer);
  CHECK((*second.answer)->pages[0].entries.empty());
  print(here, "new");
  world.advance(100ms);
  REQUIRE(*first.answer);
  REQUIRE((*first.answer)->pages[0].entries.size() == 1);
  CHECK((*first.answer)->pages[0].entries[0].text == "new");
}

TEST_CASE_FIXTURE(logs_fixture, "one reader more than may wait is refused in words, and one that waits for nothing is not") {
  options.max_waiting = 2;
  spawn();
  const auto first = wait_for(5'000);
  const auto second = wait_for(5'000);
  CHECK(*wait_for(5'000).refused == "2 readers wait for logs of host-1, as many as it takes");
  CHECK(*wait_for(0).answer);
  world.advance(5'100ms);
  CHECK(*first.answer);
  CHECK(*second.answer);
  CHECK(wait_for(5'000).refused->empty());
}

TEST_CASE_FIXTURE(logs_fixture, "what is no name of a container becomes no path, and a host without logs says so") {
  spawn();
  for (const auto* name : {"", "front", "../../etc/passwd", "default.shop.web-1.a/b", "default.shop.web.front"})
    CHECK_MESSAGE(wait_for(0, name).refused->find("is not the name of a container") != std::string::npos, name);
  options.log_path = nullptr;
  spawn();
  CHECK(*wait_for(0).refused == "host-1 keeps no logs");
}
