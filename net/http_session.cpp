// One connection of the HTTP server: requests in, answers out, and every limit and deadline of both.

#include <algorithm>
#include <chrono>
#include <exception>
#include <optional>
#include <string>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/write.hpp>

#include "net/http_message.hpp"
#include "net/http_server_core.hpp"

namespace prunella::net {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;
using error_code = boost::system::error_code;

namespace {

/// What one read takes.
constexpr std::size_t read_bytes = 16 * 1024;

http_problem deadline_problem(std::chrono::milliseconds deadline) {
  return {504,
          "the agent did not answer within " + std::to_string(deadline.count()) + " ms",
          "the part that handles this request is busy, restarting, or waits for a site without a leader; a change may "
          "still take effect",
          "look at `prunella status`, then ask again",
          {}};
}

} // namespace

/// One connection: reads a request, hands it on, writes its answer, and again. Exactly one read or write is pending at any
/// time, or else an answer is awaited; `core.sessions` holds it until it ends.
class http_session : public std::enable_shared_from_this<http_session> {
public:
  http_session(tcp::socket socket, http_server_core& core)
      : core_(core), options_(core.options), socket_(std::move(socket)), timer_(socket_.get_executor()),
        // Room for a full header and for what a client pipelines behind it.
        buffer_(core.options.max_header_bytes + read_bytes) {
    ++core_.counters.open_connections;
  }

  ~http_session() { --core_.counters.open_connections; }

  http_session(const http_session&) = delete;
  http_session& operator=(const http_session&) = delete;

  void await_request() {
    reader_.emplace(options_);
    if (buffer_.size() > 0) {
      enter(stage::header, options_.header_timeout);
      return parse();
    }
    enter(stage::idle, options_.idle_timeout);
    read();
  }

  void close() {
    error_code ignored;
    socket_.close(ignored);
    timer_.cancel();
  }

private:
  enum class stage { idle, header, body, answer, write, drain };

  // -- time ------------------------------------------------------------------------------------------------------------

  /// The timer is armed lazily: a stage that ends in time costs no timer operation, only a clock reading.
  void enter(stage next, std::chrono::milliseconds limit) {
    stage_ = next;
    deadline_ = clock::now() + limit;
    if (deadline_ < armed_for_)
      arm();
  }

  void arm() {
    armed_for_ = deadline_;
    timer_.expires_at(deadline_);
    timer_.async_wait([weak = weak_from_this()](error_code error) {
      const auto self = weak.lock();
      if (!error && self)
        self->on_timer();
    });
  }

  void on_timer() {
    armed_for_ = clock::time_point::max();
    if (clock::now() < deadline_)
      return arm();
    switch (stage_) {
    case stage::answer:
      ++core_.counters.missed_deadlines;
      return on_answer(request_number_, to_response(deadline_problem(options_.answer_deadline)));
    case stage::header:
    case stage::body: {
      ++core_.counters.timed_out_clients;
      is_late_ = true;
      error_code ignored;
      socket_.cancel(ignored); // the pending read or write ends, and the client hears why
      return;
    }
    case stage::write:
      ++core_.counters.timed_out_clients;
      return end();
    case stage::idle:
    case stage::drain:
      return end();
    }
  }

  void end() {
    close();
    core_.sessions.erase(shared_from_this());
  }

  // -- a request -------------------------------------------------------------------------------------------------------

  void read() {
    const auto room = std::min(buffer_.max_size() - buffer_.size(), read_bytes);
    socket_.async_read_some(buffer_.prepare(room), [self = shared_from_this()](error_code error, std::size_t size) {
      self->buffer_.commit(size);
      self->on_read(error);
    });
  }

  void on_read(error_code error) {
    if (is_late_)
      return refuse(late_problem());
    if (error == asio::error::eof && reader_->has_begun())
      return refuse(reader_->cut_off());
    if (error)
      return end();
    if (stage_ == stage::idle)
      enter(stage::header, options_.header_timeout);
    parse();
  }

  /// Takes what is in the buffer as far as it goes.
  void parse() {
    switch (reader_->next(buffer_)) {
    case http_reader::result::more:
      return read();
    case http_reader::result::header:
      enter(stage::body, options_.body_timeout);
      return reader_->wants_continue() ? write_continue() : parse();
    case http_reader::result::request:
      return hand_on();
    case http_reader::result::refused:
      return refuse(reader_->problem());
    }
  }

  void write_continue() {
    static const std::string text = "HTTP/1.1 100 Continue\r\n\r\n";
    asio::async_write(socket_, asio::buffer(text), [self = shared_from_this()](error_code error, std::size_t) {
      if (error)
        return self->end();
      self->parse();
    });
  }

  http_problem late_problem() const {
    const bool header = stage_ == stage::header;
    const auto limit = header ? options_.header_timeout : options_.body_timeout;
    return {408,
            header ? "the request's header did not arrive in time" : "the request's body did not arrive in time",
            "it took more than " + std::to_string(limit.count()) + " ms",
            "send the whole request at once; on a slow link, send less",
            {}};
  }

  // -- its answer ------------------------------------------------------------------------------------------------------

  void hand_on() {
    enter(stage::answer, options_.answer_deadline);
    auto request = reader_->take_request();
    const auto number = ++request_number_;
    head_only_ = request.method == "HEAD";
    ++core_.counters.requests;
    http_responder respond([core = core_.weak_from_this(), self = weak_from_this(), executor = socket_.get_executor(),
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
      core_.handler(std::move(request), respond);
    } catch (const std::exception& error) {
      respond(http_problem{
          500, "the request could not be handled", error.what(), "this is a defect; please report it", {}});
    } catch (...) {
      // The responder goes away unanswered, which answers 500.
    }
  }

  void on_answer(std::uint64_t number, http_response response) {
    if (stage_ == stage::answer && number == request_number_) // else the deadline was first
      write(std::move(response), reader_->keep_alive());
  }

  /// Answers without the handler and closes: where the next request would start is not known, or not trusted.
  void refuse(const http_problem& problem) {
    ++core_.counters.refused_requests;
    head_only_ = false;
    write(to_response(problem), false);
  }

  void write(http_response response, bool keep_alive) {
    enter(stage::write, options_.write_timeout);
    response_ = to_message(std::move(response), reader_->version(), keep_alive);
    serializer_.emplace(*response_);
    serializer_->split(head_only_);
    auto done = [self = shared_from_this(), keep_alive](error_code error, std::size_t) {
      self->on_written(error, keep_alive);
    };
    if (head_only_)
      http::async_write_header(socket_, *serializer_, std::move(done));
    else
      http::async_write(socket_, *serializer_, std::move(done));
  }

  void on_written(const error_code& error, bool keep_alive) {
    serializer_.reset();
    response_.reset();
    if (error)
      return end();
    if (keep_alive)
      return await_request();
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    enter(stage::drain, std::chrono::seconds(1));
    drain();
  }

  /// Reads on for up to a second before closing: closed with unread bytes, TCP resets the connection, and the client
  /// may lose the answer that said what was wrong.
  void drain() {
    buffer_.clear();
    socket_.async_read_some(buffer_.prepare(8192), [self = shared_from_this()](error_code error, std::size_t) {
      error ? self->end() : self->drain();
    });
  }

  using clock = std::chrono::steady_clock;

  http_server_core& core_; // outlives the session: it owns the io_context whose operations own the session
  const http_server_options& options_;
  tcp::socket socket_;
  asio::steady_timer timer_;
  clock::time_point deadline_{};
  clock::time_point armed_for_ = clock::time_point::max(); ///< max: the timer is not armed
  stage stage_ = stage::idle;
  bool is_late_ = false; ///< the client, with its request
  beast::flat_buffer buffer_;
  std::optional<http_reader> reader_;
  std::optional<http_message> response_;
  std::optional<http::response_serializer<http::string_body>> serializer_;
  std::uint64_t request_number_ = 0;
  bool head_only_ = false;
};

void start_http_session(tcp::socket socket, http_server_core& core) {
  (*core.sessions.insert(std::make_shared<http_session>(std::move(socket), core)).first)->await_request();
}

void close_http_session(http_session& session) {
  session.close();
}

void refuse_http_connection(tcp::socket& socket) {
  auto message = to_message(to_response({503,
                                         "too many connections are open",
                                         "the limit of this agent is reached",
                                         "close idle connections, or try again in a moment",
                                         {}}),
                            11, false);
  http::response_serializer<http::string_body> serializer(message);
  error_code ignored;
  // A fresh socket has room for one small answer.
  socket.non_blocking(true, ignored);
  http::write(socket, serializer, ignored);
  socket.shutdown(tcp::socket::shutdown_send, ignored);
}

} // namespace prunella::net
