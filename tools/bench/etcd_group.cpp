#include "tools/bench/etcd_group.hpp"

#include <deque>
#include <filesystem>
#include <future>
#include <netinet/in.h>
#include <stdexcept>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/detail/base64.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "net/http_client.hpp"
#include "tools/bench/figures.hpp"

namespace prunella::bench {

using namespace std::chrono_literals;
namespace beast = boost::beast;
namespace http = boost::beast::http;
namespace asio = boost::asio;

namespace {

constexpr auto patience = 30s;

/// A port that is free now. etcd must be told its ports before it starts; on loopback nobody else takes one meanwhile.
int free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (fd < 0 || ::bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw std::runtime_error("no free port on loopback");
  ::close(fd);
  return ntohs(address.sin_port);
}

std::string loopback(int port) {
  return "http://127.0.0.1:" + std::to_string(port);
}

std::string base64(const std::string& bytes) {
  std::string text(beast::detail::base64::encoded_size(bytes.size()), '\0');
  text.resize(beast::detail::base64::encode(text.data(), bytes.data(), bytes.size()));
  return text;
}

std::string put_body(int key) {
  return R"({"key":")" + base64("key-" + std::to_string(key % 1000)) + R"(","value":")" +
         base64(std::string(1024, 'x')) + R"("})";
}

/// One keep-alive connection with one put under way.
class put_loop : public std::enable_shared_from_this<put_loop> {
public:
  struct shared_result {
    clock_type::time_point begin, end;
    std::vector<double> latencies_us;
    std::uint64_t failed = 0;
    int next_key = 0;
  };

  put_loop(asio::io_context& io, int port, shared_result& result) : stream_(io), result_(result) {
    stream_.connect(asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(port)));
    stream_.socket().set_option(asio::ip::tcp::no_delay(true));
  }

  void run() {
    request_ = {http::verb::post, "/v3/kv/put", 11};
    request_.set(http::field::host, "127.0.0.1");
    request_.set(http::field::content_type, "application/json");
    request_.body() = put_body(result_.next_key++);
    request_.prepare_payload();
    sent_ = clock_type::now();
    stream_.expires_after(20s);
    http::async_write(stream_, request_, [self = shared_from_this()](beast::error_code failed, std::size_t) {
      if (failed)
        ++self->result_.failed;
      else
        self->read();
    });
  }

private:
  void read() {
    answer_ = {};
    http::async_read(stream_, buffer_, answer_, [self = shared_from_this()](beast::error_code failed, std::size_t) {
      self->answered(!failed && self->answer_.result() == http::status::ok);
    });
  }

  void answered(bool ok) {
    const auto now = clock_type::now();
    if (!ok) {
      ++result_.failed;
      return;
    }
    if (now >= result_.begin && now < result_.end)
      result_.latencies_us.push_back(std::chrono::duration<double, std::micro>(now - sent_).count());
    if (now < result_.end)
      run();
  }

  beast::tcp_stream stream_;
  shared_result& result_;
  beast::flat_buffer buffer_;
  http::request<http::string_body> request_;
  http::response<http::string_body> answer_;
  clock_type::time_point sent_;
};

} // namespace

bool has_etcd() {
  const char* path = ::getenv("PATH");
  std::string rest = path == nullptr ? "" : path;
  for (std::size_t begin = 0; begin <= rest.size();) {
    const auto end = std::min(rest.find(':', begin), rest.size());
    if (::access((rest.substr(begin, end - begin) + "/etcd").c_str(), X_OK) == 0)
      return true;
    begin = end + 1;
  }
  return false;
}

etcd_group::etcd_group(std::string folder, etcd_timing timing) : folder_(std::move(folder)), timing_(timing) {
  for (auto* ports : {&client_ports_, &peer_ports_})
    for (auto& port : *ports)
      port = free_port();
  for (int i = 1; i <= group_size; ++i)
    start(i, true);
  wait_until_whole();
}

void etcd_group::start(int number, bool new_group) {
  const auto at = static_cast<std::size_t>(number - 1);
  std::string cluster;
  for (int i = 1; i <= group_size; ++i)
    cluster += (i > 1 ? "," : "") + member_name(i) + '=' + loopback(peer_ports_[static_cast<std::size_t>(i - 1)]);
  const auto client = loopback(client_ports_[at]);
  const auto peer = loopback(peer_ports_[at]);
  members_[at] = std::make_unique<child_process>(
      std::vector<std::string>{"etcd", "--name", member_name(number), "--data-dir", folder_ + '/' + member_name(number),
                               "--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls",
                               peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", cluster,
                               "--initial-cluster-state", new_group ? "new" : "existing", "--heartbeat-interval",
                               std::to_string(timing_.heartbeat_ms), "--election-timeout",
                               std::to_string(timing_.election_ms), "--logger", "zap", "--log-level", "error"},
      child_process::talk::none, folder_ + "/etcd.log");
}

bool etcd_group::put(int number, int timeout_ms) {
  net::http_call_options options;
  options.timeout = std::chrono::milliseconds(timeout_ms);
  const auto outcome = net::http_call(loopback(client_ports_[static_cast<std::size_t>(number - 1)]), "POST",
                                      "/v3/kv/put", put_body(0), options);
  const auto* answer = std::get_if<net::http_answer>(&outcome);
  return answer != nullptr && answer->status == 200;
}

void etcd_group::wait_until_whole() {
  const auto end = clock_type::now() + patience;
  for (int whole = 0; whole < group_size;) {
    if (clock_type::now() > end)
      throw std::runtime_error("etcd does not serve; see " + folder_ + "/etcd.log");
    whole = 0;
    for (int i = 1; i <= group_size; ++i)
      whole += put(i, 3000) ? 1 : 0;
  }
}

int etcd_group::leader() {
  for (const auto end = clock_type::now() + patience; clock_type::now() < end; std::this_thread::sleep_for(10ms))
    for (int i = 1; i <= group_size; ++i) {
      const auto outcome = net::http_call(loopback(client_ports_[static_cast<std::size_t>(i - 1)]), "POST",
                                          "/v3/maintenance/status", "{}");
      const auto* answer = std::get_if<net::http_answer>(&outcome);
      if (answer == nullptr || answer->status != 200)
        continue;
      const auto status = boost::json::parse(answer->body).as_object();
      const auto* leads = status.if_contains("leader");
      if (leads != nullptr && *leads == status.at("header").as_object().at("member_id"))
        return i;
    }
  throw std::runtime_error("etcd has no leader");
}

load_figures etcd_group::load(int connections, double seconds) {
  const int port = client_ports_[static_cast<std::size_t>(leader() - 1)];
  asio::io_context io(1);
  put_loop::shared_result result;
  result.begin = clock_type::now() + 300ms;
  result.end = result.begin + std::chrono::duration_cast<clock_type::duration>(std::chrono::duration<double>(seconds));
  for (int i = 0; i < connections; ++i)
    std::make_shared<put_loop>(io, port, result)->run();
  io.run();
  if (result.failed > 0)
    throw std::runtime_error(std::to_string(result.failed) + " puts to etcd failed");
  return {static_cast<double>(result.latencies_us.size()) / seconds, percentile(result.latencies_us, 0.5),
          percentile(result.latencies_us, 0.99)};
}

double etcd_group::failover() {
  const auto victim = leader();
  const auto start_time = clock_type::now();
  members_[static_cast<std::size_t>(victim - 1)]->kill();
  // A put that meets the dying term may wait for its whole timeout, so fresh ones are sent meanwhile.
  std::deque<std::future<double>> puts;
  double took = 0;
  while (took == 0) {
    if (clock_type::now() > start_time + patience)
      throw std::runtime_error("etcd did not recover; see " + folder_ + "/etcd.log");
    for (int i = 1; i <= group_size; ++i)
      if (i != victim)
        puts.push_back(std::async(std::launch::async, [this, i, start_time] {
          return put(i, 15'000) ? microseconds_since(start_time) / 1000 : 0.0;
        }));
    std::this_thread::sleep_for(10ms);
    for (auto it = puts.begin(); it != puts.end();) {
      if (it->wait_for(0ms) != std::future_status::ready) {
        ++it;
        continue;
      }
      const auto ended = it->get();
      took = took == 0 || (ended > 0 && ended < took) ? ended : took;
      it = puts.erase(it);
    }
  }
  puts.clear();
  start(victim, false);
  wait_until_whole();
  return took;
}

} // namespace prunella::bench
