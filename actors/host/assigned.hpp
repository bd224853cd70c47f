#pragma once

// What the site assigned to one host, as plans. A value.

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "actors/application/application_plan.hpp"
#include "actors/host/instance_table.hpp"
#include "actors/site/site_state.hpp"

namespace prunella::actors {

using application_plans = std::map<std::string, application_plan>; ///< by application

class assigned_applications {
public:
  explicit assigned_applications(plan_place place) : place_(std::move(place)) {}

  /// Of `state`. Instances that gave up here in their present generation are left out: the site decides about them. So are
  /// those that have ended: nothing is done for them any more.
  /// Costs nothing for the state and the table of the last call, and the making of a plan only for applications that
  /// changed: there are as many calls as entries and reports.
  const application_plans& plans(const site_state& state, const instance_table& instances);

private:
  /// What the plan of an application is made of.
  struct basis {
    std::uint64_t revision = 0; ///< of its spec
    time_ms created_at = 0;     ///< tells it from one of the same name that was deleted
    std::vector<assigned_instance> assigned;

    bool operator==(const basis& x) const {
      return revision == x.revision && created_at == x.created_at && assigned == x.assigned;
    }
  };

  plan_place place_;
  bool is_made_ = false;
  std::uint64_t index_ = 0;    ///< of the state
  std::uint64_t give_ups_ = 0; ///< of the table
  std::map<std::string, basis> bases_;
  application_plans plans_;
};

/// How long `container` of `instance` may take to end: what its application asks for now, or did before, wherever it runs; the default of
/// a container if there is no such application any more.
std::chrono::milliseconds grace_of(const site_state& state, const std::string& instance, const std::string& container);

/// Names of the containers of all instances that the site has, on whichever host; what others left here may go.
std::vector<std::string> known_containers(const site_state& state);

/// Those of them that `host` is to run, without those of instances that have ended.
std::vector<std::string> assigned_containers(const site_state& state, const std::string& host);

} // namespace prunella::actors
