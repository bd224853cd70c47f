#pragma once

// Who may talk to a server on loopback. Whoever is on this machine reaches it, containers with the host's network too: so it
// may ask for a secret. And any web page a user opens can make the browser send requests to 127.0.0.1:
// under a name of its own that it rebinds to loopback (then `Host` is that name), or across origins (then `Origin` is
// its own). Both are refused before the handler sees them.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/http.hpp"

namespace prunella::net {

/// `HOST[:PORT]` → HOST in lower case, IPv6 with its brackets; nothing if it is malformed.
[[nodiscard]] std::optional<std::string> host_of_authority(std::string_view authority);

/// True for `localhost`, `127.x.y.z`, `[::1]` and the names in `more`.
[[nodiscard]] bool is_local_host_name(const std::string& host, const std::vector<std::string>& more);

struct listen_address {
  std::string address; ///< `127.0.0.1`, `::1`
  std::uint16_t port = 0;
};

/// `127.x.y.z:PORT`, `[::1]:PORT` or `localhost:PORT`. Throws std::runtime_error with a sentence that says what would
/// be right for anything else.
[[nodiscard]] listen_address parse_loopback_address(const std::string& text);

/// Nothing if the request may pass; otherwise 400 (no, several or malformed `Host`), 421 (`Host` is not this machine)
/// or 403 (`Origin` is there and is not the same host and port).
[[nodiscard]] std::optional<http_problem> check_origin(const http_request& request,
                                                       const std::vector<std::string>& more_host_names);

/// Nothing if the request may pass: it shows `token` as `Authorization: Bearer TOKEN` (RFC 6750), or none is asked for (`token`
/// is empty), or its path is one of `open_paths`. Otherwise 401. Takes as long for a token that is nearly right as for any other.
[[nodiscard]] std::optional<http_problem> check_token(const http_request& request, const std::string& token,
                                                      const std::vector<std::string>& open_paths);

} // namespace prunella::net
