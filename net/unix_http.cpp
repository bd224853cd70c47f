#include "net/unix_http.hpp"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <optional>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

namespace prunella::net {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using protocol = asio::local::stream_protocol;
using error_code = boost::system::error_code;
using kind = http_failure::kind;

namespace {

constexpr std::size_t sent_at_once = 256 * 1024;
constexpr std::size_t longest_socket_path = 107; // unix(7)

std::uint64_t padding_of(const upload_part& part) {
  const auto size = part.bytes.size() + part.file_bytes;
  return part.align > 1 ? (part.align - size % part.align) % part.align : 0;
}

std::uint64_t size_of(const std::vector<upload_part>& body) {
  std::uint64_t size = 0;
  for (const auto& part : body)
    size += part.bytes.size() + part.file_bytes + padding_of(part);
  return size;
}

/// One exchange: each step starts an operation and runs the io_context until it is done or the time is up.
class exchange {
public:
  exchange(std::string socket, const http_call_options& options)
      : socket_(std::move(socket)), options_(options), deadline_(std::chrono::steady_clock::now() + options.timeout) {}

  std::optional<http_failure> connect() {
    if (socket_.size() > longest_socket_path)
      return failure(kind::bad_endpoint, "the path of the socket " + socket_ + " is longer than a unix socket's may be");
    step([&](auto done) { stream_.async_connect(protocol::endpoint(socket_), done); });
    if (!last_)
      return std::nullopt;
    if (last_ == asio::error::connection_refused)
      return failure(kind::refused, "connection refused: nothing answers at " + socket_);
    return failure(kind::refused, last_ == beast::error::timeout ? "no connection to " + socket_ + " within " + limit()
                                                                 : "no connection to " + socket_ + ": " + last_.message());
  }

  std::optional<http_failure> send(std::string_view method, std::string_view target, std::string body, unsigned version,
                                   bool upgrade) {
    http::request<http::string_body> request;
    fill(request, method, target, version);
    if (upgrade) {
      request.set(http::field::connection, "Upgrade");
      request.set(http::field::upgrade, "tcp");
    }
    if (!body.empty())
      request.set(http::field::content_type, options_.content_type);
    request.body() = std::move(body);
    request.prepare_payload();
    step([&](auto done) { http::async_write(stream_, request, [done](error_code e, std::size_t) { done(e); }); });
    return on_sent();
  }

  std::optional<http_failure> send(std::string_view target, const std::vector<upload_part>& body) {
    http::request<http::empty_body> request;
    fill(request, "POST", target, 11);
    request.set(http::field::content_type, options_.content_type);
    request.content_length(size_of(body));
    http::request_serializer<http::empty_body> head{request};
    step([&](auto done) { http::async_write_header(stream_, head, [done](error_code e, std::size_t) { done(e); }); });
    for (const auto& part : body) {
      if (last_)
        break;
      if (auto problem = send(part))
        return problem;
    }
    return on_sent();
  }

  http_outcome read_answer() {
    http::response_parser<http::string_body> parser;
    parser.body_limit(options_.max_answer_bytes);
    step([&](auto done) { http::async_read(stream_, buffer_, parser, [done](error_code e, std::size_t) { done(e); }); });
    if (auto problem = on_read())
      return *std::move(problem);
    return answer(parser.release());
  }

  std::variant<unix_stream, http_answer, http_failure> read_stream() {
    http::response_parser<http::string_body> parser;
    parser.body_limit(options_.max_answer_bytes);
    step([&](auto done) { http::async_read_header(stream_, buffer_, parser, [done](error_code e, std::size_t) { done(e); }); });
    if (auto problem = on_read())
      return *std::move(problem);
    const auto status = parser.get().result_int();
    if (status == 101 || status / 100 == 2) {
      stream_.expires_never();
      error_code error;
      const int fd = stream_.release_socket().release(error);
      if (error || ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK) != 0)
        return failure(kind::broken, "the connection to " + socket_ + " cannot be taken over");
      return unix_stream{fd, beast::buffers_to_string(buffer_.data())};
    }
    step([&](auto done) { http::async_read(stream_, buffer_, parser, [done](error_code e, std::size_t) { done(e); }); });
    if (auto problem = on_read())
      return *std::move(problem);
    return answer(parser.release());
  }

private:
  template <class Request>
  void fill(Request& request, std::string_view method, std::string_view target, unsigned version) {
    request.version(version);
    request.method_string({method.data(), method.size()});
    request.target({target.data(), target.size()});
    request.set(http::field::host, "localhost");
    request.set(http::field::user_agent, "prunella");
    request.set(http::field::accept, "application/json");
    if (version == 11)
      request.keep_alive(false);
  }

  std::optional<http_failure> send(const upload_part& part) {
    write(part.bytes);
    if (!part.file.empty()) {
      std::ifstream file{part.file, std::ios::binary};
      std::string bytes;
      for (auto left = part.file_bytes; left > 0 && !last_; left -= bytes.size()) {
        bytes.resize(static_cast<std::size_t>(std::min<std::uint64_t>(left, sent_at_once)));
        if (!file.read(bytes.data(), static_cast<std::streamsize>(bytes.size())))
          return failure(kind::broken, "the file " + part.file + " ends before its " + std::to_string(part.file_bytes) + " bytes");
        write(bytes);
      }
    }
    write(std::string(static_cast<std::size_t>(padding_of(part)), '\0'));
    return std::nullopt;
  }

  void write(const std::string& bytes) {
    if (!last_ && !bytes.empty())
      step([&](auto done) { asio::async_write(stream_, asio::buffer(bytes), [done](error_code e, std::size_t) { done(e); }); });
  }

  /// Who refuses a request answers before having read all of it, so a failed write is no reason not to look for an answer,
  /// unless the time is up.
  std::optional<http_failure> on_sent() {
    return last_ == beast::error::timeout ? std::optional{broken()} : std::nullopt;
  }

  std::optional<http_failure> on_read() {
    if (!last_)
      return std::nullopt;
    if (last_ == http::error::body_limit)
      return failure(kind::bad_answer, "the answer of " + socket_ + " is larger than " + std::to_string(options_.max_answer_bytes) + " bytes");
    if (last_ != http::error::end_of_stream && last_ != http::error::partial_message
        && last_.category() == http::make_error_code(http::error::bad_method).category())
      return failure(kind::bad_answer, "what answers at " + socket_ + " does not speak HTTP: " + last_.message());
    return broken();
  }

  http_failure broken() const {
    if (last_ == beast::error::timeout)
      return failure(kind::timeout, "no answer from " + socket_ + " within " + limit());
    return failure(kind::broken, "the connection to " + socket_ + " ended before its answer: " + last_.message());
  }

  http_answer answer(http::response<http::string_body> message) const {
    return {message.result_int(), std::string(message[http::field::content_type]), std::move(message.body()), socket_, {}};
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

  std::string limit() const { return std::to_string(options_.timeout.count()) + " ms"; }

  static http_failure failure(kind reason, std::string sentence) { return {reason, std::move(sentence)}; }

  const std::string socket_;
  const http_call_options& options_;
  const std::chrono::steady_clock::time_point deadline_;
  asio::io_context io_{1};
  beast::basic_stream<protocol> stream_{io_};
  beast::flat_buffer buffer_;
  error_code last_;
};

} // namespace

http_outcome unix_call(const std::string& socket, std::string_view method, std::string_view target, std::string body,
                       const http_call_options& options) {
  exchange x{socket, options};
  if (auto problem = x.connect())
    return *std::move(problem);
  if (auto problem = x.send(method, target, std::move(body), 11, false))
    return *std::move(problem);
  return x.read_answer();
}

http_outcome unix_upload(const std::string& socket, std::string_view target, const std::vector<upload_part>& body,
                         const http_call_options& options) {
  exchange x{socket, options};
  if (auto problem = x.connect())
    return *std::move(problem);
  if (auto problem = x.send(target, body))
    return *std::move(problem);
  return x.read_answer();
}

std::variant<unix_stream, http_answer, http_failure> unix_open(const std::string& socket, std::string_view method,
                                                               std::string_view target, std::string body, bool upgrade,
                                                               const http_call_options& options) {
  exchange x{socket, options};
  if (auto problem = x.connect())
    return *std::move(problem);
  if (auto problem = x.send(method, target, std::move(body), upgrade ? 11 : 10, upgrade))
    return *std::move(problem);
  return x.read_stream();
}

} // namespace prunella::net
