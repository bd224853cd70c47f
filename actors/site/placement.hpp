#pragma once

// Which host holds an instance. A board of hosts with what is left on them, filters that reject with a reason, and an
// order among the hosts that remain. Pure and deterministic: equal boards give equal answers.

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "actors/site/site_state.hpp"

namespace prunella::actors {

/// Why a host cannot hold an instance; the first that applies, in this order.
enum class rejection : std::uint8_t {
  down,          ///< the host is down
  labels,        ///< `match-host-labels` is false for it
  avoided,       ///< the instance gave up there and the time to avoid it is not over
  anti_affinity, ///< a service that must not share its host is there
  port,          ///< a port it needs is reserved there
  cpu,           ///< less cpu left than it reserves
  memory,        ///< less memory left than it reserves
};
inline constexpr std::size_t rejection_count = 7;

/// How a rejection reads behind a host or a count: "with too little cpu left".
std::string to_text(rejection why, const config::service_spec& service);

/// How many hosts each filter rejected.
using rejection_counts = std::array<std::uint32_t, rejection_count>;

/// One sentence: "0 of 3 hosts fit: 1 down, 2 do not match the labels `zone = a`".
std::string explain(const rejection_counts& counts, const config::service_spec& service);

/// An instance that wants a host.
struct wanted_instance {
  const config::application_spec* application = nullptr;
  const config::service_spec* service = nullptr;
  std::uint32_t replica = 0;
  const std::vector<avoided_host>* avoided = nullptr; ///< null: none
};

struct placement_result {
  std::string host; ///< empty: no host can hold it
  rejection_counts rejected{};
};

/// The hosts of a site and what is placed on them.
class placement_board {
public:
  /// Starts with all hosts of `state` and nothing placed on them.
  explicit placement_board(const site_state& state);

  /// Why `instance` cannot be on `host`, beside what already occupies it; nothing if it can.
  std::optional<rejection> check(const wanted_instance& instance, const std::string& host, time_ms now);

  /// Reserves what `instance` needs on `host`, whether or not it fits; a host that is not on the board is ignored.
  void occupy(const wanted_instance& instance, const std::string& host);

  /// The best host for `instance`. Among those that no filter rejects: fewest replicas of its service in the same spread
  /// domain, then on the host, then the least reserved share of cpu or memory, then the fewest instances, then by id.
  placement_result choose(const wanted_instance& instance, time_ms now);

private:
  struct slot {
    const host_record* host = nullptr;
    config::resources free;
    std::uint32_t instances = 0;
    std::set<std::pair<std::uint16_t, config::port_protocol>> ports;
    std::map<std::string, std::uint32_t, std::less<>> services; ///< "tenant.app/service" → instances of it
  };

  /// What all instances of one service have in common; worked out once per board.
  struct demand {
    std::string key; ///< "tenant.app/service"
    config::resources resources;
    std::vector<std::pair<std::uint16_t, config::port_protocol>> ports;
    std::vector<std::string> foes;           ///< services of the application that may not share a host with it
    std::vector<bool> label_match;           ///< per slot
    std::map<std::string, std::uint32_t> in_domain; ///< spread domain → instances of the service
  };

  std::size_t find(const std::string& host) const; ///< its slot; slots_.size(): none
  demand& demand_of(const wanted_instance& instance);
  const std::string& domain_of(const slot& at, const config::service_spec& service) const;
  std::optional<rejection> check_slot(const wanted_instance& instance, const demand& wants, std::size_t index,
                                      time_ms now) const;

  std::vector<slot> slots_; ///< by host id
  std::map<std::string, demand, std::less<>> demands_;
};

} // namespace prunella::actors
