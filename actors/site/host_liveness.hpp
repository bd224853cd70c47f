#pragma once

// Which hosts the leader believes to be up, from the heartbeats that reach it. A value; the site actor feeds it and turns
// its verdicts into commands.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "actors/site/site_state.hpp"
#include "runtime/failure_detector.hpp"
#include "runtime/liveness.hpp"

namespace prunella::actors {

class host_liveness {
public:
  /// Watches nobody yet. `self` is the leader's own host, which is never silent to itself.
  host_liveness(runtime::liveness_figures figures, std::string self);

  /// Watches exactly `hosts` from now on. A host that is new here counts as heard at `last_heard[host]` if a time is
  /// given there, and otherwise at `now`: a new leader grants each host a full period of silence before it judges, except
  /// that of the former leader's host it knows when that last spoke.
  void watch(const std::map<std::string, host_record>& hosts, const std::map<std::string, runtime::instant>& last_heard,
             runtime::instant now);

  /// A heartbeat of `host` itself arrived. Hosts that are not watched are ignored. Those of the leader's own host are its pulse:
  /// without one for half of `down_after` it stood still itself (a paused machine, a starved process), what it did not
  /// hear meanwhile says nothing, and every host gets a full period from the next one on.
  void heartbeat(const std::string& host, runtime::instant now);

  /// Something of `host` was heard at `at` (its consensus answered). As good as a heartbeat while its host actor speaks for
  /// itself at least every `vouched_for`; an agent that only answers heartbeats looks after nothing. What is older than the
  /// last is ignored.
  void contact(const std::string& host, runtime::instant at);

  /// Hosts whose recorded state (`hosts[..].up`) is not what is seen: down when silent for too long; up again after
  /// `steady_heartbeats` heartbeats in a row, so that a host that flickers is not called up each time.
  std::vector<set_host_state> judge(const std::map<std::string, host_record>& hosts, runtime::instant now) const;

  /// When the next verdict may be due if nothing but the pulse arrives until then; instant::max() if never.
  runtime::instant next_deadline(const std::map<std::string, host_record>& hosts, runtime::instant now) const;

  /// By how much the heartbeats of `host` came later than promised: the worst of the last 5 to 10 s, the present silence
  /// included; 0: none did. How busy this machine, that one and the wire between them are shows here first.
  runtime::instant::duration lateness(const std::string& host, runtime::instant now) const;

  static constexpr std::uint32_t steady_heartbeats = 3;
  /// How long contacts count after the last heartbeat: four `report` intervals.
  runtime::instant::duration vouched_for() const { return 4 * figures_.report(); }

private:
  /// Two halves of a window, so that what is old goes without a list of what was.
  struct recent_worst {
    void add(runtime::instant::duration late, runtime::instant now);
    runtime::instant::duration get(runtime::instant now) const;

    runtime::instant since{};
    runtime::instant::duration current{};
    runtime::instant::duration before{};
  };

  struct watched {
    runtime::failure_detector detector;
    runtime::instant spoke;     ///< the last heartbeat, not only a contact
    std::uint32_t in_a_row = 0; ///< heartbeats without suspicion between them
    bool was_heard = false;     ///< by this leader; before, the time of the last heartbeat is an assumption
    recent_worst late{};
  };

  bool stood_still(runtime::instant now) const;
  void feel_pulse(runtime::instant now);
  void hear(watched& x, runtime::instant now);

  runtime::liveness_figures figures_;
  std::string self_;
  std::optional<runtime::instant> pulse_; ///< nothing: watches nobody yet
  runtime::instant judge_from_{};
  std::map<std::string, watched> hosts_;
};

} // namespace prunella::actors
