#pragma once

// What a simulated site has done so far, and the sentences that must stay true of it. No actors: it is told each state that
// any host applied and each container that runs.

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>

#include "actors/site/site_state.hpp"
#include "tests/sim/memory_stores.hpp"

namespace prunella::tests {

/// The site broke a promise; the text says which.
struct broken_promise : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class site_record {
public:
  /// `host` has applied the log up to `content.index`. Throws broken_promise if
  ///  - another host had another state at that index,
  ///  - an (instance, generation) is assigned to two hosts, ever,
  ///  - an instance's generation went back,
  ///  - an instance that had a host was placed as if it had none (its decider did not know what was decided),
  ///  - a host was given more than it has, or instances that exclude each other.
  void applied(const std::string& host, const memory_database_file::content& content);

  /// A container of (instance, generation) runs on `host`. Throws broken_promise if that is not the host it was assigned to, or
  /// if it was placed elsewhere meanwhile while that host was up.
  void runs(const std::string& host, const std::string& instance, std::uint64_t generation) const;

  /// The newest state that any host applied.
  const actors::site_state& latest() const { return latest_; }

  std::uint64_t states() const { return digests_.size(); }

private:
  void check_placement(const actors::site_state& state) const;
  void note_moves(const actors::site_state& state);

  std::map<std::uint64_t, std::pair<std::size_t, std::string>> digests_; ///< index → state, who had it first
  std::map<std::pair<std::string, std::uint64_t>, std::string> owners_;  ///< (instance, generation) → host
  std::map<std::string, std::uint64_t> generations_;                     ///< highest of each instance at `latest_`
  std::map<std::string, std::pair<std::string, std::uint64_t>> moved_away_; ///< instance → host and generation that had to end
  actors::site_state latest_;
};

} // namespace prunella::tests
