#include "actors/api/status_answer.hpp"

#include <algorithm>

#include "actors/api/api_requests.hpp"
#include "actors/site/site_difference.hpp"
#include "actors/site/site_views.hpp"
#include "config/json.hpp"
#include "net/link_errors.hpp"
#include "runtime/exit_reason.hpp"

namespace prunella::actors {

std::string silence_text(const std::string& leader, const caf::error& reason) {
  if (reason == net::link_errc::not_running) // it was elected a moment ago, or led until then
    return leader + " does not lead the site at this moment";
  return "the leader " + leader + " does not answer: " + runtime::reason_text(reason);
}

net::http_response status_response(status_view status, const api_options& here) {
  const auto leader = here.leader->get();
  const auto prepend = [&](const std::string& why) {
    if (!why.empty())
      status.reason = here.host + ": " + why + (status.reason.empty() ? "" : ". " + status.reason);
  };
  prepend(difference_text(here.document, *here.state->get()));
  const auto trouble = here.trouble->get();
  if (!trouble.empty() && status.quorum)
    status.health = "degraded";
  for (const auto& warning : here.warnings)
    prepend(warning);
  prepend(trouble);
  status.host = here.host;
  status.role = leader.role;
  status.term = leader.term;
  status.applied = here.state->get()->applied_index;
  status.committed = std::max(status.committed, status.applied);
  status.version = here.version;
  status.started_at = time_text_of(here.started_at);
  return json_response(config::json_text(config::to_json(status)));
}

} // namespace prunella::actors
