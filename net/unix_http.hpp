#pragma once

// HTTP/1.1 to a program of this machine that listens on a unix socket, as container engines do: one connection per call,
// every step bounded by one deadline. Results as in `http_client.hpp`; `http_answer::endpoint` is the socket's path.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "net/http_client.hpp"

namespace prunella::net {

/// A part of a request's body: `bytes`, then `file_bytes` bytes of `file`, then zeros up to a multiple of `align`.
struct upload_part {
  std::string bytes;
  std::string file{}; ///< path; empty: none
  std::uint64_t file_bytes = 0;
  std::uint64_t align = 1;
};

/// Sends one request and waits for its answer. `reason` of a failure: `refused` when the socket is not there or nobody
/// listens, else as for `http_call`; a file that is shorter than promised is `broken`.
[[nodiscard]] http_outcome unix_call(const std::string& socket, std::string_view method, std::string_view target,
                                     std::string body = {}, const http_call_options& options = {});

/// As `unix_call` with POST, of a body that is read from files while it is sent.
[[nodiscard]] http_outcome unix_upload(const std::string& socket, std::string_view target,
                                       const std::vector<upload_part>& body, const http_call_options& options);

/// A connection whose answer has begun and goes on for as long as both sides like.
struct unix_stream {
  int fd = -1;       ///< the caller's to close; blocking
  std::string first; ///< what had been read of it already
};

/// Sends a request whose good answer (101 or 2xx) is a stream of bytes: with `upgrade` one in both directions, without
/// it until the other side closes (asked for in HTTP/1.0, so it has no chunks). Any other answer is read whole.
[[nodiscard]] std::variant<unix_stream, http_answer, http_failure> unix_open(const std::string& socket, std::string_view method,
                                                                             std::string_view target, std::string body, bool upgrade,
                                                                             const http_call_options& options = {});

} // namespace prunella::net
