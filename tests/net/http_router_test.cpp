#include <doctest/doctest.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <boost/json/parse.hpp>

#include "net/http_guard.hpp"
#include "net/http_router.hpp"

using namespace prunella::net;
using kind = route_match::kind;

namespace {

void ignore(const routed_request&, const http_responder&) {
}

http_router small_api() {
  http_router router;
  router
      .add("GET", "/v1/applications", ignore)               // 0
      .add("GET", "/v1/applications/{name}", ignore)        // 1
      .add("PUT", "/v1/applications/{name}", ignore)        // 2
      .add("POST", "/v1/applications/{name}/scale", ignore) // 3
      .add("GET", "/v1/applications/self", ignore)          // 4
      .add("GET", "/", ignore);                             // 5
  return router;
}

/// What the router answers by itself, or through its handler.
http_response answer_of(const http_router& router, std::string method, std::string target) {
  std::optional<http_response> got;
  router(http_request{std::move(method), std::move(target), {}, {}},
         http_responder([&](http_response response) { got = std::move(response); }));
  REQUIRE(got.has_value());
  return *got;
}

http_request from(std::vector<http_header> headers) {
  return {"GET", "/", std::move(headers), {}};
}

unsigned refused(std::vector<http_header> headers) {
  const auto problem = check_origin(from(std::move(headers)), {"prunella.local"});
  return problem ? problem->status : 0;
}

} // namespace

TEST_CASE("percent_decode takes two hex digits of either case and refuses what is cut off or a control character") {
  CHECK(percent_decode("a%2Fb%2fc") == "a/b/c");
  CHECK(percent_decode("%C3%A9") == "\xc3\xa9");
  CHECK(percent_decode("") == "");
  CHECK(percent_decode("%41") == "A");
  CHECK_FALSE(percent_decode("%4"));
  CHECK_FALSE(percent_decode("%"));
  CHECK_FALSE(percent_decode("%4g"));
  CHECK_FALSE(percent_decode("%00"));
  CHECK_FALSE(percent_decode("a%0d%0ab"));
  CHECK_FALSE(percent_decode("%7f"));
}

TEST_CASE("percent_encode is undone by percent_decode for every byte that is not a control character") {
  std::string all;
  for (int c = 0x20; c < 0x100; ++c)
    if (c != 0x7f)
      all += static_cast<char>(c);
  CHECK(percent_decode(percent_encode(all)) == all);
  CHECK(percent_encode("a/b c.d-e_f~") == "a%2Fb%20c.d-e_f~");
}

TEST_CASE("a query gives decoded pairs, and a bad escape or a repeated key refuses it all") {
  CHECK(parse_query("after=3&limit=10") == http_parameters{{"after", "3"}, {"limit", "10"}});
  CHECK(parse_query("a=x+y%20z&&flag") == http_parameters{{"a", "x y z"}, {"flag", ""}});
  CHECK_FALSE(parse_query("a=1&a=2"));
  CHECK_FALSE(parse_query("a=1&%61=1"));
  CHECK(parse_query("a=b=c") == http_parameters{{"a", "b=c"}});
  CHECK(parse_query("")->empty());
  CHECK_FALSE(parse_query("a=%zz&b=1"));
}

TEST_CASE("a segment in braces takes one whole decoded segment, a slash inside it only as %2F") {
  const auto router = small_api();
  auto found = router.match("GET", "/v1/applications/default.popcorn?x=1");
  CHECK(found.outcome == kind::found);
  CHECK(found.route == 1);
  CHECK(found.path.at("name") == "default.popcorn");
  CHECK(found.query.at("x") == "1");
  CHECK(router.match("GET", "/v1/applications/a%2Fb").path.at("name") == "a/b");
  CHECK(router.match("GET", "/v1/applications/a/b").outcome == kind::not_found);
  CHECK(router.match("POST", "/v1/applications/a/scale").route == 3);
}

TEST_CASE("one slash at the end of a path does not count, an empty segment is no name") {
  const auto router = small_api();
  CHECK(router.match("GET", "/v1/applications/").route == 0);
  CHECK(router.match("GET", "/v1/applications//").outcome == kind::not_found);
  CHECK(router.match("GET", "/").route == 5);
  CHECK(router.match("GET", "//").outcome == kind::not_found);
}

TEST_CASE("a literal segment goes before a name in braces, whatever the order of add") {
  CHECK(small_api().match("GET", "/v1/applications/self").route == 4);
  CHECK(small_api().match("PUT", "/v1/applications/self").route == 2);
}

TEST_CASE("a path without the method answers 405 and lists every method of that path, HEAD goes with GET") {
  const auto router = small_api();
  const auto found = router.match("DELETE", "/v1/applications/popcorn");
  CHECK(found.outcome == kind::method_not_allowed);
  CHECK(found.allow == "GET, HEAD, OPTIONS, PUT");
  CHECK(router.match("HEAD", "/v1/applications/popcorn").route == 1);
  const auto answer = answer_of(router, "DELETE", "/v1/applications/popcorn");
  CHECK(answer.status == 405);
  REQUIRE(answer.headers.size() == 1);
  CHECK(answer.headers[0].name == "Allow");
  CHECK(answer.headers[0].value == "GET, HEAD, OPTIONS, PUT");
  CHECK(answer_of(router, "OPTIONS", "/v1/applications/popcorn").status == 204);
}

TEST_CASE("an unknown path is a 404 problem, an unreadable target a 400 problem") {
  const auto router = small_api();
  const auto missing = answer_of(router, "GET", "/v2");
  CHECK(missing.status == 404);
  CHECK(missing.content_type == "application/problem+json");
  const auto document = boost::json::parse(missing.body).as_object();
  CHECK(document.at("title").as_string() == "Not Found");
  CHECK(document.at("status").as_int64() == 404);
  CHECK(document.at("detail").as_string() == "there is nothing at /v2");
  CHECK(answer_of(router, "GET", "/v1/applications/%").status == 400);
  CHECK(answer_of(router, "GET", "http://localhost/v1/applications").status == 400);
  CHECK(answer_of(router, "GET", "/v1/applications?a=%1").status == 400);
}

TEST_CASE("a malformed or repeated route is refused when it is added") {
  auto router = small_api();
  CHECK_THROWS_AS(router.add("GET", "v1", ignore), std::invalid_argument);
  CHECK_THROWS_AS(router.add("GET", "/v1/{}", ignore), std::invalid_argument);
  CHECK_THROWS_AS(router.add("GET", "/v1/a{b}", ignore), std::invalid_argument);
  CHECK_THROWS_AS(router.add("GET", "/v1/{a}{b}", ignore), std::invalid_argument);
  CHECK_THROWS_AS(router.add("GET", "/v1/applications/{other}", ignore), std::invalid_argument);
  CHECK_NOTHROW(router.add("DELETE", "/v1/applications/{name}", ignore));
}

TEST_CASE("the first answer of a responder counts, and dropping the last copy unanswered answers 500") {
  std::vector<unsigned> delivered;
  {
    http_responder respond([&](const http_response& response) { delivered.push_back(response.status); });
    const auto copy = respond;
    CHECK(copy(http_response{201, "", "", {}}));
    CHECK_FALSE(respond(http_response{202, "", "", {}}));
  }
  CHECK(delivered == std::vector<unsigned>{201});
  {
    const http_responder dropped([&](const http_response& response) { delivered.push_back(response.status); });
  }
  CHECK(delivered == std::vector<unsigned>{201, 500});
}

TEST_CASE("only loopback names and the configured ones pass as Host, with any port") {
  for (const auto* host :
       {"localhost", "LocalHost:7070", "127.0.0.1", "127.0.0.1:1", "127.8.9.10", "[::1]:65535", "prunella.local"})
    CHECK_MESSAGE(refused({{"host", host}}) == 0, host);
  for (const auto* host : {"evil.example", "127.evil.example.com", "127.0.0.1.evil.example", "127.0.0.", "10.0.0.1",
                           "localhost.evil", "[::2]", "0.0.0.0"})
    CHECK_MESSAGE(refused({{"Host", host}}) == 421, host);
  for (const auto* host : {"", ":80", "localhost:x", "local host", "[::1", "a@localhost", "localhost:123456"})
    CHECK_MESSAGE(refused({{"Host", host}}) == 400, host);
  CHECK(refused({}) == 400);
  CHECK(refused({{"Host", "localhost"}, {"Host", "localhost"}}) == 400);
}

TEST_CASE("a page may only call the server it came from: another host, port or no origin at all is 403") {
  CHECK(refused({{"Host", "127.0.0.1:7070"}, {"Origin", "http://127.0.0.1:7070"}}) == 0);
  CHECK(refused({{"Host", "127.0.0.1:7070"}, {"Origin", "http://127.0.0.1:8080"}}) == 403);
  CHECK(refused({{"Host", "127.0.0.1:7070"}, {"Origin", "http://localhost:7070"}}) == 403);
  CHECK(refused({{"Host", "127.0.0.1:7070"}, {"Origin", "https://evil.example"}}) == 403);
  CHECK(refused({{"Host", "127.0.0.1:7070"}, {"Origin", "null"}}) == 403);
}

TEST_CASE("a request shows the whole secret as a bearer token, or asks for an open path itself, or is answered 401") {
  const auto status = [](const std::string& target, std::vector<http_header> headers, const std::string& token = "5ec3e7") {
    const auto problem = check_token({"PUT", target, std::move(headers), {}}, token, {"/healthz", "/readyz"});
    return problem ? problem->status : 0;
  };
  CHECK(status("/v1/x", {{"authorization", "Bearer 5ec3e7"}}) == 0);
  CHECK(status("/v1/x", {{"Authorization", "bearer 5ec3e7"}}) == 0);
  for (const auto* wrong : {"Bearer 5ec3e", "Bearer 5ec3e70", "Bearer 5ec3e8", "Bearer ", "5ec3e7", "Basic 5ec3e7", "Bearer  5ec3e"})
    CHECK(status("/v1/x", {{"Authorization", wrong}}) == 401);
  CHECK(status("/v1/x", {}) == 401);
  CHECK(status("/v1/x", {}, "") == 0);
  CHECK(status("/healthz", {}) == 0);
  CHECK(status("/readyz?why", {}) == 0);
  for (const auto* near : {"/healthz/", "/healthz/../v1/x", "/HEALTHZ", "/", "", "?/healthz", "http://localhost/healthz"})
    CHECK(status(near, {}) == 401);
}
