#include "actors/api/image_answers.hpp"

#include <caf/error.hpp>

#include "actors/api/api_requests.hpp"
#include "actors/host/image_keeper.hpp"
#include "actors/instance/image_error.hpp"
#include "actors/site/requests.hpp"
#include "config/json.hpp"
#include "runtime/exit_reason.hpp"

namespace prunella::actors {

namespace {

struct imported_body {
  std::string state;
  std::string name;
  std::string digest;
  std::uint64_t bytes = 0;
  std::string host;

  PRUNELLA_FIELDS(imported_body, state, name, digest, bytes, host)
};

struct answer {
  unsigned status;
  const char* fix;
};

answer answer_of(image_errc code) {
  switch (code) {
  case image_errc::reference_malformed: return {400, "write a name such as registry.example/shop/web:1.2"};
  case image_errc::not_found: return {404, "check the path, and that the file is on the host that is asked"};
  case image_errc::disk_full: return {507, "free some space, or remove applications whose images nobody needs"};
  case image_errc::too_many: return {409, "wait for that to end"};
  case image_errc::store_unusable:
  case image_errc::ended: return {503, "ask again in a moment; `prunella get events` says what the host is in trouble with"};
  case image_errc::source_stalled:
  case image_errc::source_unreachable: return {503, "ask again"};
  case image_errc::needs_root: return {403, "run the agent as root"};
  case image_errc::unauthorized:
  case image_errc::digest_mismatch:
  case image_errc::wrong_platform:
  case image_errc::refused:
  case image_errc::unreadable: break;
  }
  return {422, "make the file anew, with `docker save`, `podman save` or `skopeo copy`, for the platform of the hosts"};
}

} // namespace

net::http_response imported_response(const std::string& host, const image_imported* done) {
  imported_body body;
  body.state = done == nullptr ? "importing" : "imported";
  body.host = host;
  if (done != nullptr) {
    body.name = done->name;
    body.digest = done->manifest;
    body.bytes = done->bytes;
  }
  return json_response(config::json_text(config::to_json(body)), done == nullptr ? 202 : 200);
}

problem_view image_problem(const caf::error& reason, const std::string& what) {
  for (int code = 1; code <= static_cast<int>(image_errc::ended); ++code)
    if (is_image_error(reason, static_cast<image_errc>(code))) {
      const auto x = answer_of(static_cast<image_errc>(code));
      return make_problem(x.status, what, runtime::reason_text(reason), x.fix);
    }
  return make_problem(503, what, runtime::reason_text(reason), "ask again in a moment");
}

} // namespace prunella::actors
