#pragma once

// Which host holds an instance. A board of hosts with what is left on them, filters that reject with a reason, and an
// order among the hosts that remain. Pure and deterministic: equal boards give equal answers.
//
// A board only ever fills: nothing is taken off it. So a host that was rejected stays rejected and a rank only gets worse,
// which is what makes a choice cost a few comparisons instead of a look at every host (`host_order.hpp`).

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "actors/site/host_order.hpp"
#include "actors/site/site_state.hpp"

namespace prunella::actors {

/// Why a host cannot hold an instance; the first that applies, in this order.
enum class rejection : std::uint8_t {
  down,          ///< the host is down
  labels,        ///< `match-host-labels` is false for it
  avoided,       ///< the instance gave up there and the time to avoid it is not over
  drained,       ///< somebody drains it; of who is there already this comes before the labels
  disk_room,     ///< its disk is full; only who is new is rejected for that
  driver,        ///< it cannot run such containers: of images, or plain processes
  bridge,        ///< it has no `network: bridge`
  user_namespace, ///< it cannot give a container a user namespace
  disk_limit,    ///< its driver for images cannot limit what a container writes
  own_network,   ///< its driver for images gives an instance no network of its own
  host_path,     ///< its `host-paths` do not allow one that is asked for
  anti_affinity, ///< a service that must not share its host is there
  port,          ///< a port it needs is reserved there
  cpu,           ///< less cpu left than it reserves
  memory,        ///< less memory left than it reserves
};
inline constexpr std::size_t rejection_count = 15;

/// How a rejection reads behind a host or a count: "with less than 500m cpu left".
std::string to_text(rejection why, const config::service_spec& service);

/// Whether it is about the host and the service alone, and not about who else is there: then it may wait for its turn.
bool is_unsuitable(rejection why);

/// How many hosts each filter rejected.
using rejection_counts = std::array<std::uint32_t, rejection_count>;

/// What an instance of it reserves.
config::resources resources_of(const config::service_spec& service);

/// One sentence: "0 of 3 hosts fit: 1 down, 2 with less than 3Gi memory left; none has more than 2Gi in all". The hosts are `state`'s.
std::string explain(const rejection_counts& counts, const config::service_spec& service, const site_state& state);

/// A host by its place on a board.
using host_slot = std::uint32_t;

struct placement_result {
  std::optional<host_slot> host; ///< nothing: no host can hold it
  rejection_counts rejected{};   ///< only then: why, all hosts together
};

/// By reference of an image: hosts that could start it at once.
using image_places = std::map<std::string, std::set<std::string>>;

/// The hosts of a site, its services and what is placed where.
class placement_board {
public:
  using service_id = std::uint32_t;

  /// All hosts of `state`, which must outlive the board, as must `images`; no services.
  explicit placement_board(const site_state& state, const image_places& images = no_images());

  /// Adds the services of `application`, which must outlive the board, with what is decided about their images. Returns the
  /// id of the first; the others follow in the order of the spec.
  service_id add(const config::application_spec& application, const image_digests& images = {});

  /// Nothing if the site has no such host.
  std::optional<host_slot> find(const std::string& host) const;
  const host_record& host(host_slot at) const { return *slots_[at].host; }

  /// Why an instance of `service` cannot be there, beside what already is; nothing if it can.
  std::optional<rejection> check(service_id service, host_slot at) const;

  /// The same of one that is not there yet.
  std::optional<rejection> check_new(service_id service, host_slot at) const;

  /// What those who are there leave too little of; whether the host suits it otherwise is not asked.
  std::optional<rejection> crowded(service_id service, host_slot at) const { return crowded(*services_[service].wants, at); }

  /// Reserves what an instance of `service` needs there, whether or not it fits.
  void occupy(service_id service, host_slot at);

  /// The best host for one more instance of `service`, apart from those of `avoided` (each named once) whose time is not
  /// over. Among those that no filter rejects: fewest replicas of the service in the same spread domain, then on the
  /// host, then those that have its images, then the least reserved share of cpu or memory, then the fewest instances,
  /// then by id.
  placement_result choose(service_id service, const std::vector<avoided_host>& avoided, time_ms now);

private:
  using port_key = std::uint32_t;
  using ability_set = std::uint8_t; ///< bits: 1 plain processes, 2 images, 4 bridge, 8 user namespaces, 16 limits of disk,
                                    ///< 32 own networks, 64 oci, 128 an engine

  struct slot {
    const host_record* host = nullptr;
    config::resources capacity;
    config::resources free;
    std::uint32_t label_class = 0;
    std::uint32_t instances = 0;
    bool is_up = false;
    bool is_drained = false;
    bool is_full = false; ///< its disk
    ability_set offers = 0;
    std::vector<port_key> ports; ///< reserved, sorted
  };

  /// Hosts with the same labels: a label expression and a spread domain are worked out once for all of them.
  struct label_class {
    const config::labels* labels = nullptr;
    std::vector<std::uint32_t> up; ///< slots, ascending
  };

  using host_flags = std::vector<bool>;  ///< by slot
  using label_match = std::vector<bool>; ///< of an expression: by label class
  struct spread {
    std::vector<std::uint32_t> domain_of_class;
    std::uint32_t domains = 0;
  };

  /// What services ask of a host. One for all services that ask the same, which is common: applications are alike.
  struct demand {
    config::resources resources;
    ability_set needs = 0;
    std::vector<port_key> ports;  ///< of one service only, if there are any
    std::vector<service_id> foes; ///< the same; services of the application that may not share a host with it
    const label_match* match = nullptr;
    const spread* domains = nullptr;
    const host_flags* lacking = nullptr; ///< hosts without its images; null: it has none, or nobody has them
    const host_flags* forbids = nullptr; ///< hosts that do not allow its host paths; null: it has none
    std::optional<host_order> order; ///< of hosts without the service; where services begin with their own
    rejection_counts rejected{};     ///< of the board when it had `rejected_at` instances
    std::optional<std::uint64_t> rejected_at;
  };

  struct placed_service {
    demand* wants = nullptr;
    std::vector<host_slot> where;         ///< of its instances, until they are counted:
    std::vector<std::uint32_t> on;        ///< slot → instances; made when it is first asked for, or as it has foes
    std::vector<std::uint32_t> in_domain; ///< spread domain → instances
    std::optional<host_order> order;      ///< made when it is first asked for
  };

  static ability_set needs_of(const config::service_spec& service);
  static unsigned need_of(host_lack lack);
  static ability_set offered_by(const host_record& host);
  static const image_places& no_images();
  const label_match& match_of(const std::string& expression);
  const host_flags* lacking(const config::service_spec& service, const tag_digests& decided);
  const host_flags* forbids(const config::service_spec& service);
  const spread& spread_by(const std::string& label);
  demand& demand_of(demand wanted);
  std::optional<rejection> closed(const demand& wants, host_slot at) const;
  std::optional<rejection> crowded(const demand& wants, host_slot at) const;
  std::optional<host_rank> rank(const demand& wants, std::uint32_t replicas, host_slot at) const;
  const std::vector<std::uint32_t>& counted(placed_service& x) const;
  host_order order_of(const demand& wants) const;
  const host_order& fresh_order(demand& wants) const;
  const rejection_counts& rejections(demand& wants) const;
  placement_result choose_beside(placed_service& x, const std::vector<avoided_host>& avoided, time_ms now) const;

  std::vector<slot> slots_; ///< by host id
  std::unordered_map<std::string_view, std::uint32_t> slot_of_;
  std::vector<label_class> classes_;
  std::uint32_t hosts_down_ = 0;
  std::uint64_t occupied_ = 0; ///< instances on the board
  std::map<std::string, label_match> matches_; ///< by expression
  std::map<std::string, spread> spreads_;      ///< by label
  std::deque<demand> demands_;
  std::map<std::vector<std::string>, host_flags> lacking_; ///< by references
  std::map<std::set<std::string>, host_flags> forbids_;    ///< by host paths
  std::map<std::tuple<const label_match*, const spread*, const host_flags*, const host_flags*, std::int64_t, std::int64_t, ability_set>,
           demand*>
    shared_demands_;
  const image_places& images_;
  std::vector<placed_service> services_;
};

} // namespace prunella::actors
