// A site of hosts in one actor system on virtual time, with links in memory.

#include <memory>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <caf/stateful_actor.hpp>

#include "net/memory_links.hpp"
#include "tests/runtime/virtual_time.hpp"

using namespace prunella::net;
using namespace std::chrono_literals;

namespace {

struct sim_question {
  std::uint64_t number = 0;

  PRUNELLA_FIELDS(sim_question, number)
};

struct sim_reply {
  std::uint64_t number = 0;

  PRUNELLA_FIELDS(sim_reply, number)
};

struct sim_order {
  std::uint64_t number = 0;

  PRUNELLA_FIELDS(sim_order, number)
};

struct sim_host {
  std::shared_ptr<links> all;
  caf::actor io;
  caf::actor answerer;
  caf::actor listener;
  std::shared_ptr<std::vector<std::uint64_t>> questions = std::make_shared<std::vector<std::uint64_t>>();
  std::shared_ptr<std::vector<std::string>> events = std::make_shared<std::vector<std::string>>();
};

struct sim_site {
  explicit sim_site(std::uint64_t seed = 1, memory_faults faults = {})
    : world(options()), network(world.system(), seed, faults) {
    for (const auto* host : {"host-1", "host-2", "host-3"})
      start(host);
    world.advance(100ms);
  }

  static prunella::tests::virtual_time_options options() {
    prunella::tests::virtual_time_options result;
    result.configure = [](caf::actor_system_config& config) {
      config.add_message_type<sim_question>("sim_question");
      config.add_message_type<sim_reply>("sim_reply");
      config.add_message_type<sim_order>("sim_order");
    };
    return result;
  }

  void start(const std::string& name) {
    auto& host = hosts[name];
    host = sim_host{};
    host.answerer = world.own(world.system().spawn([seen = host.questions](caf::event_based_actor*) {
      return caf::behavior{[seen](const sim_question& asked) {
        seen->push_back(asked.number);
        return sim_reply{asked.number};
      }};
    }));
    link_options given;
    given.host = name;
    given.peers = {{"host-1", ""}, {"host-2", ""}, {"host-3", ""}};
    given.exports["answerer"] = {[actor = host.answerer] { return actor; }, {"sim_question"}};
    given.answer_types = {"sim_reply"};
    given.timeouts.request = 5s;
    host.all = network.attach(given);
    host.io = world.own(host.all->start());
    host.listener = world.own(world.system().spawn([events = host.events](caf::event_based_actor*) {
      return caf::behavior{[events](const link_up& up) { events->push_back("up " + up.host); },
                           [events](const link_down& down) { events->push_back("down " + down.host); }};
    }));
    caf::anon_send(host.io, subscribe_links{host.listener});
    world.settle();
  }

  /// What became of a question, after `patience`: "answer N", an error's sentence, or "nothing".
  std::string ask(const std::string& from, const std::string& to, std::uint64_t number, caf::timespan patience = 10s,
                  const std::string& name = "answerer") {
    auto outcome = std::make_shared<std::string>("nothing");
    const auto proxy = hosts[from].all->remote(to, name);
    world.own(world.system().spawn([=](caf::event_based_actor* self) {
      self->request(proxy, 60s, sim_question{number})
        .then([=](const sim_reply& got) { *outcome = "answer " + std::to_string(got.number); },
              [=](const caf::error& failed) { *outcome = describe(failed); });
    }));
    world.advance(patience);
    return *outcome;
  }

  prunella::tests::virtual_time world;
  memory_network network;
  std::map<std::string, sim_host> hosts;
};

} // namespace

TEST_CASE("hosts in memory find each other and answer through the real codec and allow-lists") {
  sim_site site;
  CHECK(*site.hosts["host-1"].events == std::vector<std::string>{"up host-2", "up host-3"});
  CHECK(site.ask("host-1", "host-2", 7) == "answer 7");
  CHECK(site.ask("host-3", "host-1", 8) == "answer 8");
  CHECK(site.ask("host-1", "host-2", 7, 1s, "nobody") == "the host has no actor 'nobody' for other hosts");
  CHECK(site.ask("host-1", "host-9", 7).find("host 'host-9' cannot be reached") == 0);
}

TEST_CASE("a cut shows as link_down after the idle time and not a moment before, a heal as link_up") {
  sim_site site;
  auto& events = *site.hosts["host-1"].events;
  events.clear();
  site.network.cut("host-1", "host-2");
  site.world.advance(link_timeouts{}.idle - 1ms);
  CHECK(events.empty());
  site.world.advance(1ms);
  CHECK(events == std::vector<std::string>{"down host-2"});
  CHECK(*site.hosts["host-3"].events == std::vector<std::string>{"up host-1", "up host-2"});
  CHECK(site.ask("host-1", "host-2", 1, 1ms).find("cannot be reached: nothing was heard") != std::string::npos);
  site.network.heal();
  site.world.advance(10ms);
  CHECK(events.back() == "up host-2");
  CHECK(site.ask("host-1", "host-2", 2) == "answer 2");
}

TEST_CASE("a cut that is healed before the idle time goes unnoticed, except for what was under way") {
  sim_site site;
  site.hosts["host-1"].events->clear();
  site.network.cut("host-1", "host-2");
  CHECK(site.ask("host-1", "host-2", 1, 4s) == "nothing");
  site.network.heal("host-1", "host-2");
  site.world.advance(10s);
  CHECK(site.hosts["host-1"].events->empty());
  CHECK(site.ask("host-1", "host-2", 2) == "answer 2");
}

TEST_CASE("a request to an isolated host fails when the link does") {
  sim_site site;
  site.network.isolate("host-2");
  CHECK(site.ask("host-1", "host-2", 1, link_timeouts{}.idle).find("was lost after the request was sent") !=
        std::string::npos);
  CHECK(site.hosts["host-3"].events->back() == "down host-2");
}

TEST_CASE("a host that was powered off comes back as another life and takes no message of the old one") {
  sim_site site;
  const auto old_life = site.hosts["host-2"].all->incarnation();
  const auto old_questions = site.hosts["host-2"].questions;
  site.network.power_off("host-2");
  site.world.advance(100ms);
  site.start("host-2"); // sooner than anybody missed it
  site.world.advance(100ms);
  CHECK(site.hosts["host-2"].all->incarnation() > old_life);
  auto events = *site.hosts["host-1"].events;
  CHECK(events == std::vector<std::string>{"up host-2", "up host-3", "down host-2", "up host-2"});
  CHECK(site.ask("host-1", "host-2", 3) == "answer 3");
  CHECK(old_questions->empty());
  CHECK(site.hosts["host-2"].questions->size() == 1);
}

TEST_CASE("links in memory whose actor is restarted by its supervisor come back under the same proxies") {
  sim_site site;
  caf::anon_send_exit(site.hosts["host-2"].io, caf::exit_reason::kill);
  site.world.advance(10ms);
  CHECK(site.ask("host-2", "host-1", 1).find("the links of this host are not running") != std::string::npos);
  site.hosts["host-2"].io = site.world.own(site.hosts["host-2"].all->start());
  site.world.advance(10ms);
  CHECK(site.ask("host-2", "host-1", 2) == "answer 2");
  CHECK(site.ask("host-1", "host-2", 3) == "answer 3");
}

TEST_CASE("without faults sends arrive once and in order, with all faults some are lost, doubled and overtaken") {
  const auto run = [](memory_faults faults) {
    sim_site site(42, faults);
    const auto proxy = site.hosts["host-1"].all->remote("host-2", "answerer");
    for (std::uint64_t number = 0; number < 1'000; ++number)
      caf::anon_send(proxy, sim_question{number});
    site.world.advance(1s);
    return *site.hosts["host-2"].questions;
  };
  std::vector<std::uint64_t> in_order;
  for (std::uint64_t number = 0; number < 1'000; ++number)
    in_order.push_back(number);
  CHECK(run({}) == in_order);
  memory_faults faults;
  faults.loss = 0.1;
  CHECK(run(faults).size() < 950);
  CHECK(run(faults).size() > 850);
  faults = {};
  faults.duplicate = 0.1;
  CHECK(run(faults).size() > 1'050);
  faults = {};
  faults.reorder = 0.1;
  auto overtaken = run(faults);
  CHECK(overtaken != in_order);
  std::sort(overtaken.begin(), overtaken.end());
  CHECK(overtaken == in_order);
}

TEST_CASE("the same seed gives the same run, another seed another one") {
  const auto run = [](std::uint64_t seed) {
    memory_faults faults;
    faults.loss = faults.duplicate = faults.reorder = 0.2;
    faults.max_delay = 20ms;
    sim_site site(seed, faults);
    std::string trace;
    for (std::uint64_t number = 0; number < 50; ++number)
      trace += site.ask("host-1", number % 2 == 0 ? "host-2" : "host-3", number, 15ms) + "\n";
    return trace + std::to_string(site.network.delivered());
  };
  CHECK(run(1) == run(1));
  CHECK(run(1) != run(2));
}

TEST_CASE("whatever is lost, every request ends with one answer or one error") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  memory_faults faults;
  faults.loss = faults.duplicate = faults.reorder = 0.3;
  sim_site site(seed, faults);
  auto ended = std::make_shared<std::map<std::uint64_t, int>>();
  const auto proxy = site.hosts["host-1"].all->remote("host-2", "answerer");
  for (std::uint64_t number = 0; number < 300; ++number)
    site.world.own(site.world.system().spawn([=](caf::event_based_actor* self) {
      self->request(proxy, 60s, sim_question{number})
        .then([=](const sim_reply&) { ++(*ended)[number]; }, [=](const caf::error&) { ++(*ended)[number]; });
    }));
  site.world.advance(6s);
  CHECK(ended->size() == 300);
  for (const auto& [number, times] : *ended)
    CHECK(times == 1);
}
