#include "net/http_client.hpp"

#include "net/http.hpp"

#include <optional>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

namespace prunella::net {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;
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

/// One call: each step starts an operation and runs the io_context until it is done or the time is up.
class call {
public:
  call(const std::string& endpoint, const http_call_options& options)
      : endpoint_(endpoint), options_(options), deadline_(std::chrono::steady_clock::now() + options.timeout) {}

  http_outcome run(std::string_view method, std::string_view target, std::string body) {
    const auto where = parse_endpoint(endpoint_);
    if (!where)
      return failure(kind::bad_endpoint, "`" + endpoint_ + "` is no endpoint; right would be `http://127.0.0.1:7070`");
    error_code error;
    // RFC 6761, 6.3: localhost is loopback, also on a machine whose resolver does not know it.
    const auto host = equal_ignoring_case(where->host, "localhost") ? std::string("127.0.0.1") : std::string(where->host);
    const auto addresses = tcp::resolver(io_).resolve(host, where->port, error);
    if (error)
      return failure(kind::refused, "the host name `" + where->host + "` is not known: " + error.message());

    step([&](auto done) { stream_.async_connect(addresses, [done](error_code e, const tcp::endpoint&) { done(e); }); });
    if (last_)
      return on_connect_error();
    stream_.socket().set_option(tcp::no_delay(true), error);

    http::request<http::string_body> request;
    request.version(11);
    request.method_string({method.data(), method.size()});
    request.target({target.data(), target.size()});
    request.set(http::field::host, where->authority);
    request.set(http::field::user_agent, "prunella");
    request.set(http::field::accept, "application/json");
    request.keep_alive(false);
    if (!body.empty())
      request.set(http::field::content_type, options_.content_type);
    request.body() = std::move(body);
    request.prepare_payload();
    step([&](auto done) { http::async_write(stream_, request, [done](error_code e, std::size_t) { done(e); }); });
    // A server that refuses a request answers before it has read all of it, so a failed write is no reason not to look
    // for an answer, unless the time is up.
    if (last_ == beast::error::timeout)
      return on_broken();
    return read_answer(method == "HEAD");
  }

private:
  http_outcome read_answer(bool head_only) {
    beast::flat_buffer buffer;
    http::response_parser<http::string_body> parser;
    parser.body_limit(options_.max_answer_bytes);
    parser.skip(head_only);
    step([&](auto done) { http::async_read(stream_, buffer, parser, [done](error_code e, std::size_t) { done(e); }); });
    if (last_ == http::error::body_limit)
      return failure(kind::bad_answer, "the answer of " + endpoint_ + " is larger than " +
                                           std::to_string(options_.max_answer_bytes) + " bytes");
    if (last_ && last_ != http::error::end_of_stream && last_ != http::error::partial_message &&
        last_.category() == http::make_error_code(http::error::bad_method).category())
      return failure(kind::bad_answer, "what answers at " + endpoint_ + " does not speak HTTP: " + last_.message());
    if (last_)
      return on_broken();
    auto message = parser.release();
    return http_answer{message.result_int(), std::string(message[http::field::content_type]), std::move(message.body()),
                       endpoint_, std::string(message[http::field::link])};
  }

  /// Starts an operation and waits until it calls `done(error)`; leaves the error in `last_`.
  template <class Start>
  void step(Start&& start) {
    stream_.expires_at(deadline_);
    last_ = asio::error::would_block;
    start([this](error_code error) { last_ = error; });
    io_.restart();
    io_.run();
  }

  http_outcome on_connect_error() const {
    if (last_ == beast::error::timeout)
      return failure(kind::refused, "no connection to " + endpoint_ + " within " + limit());
    if (last_ == asio::error::connection_refused)
      return failure(kind::refused, "connection refused: nothing answers at " + endpoint_);
    return failure(kind::refused, "no connection to " + endpoint_ + ": " + last_.message());
  }

  http_outcome on_broken() const {
    if (last_ == beast::error::timeout)
      return failure(kind::timeout, "no answer from " + endpoint_ + " within " + limit());
    return failure(kind::broken, "the connection to " + endpoint_ + " ended before its answer: " + last_.message());
  }

  std::string limit() const { return std::to_string(options_.timeout.count()) + " ms"; }

  static http_failure failure(kind reason, std::string sentence) { return {reason, std::move(sentence)}; }

  const std::string& endpoint_;
  const http_call_options& options_;
  std::chrono::steady_clock::time_point deadline_;
  asio::io_context io_{1};
  beast::tcp_stream stream_{io_};
  error_code last_;
};

} // namespace

http_outcome http_call(const std::string& endpoint, std::string_view method, std::string_view target, std::string body,
                       const http_call_options& options) {
  return call(endpoint, options).run(method, target, std::move(body));
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
