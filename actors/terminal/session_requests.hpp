#pragma once

// Requests of `/v1/sessions` as messages between hosts, and the answers. Pure.

#include <string>
#include <variant>
#include <vector>

#include "actors/api/api_requests.hpp"
#include "actors/api/session_view.hpp"
#include "actors/api/views.hpp"
#include "actors/site/site_state.hpp"
#include "actors/terminal/terminal_messages.hpp"
#include "net/http_router.hpp"

namespace prunella::actors {

/// A session's name as clients know it: where it lives, and how it is called there.
struct session_place {
  std::string host;
  std::string session;
};
std::string session_text(const session_place& place);
or_problem<session_place> parse_session(const net::routed_request& request);

/// Which host is to open a session in which container.
struct session_target {
  std::string host;
  open_terminal open;
};
/// `POST /v1/sessions`. 404 for an instance or container that is not there, 409 for one that is on no host.
or_problem<session_target> open_request(const net::routed_request& request, const site_state& state);

/// `GET /v1/sessions/{session}?after=NUMBER&wait=5s`
or_problem<read_terminal> read_request(const net::routed_request& request, const std::string& session);

/// `POST /v1/sessions/{session}/input`
or_problem<write_terminal> write_request(const net::routed_request& request, const std::string& session);

session_output_view view_of(const terminal_output& output);

/// 409: why no command runs in `container`, by the rows of its application; `why` is what its host says.
problem_view not_running_problem(const std::string& container, const std::vector<instance_view>& instances, const std::string& why);

} // namespace prunella::actors
