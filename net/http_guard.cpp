#include "net/http_guard.hpp"

#include <algorithm>
#include <stdexcept>

#include <arpa/inet.h>
#include <openssl/crypto.h>

namespace prunella::net {

namespace {

bool all_digits(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

/// Four decimal numbers up to 255 of which the first is 127; a name such as `127.evil.example` is none.
bool is_loopback_ipv4(const std::string& host) {
  in_addr address{};
  return ::inet_pton(AF_INET, host.c_str(), &address) == 1 && host.compare(0, 4, "127.") == 0;
}

http_problem bad_host(std::string detail) {
  return {400,
          std::move(detail),
          "HTTP/1.1 asks for exactly one `Host: NAME[:PORT]`",
          "send a `Host` header such as `Host: localhost`",
          {}};
}

} // namespace

std::optional<std::string> host_of_authority(std::string_view authority) {
  const auto bracket = authority.find(']');
  const bool ipv6 = !authority.empty() && authority.front() == '[' && bracket != std::string_view::npos;
  const auto host_size = ipv6 ? bracket + 1 : std::min(authority.find(':'), authority.size());
  std::string host(authority.substr(0, host_size));
  const auto rest = authority.substr(host_size);
  if (host.empty() || (!rest.empty() && (rest.front() != ':' || rest.size() > 6 || !all_digits(rest.substr(1)))))
    return std::nullopt;
  std::transform(host.begin(), host.end(), host.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  const auto inner = ipv6 ? std::string_view(host).substr(1, host.size() - 2) : std::string_view(host);
  const bool good =
      std::all_of(inner.begin(), inner.end(), [&](char c) { return is_name_character(c) || (ipv6 && c == ':'); });
  if (!good || inner.empty())
    return std::nullopt;
  return host;
}

bool is_local_host_name(const std::string& host, const std::vector<std::string>& more) {
  return host == "localhost" || host == "[::1]" || is_loopback_ipv4(host) ||
         std::find(more.begin(), more.end(), host) != more.end();
}

listen_address parse_loopback_address(const std::string& text) {
  const auto fail = [&](const std::string& what) {
    return std::runtime_error("the API cannot listen on `" + text + "`: " + what);
  };
  const auto host = host_of_authority(text);
  if (!host || text.size() < host->size() + 2)
    throw fail("it is not ADDRESS:PORT; right would be `127.0.0.1:7070`");
  const auto port = std::stoul(text.substr(host->size() + 1));
  if (port > 65'535)
    throw fail("the port is above 65535");
  if (!is_local_host_name(*host, {}))
    throw fail("it is not a loopback address, and this API has no TLS; use `127.0.0.1:" + std::to_string(port) + "`");
  const auto address = *host == "localhost" ? "127.0.0.1" : *host == "[::1]" ? "::1" : *host;
  return {address, static_cast<std::uint16_t>(port)};
}

std::optional<http_problem> check_origin(const http_request& request, const std::vector<std::string>& more_host_names) {
  const auto hosts = std::count_if(request.headers.begin(), request.headers.end(),
                                   [](const http_header& h) { return equal_ignoring_case(h.name, "Host"); });
  if (hosts != 1)
    return bad_host(hosts == 0 ? "the request has no `Host` header" : "the request has more than one `Host` header");
  const auto host = host_of_authority(request.header("Host"));
  if (!host)
    return bad_host("the `Host` header is not a name with an optional port");
  if (!is_local_host_name(*host, more_host_names))
    return http_problem{
        421,
        "this agent does not answer for the host name `" + *host + "`",
        "only loopback names are served here, so that no web page can reach the agent under its own name",
        "use `localhost`, `127.0.0.1` or `[::1]` in the URL",
        {}};
  const auto origin = request.header("Origin");
  if (origin.empty())
    return std::nullopt;
  // Another port of this machine is another origin too: the page of an application that runs here is not trusted.
  const auto scheme = origin.find("://");
  if (scheme != std::string_view::npos && equal_ignoring_case(origin.substr(scheme + 3), request.header("Host")))
    return std::nullopt;
  return http_problem{403,
                      "a web page of another origin sent this request",
                      "its `Origin` is not the address this request was sent to",
                      "open the page that the agent itself serves, or use the command line",
                      {}};
}

std::optional<http_problem> check_token(const http_request& request, const std::string& token,
                                        const std::vector<std::string>& open_paths) {
  const auto path = std::string_view(request.target).substr(0, request.target.find('?'));
  if (token.empty() || std::find(open_paths.begin(), open_paths.end(), path) != open_paths.end())
    return std::nullopt;
  constexpr std::string_view scheme = "Bearer ";
  const auto shown = request.header("Authorization");
  if (shown.size() == scheme.size() + token.size() && equal_ignoring_case(shown.substr(0, scheme.size()), scheme) &&
      CRYPTO_memcmp(shown.data() + scheme.size(), token.data(), token.size()) == 0)
    return std::nullopt;
  return http_problem{401,
                      shown.empty() ? "the request does not show the secret of this agent's API"
                                    : "the request shows another secret than that of this agent's API",
                      "being on this machine is not enough: containers with the host's network are, too",
                      "use the command line as root or as the agent's user, who can read the secret, or give it as PRUNELLA_TOKEN; "
                      "other clients send `Authorization: Bearer SECRET`",
                      {}};
}

} // namespace prunella::net
