#pragma once

// Which instances take traffic, for the doors of all hosts: made of what the site decided and what its hosts reported. A
// value; `ready_watch.hpp` hands it out.

#include <map>
#include <string>

#include "actors/messages.hpp"
#include "actors/site/observations.hpp"
#include "actors/site/site_state.hpp"

namespace prunella::actors {

class ready_board {
public:
  /// `term`: of the leader that holds it.
  explicit ready_board(std::uint64_t term) { table_.term = term; }

  /// `host` said where its door is.
  void note_door(const std::string& host, const std::string& address) { doors_[host] = address; }

  /// Makes the table anew; true if it says something else than before. Costs as much as there are assignments.
  bool refresh(const site_state& state, const observations& seen);

  const ready_table& table() const { return table_; }

private:
  std::map<std::string, std::string> doors_; ///< bounded: hosts of the site
  ready_table table_;
};

} // namespace prunella::actors
