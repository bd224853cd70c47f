#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include "actors/host/address_guard.hpp"
#include "actors/host/site_address.hpp"
#include "actors/site/address_holder.hpp"
#include "actors/site/leadership_actor.hpp"
#include "tests/actors/site_fixture.hpp"
#include "tests/runtime/virtual_time.hpp"

using namespace prunella;
using namespace prunella::actors;
using namespace prunella::test;
using namespace std::chrono_literals;

namespace {

struct device_log {
  std::vector<std::string> done;
  std::string problem;
  std::string obstacle;
  std::optional<std::uint32_t> renewed_at;
};

class scripted_device final : public net::address_device {
public:
  explicit scripted_device(std::shared_ptr<device_log> log) : log_(std::move(log)) {}

  std::string put(const config::interface_address& address, const net::address_hold& hold) override {
    return note("put " + address.address + " for " + std::to_string(hold.lifetime_s)
                + (hold.goes_with_process ? "" : ", stays"));
  }
  std::string remove(const config::interface_address& address) override {
    return note("remove " + address.address);
  }
  std::optional<std::uint32_t> renewed_at(const config::interface_address&) const override { return log_->renewed_at; }
  std::string obstacle() const override { return log_->obstacle; }
  std::string announce(const config::interface_address& address, bool more) override {
    return note((more ? "announce " : "announce for the last time ") + address.address);
  }

private:
  std::string note(std::string what) {
    log_->done.push_back(std::move(what));
    return log_->problem;
  }

  std::shared_ptr<device_log> log_;
};

site_state three_hosts() {
  site_state state;
  state.site.name = "shop";
  state.site.address = "10.0.0.50/24";
  for (const auto* id : {"host-1", "host-2", "host-3"}) {
    state.hosts[id].spec.id = id;
    state.hosts[id].spec.interface = "eth0";
  }
  return state;
}

struct holder_under_test {
  tests::virtual_time world;
  std::shared_ptr<device_log> log = std::make_shared<device_log>();
  std::shared_ptr<state_cell> state = std::make_shared<state_cell>();
  std::shared_ptr<leadership_cell> leader = std::make_shared<leadership_cell>();
  std::shared_ptr<trouble_cell> trouble = std::make_shared<trouble_cell>();
  std::vector<storage::journal_event> events;
  caf::scoped_actor parent{world.system()};
  caf::actor actor;

  holder_under_test() { state->set(std::make_shared<const site_state>(three_hosts())); }

  void start() {
    site_address_options x;
    x.host = "host-1";
    x.device = std::make_shared<scripted_device>(log);
    x.state = state;
    x.leader = leader;
    x.trouble = trouble;
    x.record = [this](storage::journal_event event) { events.push_back(std::move(event)); };
    actor = world.own(spawn_site_address(parent.ptr(), x));
    world.settle();
  }

  void lead(const std::string& who) {
    leader->set({who, "", 1});
    if (actor)
      caf::anon_send(actor, leader_changed{leader->get()});
    world.settle();
  }

  std::vector<std::string> take() { return std::exchange(log->done, {}); }
};

using texts = std::vector<std::string>;

} // namespace

TEST_CASE("the leader holds the address, another only where the leader has no interface, and nobody without a leader") {
  auto state = three_hosts();
  CHECK(address_holder(state, "host-2") == "host-2");
  CHECK(address_holder(state, "") == "");
  state.hosts["host-2"].spec.interface.clear();
  CHECK(address_holder(state, "host-2") == "host-1");
  state.hosts["host-1"].up = false;
  CHECK(address_holder(state, "host-2") == "host-3");
  state.hosts["host-3"].spec.interface.clear();
  CHECK(address_holder(state, "host-2") == "");
  state.site.address.clear();
  CHECK(address_holder(state, "host-1") == "");
}

TEST_CASE("another host may hold the address if it has an interface, although it is down or said that it cannot") {
  auto state = three_hosts();
  state.hosts["host-1"].up = false;
  state.hosts["host-3"].spec.interface.clear();
  CHECK(others_may_hold_address(state, "host-2"));
  state.hosts["host-1"].software.without = {{"site address", "there is no eth0"}};
  CHECK(others_may_hold_address(state, "host-2"));
  state.hosts["host-1"].spec.interface.clear();
  CHECK_FALSE(others_may_hold_address(state, "host-2"));
  CHECK(others_may_hold_address(state, "host-3"));
}

TEST_CASE("a guard removes an address that nobody put again while it waited, and no other") {
  const config::interface_address address{"10.0.0.50", 24, false};
  const auto log = std::make_shared<device_log>();
  scripted_device device{log};
  const auto given_up = [&](std::optional<std::uint32_t> before, std::optional<std::uint32_t> after) {
    log->renewed_at = before;
    const auto problem = give_up_address(device, address, [&] { log->renewed_at = after; });
    return std::exchange(log->done, {}) == std::vector<std::string>{"remove 10.0.0.50"} && problem == log->problem;
  };
  CHECK(given_up(7, 7));
  CHECK_FALSE(given_up(7, 8));
  CHECK_FALSE(given_up({}, 8)); // it went, and came back
  CHECK(given_up({}, {}));
  log->problem = "not permitted";
  CHECK(given_up(7, 7));
}

TEST_CASE("who cannot hold the address leaves it to another host, and where none can the leader goes on trying and the site says why") {
  auto state = three_hosts();
  const auto cannot = [&](const char* id) {
    state.hosts[id].software.without = {{"seccomp", "another thing"}, {"site address", "there is no eth0"}};
  };
  CHECK(why_no_address_holder(state).empty());
  cannot("host-2");
  CHECK(address_holder(state, "host-2") == "host-1");
  cannot("host-1");
  cannot("host-3");
  CHECK(address_holder(state, "host-2") == "host-2");
  CHECK(why_no_address_holder(state) == "no host holds the site's address 10.0.0.50; host-3: there is no eth0");
  for (auto& [id, host] : state.hosts)
    host.up = false;
  CHECK(why_no_address_holder(state) == "no host holds the site's address 10.0.0.50; no host with an `interface` is up");
  state.site.address.clear();
  CHECK(why_no_address_holder(state).empty());
}

TEST_CASE("a device that is missing is told before the address is wanted here, and when it is there") {
  holder_under_test x;
  x.log->obstacle = "there is no network device eth0";
  x.lead("host-2");
  x.start();
  CHECK(x.trouble->get() == "there is no network device eth0");
  x.log->obstacle.clear();
  x.world.advance(4900ms);
  CHECK(!x.trouble->get().empty());
  x.world.advance(200ms);
  CHECK(x.trouble->get().empty());
}

TEST_CASE("what an earlier life left stays until a holder is known, and goes if that is another host") {
  for (const auto* next : {"host-1", "host-2"}) {
    holder_under_test x;
    x.start();
    x.world.advance(5s);
    CHECK(x.take().empty());
    x.lead(next);
    CHECK(x.take().front() == (next == std::string{"host-1"} ? "put 10.0.0.50 for 2" : "remove 10.0.0.50"));
    x.lead("host-3");
    x.take();
    x.lead("host-2"); // nothing is left any more
    CHECK(x.take().empty());
  }
}

TEST_CASE("an address that no other host may hold outlives the agent, until another may") {
  holder_under_test x;
  auto state = three_hosts();
  for (const auto* id : {"host-2", "host-3"})
    state.hosts[id].spec.interface.clear();
  x.state->set(std::make_shared<const site_state>(state));
  x.lead("host-1");
  x.start();
  CHECK(x.take().front() == "put 10.0.0.50 for 10, stays");
  x.state->set(std::make_shared<const site_state>(three_hosts()));
  x.world.advance(200ms);
  CHECK(x.take().front() == "put 10.0.0.50 for 2");
}

TEST_CASE("who begins to lead takes the address and tells the neighbours until nobody else can have it, 2400 ms long") {
  holder_under_test x;
  x.start();
  x.lead("host-1");
  CHECK(x.take() == texts{"put 10.0.0.50 for 2", "announce 10.0.0.50"});
  for (auto after = 200ms; after < 2400ms; after += 200ms) {
    x.world.advance(200ms);
    CHECK(x.take() == texts{"put 10.0.0.50 for 2", "announce 10.0.0.50"});
  }
  x.world.advance(200ms);
  CHECK(x.take() == texts{"put 10.0.0.50 for 2", "announce for the last time 10.0.0.50"});
  x.world.advance(200ms);
  CHECK(x.take() == texts{"put 10.0.0.50 for 2"});
  x.lead("host-1"); // the same in another term
  CHECK(x.take().empty());
  REQUIRE(x.events.size() == 1);
  CHECK(x.events[0].object == "address/10.0.0.50");
  CHECK(x.events[0].to == "held by host-1");
}

TEST_CASE("who loses leadership or its quorum lets go at once, and does not come back by a late timer") {
  for (const auto* next : {"host-2", ""}) {
    holder_under_test x;
    x.lead("host-1");
    x.start();
    x.take();
    x.lead(next);
    CHECK(x.take() == texts{"remove 10.0.0.50"});
    x.world.advance(5s);
    CHECK(x.take().empty());
    REQUIRE(x.events.size() == 2);
    CHECK(x.events[1].to == "let go");
    x.lead("host-1");
    CHECK(x.take().size() == 2);
  }
}

TEST_CASE("a device that takes no address is one event for each reason, and asked again") {
  holder_under_test x;
  x.log->problem = "there is no network device eth0";
  x.lead("host-1");
  x.start();
  for (int i = 0; i < 3; ++i)
    x.world.advance(200ms);
  REQUIRE(x.events.size() == 1);
  CHECK(x.events[0].reason == "there is no network device eth0");
  CHECK(x.trouble->get() == "there is no network device eth0");
  x.log->problem.clear();
  x.world.advance(200ms);
  CHECK(x.trouble->get().empty());
  REQUIRE(x.events.size() == 2);
  CHECK(x.events[1].to == "held by host-1");
  x.take();
  x.world.advance(200ms);
  CHECK(x.take().front() == "put 10.0.0.50 for 2");
}
