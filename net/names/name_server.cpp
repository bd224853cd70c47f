#include "net/names/name_server.hpp"

#include <sys/stat.h>

#include <array>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <random>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include "net/names/dns_message.hpp"

namespace prunella::net {

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using asio::ip::udp;
using error_code = boost::system::error_code;
using handler = std::function<void(std::string answer)>; ///< empty: there is none

constexpr std::size_t max_resolvers = 3; // as resolv.conf(5)
constexpr int tries_for_a_port = 16;

/// What all of it works on; belongs to the server's thread.
struct server_core {
  explicit server_core(name_server_options o) : options(std::move(o)) {}

  /// The answer, now or when another server gave it.
  void answer(std::string_view bytes, const asio::ip::address& client, bool is_udp, const handler& done);
  const std::vector<udp::endpoint>& resolvers();

  name_server_options options;
  name_table table;
  std::map<asio::ip::address, std::size_t> questions_of; ///< open ones, by client
  std::size_t questions = 0;
  std::size_t connections = 0;
  std::mt19937 random{std::random_device{}()};
  std::vector<udp::endpoint> known_resolvers;
  timespec resolvers_changed{};
  asio::io_context io{1};
};

/// Counts an open question for as long as it lives.
class open_question {
public:
  open_question(server_core& core, asio::ip::address client) : core_(core), client_(std::move(client)) {
    ++core_.questions;
    ++core_.questions_of[client_];
  }
  open_question(const open_question&) = delete;
  open_question& operator=(const open_question&) = delete;
  ~open_question() {
    --core_.questions;
    if (const auto it = core_.questions_of.find(client_); --it->second == 0)
      core_.questions_of.erase(it);
  }

private:
  server_core& core_;
  asio::ip::address client_;
};

// -- other servers -------------------------------------------------------------------------------------------------------

/// One question to the host's resolvers, one after the other, with an id and a port of our own.
class udp_question : public std::enable_shared_from_this<udp_question> {
public:
  udp_question(server_core& core, asio::ip::address client, std::string_view asked, handler done)
    : core_(core), open_(core, std::move(client)), asked_(asked), done_(std::move(done)), socket_(core.io), timer_(core.io) {
    first_[0] = asked_[0];
    first_[1] = asked_[1];
    const auto id = core_.random();
    asked_[0] = static_cast<char>(id & 255);
    asked_[1] = static_cast<char>(id >> 8 & 255);
  }

  void start() {
    const auto& all = core_.resolvers();
    error_code error;
    socket_.close(error);
    if (next_ >= all.size())
      return done_({});
    const auto to = all[next_++];
    socket_.open(to.protocol(), error);
    if (!error)
      socket_.connect(to, error);
    if (!error)
      socket_.send(asio::buffer(asked_), 0, error);
    if (error)
      return asio::post(core_.io, [self = shared_from_this()] { self->start(); });
    timer_.expires_after(core_.options.patience);
    timer_.async_wait([self = shared_from_this()](error_code stopped) {
      if (!stopped)
        self->start();
    });
    receive();
  }

private:
  void receive() {
    socket_.async_receive(asio::buffer(buffer_), [self = shared_from_this(), round = next_](error_code error, std::size_t size) {
      if (round != self->next_ || error == asio::error::operation_aborted)
        return;
      self->on_received(error, {self->buffer_.data(), size});
    });
  }

  void on_received(error_code error, std::string_view bytes) {
    if (!error && !is_answer_to(bytes, asked_))
      return receive(); // not what was asked: somebody guesses
    timer_.cancel();
    if (error) // nobody listens there
      return start();
    std::string answer{bytes};
    answer[0] = first_[0];
    answer[1] = first_[1];
    done_(std::move(answer));
  }

  server_core& core_;
  open_question open_;
  std::string asked_;
  handler done_;
  udp::socket socket_;
  asio::steady_timer timer_;
  std::array<char, 2> first_{};
  std::array<char, 65'535> buffer_{};
  std::size_t next_ = 0;
};

/// The same over TCP, for answers that are too long for UDP.
class tcp_question : public std::enable_shared_from_this<tcp_question> {
public:
  tcp_question(server_core& core, asio::ip::address client, std::string_view asked, handler done)
    : core_(core), open_(core, std::move(client)), asked_(asked), done_(std::move(done)), socket_(core.io), timer_(core.io) {}

  void start() {
    const auto& all = core_.resolvers();
    error_code ignored;
    socket_.close(ignored);
    if (next_ >= all.size())
      return done_({});
    const auto to = all[next_++];
    timer_.expires_after(core_.options.patience);
    timer_.async_wait([self = shared_from_this()](error_code stopped) {
      error_code none;
      if (!stopped)
        self->socket_.close(none);
    });
    socket_.async_connect({to.address(), to.port()}, [self = shared_from_this()](error_code error) { self->send(error); });
  }

private:
  void send(error_code error) {
    if (error)
      return give_up();
    size_ = {static_cast<unsigned char>(asked_.size() >> 8), static_cast<unsigned char>(asked_.size() & 255)};
    const std::array<asio::const_buffer, 2> parts{asio::buffer(size_), asio::buffer(asked_)};
    asio::async_write(socket_, parts, [self = shared_from_this()](error_code failed, std::size_t) {
      if (failed)
        return self->give_up();
      asio::async_read(self->socket_, asio::buffer(self->size_), [self](error_code broken, std::size_t) { self->receive(broken); });
    });
  }

  void receive(error_code error) {
    answer_.resize(static_cast<std::size_t>(size_[0] << 8 | size_[1]));
    if (error)
      return give_up();
    asio::async_read(socket_, asio::buffer(answer_), [self = shared_from_this()](error_code broken, std::size_t) {
      if (broken || !is_answer_to(self->answer_, self->asked_))
        return self->give_up();
      self->timer_.cancel();
      self->done_(std::move(self->answer_));
    });
  }

  void give_up() {
    timer_.cancel();
    start();
  }

  server_core& core_;
  open_question open_;
  std::string asked_;
  handler done_;
  tcp::socket socket_;
  asio::steady_timer timer_;
  std::array<unsigned char, 2> size_{};
  std::string answer_;
  std::size_t next_ = 0;
};

// -- answers -------------------------------------------------------------------------------------------------------------

const std::vector<udp::endpoint>& server_core::resolvers() {
  struct stat status {};
  if (::stat(options.resolver_file.c_str(), &status) != 0) {
    known_resolvers.clear();
    resolvers_changed = {};
  } else if (status.st_mtim.tv_sec != resolvers_changed.tv_sec || status.st_mtim.tv_nsec != resolvers_changed.tv_nsec) {
    resolvers_changed = status.st_mtim;
    std::ifstream file{options.resolver_file};
    const std::string text{std::istreambuf_iterator<char>{file}, {}};
    known_resolvers.clear();
    for (const auto& address : resolvers_in(text, options.address))
      known_resolvers.emplace_back(asio::ip::make_address(address), options.resolver_port);
  }
  return known_resolvers;
}

void server_core::answer(std::string_view bytes, const asio::ip::address& client, bool is_udp, const handler& done) {
  const auto query = parse_dns_query(bytes);
  if (!query)
    return done({});
  const auto limit = is_udp ? query->udp_bytes : std::size_t{65'535};
  const auto say = [&](const dns_answer& x) { done(encode_dns_answer(*query, x, limit)); };
  dns_answer refusal;
  if (query->operation != 0 || query->question.empty()) {
    refusal.code = query->operation != 0 ? dns_code::unknown : dns_code::malformed;
    return say(refusal);
  }
  const auto own = query->family == 1 ? answer_by(table, *query, client.to_v4().to_uint()) : std::nullopt;
  if (own)
    return say(*own);
  refusal.code = dns_code::failed; // there is no other server, or none that answers
  const auto of_client = questions_of.find(client);
  if (questions >= options.max_questions || (of_client != questions_of.end() && of_client->second >= options.max_questions_of_client))
    return say(refusal);
  const auto pass = [done, limit, asked = *query, refusal](std::string given) {
    done(given.empty() ? encode_dns_answer(asked, refusal, limit) : std::move(given));
  };
  if (is_udp)
    std::make_shared<udp_question>(*this, client, bytes, pass)->start();
  else
    std::make_shared<tcp_question>(*this, client, bytes, pass)->start();
}

/// A client's TCP connection: one question after the other, each with its length in front.
class tcp_client : public std::enable_shared_from_this<tcp_client> {
public:
  tcp_client(server_core& core, tcp::socket socket) : core_(core), socket_(std::move(socket)), timer_(core.io) {
    ++core_.connections;
  }
  ~tcp_client() { --core_.connections; }

  void next() {
    timer_.expires_after(core_.options.idle_timeout);
    timer_.async_wait([self = shared_from_this()](error_code stopped) {
      error_code ignored;
      if (!stopped)
        self->socket_.close(ignored);
    });
    asio::async_read(socket_, asio::buffer(size_), [self = shared_from_this()](error_code error, std::size_t) {
      if (error)
        return void(self->timer_.cancel());
      self->bytes_.resize(static_cast<std::size_t>(self->size_[0] << 8 | self->size_[1]));
      asio::async_read(self->socket_, asio::buffer(self->bytes_), [self](error_code broken, std::size_t) { self->on_question(broken); });
    });
  }

private:
  void on_question(error_code error) {
    timer_.cancel();
    const auto from = error ? tcp::endpoint{} : socket_.remote_endpoint(error);
    if (error)
      return;
    core_.answer(bytes_, from.address(), false, [self = shared_from_this()](std::string answer) {
      if (answer.empty())
        return; // that was no question
      self->bytes_ = std::move(answer);
      self->size_ = {static_cast<unsigned char>(self->bytes_.size() >> 8), static_cast<unsigned char>(self->bytes_.size() & 255)};
      const std::array<asio::const_buffer, 2> parts{asio::buffer(self->size_), asio::buffer(self->bytes_)};
      asio::async_write(self->socket_, parts, [self](error_code broken, std::size_t) {
        if (!broken)
          self->next();
      });
    });
  }

  server_core& core_;
  tcp::socket socket_;
  asio::steady_timer timer_;
  std::array<unsigned char, 2> size_{};
  std::string bytes_;
};

// -- the server ----------------------------------------------------------------------------------------------------------

class real_name_server final : public name_server {
public:
  explicit real_name_server(name_server_options options)
    : core_(std::move(options)), datagrams_(core_.io), acceptor_(core_.io), pause_(core_.io) {
    listen();
    receive();
    accept();
    thread_ = std::thread([this] { core_.io.run(); });
  }

  ~real_name_server() override {
    core_.io.stop();
    thread_.join();
  }

  void set(name_table table) override {
    asio::post(core_.io, [this, next = std::move(table)]() mutable { core_.table = std::move(next); });
  }

  std::uint16_t port() const override { return port_; }

private:
  void listen() {
    const auto& options = core_.options;
    error_code error;
    const auto address = asio::ip::make_address_v4(options.address, error);
    for (int i = 0; i < (options.port == 0 ? tries_for_a_port : 1) && (i == 0 || error); ++i) {
      error_code ignored;
      datagrams_.close(ignored);
      acceptor_.close(ignored);
      datagrams_.open(udp::v4(), error);
      datagrams_.bind({address, options.port}, error);
      port_ = error ? options.port : datagrams_.local_endpoint(ignored).port();
      acceptor_.open(tcp::v4(), ignored);
      acceptor_.set_option(tcp::acceptor::reuse_address(true), ignored);
      if (!error)
        acceptor_.bind({address, port_}, error);
      if (!error)
        acceptor_.listen(asio::socket_base::max_listen_connections, error);
    }
    if (error)
      throw std::runtime_error("names cannot be answered at " + options.address + ':' + std::to_string(port_) + ": " + error.message()
                               + "; let what listens there on all addresses (dnsmasq, bind) leave this one out");
  }

  bool is_client(const asio::ip::address& address) const {
    return address.is_v4() && core_.options.clients.holds(address.to_v4().to_uint());
  }

  void receive() {
    datagrams_.async_receive_from(asio::buffer(buffer_), from_, [this](error_code error, std::size_t size) {
      if (error == asio::error::operation_aborted)
        return;
      if (!error && is_client(from_.address()))
        core_.answer({buffer_.data(), size}, from_.address(), true, [this, to = from_](const std::string& answer) {
          error_code lost; // as any datagram may be
          if (!answer.empty())
            datagrams_.send_to(asio::buffer(answer), to, 0, lost);
        });
      receive();
    });
  }

  void accept() {
    if (core_.connections >= core_.options.max_connections)
      return accept_later();
    acceptor_.async_accept([this](error_code error, tcp::socket socket) {
      if (error == asio::error::operation_aborted)
        return;
      error_code gone;
      if (!error && is_client(socket.remote_endpoint(gone).address()) && !gone)
        std::make_shared<tcp_client>(core_, std::move(socket))->next();
      error ? accept_later() : accept(); // out of descriptors, mostly
    });
  }

  void accept_later() {
    pause_.expires_after(std::chrono::milliseconds{100});
    pause_.async_wait([this](error_code error) {
      if (!error)
        accept();
    });
  }

  server_core core_;
  udp::socket datagrams_;
  tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  udp::endpoint from_;
  std::array<char, 4096> buffer_{};
  std::uint16_t port_ = 0;
  std::thread thread_;
};

} // namespace

std::unique_ptr<name_server> make_name_server(name_server_options options) {
  return std::make_unique<real_name_server>(std::move(options));
}

std::vector<std::string> resolvers_in(std::string_view text, const std::string& own) {
  std::vector<std::string> found;
  std::istringstream lines{std::string{text}};
  for (std::string line; std::getline(lines, line) && found.size() < max_resolvers;) {
    std::istringstream words{line};
    std::string word, value;
    words >> word >> value;
    error_code error;
    asio::ip::make_address(value, error);
    if (word == "nameserver" && !error && value != own)
      found.push_back(value);
  }
  return found;
}

} // namespace prunella::net
