#include "net/http_client.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include <boost/asio/ip/tcp.hpp>

#include "net/http.hpp"
#include "net/http_exchange.hpp"

namespace prunella::net {

using tcp = boost::asio::ip::tcp;
using error_code = boost::system::error_code;
using kind = http_failure::kind;

namespace {

struct target_host {
  std::string host; ///< without brackets
  std::string port;
  std::string authority; ///< for the `Host` header
};

std::optional<target_host> parse_endpoint(std::string_view text) {
  if (const auto scheme = text.find("://"); scheme != std::string_view::npos) {
    if (text.substr(0, scheme) != "http")
      return std::nullopt;
    text.remove_prefix(scheme + 3);
  }
  if (!text.empty() && text.back() == '/')
    text.remove_suffix(1);
  const bool ipv6 = !text.empty() && text.front() == '[';
  const auto host_end = ipv6 ? text.find(']') : std::min(text.find(':'), text.size());
  if (host_end == std::string_view::npos || text.find_first_of("/ \t\r\n@?#") != std::string_view::npos)
    return std::nullopt;
  auto rest = text.substr(ipv6 ? host_end + 1 : host_end);
  target_host result{std::string(text.substr(ipv6 ? 1 : 0, host_end - (ipv6 ? 1 : 0))), "80", std::string(text)};
  if (!rest.empty()) {
    if (rest.front() != ':' || rest.size() < 2 || rest.size() > 6 ||
        rest.find_first_not_of("0123456789", 1) != std::string_view::npos ||
        std::stoul(std::string(rest.substr(1))) > 65535)
      return std::nullopt;
    result.port = rest.substr(1);
  }
  if (result.host.empty())
    return std::nullopt;
  return result;
}

} // namespace

http_outcome http_call(const std::string& endpoint, std::string_view method, std::string_view target, std::string body,
                       const http_call_options& options) {
  http_exchange<tcp> x{endpoint, options};
  const auto where = parse_endpoint(endpoint);
  if (!where)
    return x.failure(kind::bad_endpoint, "`" + endpoint + "` is no endpoint; right would be `http://127.0.0.1:7070`");
  error_code error;
  // RFC 6761, 6.3: localhost is loopback, also on a machine whose resolver does not know it.
  const auto host = equal_ignoring_case(where->host, "localhost") ? std::string("127.0.0.1") : where->host;
  const auto addresses = tcp::resolver(x.io()).resolve(host, where->port, error);
  if (error)
    return x.failure(kind::refused, "the host name `" + where->host + "` is not known: " + error.message());
  if (auto problem = x.connect([&](auto& stream, auto done) { stream.async_connect(addresses, done); }))
    return *std::move(problem);
  x.stream().socket().set_option(tcp::no_delay(true), error);
  if (auto problem = x.send(x.make_request<boost::beast::http::string_body>(method, target, where->authority), std::move(body)))
    return *std::move(problem);
  return x.read_answer(method == "HEAD");
}

std::vector<std::string> split_endpoints(std::string_view list) {
  std::vector<std::string> endpoints;
  std::string current;
  for (const char c : list) {
    if (c != ',' && c != ' ' && c != '\t') {
      current += c;
    } else if (c == ',' && !current.empty()) {
      endpoints.push_back(std::exchange(current, {}));
    }
  }
  if (!current.empty())
    endpoints.push_back(std::move(current));
  return endpoints;
}

http_outcome http_call_any(const std::vector<std::string>& endpoints, std::string_view method, std::string_view target,
                           std::string body, bool repeatable, const http_call_options& options) {
  std::optional<http_failure> first;
  for (const auto& endpoint : endpoints) {
    auto outcome = http_call(endpoint, method, target, body, options);
    auto* failed = std::get_if<http_failure>(&outcome);
    if (!failed)
      return outcome;
    if (!first)
      first = std::move(*failed);
    else
      first->sentence += "; " + failed->sentence;
    const bool not_sent = failed->reason == kind::refused || failed->reason == kind::bad_endpoint;
    if (!not_sent && !repeatable)
      break;
  }
  if (!first)
    return http_failure{kind::bad_endpoint, "no endpoint was given"};
  return *first;
}

} // namespace prunella::net
