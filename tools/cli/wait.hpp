#pragma once

// `apply --wait`: follows applications until they run, and says what is in the way.

#include <cstdint>
#include <string>
#include <vector>

#include "actors/api/views.hpp"
#include "tools/cli/options.hpp"
#include "tools/cli/terminal.hpp"

namespace prunella::tools {

/// How far an application is.
struct progress {
  bool is_running = false;  ///< all of its replicas run, or have finished
  bool has_finished = false; ///< some have, and none runs
  bool has_failed = false;  ///< the site gave up on a part of it, and says why
  std::uint64_t starts = 0; ///< of its instances; what crashes at once is running again and again
  bool is_updating = false; ///< instances of the former version are left
  std::string culprit;      ///< the instance that is in the way; empty: none
  std::string text;         ///< `1 of 3 running, 1 finished; default.popcorn.web-2 is pending: 0 of 3 hosts fit: …`
};

/// Of `application` with its `instances`. Pure.
[[nodiscard]] progress progress_of(const actors::application_view& application,
                                   const std::vector<actors::instance_view>& instances);

/// What was applied, and what it counted then.
struct applied_application {
  std::string name; ///< with its tenant
  std::uint64_t revision = 0;
};

/// Looks every quarter second until each of `applications` was found running, or finished, five times in a row without a new start: a
/// second of it, as what crashes at once is not up. Progress goes to `io.err`, and so do published ports that a host does not
/// answer on; the outcome goes to `io.out`. Ends with `exit_failed` when one has failed, was deleted or
/// changed by someone else, or does not run after `options.wait_limit`.
int wait_until_running(const std::vector<applied_application>& applications, const apply_options& options,
                       terminal& io);

} // namespace prunella::tools
