// Peers whose address is a name: what the resolver says, when it says it, and what the links make of it.

#include <atomic>
#include <future>
#include <stdexcept>

#include "tests/net/link_fixture.hpp"

using namespace prunella::net;
using namespace std::chrono_literals;

namespace {

std::string port_of(const std::string& address) {
  return address.substr(address.rfind(':'));
}

/// A resolver that says nothing until it is let go, also when the test fails.
struct silent_resolver {
  ~silent_resolver() { answer(); }

  void answer() {
    if (!answered.exchange(true))
      gate.set_value();
  }

  std::function<std::vector<std::string>(const std::string&)> function() {
    return [opened = gate.get_future().share()](const std::string&) {
      opened.wait();
      return std::vector<std::string>{"127.0.0.1"};
    };
  }

  std::promise<void> gate;
  std::atomic<bool> answered{false};
};

} // namespace

TEST_CASE("a name that is not known is a problem told once, and is looked up again until it is known") {
  link_host b("host-2");
  auto lookups = std::make_shared<std::atomic<int>>(0);
  link_host a("host-1", {}, [&](link_options& options) {
    options.timeouts.backoff_initial = 10ms;
    options.timeouts.backoff_max = 20ms;
    options.look_up = [lookups](const std::string& name) -> std::vector<std::string> {
      CHECK(name == "till-2.shop.lan");
      if (++*lookups < 4)
        throw std::runtime_error("nobody knows it");
      return {"127.0.0.1"};
    };
  });
  a.subscribe();
  b.self->send(b.io, set_peers{{{"host-1", "127.0.0.1:1"}}});
  a.self->send(a.io, set_peers{{{"host-2", "till-2.shop.lan" + port_of(b.address)}}});
  const auto problem = a.await_problem();
  CHECK(problem.host == "host-2");
  CHECK(problem.reason == "till-2.shop.lan" + port_of(b.address) + ": nobody knows it");
  CHECK(a.await_up().host == "host-2"); // in the order they came: no second problem before
  CHECK(lookups->load() == 4);
  CHECK(a.status().counters.dials_failed == 3);
  CHECK(a.ask("host-2", "answerer").engaged());
}

TEST_CASE("a request to a host whose name is not known fails with the name and what to do") {
  link_host a("host-1", {{"host-2", "till-2.shop.lan:7001"}}, [](link_options& options) {
    options.look_up = [](const std::string& name) -> std::vector<std::string> {
      throw std::runtime_error("the name " + name + " cannot be looked up");
    };
  });
  a.subscribe();
  a.await_problem(); // also told to who subscribes later
  const auto failed = a.ask("host-2", "answerer");
  CHECK(failed.error() == link_errc::host_unreachable);
  CHECK(describe(failed.error()) ==
        "host 'host-2' cannot be reached: till-2.shop.lan:7001: the name till-2.shop.lan cannot be looked up");
}

TEST_CASE("a resolver that hangs holds up neither other links, nor the peer when it dials itself, nor the end") {
  silent_resolver resolver;
  link_host b("host-2"), c("host-3");
  link_host a("host-1", {}, [&](link_options& options) { options.look_up = resolver.function(); });
  a.subscribe();
  c.self->send(c.io, set_peers{{{"host-1", "127.0.0.1:1"}}});
  a.self->send(a.io, set_peers{{{"host-2", "till-2.shop.lan:7001"}, {"host-3", c.address}}});
  CHECK(a.await_up().host == "host-3");
  CHECK(a.ask("host-3", "answerer").engaged());
  b.self->send(b.io, set_peers{{{"host-1", a.address}}});
  CHECK(a.await_up().host == "host-2");
  resolver.answer(); // too late to matter
  CHECK(a.ask("host-2", "answerer").engaged());
  CHECK(a.status().counters.links_up == 2);
}

TEST_CASE("links end while a name is being looked up, and its answer goes nowhere") {
  silent_resolver resolver;
  link_host a("host-1", {{"host-2", "till-2.shop.lan:7001"}},
              [&](link_options& options) { options.look_up = resolver.function(); });
  CHECK(a.status().counters.dialed == 1);
  a.stop();
  resolver.answer();
}

TEST_CASE("of several addresses of a name the next one is tried when one does not answer") {
  link_host b("host-2"); // listens on 127.0.0.1 only
  link_host a("host-1", {}, [](link_options& options) {
    options.look_up = [](const std::string&) { return std::vector<std::string>{"127.0.0.2", "127.0.0.1"}; };
  });
  a.subscribe();
  b.self->send(b.io, set_peers{{{"host-1", "127.0.0.1:1"}}});
  a.self->send(a.io, set_peers{{{"host-2", "till-2.shop.lan" + port_of(b.address)}}});
  CHECK(a.await_up().host == "host-2");
  CHECK(a.status().counters.dials_failed == 1);
}

TEST_CASE("an address that leads to another host of the site is a problem that names both") {
  link_host c("host-3");
  link_host a("host-1");
  a.subscribe();
  c.self->send(c.io, set_peers{{{"host-1", "127.0.0.1:1"}}});
  a.self->send(a.io, set_peers{{{"host-2", c.address}}});
  const auto problem = a.await_problem();
  CHECK(problem.host == "host-2");
  CHECK(problem.reason == c.address + ": the certificate there is for host 'host-3', not for 'host-2'");
}
