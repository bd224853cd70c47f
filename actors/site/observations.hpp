#pragma once

// What the hosts last reported of their instances, as the leader holds it. Soft: a new leader asks for all of it again. The
// hosts' end is `host/report_log.hpp`.

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "actors/messages.hpp"
#include "actors/site/plan.hpp"
#include "runtime/instant.hpp"

namespace prunella::actors {

/// What is held of one host's reports at most; several times what its share of `max_instances` takes.
inline constexpr std::size_t max_held_bytes = 16u << 20;

class observations {
public:
  using reports = std::map<std::string, instance_report>; ///< by instance

  /// Takes the reports of a heartbeat. Returns the revision that the host may consider known: its own if the differences
  /// fit to what is held here, else what is held, or 0, which makes it send everything. A host whose reports together are
  /// above `max_held_bytes` has none.
  std::uint64_t take(const host_heartbeat& beat, runtime::instant now);

  /// Takes all that `host` reports, in place of what it reported before.
  void replace(const std::string& host, const std::vector<instance_report>& all, runtime::instant now);

  /// What `host` last said of `instance`; null if it said nothing.
  const instance_report* find(const std::string& host, const std::string& instance) const;

  /// Whether `host` has said what runs there, if only that nothing does.
  bool has_heard(const std::string& host) const;

  /// Whether `host` has said that what entry `since` of the site's log took from it runs there no more.
  bool has_ended(const std::string& host, const std::string& instance, std::uint64_t since) const;

  /// Hosts that report `instance`, in whichever generation.
  std::vector<std::string> hosts_of(const std::string& instance) const;

  /// Since when `host` has been heard to have `instance` ready in this generation, without a restart; nothing if it is not. By
  /// the clock of the calls of `take`: a host's own may be wrong.
  std::optional<runtime::instant> ready_since(const std::string& host, const std::string& instance,
                                                std::uint64_t generation) const;

  /// All that `host` reports.
  const reports& of_host(const std::string& host) const;

  /// Instances that gave up on the host that reports them. Costs as much as there are of them.
  gave_up_reports gave_up() const;

  /// Instances that came to their end on the host that reports them, likewise.
  ended_reports ended() const;

  /// Changes with every report that is taken.
  std::uint64_t revision() const { return revision_; }

  /// Changes with every report that `gave_up` and `ended` are made of: as long as it is the same, so are they.
  std::uint64_t ends_revision() const { return ends_revision_; }

private:
  struct from_host {
    std::uint64_t incarnation = 0;
    std::uint64_t revision = 0;
    std::uint64_t carried_out = 0; ///< as it said with its last reports; 0: it does not know, or they were a part of them
    observations::reports reports;
    std::map<std::string, runtime::instant> ready_since; ///< by instance
    std::set<std::string> gave_up; ///< instances
    std::set<std::string> ended;   ///< the same
    std::size_t bytes = 0;         ///< of the reports
  };

  void note_end(std::set<std::string>& instances, const std::string& instance, bool is_one);
  void clear(const std::string& host, from_host& x);
  void put(const std::string& host, from_host& x, const instance_report& report, runtime::instant now);
  void remove(const std::string& host, from_host& x, const std::string& instance);

  std::map<std::string, from_host> hosts_;
  std::set<std::pair<std::string, std::string>> where_; ///< (instance, host) of each report
  std::uint64_t revision_ = 0;
  std::uint64_t ends_revision_ = 0;
};

} // namespace prunella::actors
