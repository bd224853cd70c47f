#pragma once

// The site's state as the log's state machine: applies commands, keeps the host's copy in its database, publishes the
// result to the process and its decisions to the journal. Owned by the consensus actor.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "actors/site/state_cell.hpp"
#include "runtime/consensus/state_machine.hpp"
#include "storage/event_journal.hpp"
#include "storage/site_database.hpp"

namespace prunella::actors {

struct site_machine_options {
  std::unique_ptr<storage::site_database> database;
  std::shared_ptr<state_cell> state;
  /// Called after each batch that changed something, with what was decided; must not block.
  std::function<void(std::vector<storage::journal_event>)> on_decided;
};

/// Loads the stored state and publishes it. Fails as the database does, and with `damaged` for rows it cannot read.
storage::result<std::shared_ptr<runtime::replicated_state_machine>> make_site_machine(site_machine_options options);

} // namespace prunella::actors
