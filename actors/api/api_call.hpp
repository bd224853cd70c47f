#pragma once

// A request on its way from the HTTP server's thread to the API actor. Stays within the process.

#include <caf/allowed_unsafe_message_type.hpp>

#include "actors/api/api_route.hpp"
#include "net/http_router.hpp"

namespace prunella::actors {

struct api_call {
  api_route route = api_route::status;
  net::routed_request request;
  net::http_responder respond;
};

} // namespace prunella::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(prunella::actors::api_call)
