#include "net/http_router.hpp"

#include <algorithm>
#include <set>
#include <stdexcept>
#include <utility>

namespace prunella::net {

namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

bool is_unreserved(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

/// Calls `visit(part)` for each part between separators; an empty text has one empty part.
template <class Visitor>
void split(std::string_view text, char separator, Visitor&& visit) {
  for (;;) {
    const auto end = text.find(separator);
    visit(text.substr(0, end));
    if (end == std::string_view::npos)
      return;
    text.remove_prefix(end + 1);
  }
}

/// Segments of a path that starts with `/`, without a slash at its end; still encoded.
std::vector<std::string> split_path(std::string_view path) {
  path.remove_prefix(1);
  if (path.size() > 1 && path.back() == '/')
    path.remove_suffix(1);
  std::vector<std::string> segments;
  split(path, '/', [&](std::string_view segment) { segments.emplace_back(segment); });
  return segments;
}

bool is_parameter(std::string_view segment) {
  return segment.size() > 2 && segment.front() == '{';
}

std::string parameter_name(std::string_view segment) {
  return std::string(segment.substr(1, segment.size() - 2));
}

/// Two patterns take the same paths in the same precedence.
bool same_shape(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const std::string& x, const std::string& y) {
    return (is_parameter(x) && is_parameter(y)) || x == y;
  });
}

/// Nothing if the segments do not fit; otherwise the parameters.
std::optional<http_parameters> fit(const std::vector<std::string>& pattern, const std::vector<std::string>& path) {
  if (pattern.size() != path.size())
    return std::nullopt;
  http_parameters parameters;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (is_parameter(pattern[i]) && !path[i].empty())
      parameters[parameter_name(pattern[i])] = path[i];
    else if (pattern[i] != path[i])
      return std::nullopt;
  }
  return parameters;
}

/// True if pattern `a` says more literally, from the left, what it takes than `b` does.
bool more_literal(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  for (std::size_t i = 0; i < a.size(); ++i)
    if (is_parameter(a[i]) != is_parameter(b[i]))
      return is_parameter(b[i]);
  return false;
}

bool takes(const std::string& route_method, std::string_view method) {
  return route_method == method || (route_method == "GET" && method == "HEAD");
}

std::string allow_line(const std::set<std::string>& methods) {
  std::string line;
  for (const auto& method : methods)
    line += (line.empty() ? "" : ", ") + method;
  return line;
}

/// What a sentence can quote of text a stranger sent: ASCII, at most 200 characters.
std::string quotable(std::string_view text) {
  std::string quoted(text.substr(0, 200));
  for (auto& c : quoted)
    if (is_control(c) || static_cast<unsigned char>(c) >= 0x80)
      c = '?';
  return text.size() > 200 ? quoted + "..." : quoted;
}

} // namespace

std::optional<std::string> percent_decode(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size())
        return std::nullopt;
      const int high = hex_digit(text[i + 1]);
      const int low = hex_digit(text[i + 2]);
      if (high < 0 || low < 0)
        return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (is_control(c))
      return std::nullopt;
    decoded += c;
  }
  return decoded;
}

std::string percent_encode(std::string_view text) {
  static constexpr std::string_view digits = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    if (is_unreserved(c)) {
      encoded += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    encoded += {'%', digits[byte >> 4], digits[byte & 15]};
  }
  return encoded;
}

std::optional<http_parameters> parse_query(std::string_view query) {
  http_parameters parameters;
  bool good = true;
  split(query, '&', [&](std::string_view pair) {
    if (pair.empty())
      return;
    std::string text(pair);
    std::replace(text.begin(), text.end(), '+', ' ');
    const auto equals = text.find('=');
    const auto key = percent_decode(std::string_view(text).substr(0, equals));
    const auto value = equals == std::string::npos ? std::optional<std::string>("")
                                                   : percent_decode(std::string_view(text).substr(equals + 1));
    good = good && key && value && parameters.emplace(*key, *value).second;
  });
  if (!good)
    return std::nullopt;
  return parameters;
}

http_router& http_router::add(std::string method, std::string pattern, routed_handler handler) {
  if (pattern.empty() || pattern.front() != '/')
    throw std::invalid_argument("route pattern `" + pattern + "` does not start with `/`");
  auto segments = split_path(pattern);
  for (const auto& segment : segments) {
    const bool braces = segment.find_first_of("{}") != std::string::npos;
    if (braces && !(is_parameter(segment) && segment.find_first_of("{}", 1) == segment.size() - 1))
      throw std::invalid_argument("route pattern `" + pattern + "`: segment `" + segment + "` is not `{name}`");
  }
  for (const auto& existing : routes_)
    if (existing.method == method && same_shape(existing.segments, segments))
      throw std::invalid_argument("route " + method + " `" + pattern + "` exists already");
  routes_.push_back({std::move(method), std::move(segments), std::move(handler)});
  return *this;
}

route_match http_router::match(std::string_view method, std::string_view target) const {
  route_match result;
  const auto question = target.find('?');
  const auto query = question == std::string_view::npos ? http_parameters{} : parse_query(target.substr(question + 1));
  if (target.empty() || target.front() != '/' || !query) {
    result.outcome = route_match::kind::bad_target;
    return result;
  }
  auto path = split_path(target.substr(0, question));
  for (auto& segment : path) {
    auto decoded = percent_decode(segment);
    if (!decoded) {
      result.outcome = route_match::kind::bad_target;
      return result;
    }
    segment = std::move(*decoded);
  }

  std::set<std::string> allowed;
  const route* best = nullptr;
  for (const auto& candidate : routes_) {
    auto parameters = fit(candidate.segments, path);
    if (!parameters)
      continue;
    allowed.insert(candidate.method);
    if (candidate.method == "GET")
      allowed.insert("HEAD");
    if (!takes(candidate.method, method) || (best && !more_literal(candidate.segments, best->segments)))
      continue;
    best = &candidate;
    result.path = std::move(*parameters);
  }
  if (!allowed.empty())
    allowed.insert("OPTIONS");
  result.allow = allow_line(allowed);
  if (best) {
    result.outcome = route_match::kind::found;
    result.route = static_cast<std::size_t>(best - routes_.data());
    result.query = *query;
  } else if (!allowed.empty()) {
    result.outcome = route_match::kind::method_not_allowed;
  }
  return result;
}

void http_router::operator()(http_request request, http_responder respond) const {
  auto found = match(request.method, request.target);
  switch (found.outcome) {
  case route_match::kind::found:
    routes_[found.route].handler({std::move(request), std::move(found.path), std::move(found.query)},
                                 std::move(respond));
    return;
  case route_match::kind::bad_target:
    respond(http_problem{400,
                         "the request target `" + quotable(request.target) + "` cannot be read",
                         "it does not start with `/`, a `%` in it is not followed by two hexadecimal digits, or a parameter stands in it twice",
                         "percent-encode reserved characters, as in `/v1/applications/default.popcorn`",
                         {}});
    return;
  case route_match::kind::method_not_allowed: {
    if (request.method == "OPTIONS") {
      respond(http_response{204, "", "", {{"Allow", found.allow}}});
      return;
    }
    auto response = to_response({405,
                                 quotable(request.method) + " is not possible on " + quotable(request.target),
                                 "this path takes " + found.allow,
                                 "use one of " + found.allow,
                                 {}});
    response.headers.push_back({"Allow", found.allow});
    respond(std::move(response));
    return;
  }
  case route_match::kind::not_found:
    respond(http_problem{404,
                         "there is nothing at " + quotable(request.target),
                         "no route has this path",
                         "check the path; names with reserved characters are percent-encoded",
                         {}});
    return;
  }
}

} // namespace prunella::net
