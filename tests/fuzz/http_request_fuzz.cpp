// A connection to the API: any bytes in any pieces, through the server's limits and its guard, the router and the decoding
// of each route. Each answer is one message that a client reads whole.
//   first byte: into pieces of how many bytes the connection is cut; the rest: what the client sends

#include <algorithm>
#include <memory>
#include <sstream>
#include <string>
#include <variant>

#include <boost/beast/http/write.hpp>

#include "actors/api/api_requests.hpp"
#include "net/http_message.hpp"
#include "net/http_router.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace prunella;
using fuzz::require;
namespace http = boost::beast::http;

namespace {

net::http_server_options small_options() {
  net::http_server_options options;
  options.max_header_bytes = 1024;
  options.max_target_bytes = 256;
  options.max_body_bytes = 4096;
  return options;
}

const net::http_server_options options = small_options();

/// The API's routes with only their decoding behind them.
net::http_router make_router() {
  net::http_router router;
  const auto decode = [&](const char* method, const char* path, auto reader) {
    router.add(method, path, [reader](const net::routed_request& request, const net::http_responder& respond) {
      const auto read = reader(request);
      if (const auto* problem = std::get_if<actors::problem_view>(&read))
        respond(actors::problem_response(*problem));
      else
        respond(actors::outcome_response({"default.popcorn", {}}, {}));
    });
  };
  decode("PUT", "/v1/applications/{name}", actors::put_command);
  decode("DELETE", "/v1/applications/{name}", actors::delete_command);
  decode("POST", "/v1/applications/{name}/scale", actors::scale_command);
  decode("GET", "/v1/events", actors::events_query);
  decode("POST", "/v1/actors/kill", actors::kill_query);
  return router;
}

void check_answer(net::http_response response, const net::http_reader& reader, bool head_only) {
  const auto status = response.status;
  require(status >= 200 && status < 600, "an answer has a status");
  std::ostringstream out;
  out << net::to_message(std::move(response), reader.version(), reader.keep_alive());
  const auto bytes = out.str();
  http::response_parser<http::string_body> client;
  client.skip(head_only);
  client.eager(true);
  boost::beast::error_code error;
  const auto read = client.put({bytes.data(), bytes.size()}, error);
  require(!error && client.is_done() && (head_only || read == bytes.size()), "an answer is one message");
  require(client.get().result_int() == status, "an answer says its status");
}

/// False: the connection ends.
bool answer_next(net::http_reader& reader, boost::beast::flat_buffer& buffer, bool& answered) {
  static const net::http_router router = make_router();
  auto result = reader.next(buffer);
  if (result == net::http_reader::result::header) {
    (void)reader.wants_continue();
    result = reader.next(buffer);
  }
  answered = result == net::http_reader::result::request;
  if (result == net::http_reader::result::refused)
    check_answer(net::to_response(reader.problem()), reader, false);
  if (!answered)
    return result == net::http_reader::result::more;
  auto request = reader.take_request();
  require(request.target.size() <= options.max_target_bytes && request.body.size() <= options.max_body_bytes,
          "what is handed on is within its limits");
  const bool head_only = request.method == "HEAD";
  int answers = 0;
  router(std::move(request), net::http_responder([&](net::http_response response) {
           ++answers;
           check_answer(std::move(response), reader, head_only);
         }));
  require(answers == 1, "a request is answered once");
  return reader.keep_alive();
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto sent = fuzz::text_of(data, size);
  const std::size_t piece = 1u + fuzz::take_byte(sent);
  boost::beast::flat_buffer buffer(options.max_header_bytes + 512);
  auto reader = std::make_unique<net::http_reader>(options);
  while (!sent.empty() || buffer.size() > 0) {
    const auto n = std::min({piece, sent.size(), buffer.max_size() - buffer.size()});
    std::copy_n(sent.data(), n, static_cast<char*>(buffer.prepare(n).data()));
    buffer.commit(n);
    sent.remove_prefix(n);
    const auto before = buffer.size();
    bool answered = false;
    if (!answer_next(*reader, buffer, answered))
      return 0;
    if (answered)
      reader = std::make_unique<net::http_reader>(options);
    else if (sent.empty())
      break; // the client stops in the middle of a request
    require(answered || buffer.size() < buffer.max_size() || before != buffer.size(), "a connection does not stand still");
  }
  if (reader->has_begun())
    check_answer(net::to_response(reader->cut_off()), *reader, false);
  return 0;
}
