#include "net/prober.hpp"

#include <doctest/doctest.h>

#include <future>
#include <vector>

#include "net/http_server.hpp"
#include "tests/net/door_fixture.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace {

net::probe_finding ask(net::prober& prober, net::probe_question question) {
  std::promise<net::probe_finding> answer;
  prober.ask(std::move(question), [&](const net::probe_finding& found) { answer.set_value(found); });
  return answer.get_future().get();
}

net::probe_question http_question(const std::string& address, const std::string& path = "/") {
  net::probe_question question;
  question.addresses = {address};
  question.is_http = true;
  question.path = path;
  question.host = "localhost";
  return question;
}

} // namespace

TEST_CASE("a TCP probe is good where a connection is taken, at the first address that takes one") {
  net::prober prober;
  const test_listener there;
  std::string closed;
  { closed = test_listener().address(); }
  net::probe_question question;
  question.addresses = {closed};
  const auto refused = ask(prober, question);
  CHECK_FALSE(refused.is_good);
  const auto colon = closed.rfind(':');
  CHECK(refused.problem == "nothing listens on port " + closed.substr(colon + 1) + " of " + closed.substr(0, colon)
                             + "; correct the port of the probe, or where the container listens");
  question.addresses = {closed, there.address()};
  CHECK(ask(prober, question).is_good);
  question.addresses.clear();
  CHECK_FALSE(ask(prober, question).is_good);
}

TEST_CASE("an HTTP probe is good for a status within its bounds, and sends what it was told") {
  std::string seen;
  net::http_server server({}, [&](const net::http_request& request, const net::http_responder& respond) {
    seen = std::string(request.header("X-Key")) + ' ' + request.target;
    respond(net::http_response{request.target == "/bad" ? 503U : 200U, "text/plain", "body", {}});
  });
  const auto address = "127.0.0.1:" + std::to_string(server.port());
  net::prober prober;
  auto question = http_question(address, "/good?x=1");
  question.headers = {{"X-Key", "value"}};
  CHECK(ask(prober, question).is_good);
  CHECK(seen == "value /good?x=1");
  const auto bad = ask(prober, http_question(address, "/bad"));
  CHECK_FALSE(bad.is_good);
  CHECK(bad.problem == address + "/bad answered 503, not 200-399");
  auto wanted = http_question(address, "/bad");
  wanted.expect_min = wanted.expect_max = 503;
  CHECK(ask(prober, wanted).is_good);
  wanted.expect_min = wanted.expect_max = 504;
  CHECK_FALSE(ask(prober, wanted).is_good);
}

TEST_CASE("who takes the connection and says nothing is a failed HTTP probe after the timeout") {
  const test_listener silent;
  net::prober prober;
  auto question = http_question(silent.address());
  question.timeout = 50ms;
  const auto found = ask(prober, question);
  CHECK_FALSE(found.is_good);
  CHECK(found.problem == silent.address() + " did not answer within 50 ms");
  CHECK(found.took >= 50ms);
}

TEST_CASE("what is no HTTP, or an endless header, is a failed probe") {
  for (const std::string& said : {std::string("SSH-2.0-x\r\n\r\n"), "HTTP/1.1 200 OK\r\nA: " + std::string(64'000, 'a')}) {
    const test_listener listener;
    net::prober prober;
    std::promise<net::probe_finding> answer;
    prober.ask(http_question(listener.address()), [&](const net::probe_finding& found) { answer.set_value(found); });
    const auto served = listener.accept();
    served.send(said);
    const auto found = answer.get_future().get();
    CHECK_FALSE(found.is_good);
    CHECK(found.problem.find("gave no HTTP answer") != std::string::npos);
  }
}

TEST_CASE("a prober that ends does not wait for open questions") {
  const test_listener silent;
  auto question = http_question(silent.address());
  question.timeout = 1h;
  bool is_answered = false;
  std::vector<test_socket> served; // stays open, or its end would be an answer
  {
    net::prober prober;
    prober.ask(question, [&](const net::probe_finding&) { is_answered = true; });
    served.emplace_back(silent.accept());
  }
  CHECK_FALSE(is_answered);
}
