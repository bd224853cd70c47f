#pragma once

// What this host knows of the instances it runs, made of what their containers report. A value; the host actor feeds it
// and sends what it says to the leader and the journal.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "actors/application/application_plan.hpp"
#include "actors/instance/container_actor.hpp"
#include "actors/messages.hpp"

namespace prunella::actors {

class instance_table {
public:
  static constexpr std::size_t max_reason_bytes = 1'024;

  /// The instance is to run as planned. The same generation keeps what is known of it.
  void expect(const instance_plan& plan);

  /// The instance was stopped and is none of this host's any more.
  void forget(const std::string& name);

  /// Takes a container's report, its reason cut to `max_reason_bytes`; those of instances or generations that are not expected are ignored.
  void take(const container_report& report);

  /// The instance exceeded its restart intensity on this host and will not be started again in this generation.
  void give_up(const std::string& name, const std::string& reason);

  /// Whether this generation of the instance gave up here.
  bool has_given_up(const std::string& name, std::uint64_t generation) const;

  /// Changes whenever `has_given_up` may say something else.
  std::uint64_t give_ups() const { return give_ups_; }

  /// The instance as it is reported; nothing if it is not expected.
  std::optional<instance_report> report(const std::string& name) const;

  /// Which container ended last by itself and how, as `NAME exited with code 3`; empty: none did.
  std::string cause_of(const std::string& name) const;

  /// All of its containers run, and did before this agent looked after them.
  bool is_adopted(const std::string& name) const;

  std::vector<std::string> instances() const;

private:
  struct container {
    std::string name;
    container_phase phase = container_phase::starting;
    bool is_known = false;      ///< it has reported
    bool is_init = false;       ///< its end with exit code 0 is what is wanted
    bool was_told = false;      ///< to stop, since its last start
    bool has_ran = false;       ///< since its last start
    bool is_adopted = false;    ///< it ran before this agent looked after it
    bool counts_restart = false;    ///< its last start was counted as one
    bool has_passed = false;        ///< an init container that ended with exit code 0
    std::uint32_t restarts = 0;     ///< starts after an end that was not wanted, or of what had run
    std::uint64_t ended_number = 0; ///< of its last end, if that was by itself: of several the highest is the newest; else 0
    std::int64_t pid = 0;
    time_ms started_at = 0;
    std::string reason; ///< of its last end by itself; one that it was told to says nothing of what is wrong
    std::string waits_for; ///< why its start goes on; empty: it does not wait
    bool is_ready = true;
    std::string unready_reason;
    std::string address; ///< while it runs
  };

  struct instance {
    std::uint64_t generation = 0;
    config::restart_type restart = config::restart_type::permanent;
    std::vector<container> containers;
    bool gave_up = false;
    std::string give_up_reason;
  };

  static instance_phase phase_of(const instance& x, std::string& reason);
  static const container* culprit_of(const instance& x);
  static void count_start(container& x);

  std::map<std::string, instance> instances_;
  std::uint64_t give_ups_ = 0;
  std::uint64_t ends_ = 0;
};

} // namespace prunella::actors
