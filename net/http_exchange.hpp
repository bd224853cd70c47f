#pragma once

// One HTTP/1.1 exchange with one deadline for all of it, in the caller's thread: each step starts an operation and runs the
// io_context until it is done or the time is up. Private to `http_client` and `unix_http`, which differ in how they connect.

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include "net/http_client.hpp"

namespace prunella::net {

template <class Protocol>
class http_exchange {
public:
  using error_code = boost::system::error_code;
  using kind = http_failure::kind;
  using answer_parser = boost::beast::http::response_parser<boost::beast::http::string_body>;

  /// `options` has to outlive it.
  http_exchange(std::string endpoint, const http_call_options& options)
    : endpoint_(std::move(endpoint)), options_(options), deadline_(std::chrono::steady_clock::now() + options.timeout) {}

  /// `start(stream, done)` begins to connect, and calls `done(error, …)`.
  template <class Start>
  std::optional<http_failure> connect(Start&& start) {
    step([&](auto done) { start(stream_, [done](error_code e, auto&&...) { done(e); }); });
    if (!last_)
      return std::nullopt;
    if (last_ == boost::beast::error::timeout)
      return failure(kind::refused, "no connection to " + endpoint_ + " within " + limit());
    if (last_ == boost::asio::error::connection_refused)
      return failure(kind::refused, "connection refused: nothing answers at " + endpoint_);
    return failure(kind::refused, "no connection to " + endpoint_ + ": " + last_.message());
  }

  template <class Body>
  boost::beast::http::request<Body> make_request(std::string_view method, std::string_view target, const std::string& host,
                                                 unsigned version = 11) const {
    namespace http = boost::beast::http;
    http::request<Body> request;
    request.version(version);
    request.method_string({method.data(), method.size()});
    request.target({target.data(), target.size()});
    request.set(http::field::host, host);
    request.set(http::field::user_agent, "prunella");
    request.set(http::field::accept, "application/json");
    if (!options_.token.empty())
      request.set(http::field::authorization, "Bearer " + options_.token);
    if (version == 11)
      request.keep_alive(false);
    return request;
  }

  std::optional<http_failure> send(boost::beast::http::request<boost::beast::http::string_body> request, std::string body) {
    if (!body.empty())
      request.set(boost::beast::http::field::content_type, options_.content_type);
    request.body() = std::move(body);
    request.prepare_payload();
    step([&](auto done) {
      boost::beast::http::async_write(stream_, request, [done](error_code e, std::size_t) { done(e); });
    });
    return on_sent();
  }

  /// Who refuses a request answers before having read all of it, so a failed write is no reason not to look for an answer,
  /// unless the time is up.
  std::optional<http_failure> on_sent() const {
    return last_ == boost::beast::error::timeout ? std::optional{broken()} : std::nullopt;
  }

  http_outcome read_answer(bool head_only = false) {
    answer_parser parser;
    parser.body_limit(options_.max_answer_bytes);
    parser.skip(head_only);
    return read_answer(parser);
  }

  /// The rest of an answer of which `parser` may have read the head.
  http_outcome read_answer(answer_parser& parser) {
    namespace http = boost::beast::http;
    step([&](auto done) { http::async_read(stream_, buffer_, parser, [done](error_code e, std::size_t) { done(e); }); });
    if (auto problem = on_read())
      return *std::move(problem);
    auto message = parser.release();
    return http_answer{message.result_int(), std::string(message[http::field::content_type]), std::move(message.body()), endpoint_,
                       std::string(message[http::field::link])};
  }

  /// Why the last read gave no answer.
  std::optional<http_failure> on_read() const {
    namespace http = boost::beast::http;
    if (!last_)
      return std::nullopt;
    if (last_ == http::error::body_limit)
      return failure(kind::bad_answer, "the answer of " + endpoint_ + " is larger than " + std::to_string(options_.max_answer_bytes) + " bytes");
    if (last_ != http::error::end_of_stream && last_ != http::error::partial_message
        && last_.category() == http::make_error_code(http::error::bad_method).category())
      return failure(kind::bad_answer, "what answers at " + endpoint_ + " does not speak HTTP: " + last_.message());
    return broken();
  }

  http_failure broken() const {
    if (last_ == boost::beast::error::timeout)
      return failure(kind::timeout, "no answer from " + endpoint_ + " within " + limit());
    return failure(kind::broken, "the connection to " + endpoint_ + " ended before its answer: " + last_.message());
  }

  /// Starts an operation and waits until it calls `done(error)`; leaves the error in `last()`.
  template <class Start>
  void step(Start&& start) {
    stream_.expires_at(deadline_);
    last_ = boost::asio::error::would_block;
    start([this](error_code error) { last_ = error; });
    io_.restart();
    io_.run();
  }

  static http_failure failure(kind reason, std::string sentence) { return {reason, std::move(sentence)}; }

  const std::string& endpoint() const { return endpoint_; }
  const http_call_options& options() const { return options_; }
  const error_code& last() const { return last_; }
  boost::asio::io_context& io() { return io_; }
  boost::beast::basic_stream<Protocol>& stream() { return stream_; }
  boost::beast::flat_buffer& buffer() { return buffer_; }

private:
  std::string limit() const { return std::to_string(options_.timeout.count()) + " ms"; }

  const std::string endpoint_;
  const http_call_options& options_;
  const std::chrono::steady_clock::time_point deadline_;
  boost::asio::io_context io_{1};
  boost::beast::basic_stream<Protocol> stream_{io_};
  boost::beast::flat_buffer buffer_;
  error_code last_;
};

} // namespace prunella::net
