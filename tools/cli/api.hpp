#pragma once

// The command line's side of the HTTP API: a call, and its failure as text for a person.

#include <chrono>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/value.hpp>

#include "actors/api/views.hpp"
#include "config/json.hpp"
#include "tools/cli/terminal.hpp"

namespace prunella::tools {

inline constexpr std::string_view default_endpoint = "http://127.0.0.1:7070";

/// Which site to talk to.
struct connection_options {
  std::vector<std::string> endpoints{std::string(default_endpoint)}; ///< tried in order
  std::chrono::milliseconds timeout{10'000};                         ///< per call and endpoint
  std::string token{};                                               ///< `api_token.hpp`; empty: none is known
};

/// The parsed body of a 2xx answer, or why there is none.
struct api_result {
  boost::json::value value; ///< null with an empty body
  unsigned status = 0;      ///< 0: no answer
  std::string error;        ///< several lines for a person, ends with a newline; empty: all well
  std::string next;         ///< target of the next page of a list; empty: there is none
};

/// `repeatable`: the call may be sent to a second endpoint when it is not known whether the first acted on it.
[[nodiscard]] api_result call_api(const connection_options& connection, std::string_view method,
                                  std::string_view target, const std::string& body = {}, bool repeatable = true);

/// GET; the pages of a list are fetched one after the other and make one list, of at most `max_pages`.
[[nodiscard]] api_result get_all(const connection_options& connection, std::string_view target);
inline constexpr std::size_t max_pages = 1'000;

/// What a person reads of a problem: its detail, then `cause:`, `errors:` and `fix:` where there are any.
[[nodiscard]] std::string problem_text(const actors::problem_view& problem);

/// `get_all`, read as `T`; writes to `io.err` and returns nothing where that fails.
template <class T>
std::optional<T> get_from_api(const connection_options& connection, std::string_view target, terminal& io) {
  const auto result = get_all(connection, target);
  T value{};
  auto error = result.error;
  if (error.empty())
    for (const auto& problem : config::from_json(result.value, value))
      error += "prunella: the answer to GET " + std::string(target) + " is not understood: " + problem + '\n';
  if (error.empty())
    return value;
  io.err << error;
  return std::nullopt;
}

/// `popcorn` or `default.popcorn` for the path of a URL.
[[nodiscard]] std::string application_path(std::string_view name);

} // namespace prunella::tools
