#pragma once

// The rules of placement once more, as plainly as they can be written: every host is looked at for every instance. What
// `actors::plan` decides faster has to be the same.

#include "actors/site/plan.hpp"

namespace prunella::test {

/// As `actors::plan`.
actors::site_plan reference_plan(const actors::site_state& state, const actors::gave_up_reports& gave_up,
                                 actors::time_ms now, const actors::sight& seen, const actors::ended_reports& ended = {});

} // namespace prunella::test
