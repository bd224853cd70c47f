#include <doctest/doctest.h>

#include <chrono>
#include <string>

#include "net/http_client.hpp"
#include "net/http_server.hpp"

using namespace prunella::net;
using namespace std::chrono_literals;
using kind = http_failure::kind;

namespace {

http_failure failure_of(const http_outcome& outcome) {
  REQUIRE(std::holds_alternative<http_failure>(outcome));
  return std::get<http_failure>(outcome);
}

http_answer answer_of(const http_outcome& outcome) {
  if (const auto* failed = std::get_if<http_failure>(&outcome))
    FAIL(failed->sentence);
  return std::get<http_answer>(outcome);
}

void name_request(const http_request& request, const http_responder& respond) {
  respond(http_response{418,
                        "text/plain",
                        request.method + ' ' + request.target + ' ' + std::string(request.header("content-type")) +
                            ' ' + request.body,
                        {}});
}

/// An endpoint nothing listens on: the port was bound a moment ago and is closed.
std::string closed_endpoint() {
  http_server server({}, name_request);
  return server.url();
}

} // namespace

TEST_CASE("a call returns whatever status the server answers, with the content type it was asked to send") {
  http_server server({}, name_request);
  http_call_options options;
  options.content_type = "application/yaml";
  const auto answer = answer_of(http_call(server.url(), "PUT", "/v1/a%20b?c=d", "kind: x", options));
  CHECK(answer.status == 418);
  CHECK(answer.content_type == "text/plain");
  CHECK(answer.body == "PUT /v1/a%20b?c=d application/yaml kind: x");
  CHECK(answer.endpoint == server.url());
  CHECK(answer_of(http_call("localhost:" + std::to_string(server.port()) + "/", "GET", "/")).status == 418);
  CHECK(answer_of(http_call(server.url(), "HEAD", "/")).body.empty());
}

TEST_CASE("a call to a closed port is refused and says where nothing answers") {
  const auto endpoint = closed_endpoint();
  const auto failed = failure_of(http_call(endpoint, "GET", "/"));
  CHECK(failed.reason == kind::refused);
  CHECK(failed.sentence == "connection refused: nothing answers at " + endpoint);
}

TEST_CASE("a call without an answer ends at its timeout") {
  http_server_options slow;
  slow.answer_deadline = 5'000ms;
  http_responder kept([](const http_response&) {});
  http_server server(slow, [&](const http_request&, const http_responder& respond) { kept = respond; });
  http_call_options options;
  options.timeout = 50ms;
  const auto failed = failure_of(http_call(server.url(), "GET", "/", {}, options));
  CHECK(failed.reason == kind::timeout);
  CHECK(failed.sentence == "no answer from " + server.url() + " within 50 ms");
  server.stop();
}

TEST_CASE("an answer of exactly max_answer_bytes is taken, one byte more is a failure") {
  http_server server({}, [](const http_request& request, const http_responder& respond) {
    respond(http_response{200, "", std::string(request.target == "/1000" ? 1000 : 1001, 'x'), {}});
  });
  http_call_options options;
  options.max_answer_bytes = 1000;
  CHECK(answer_of(http_call(server.url(), "GET", "/1000", {}, options)).body.size() == 1000);
  CHECK(failure_of(http_call(server.url(), "GET", "/1001", {}, options)).reason == kind::bad_answer);
}

TEST_CASE("what is no endpoint is refused before anything is sent") {
  for (const auto* endpoint : {"", "https://localhost", "http://", "http://localhost:99999", "http://a/b",
                               "localhost:x", "http://[::1", "a b", "http://user@localhost"}) {
    const auto failed = failure_of(http_call(endpoint, "GET", "/"));
    CHECK_MESSAGE(failed.reason == kind::bad_endpoint, endpoint);
    CHECK(failed.sentence.find("right would be `http://127.0.0.1:7070`") != std::string::npos);
  }
}

TEST_CASE("a list of endpoints drops spaces and empty parts") {
  CHECK(split_endpoints(" a:1, b:2,,c:3 ,") == std::vector<std::string>{"a:1", "b:2", "c:3"});
  CHECK(split_endpoints(" , ").empty());
}

TEST_CASE("the next endpoint is asked when one refuses, and all are named when all do") {
  http_server server({}, name_request);
  const auto dead = closed_endpoint();
  CHECK(answer_of(http_call_any({dead, server.url()}, "POST", "/", "", false)).endpoint == server.url());
  const auto failed = failure_of(http_call_any({dead, dead}, "GET", "/", "", true));
  CHECK(failed.sentence ==
        "connection refused: nothing answers at " + dead + "; connection refused: nothing answers at " + dead);
  CHECK(failure_of(http_call_any({}, "GET", "/", "", true)).reason == kind::bad_endpoint);
}

TEST_CASE("a call that may have taken effect goes to the next endpoint only if it may be repeated") {
  http_responder kept([](const http_response&) {});
  http_server silent({}, [&](const http_request&, const http_responder& respond) { kept = respond; });
  http_server server({}, name_request);
  http_call_options options;
  options.timeout = 50ms;
  CHECK(failure_of(http_call_any({silent.url(), server.url()}, "POST", "/", "", false, options)).reason ==
        kind::timeout);
  options.timeout = 500ms;
  CHECK(answer_of(http_call_any({silent.url(), server.url()}, "GET", "/", "", true, options)).endpoint == server.url());
  silent.stop();
}
