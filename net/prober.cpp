#include "net/prober.hpp"

#include <thread>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_static_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>

#include "net/link_socket.hpp"

namespace prunella::net {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;
using error_code = boost::system::error_code;

struct prober_core {
  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> guard{io.get_executor()};
  std::thread thread;
};

namespace {

constexpr std::size_t max_header_bytes = 16 * 1024;

class probe : public std::enable_shared_from_this<probe> {
public:
  probe(asio::io_context& io, probe_question question, std::function<void(const probe_finding&)> done)
    : question_(std::move(question)), done_(std::move(done)), socket_(io), timer_(io),
      start_(std::chrono::steady_clock::now()) {}

  void start() {
    timer_.expires_after(question_.timeout);
    timer_.async_wait([self = shared_from_this()](error_code error) {
      if (!error)
        self->end(self->address_ + " did not answer within " + std::to_string(self->question_.timeout.count()) + " ms");
    });
    connect("there is nothing to ask");
  }

private:
  void connect(const std::string& why) {
    if (tried_ == question_.addresses.size())
      return end(refused_.empty() ? why
                                  : "nothing listens on port " + std::to_string(port_) + " of " + refused_
                                      + "; correct the port of the probe, or where the container listens");
    address_ = question_.addresses[tried_++];
    std::string host;
    std::uint16_t port = 0;
    error_code error;
    const auto parsed = split_address(address_, host, port) ? asio::ip::make_address(host, error) : asio::ip::address{};
    error_code ignored;
    socket_.close(ignored);
    port_ = port;
    socket_.async_connect({parsed, port}, [self = shared_from_this(), host](error_code failed) {
      if (!self->done_)
        return;
      if (failed == asio::error::connection_refused)
        self->refused_ += (self->refused_.empty() ? "" : ", ") + host;
      if (failed)
        return self->connect(self->address_ + ": " + failed.message());
      self->question_.is_http ? self->send() : self->end({});
    });
  }

  void send() {
    request_.method(http::verb::get);
    request_.version(11);
    request_.target(question_.path);
    for (const auto& [name, value] : question_.headers)
      request_.set(name, value);
    if (request_.find(http::field::host) == request_.end())
      request_.set(http::field::host, question_.host.empty() ? address_ : question_.host);
    if (request_.find(http::field::user_agent) == request_.end())
      request_.set(http::field::user_agent, "prunella-probe");
    request_.set(http::field::connection, "close");
    parser_.header_limit(max_header_bytes);
    http::async_write(socket_, request_, [self = shared_from_this()](error_code failed, std::size_t) {
      if (failed)
        return self->end(self->address_ + ": " + failed.message());
      self->receive();
    });
  }

  /// The status tells; nobody reads the body.
  void receive() {
    http::async_read_header(socket_, buffer_, parser_, [self = shared_from_this()](error_code failed, std::size_t) {
      if (failed)
        return self->end(self->address_ + " gave no HTTP answer: " + failed.message());
      const auto status = self->parser_.get().result_int();
      const auto& x = self->question_;
      if (status >= x.expect_min && status <= x.expect_max)
        return self->end({});
      self->end(self->address_ + x.path + " answered " + std::to_string(status) + ", not " + std::to_string(x.expect_min) + '-'
                + std::to_string(x.expect_max));
    });
  }

  void end(std::string problem) {
    const auto done = std::exchange(done_, nullptr);
    if (!done)
      return;
    timer_.cancel();
    error_code ignored;
    socket_.close(ignored);
    const auto took = std::chrono::steady_clock::now() - start_;
    const bool is_good = problem.empty();
    done({is_good, std::move(problem), std::chrono::duration_cast<std::chrono::milliseconds>(took)});
  }

  probe_question question_;
  std::function<void(const probe_finding&)> done_;
  tcp::socket socket_;
  asio::steady_timer timer_;
  std::chrono::steady_clock::time_point start_;
  std::string address_; ///< that is being asked
  std::size_t tried_ = 0;
  std::uint16_t port_ = 0;
  std::string refused_; ///< addresses that did so
  http::request<http::empty_body> request_;
  http::response_parser<http::empty_body> parser_;
  boost::beast::flat_static_buffer<max_header_bytes + 4'096> buffer_;
};

} // namespace

prober::prober() : core_(std::make_unique<prober_core>()) {
  core_->thread = std::thread([core = core_.get()] { core->io.run(); });
}

prober::~prober() {
  core_->io.stop();
  core_->thread.join();
}

void prober::ask(probe_question question, std::function<void(const probe_finding&)> done) {
  asio::post(core_->io, [core = core_.get(), question = std::move(question), done = std::move(done)]() mutable {
    std::make_shared<probe>(core->io, std::move(question), std::move(done))->start();
  });
}

} // namespace prunella::net
