#pragma once

// What the API says of imports.

#include <string>

#include <caf/fwd.hpp>

#include "actors/api/views.hpp"
#include "net/http_router.hpp"

namespace prunella::actors {

struct image_imported;

/// 200 `{"state": "imported", "name", "digest", "bytes", "host"}`, or without `done` 202 and `"state": "importing"`: the
/// same request again tells when it is.
net::http_response imported_response(const std::string& host, const image_imported* done);

/// A failure of the image keeper; its sentence is the cause.
problem_view image_problem(const caf::error& reason, const std::string& what);

} // namespace prunella::actors
