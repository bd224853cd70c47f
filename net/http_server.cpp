#include "net/http_server.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <thread>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include "net/http_guard.hpp"

namespace prunella::net {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;
using error_code = boost::system::error_code;

namespace {

struct atomic_counters {
  std::atomic<std::uint64_t> connections{0}, refused_connections{0}, open_connections{0}, requests{0},
      refused_requests{0}, missed_deadlines{0}, timed_out_clients{0};
};

http_problem deadline_problem(std::chrono::milliseconds deadline) {
  return {504,
          "the agent did not answer within " + std::to_string(deadline.count()) + " ms",
          "the part that handles this request is busy, restarting, or waits for a site without a leader; a change may "
          "still take effect",
          "look at `prunella status`, then ask again",
          {}};
}

/// The answer to a message that could not be read; nothing if the connection just ended.
std::optional<http_problem> problem_of(const error_code& error, const http_server_options& options) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow)
    return http_problem{431,
                        "the request's header is too large",
                        "more than " + std::to_string(options.max_header_bytes) + " bytes",
                        "send fewer or shorter header fields",
                        {}};
  if (error == http::error::body_limit)
    return http_problem{413,
                        "the request's body is too large",
                        "more than " + std::to_string(options.max_body_bytes) + " bytes",
                        "send a smaller document, or several one after the other",
                        {}};
  if (error == http::error::end_of_stream ||
      error.category() != http::make_error_code(http::error::bad_method).category())
    return std::nullopt;
  return http_problem{400,
                      "the request is not HTTP/1.1",
                      error.message(),
                      "check what sends it: the first line must be `METHOD /path HTTP/1.1`",
                      {}};
}

std::string without_control_characters(std::string text) {
  for (auto& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      c = ' ';
  return text;
}

http::response<http::string_body> to_message(http_response response, unsigned version, bool keep_alive) {
  http::response<http::string_body> message;
  message.version(version);
  message.result(response.status);
  if (!response.content_type.empty())
    message.set(http::field::content_type, without_control_characters(std::move(response.content_type)));
  message.set(http::field::cache_control, "no-store");
  message.set("X-Content-Type-Options", "nosniff");
  for (auto& header : response.headers)
    message.set(header.name, without_control_characters(std::move(header.value)));
  if (response.status != 204 && response.status != 304)
    message.body() = std::move(response.body);
  message.keep_alive(keep_alive);
  message.prepare_payload();
  return message;
}

} // namespace

class http_session;

/// Everything the server's thread works on. Responders hold it weakly: a late answer finds it, or goes nowhere.
struct http_server_core : std::enable_shared_from_this<http_server_core> {
  http_server_core(http_server_options o, http_handler h) : options(std::move(o)), handler(std::move(h)) {}

  void listen();
  void accept();
  void on_accept(error_code error, tcp::socket socket);
  void stop();

  http_server_options options;
  http_handler handler;
  atomic_counters counters;
  std::set<http_session*> sessions; ///< only touched by the thread, or after it was joined
  tcp::endpoint local;
  std::mutex stopping;
  std::thread thread;
  // Last, so destroyed first: its pending operations hold the sessions, which look at the members above.
  asio::io_context io{1};
  tcp::acceptor acceptor{io};
  asio::steady_timer accept_pause{io};
};

/// One connection: reads a request, hands it on, writes its answer, and again. Exactly one read or write is pending at
/// any time, or else the answer's deadline; that operation holds the session alive.
class http_session : public std::enable_shared_from_this<http_session> {
public:
  http_session(tcp::socket socket, http_server_core& core)
      : core_(core), options_(core.options), stream_(std::move(socket)), deadline_(stream_.get_executor()),
        // Room for a full header and for what a client pipelines behind it.
        buffer_(core.options.max_header_bytes + 16 * 1024) {
    core_.sessions.insert(this);
    ++core_.counters.open_connections;
  }

  ~http_session() {
    core_.sessions.erase(this);
    --core_.counters.open_connections;
  }

  http_session(const http_session&) = delete;
  http_session& operator=(const http_session&) = delete;

  void await_request() {
    parser_.emplace();
    parser_->header_limit(static_cast<std::uint32_t>(options_.max_header_bytes));
    parser_->body_limit(options_.max_body_bytes);
    if (buffer_.size() > 0)
      return read_header();
    stream_.expires_after(options_.idle_timeout);
    stream_.async_read_some(buffer_.prepare(4096), [self = shared_from_this()](error_code error, std::size_t size) {
      self->buffer_.commit(size);
      if (!error)
        self->read_header();
    });
  }

  void close() {
    error_code ignored;
    stream_.socket().close(ignored);
  }

private:
  void read_header() {
    stream_.expires_after(options_.header_timeout);
    http::async_read_header(stream_, buffer_, *parser_,
                            [self = shared_from_this()](error_code error, std::size_t) { self->on_header(error); });
  }

  void on_header(error_code error) {
    if (error)
      return on_read_error(error);
    const auto& head = parser_->get();
    keep_alive_ = head.keep_alive();
    version_ = head.version();
    request_ = {};
    request_.method = head.method_string();
    request_.target = head.target();
    for (const auto& field : head)
      request_.headers.push_back({std::string(field.name_string()), std::string(field.value())});
    if (auto problem = check_origin(request_, options_.more_host_names))
      return refuse(*problem);
    if (beast::iequals(head[http::field::expect], "100-continue") && !parser_->is_done())
      return write_continue();
    read_body();
  }

  void write_continue() {
    static const std::string text = "HTTP/1.1 100 Continue\r\n\r\n";
    stream_.expires_after(options_.write_timeout);
    asio::async_write(stream_, asio::buffer(text), [self = shared_from_this()](error_code error, std::size_t) {
      if (!error)
        self->read_body();
    });
  }

  void read_body() {
    stream_.expires_after(options_.body_timeout);
    http::async_read(stream_, buffer_, *parser_, [self = shared_from_this()](error_code error, std::size_t) {
      if (error)
        return self->on_read_error(error);
      self->hand_on();
    });
  }

  void hand_on() {
    stream_.expires_never();
    request_.body = std::move(parser_->get().body());
    const auto number = ++request_number_;
    head_only_ = request_.method == "HEAD";
    ++core_.counters.requests;
    deadline_.expires_after(options_.answer_deadline);
    deadline_.async_wait([self = shared_from_this(), number](error_code error) {
      if (!error)
        self->on_deadline(number);
    });
    http_responder respond([core = core_.weak_from_this(), self = weak_from_this(), executor = stream_.get_executor(),
                            number](http_response response) {
      const auto alive = core.lock(); // and with it the io_context behind the executor
      if (!alive)
        return;
      asio::post(executor, [self, number, response = std::move(response)]() mutable {
        if (const auto connection = self.lock())
          connection->on_answer(number, std::move(response));
      });
    });
    try {
      core_.handler(std::move(request_), respond);
    } catch (const std::exception& error) {
      respond(http_problem{
          500, "the request could not be handled", error.what(), "this is a defect; please report it", {}});
    } catch (...) {
      // The responder goes away unanswered, which answers 500.
    }
  }

  void on_deadline(std::uint64_t number) {
    if (number != request_number_ || answered_number_ == number)
      return;
    ++core_.counters.missed_deadlines;
    on_answer(number, to_response(deadline_problem(options_.answer_deadline)));
  }

  void on_answer(std::uint64_t number, http_response response) {
    if (number != request_number_ || answered_number_ == number)
      return; // the deadline was first
    answered_number_ = number;
    deadline_.cancel();
    write(std::move(response), keep_alive_);
  }

  void on_read_error(const error_code& error) {
    if (error == beast::error::timeout)
      ++core_.counters.timed_out_clients;
    if (const auto problem = problem_of(error, options_))
      refuse(*problem);
  }

  /// Answers without the handler and closes: where the next request would start is not known, or not trusted.
  void refuse(const http_problem& problem) {
    ++core_.counters.refused_requests;
    head_only_ = false;
    write(to_response(problem), false);
  }

  void write(http_response response, bool keep_alive) {
    response_ = to_message(std::move(response), version_, keep_alive);
    serializer_.emplace(*response_);
    serializer_->split(head_only_);
    stream_.expires_after(options_.write_timeout);
    auto done = [self = shared_from_this(), keep_alive](error_code error, std::size_t) {
      self->on_written(error, keep_alive);
    };
    if (head_only_)
      http::async_write_header(stream_, *serializer_, std::move(done));
    else
      http::async_write(stream_, *serializer_, std::move(done));
  }

  void on_written(const error_code& error, bool keep_alive) {
    serializer_.reset();
    response_.reset();
    if (error == beast::error::timeout)
      ++core_.counters.timed_out_clients;
    if (error)
      return;
    if (keep_alive)
      return await_request();
    error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    stream_.expires_after(std::chrono::seconds(1));
    drain();
  }

  /// Reads on for up to a second before closing: closed with unread bytes, TCP resets the connection, and the client
  /// may lose the answer that said what was wrong.
  void drain() {
    buffer_.clear();
    stream_.async_read_some(buffer_.prepare(8192), [self = shared_from_this()](error_code error, std::size_t) {
      if (!error)
        self->drain();
    });
  }

  http_server_core& core_; // outlives the session: it owns the io_context whose operations own the session
  const http_server_options& options_;
  beast::tcp_stream stream_;
  asio::steady_timer deadline_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  http_request request_;
  std::optional<http::response<http::string_body>> response_;
  std::optional<http::response_serializer<http::string_body>> serializer_;
  std::uint64_t request_number_ = 0;
  std::uint64_t answered_number_ = 0;
  unsigned version_ = 11;
  bool keep_alive_ = false;
  bool head_only_ = false;
};

namespace {

/// Best effort, without waiting: a fresh socket has room for one small answer.
void answer_overload(tcp::socket& socket) {
  auto message = to_message(to_response({503,
                                         "too many connections are open",
                                         "the limit of this agent is reached",
                                         "close idle connections, or try again in a moment",
                                         {}}),
                            11, false);
  http::response_serializer<http::string_body> serializer(message);
  error_code ignored;
  socket.non_blocking(true, ignored);
  http::write(socket, serializer, ignored);
  socket.shutdown(tcp::socket::shutdown_send, ignored);
}

} // namespace

void http_server_core::listen() {
  const auto where = parse_loopback_address(options.address);
  const tcp::endpoint endpoint(asio::ip::make_address(where.address), where.port);
  error_code error;
  acceptor.open(endpoint.protocol(), error);
  if (!error)
    acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error)
    acceptor.bind(endpoint, error);
  if (!error)
    acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error == asio::error::address_in_use)
    throw std::runtime_error("the API cannot listen on `" + options.address +
                             "`: the port is in use, perhaps by another agent; stop it or choose another port "
                             "(port 0 takes a free one)");
  if (error)
    throw std::runtime_error("the API cannot listen on `" + options.address + "`: " + error.message());
  local = acceptor.local_endpoint();
}

void http_server_core::accept() {
  acceptor.async_accept([this](error_code error, tcp::socket socket) { on_accept(error, std::move(socket)); });
}

void http_server_core::on_accept(error_code error, tcp::socket socket) {
  if (error == asio::error::operation_aborted)
    return;
  if (error) { // out of file descriptors, mostly: asking again at once would spin
    accept_pause.expires_after(std::chrono::milliseconds(100));
    accept_pause.async_wait([this](error_code stopped) {
      if (!stopped)
        accept();
    });
    return;
  }
  ++counters.connections;
  if (sessions.size() >= options.max_connections) {
    ++counters.refused_connections;
    answer_overload(socket);
  } else {
    socket.set_option(tcp::no_delay(true), error);
    std::make_shared<http_session>(std::move(socket), *this)->await_request();
  }
  accept();
}

void http_server_core::stop() {
  const std::lock_guard<std::mutex> guard(stopping);
  io.stop();
  if (!thread.joinable())
    return;
  thread.join();
  error_code ignored;
  acceptor.close(ignored);
  for (auto* session : sessions)
    session->close();
  handler = nullptr;
}

http_server::http_server(http_server_options options, http_handler handler)
    : core_(std::make_shared<http_server_core>(std::move(options), std::move(handler))) {
  core_->listen();
  core_->accept();
  core_->thread = std::thread([core = core_.get()] { core->io.run(); });
}

http_server::~http_server() {
  stop();
}

void http_server::stop() {
  core_->stop();
}

std::uint16_t http_server::port() const {
  return core_->local.port();
}

std::string http_server::url() const {
  const auto address = core_->local.address();
  const auto host = address.is_v6() ? "[" + address.to_string() + "]" : address.to_string();
  return "http://" + host + ":" + std::to_string(port());
}

http_server_counters http_server::counters() const {
  const auto& c = core_->counters;
  return {c.connections,      c.refused_connections, c.open_connections, c.requests,
          c.refused_requests, c.missed_deadlines,    c.timed_out_clients};
}

} // namespace prunella::net
