#pragma once

// Links without sockets: the hosts of a whole site in one actor system, behind the interface of links.hpp, with faults
// drawn from a seed. Under a test scheduler on virtual time the same seed gives the same run.
//
//   memory_network network(system, {seed});
//   auto one = network.attach(options_of("host-1"));   // `identity` and `listen` are not used
//   caf::actor io = one->start();
//   network.cut("host-1", "host-2"); ... network.heal();
//
// Messages go through the real codec, allow-lists, queues, time-outs and incarnations; only TLS, framing and flow control are
// left out. Unlike a real link, which is a TCP connection, this one can lose, duplicate and reorder single messages
// while it stays up: code above must bear more here than it will meet.

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "net/links.hpp"

namespace prunella::net {

/// Each frame draws its own. Probabilities are 0 … 1.
struct memory_faults {
  std::chrono::microseconds min_delay{200};
  std::chrono::microseconds max_delay{500};
  double loss = 0;
  double duplicate = 0;
  double reorder = 0; ///< of being overtaken by what comes later; without it frames of one direction stay in order
};

class memory_network_core;

class memory_network {
public:
  memory_network(caf::actor_system& system, std::uint64_t seed, memory_faults faults = {});

  /// A host's links. Again for the same host id: a new life of it; the old one is powered off. `options.incarnation` 0: the
  /// next in order. Throws `std::invalid_argument` as `make_links`.
  std::shared_ptr<links> attach(link_options options);

  /// From now on.
  void set_faults(memory_faults faults);

  /// Nothing passes between the two. Both see `link_down` after their `timeouts.idle`, unless healed before.
  void cut(const std::string& a, const std::string& b);
  /// `cut` between `host` and every other.
  void isolate(const std::string& host);
  void heal(const std::string& a, const std::string& b);
  /// Ends all cuts.
  void heal();

  /// The host is gone without a word: its peers see `link_down` after their `timeouts.idle`. Its own actors are the test's to
  /// kill; what they still send goes nowhere.
  void power_off(const std::string& host);

  /// Frames handed over and delivered so far.
  std::uint64_t sent() const;
  std::uint64_t delivered() const;

private:
  std::shared_ptr<memory_network_core> core_;
  caf::actor_system& system_;
};

} // namespace prunella::net
