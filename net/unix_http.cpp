#include "net/unix_http.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <utility>

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/serializer.hpp>

#include "net/http_exchange.hpp"

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
const std::string host_name = "localhost";        // the header `Host`, which nobody looks at

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

class exchange : public http_exchange<protocol> {
public:
  using http_exchange::http_exchange;
  using http_exchange::send;

  std::optional<http_failure> connect() {
    if (endpoint().size() > longest_socket_path)
      return failure(kind::bad_endpoint, "the path of the socket " + endpoint() + " is longer than a unix socket's may be");
    return http_exchange::connect([this](auto& stream, auto done) { stream.async_connect(protocol::endpoint(endpoint()), done); });
  }

  std::optional<http_failure> send(std::string_view target, const std::vector<upload_part>& body) {
    auto request = make_request<http::empty_body>("POST", target, host_name);
    request.set(http::field::content_type, options().content_type);
    request.content_length(size_of(body));
    http::request_serializer<http::empty_body> head{request};
    step([&](auto done) { http::async_write_header(stream(), head, [done](error_code e, std::size_t) { done(e); }); });
    for (const auto& part : body) {
      if (last())
        break;
      if (auto problem = send(part))
        return problem;
    }
    return on_sent();
  }

  std::variant<unix_stream, http_answer, http_failure> read_stream() {
    answer_parser parser;
    parser.body_limit(options().max_answer_bytes);
    step([&](auto done) { http::async_read_header(stream(), buffer(), parser, [done](error_code e, std::size_t) { done(e); }); });
    if (auto problem = on_read())
      return *std::move(problem);
    const auto status = parser.get().result_int();
    if (status == 101 || status / 100 == 2)
      return take_over();
    auto outcome = read_answer(parser);
    if (auto* problem = std::get_if<http_failure>(&outcome))
      return std::move(*problem);
    return std::get<http_answer>(std::move(outcome));
  }

private:
  std::variant<unix_stream, http_answer, http_failure> take_over() {
    stream().expires_never();
    error_code error;
    const int fd = stream().release_socket().release(error);
    if (!error && ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK) == 0)
      return unix_stream{fd, beast::buffers_to_string(buffer().data())};
    if (!error)
      ::close(fd);
    return failure(kind::broken, "the connection to " + endpoint() + " cannot be taken over");
  }

  std::optional<http_failure> send(const upload_part& part) {
    write(part.bytes);
    if (!part.file.empty()) {
      std::ifstream file{part.file, std::ios::binary};
      std::string bytes;
      for (auto left = part.file_bytes; left > 0 && !last(); left -= bytes.size()) {
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
    if (!last() && !bytes.empty())
      step([&](auto done) { asio::async_write(stream(), asio::buffer(bytes), [done](error_code e, std::size_t) { done(e); }); });
  }
};

http::request<http::string_body> request_for(const exchange& x, std::string_view method, std::string_view target, unsigned version = 11) {
  return x.make_request<http::string_body>(method, target, host_name, version);
}

} // namespace

http_outcome unix_call(const std::string& socket, std::string_view method, std::string_view target, std::string body,
                       const http_call_options& options) {
  exchange x{socket, options};
  if (auto problem = x.connect())
    return *std::move(problem);
  if (auto problem = x.send(request_for(x, method, target), std::move(body)))
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
  auto request = request_for(x, method, target, upgrade ? 11 : 10);
  if (upgrade) {
    request.set(http::field::connection, "Upgrade");
    request.set(http::field::upgrade, "tcp");
  }
  if (auto problem = x.send(std::move(request), std::move(body)))
    return *std::move(problem);
  return x.read_stream();
}

} // namespace prunella::net
