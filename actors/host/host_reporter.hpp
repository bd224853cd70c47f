#pragma once

// Tells the leader that this host lives, and what it observes of its instances. A part of the host actor, which forwards to
// it; it sends through that actor and keeps time by its clock.
//
// A heartbeat goes out every `report` interval, whatever happens, and wants an answer: a site actor that was restarted
// knows nothing, and the answer is the only way to say so. Between them the consensus of this host answers the leader's
// heartbeats, which says as much at no cost. Reports travel with them, one heartbeat with reports at a time: what
// changes meanwhile goes with the next, which follows the answer at once. So neither a slow leader nor a storm of changes
// makes more than one message of them wait.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include "actors/host/report_log.hpp"
#include "actors/messages.hpp"
#include "actors/site/leadership.hpp"
#include "runtime/liveness.hpp"

namespace prunella::actors {

struct host_reporter_options {
  std::string host;
  std::uint64_t incarnation = 0;
  std::shared_ptr<leadership_cell> leader;
  std::function<caf::actor(const std::string& host, const std::string& name)> actor_on;
  runtime::liveness_figures figures;
  std::function<host_offer()> offer = [] { return host_offer{}; }; ///< of this host, as it is known now
  std::function<std::uint64_t()> carried_out = [] { return std::uint64_t{0}; }; ///< see `host_heartbeat`
};

class host_reporter {
public:
  host_reporter(caf::event_based_actor* self, host_reporter_options options);

  /// Every `figures.report()`, and when there is news.
  void send();

  /// The new leader knows nothing yet.
  void on_leader_changed();

  /// Replaces the report of an instance and tells the leader; false if it says the same as before.
  bool put(const instance_report& report);
  void remove(const std::string& instance);

  const instance_report* find(const std::string& instance) const { return log_.find(instance); }
  std::vector<instance_report> all() const { return log_.all(); }

private:
  void send_news();
  caf::actor site() const;
  void give_offer(host_heartbeat& beat);
  void on_answer(const heartbeat_answer& x, bool had_reports);
  void on_error(bool had_everything, bool had_reports);

  caf::event_based_actor* self_;
  host_reporter_options options_;
  report_log log_;
  std::uint64_t confirmed_ = 0;      ///< revision that the leader holds
  bool reports_are_under_way_ = false;
  std::size_t unanswered_ = 0;       ///< heartbeats of this epoch that want an answer
  host_software known_software_; ///< that the leader has confirmed
  std::uint64_t epoch_ = 0;          ///< counts leaders: answers to heartbeats to an earlier one say nothing
};

} // namespace prunella::actors
