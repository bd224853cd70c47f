#pragma once

// HTTP requests and answers as values: what the server hands out, what the router decides on, what the client returns.
// No I/O and no third-party header in here.

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace prunella::net {

struct http_header {
  std::string name;
  std::string value;
};

/// A complete request; the server has checked its size, its `Host` and its `Origin`.
struct http_request {
  std::string method; ///< upper case as sent, any token
  std::string target; ///< as sent, percent-encoded: `/v1/events?after=3`
  std::vector<http_header> headers;
  std::string body;

  /// Value of the first header of that name, whatever its case; empty if there is none.
  [[nodiscard]] std::string_view header(std::string_view name) const;
};

/// An answer. The server adds `Content-Length`, `Connection`, `Cache-Control: no-store` (unless given) and `nosniff`;
/// control characters in header values become spaces.
struct http_response {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body; ///< ignored for 204 and 304
  std::vector<http_header> headers;
};

/// An answer that is not 2xx (RFC 9457): what happened, why, and what the caller can do.
struct http_problem {
  unsigned status = 500;
  std::string detail;
  std::string cause;
  std::string fix;
  std::vector<std::string> errors; ///< of a rejected document: each `path: what; what would be right`
};

/// `problem` as `application/problem+json` with the keys title, status, detail, cause, fix, errors; `title` is the
/// standard phrase of the status.
[[nodiscard]] http_response to_response(const http_problem& problem);

/// Standard phrase of a status (`404` → `Not Found`); `Unknown Status` for a code without one.
[[nodiscard]] std::string_view http_reason(unsigned status);

/// Equality of ASCII texts whatever their case, as header names and host names compare.
[[nodiscard]] bool equal_ignoring_case(std::string_view a, std::string_view b);

/// Answers one request. Copies answer the same request: the first answer counts, from any thread, now or later, also
/// after the connection or the server is gone (then it goes nowhere). Dropped without an answer, it answers 500.
class http_responder {
public:
  using deliver_function = std::function<void(http_response)>;

  /// `deliver` is called exactly once, in the thread that answers or drops; it must not block.
  explicit http_responder(deliver_function deliver);

  /// True if this was the first answer; otherwise it is ignored.
  bool operator()(http_response response) const;
  bool operator()(const http_problem& problem) const { return (*this)(to_response(problem)); }

private:
  struct slot;
  std::shared_ptr<slot> slot_;
};

/// Takes each request; runs in the server's thread, so it passes work on and returns.
using http_handler = std::function<void(http_request, http_responder)>;

} // namespace prunella::net
