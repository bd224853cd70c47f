#pragma once

// What the hosts last reported of their instances, as the leader holds it. Soft: a new leader asks for all of it again.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "actors/messages.hpp"
#include "actors/site/plan.hpp"

namespace prunella::actors {

/// What is held of one host's reports at most; several times what its share of `max_instances` takes.
inline constexpr std::size_t max_report_bytes = 16u << 20;

class observations {
public:
  /// Takes the reports of a heartbeat. Returns the revision that the host may consider known: its own if the differences
  /// fit to what is held here, else 0, which makes it send everything. A host whose reports together are above
  /// `max_report_bytes` has none.
  std::uint64_t take(const host_heartbeat& beat);

  /// What `host` last said of `instance`; null if it said nothing.
  const instance_report* find(const std::string& host, const std::string& instance) const;

  /// All that `host` reports, ordered by instance name.
  std::vector<instance_report> of_host(const std::string& host) const;

  /// Instances that gave up on the host that reports them.
  gave_up_reports gave_up() const;

private:
  struct from_host {
    std::uint64_t incarnation = 0;
    std::uint64_t revision = 0;
    std::map<std::string, instance_report> reports;
    std::size_t bytes = 0; ///< of them

    void forget(const std::string& instance);
  };

  std::map<std::string, from_host> hosts_;
};

/// The host's side: its reports, and which of them the leader does not know yet.
class report_log {
public:
  /// Replaces the report of an instance; false if it says the same as before.
  bool put(const instance_report& report);

  /// The instance is no longer on this host; false if it was not known.
  bool remove(const std::string& instance);

  /// Fills revision, since_revision, reports and gone with what changed since `confirmed`; all of it for 0.
  void fill(host_heartbeat& beat, std::uint64_t confirmed) const;

  std::uint64_t revision() const { return revision_; }

  const instance_report* find(const std::string& instance) const;
  std::vector<instance_report> all() const;

private:
  struct entry {
    instance_report report;
    std::uint64_t changed_at = 0;
  };

  std::uint64_t revision_ = 0;
  std::map<std::string, entry> entries_;
  std::map<std::string, std::uint64_t> gone_; ///< instance → revision; the oldest are forgotten (then all is sent)
  std::uint64_t forgotten_ = 0;               ///< highest revision of a forgotten removal
};

} // namespace prunella::actors
