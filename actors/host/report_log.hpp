#pragma once

// What a host reports of its instances, and which of it the leader does not know yet. A value; the host's reporter sends
// what it fills into heartbeats, `site/observations.hpp` is the other end.
//
// Every change has a revision of its own. A heartbeat carries the changes behind the revision that the leader confirmed, in
// their order and up to `max_beat_bytes`; what is left over goes with the next. So a report of everything is only a
// longer way to go, however many instances there are, and a part that is lost is sent again.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "actors/messages.hpp"

namespace prunella::actors {

/// Of the reports in one heartbeat, about; one report more than fits is never split. A quarter of the longest message.
inline constexpr std::size_t max_beat_bytes = 256 * 1024;

class report_log {
public:
  /// `revision`: higher than that of any earlier log of this agent process, so that the leader never takes the changes of
  /// one log for those of another.
  explicit report_log(std::uint64_t revision = 0) : first_(revision), revision_(revision) {}

  /// Replaces the report of an instance; false if it says the same as before.
  bool put(const instance_report& report);

  /// The instance is no longer on this host; false if it was not known.
  bool remove(const std::string& instance);

  /// Fills revision, since_revision, reports and gone with the first changes since `confirmed`; from the beginning for 0
  /// or what is no revision of this log. Costs as much as it fills in. Forgets removals that are confirmed.
  void fill(host_heartbeat& beat, std::uint64_t confirmed);

  /// Of the newest change.
  std::uint64_t revision() const { return revision_; }

  const instance_report* find(const std::string& instance) const;

  /// All reports, ordered by instance.
  std::vector<instance_report> all() const;

  /// Removals that the leader has not confirmed; with more, it is told everything again instead.
  static constexpr std::size_t max_removals = 1'000;

private:
  struct entry {
    instance_report report;
    std::uint64_t changed_at = 0;
  };

  void start_over();

  std::uint64_t first_;
  std::uint64_t revision_;
  std::map<std::string, entry> entries_;
  std::map<std::uint64_t, std::string> changes_;  ///< revision → instance in `entries_`
  std::map<std::uint64_t, std::string> removals_; ///< revision → instance that is in it no more
  bool starts_over_ = false;
};

} // namespace prunella::actors
