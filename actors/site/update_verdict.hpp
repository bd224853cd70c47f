#pragma once

// When an update that is watched is over: all its instances are ready, or one of them failed. Pure.

#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "actors/site/plan.hpp"
#include "actors/site/site_state.hpp"

namespace prunella::actors {

using update_decision = std::variant<end_update, roll_back>;

struct update_verdicts {
  std::vector<update_decision> decisions; ///< at most one for each application
  bool waits_for_reports = false; ///< some update goes on: what is seen, and time, change the verdict
};

/// What is seen of an instance as it is assigned, as a sentence; empty: nothing to say.
using sight_reason = std::function<std::string(const std::string& instance, const assignment& x)>;

/// What an instance that is to be updated to `record` waits for at `host`.
struct awaited_image {
  std::string reference; ///< empty: it does not wait
  std::string hopeless;  ///< why nothing but people can bring it, as a sentence; empty: it may be on its way
};
using image_sight =
  std::function<awaited_image(const application_record& record, const config::service_spec& service, const std::string& host)>;

/// An update has failed when an instance that runs it gave up, found no host any more, or was not ready `deadline` after it was
/// given to it, or its images were not where it runs `deadline` after the application was changed, or nobody can bring them; then
/// the application goes back to the version before, or the update is paused, as its service says. It is
/// through when all instances run it and are steady. Services whose instances may end for good are only asked whether they gave up.
update_verdicts judge_updates(const site_state& state, const gave_up_reports& gave_up, time_ms now, const sight& seen,
                              const sight_reason& reason_of, const image_sight& images = {});

/// Whether what runs of `record` is worth going back to: of each service that may not end by itself an instance of the present
/// version is ready.
bool runs_well(const application_record& record, const site_state& state, const sight& seen);

} // namespace prunella::actors
