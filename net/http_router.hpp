#pragma once

// Which handler a request is for: method and path pattern → handler, as a value without I/O.

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/http.hpp"

namespace prunella::net {

/// Percent-decodes (RFC 3986 §2.1). Nothing if a `%` is not followed by two hex digits or if a control character
/// (below 0x20, or 0x7f) comes out.
[[nodiscard]] std::optional<std::string> percent_decode(std::string_view text);

/// Percent-encodes everything but unreserved characters, so that `text` is one path segment or query value.
[[nodiscard]] std::string percent_encode(std::string_view text);

using http_parameters = std::map<std::string, std::string>;

/// `a=1&b=x%20y` → {a: "1", b: "x y"}; `+` is a space; nothing on a bad escape, and of a
/// repeated key, of which one value would be dropped.
[[nodiscard]] std::optional<http_parameters> parse_query(std::string_view query);

/// What a routed handler gets.
struct routed_request {
  http_request request;
  http_parameters path;  ///< by the name in braces, decoded
  http_parameters query; ///< decoded
};

using routed_handler = std::function<void(routed_request, http_responder)>;

/// What the router found for a method and a target.
struct route_match {
  enum class kind { found, not_found, method_not_allowed, bad_target };
  kind outcome = kind::not_found;
  std::size_t route = 0; ///< with `found`: in order of `add`
  http_parameters path;
  http_parameters query;
  std::string allow; ///< methods of the path, sorted, comma-separated; with `found` and `method_not_allowed`
};

/// Routes are tried for the longest literal match: `/v1/hosts/self` goes before `/v1/hosts/{id}`. One slash at the end
/// of a path does not count. `GET` routes also take `HEAD`.
class http_router {
public:
  /// `pattern`: `/v1/applications/{name}/scale`; a name in braces takes one whole, non-empty segment.
  /// Throws std::invalid_argument if the pattern is malformed or taken.
  http_router& add(std::string method, std::string pattern, routed_handler handler);

  [[nodiscard]] route_match match(std::string_view method, std::string_view target) const;

  /// Calls the handler, or answers 400, 404, 405 (with `Allow`) itself; `OPTIONS` gets 204 with `Allow`.
  void operator()(http_request request, http_responder respond) const;

private:
  struct route {
    std::string method;
    std::vector<std::string> segments; ///< `{name}` stands for itself
    routed_handler handler;
  };
  std::vector<route> routes_;
};

} // namespace prunella::net
