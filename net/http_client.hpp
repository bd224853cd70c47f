#pragma once

// Small synchronous HTTP/1.1 client, one connection per call: what the command line needs.

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace prunella::net {

struct http_answer {
  unsigned status = 0; ///< any, also 4xx and 5xx
  std::string content_type;
  std::string body;
  std::string endpoint; ///< who answered
  std::string link;     ///< header `Link` (RFC 8288): where the next page is; empty: none
};

/// Why there is no answer.
struct http_failure {
  enum class kind {
    bad_endpoint, ///< not `http://HOST[:PORT]`; permanent
    refused,      ///< nothing listens there, or no route to it: the request was not sent
    timeout,      ///< the whole call took longer than allowed; it may have taken effect
    broken,       ///< the connection ended within the call; it may have taken effect
    bad_answer,   ///< not HTTP, or larger than max_answer_bytes
  };
  kind reason = kind::refused;
  std::string sentence; ///< names the endpoint and the cause
};

using http_outcome = std::variant<http_answer, http_failure>;

struct http_call_options {
  std::chrono::milliseconds timeout{10'000};       ///< for the whole call
  std::size_t max_answer_bytes = 64 * 1024 * 1024; ///< of the answer's body
  std::string content_type = "application/json";   ///< of the request's body, if there is one
  std::string token{};                             ///< shown as `Authorization: Bearer TOKEN`; empty: none
};

/// Sends one request to `endpoint` (`http://HOST[:PORT]`, or without `http://`; port 80 if not given) and waits for its
/// answer. `target` is percent-encoded and starts with `/`. Resolving a HOST that is neither an address nor `localhost`
/// blocks for as long as the system's resolver does.
[[nodiscard]] http_outcome http_call(const std::string& endpoint, std::string_view method, std::string_view target,
                                     std::string body = {}, const http_call_options& options = {});

/// Splits `a,b,c` at commas and drops spaces and empty parts.
[[nodiscard]] std::vector<std::string> split_endpoints(std::string_view list);

/// Tries `endpoints` in order and returns the first answer, whatever its status. Goes on to the next one where the
/// request was not sent, and also after a timeout or a broken connection if `repeatable` (the request may then run
/// twice). If none answers: the failure of the first, with the others named. No endpoints: bad_endpoint.
[[nodiscard]] http_outcome http_call_any(const std::vector<std::string>& endpoints, std::string_view method,
                                         std::string_view target, std::string body, bool repeatable,
                                         const http_call_options& options = {});

} // namespace prunella::net
