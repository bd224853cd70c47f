#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <mutex>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "net/http_client.hpp"
#include "net/http_server.hpp"
#include "tests/net/raw_client.hpp"

using namespace prunella::net;
using namespace std::chrono_literals;
using prunella::tests::raw_client;

namespace {

const std::string head = "Host: localhost\r\n";

std::string get(const std::string& target, const std::string& headers = head) {
  return "GET " + target + " HTTP/1.1\r\n" + headers + "\r\n";
}

/// Answers with the method, the target and the size of the body.
void echo(const http_request& request, const http_responder& respond) {
  respond(http_response{
      200, "text/plain", request.method + ' ' + request.target + ' ' + std::to_string(request.body.size()), {}});
}

unsigned status_of(const std::string& answer) {
  return answer.size() < 12 ? 0 : static_cast<unsigned>(std::stoul(answer.substr(9, 3)));
}

std::string body_of(const std::string& answer) {
  const auto end = answer.find("\r\n\r\n");
  return end == std::string::npos ? "" : answer.substr(end + 4);
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

http_server_options with(void (*change)(http_server_options&)) {
  http_server_options options;
  change(options);
  return options;
}

/// Waits until the server has counted `clients` that were too slow: a socket is closed just before it is counted.
void await_timed_out(const http_server& server, std::uint64_t clients) {
  while (server.counters().timed_out_clients < clients)
    std::this_thread::yield();
}

/// What the constructor says about `address`; empty if it starts.
std::string refusal(const std::string& address) {
  http_server_options options;
  options.address = address;
  try {
    http_server server(options, echo);
    return {};
  } catch (const std::runtime_error& error) {
    return error.what();
  }
}

} // namespace

TEST_CASE("a connection is kept for the next request until the client asks to close it") {
  http_server server({}, echo);
  raw_client client(server.port());
  client.send(get("/a"));
  CHECK(body_of(client.read_answer()) == "GET /a 0");
  client.send("POST /b HTTP/1.1\r\n" + head + "Content-Length: 5\r\nConnection: close\r\n\r\nhello");
  const auto last = client.read_to_end();
  CHECK(body_of(last) == "POST /b 5");
  CHECK(contains(last, "Connection: close"));
  CHECK(contains(last, "Cache-Control: no-store"));
  CHECK(server.counters().requests == 2);
}

TEST_CASE("pipelined requests are answered in order, one at a time, however many come at once") {
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  std::vector<std::thread> workers;
  {
    http_server server({}, [&](const http_request& request, const http_responder& respond) {
      most = std::max(most.load(), ++inside);
      workers.emplace_back([&inside, request, respond] {
        --inside;
        echo(request, respond);
      });
    });
    raw_client client(server.port());
    std::string all;
    for (int i = 0; i < 200; ++i)
      all += get("/" + std::to_string(i));
    client.send(all);
    for (int i = 0; i < 200; ++i)
      REQUIRE(body_of(client.read_answer()) == "GET /" + std::to_string(i) + " 0");
  }
  for (auto& worker : workers)
    worker.join();
  CHECK(most == 1);
}

TEST_CASE("what is not HTTP gets a 400 problem and the connection is closed") {
  http_server server({}, echo);
  for (const auto* bytes :
       {"\x16\x03\x01\x02garbage\r\n\r\n", "GET / HTTP/x.1\r\n\r\n", "GET / HTTP/2.0\r\nHost: localhost\r\n\r\n",
        "GET /\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
    raw_client client(server.port());
    client.send(bytes);
    const auto answer = client.read_to_end();
    CHECK_MESSAGE(status_of(answer) == 400, bytes << " -> " << answer);
    CHECK(contains(answer, "application/problem+json"));
  }
  CHECK(server.counters().requests == 0);
  CHECK(server.counters().refused_requests == 8);
}

TEST_CASE("a request cut off within its header or body is refused, not handled") {
  http_server server({}, echo);
  for (const auto& bytes : {std::string("GET / HT"), "POST / HTTP/1.1\r\n" + head + "Content-Length: 9\r\n\r\nfour"}) {
    raw_client client(server.port());
    client.send(bytes);
    client.end_of_sending();
    CHECK(status_of(client.read_to_end()) == 400);
  }
  CHECK(server.counters().requests == 0);
}

TEST_CASE("a header over 16 KiB gets 431, one just below passes") {
  http_server server({}, echo);
  raw_client small(server.port());
  small.send(get("/", head + "X: " + std::string(16 * 1024 - 200, 'x') + "\r\n"));
  CHECK(status_of(small.read_answer()) == 200);
  raw_client large(server.port());
  large.send(get("/", head + "X: " + std::string(17 * 1024, 'x') + "\r\n"));
  CHECK(status_of(large.read_to_end()) == 431);
  raw_client endless(server.port());
  bool open = true;
  for (int i = 0; i < 4096 && open; ++i)
    open = endless.send(i == 0 ? "GET / HTTP/1.1\r\n"
                               : std::string("X") + std::to_string(i) + ": " + std::string(100, 'x') + "\r\n");
  CHECK(status_of(endless.read_to_end()) == 431);
}

TEST_CASE("a body of exactly max_body_bytes passes, one byte more gets 413, announced or chunked") {
  http_server server(with([](auto& o) { o.max_body_bytes = 1000; }), echo);
  const auto post = [&](std::size_t size) {
    raw_client client(server.port());
    client.send("POST / HTTP/1.1\r\n" + head + "Connection: close\r\nContent-Length: " + std::to_string(size) +
                "\r\n\r\n" + std::string(size, 'x'));
    return client.read_to_end();
  };
  CHECK(body_of(post(1000)) == "POST / 1000");
  CHECK(status_of(post(1001)) == 413);
  raw_client chunked(server.port());
  chunked.send("POST / HTTP/1.1\r\n" + head + "Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + std::string(1001, 'x') +
               "\r\n0\r\n\r\n");
  CHECK(status_of(chunked.read_to_end()) == 413);
  CHECK(server.counters().requests == 1);
}

TEST_CASE("a client still reads the 413 when the server stopped reading its 8 MiB body") {
  http_server server({}, echo);
  const auto outcome = http_call(server.url(), "PUT", "/x", std::string(8 << 20, 'x'));
  REQUIRE(std::holds_alternative<http_answer>(outcome));
  CHECK(std::get<http_answer>(outcome).status == 413);
}

TEST_CASE("a target of exactly max_target_bytes passes, one byte more gets 414, and so does a first line without end") {
  http_server server(with([](auto& o) { o.max_target_bytes = 1000; }), echo);
  const auto status_for = [&](std::size_t bytes) {
    raw_client client(server.port());
    client.send(get("/" + std::string(bytes - 1, 'x')));
    return status_of(client.read_answer());
  };
  CHECK(status_for(1000) == 200);
  CHECK(status_for(1001) == 414);
  raw_client endless(server.port());
  endless.send("GET /" + std::string(20 * 1024, 'x'));
  CHECK(status_of(endless.read_to_end()) == 414);
  CHECK(server.counters().requests == 1);
}

TEST_CASE("a message with two lengths, or with one beside chunks, is refused: where it ends would be a matter of opinion") {
  http_server server({}, echo);
  for (const auto* fields : {"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
                             "Content-Length: 4\r\nContent-Length: 5\r\n", "Content-Length: -4\r\n", "Content-Length: 4x\r\n",
                             "Content-Length: 99999999999999999999\r\n"}) {
    raw_client client(server.port());
    client.send("POST / HTTP/1.1\r\n" + head + fields + "\r\n0\r\n\r\n" + get("/smuggled"));
    const auto answer = client.read_to_end();
    CHECK_MESSAGE(status_of(answer) == 400, fields, answer);
    CHECK_FALSE(contains(answer, "smuggled"));
  }
  CHECK(server.counters().requests == 0);
}

TEST_CASE("a client that sends its header byte by byte gets 408 at header_timeout, however busy it stays") {
  http_server server(with([](auto& o) { o.header_timeout = 100ms; }), echo);
  raw_client client(server.port());
  client.send("GET / HTTP/1.1\r\n");
  std::thread trickle([&] {
    while (client.send("X: y\r\n"))
      std::this_thread::yield();
  });
  const auto answer = client.read_to_end();
  trickle.join();
  // A fast machine reaches the size limit first; both end it, and neither calls the handler.
  CHECK((status_of(answer) == 408 || status_of(answer) == 431));
  raw_client silent(server.port());
  silent.send("GET / HTTP/1.1\r\nHost: lo");
  const auto late = silent.read_to_end();
  CHECK(status_of(late) == 408);
  CHECK(contains(late, "the request's header did not arrive in time"));
  CHECK(contains(late, "it took more than 100 ms"));
  await_timed_out(server, 1);
  CHECK(server.counters().requests == 0);
}

TEST_CASE("a body that does not arrive gets 408 at body_timeout, a silent connection is closed at idle_timeout") {
  http_server server(with([](auto& o) { o.body_timeout = 100ms, o.idle_timeout = 100ms; }), echo);
  raw_client slow(server.port());
  slow.send("POST / HTTP/1.1\r\n" + head + "Content-Length: 10\r\n\r\nhalf");
  CHECK(contains(slow.read_to_end(), "the request's body did not arrive in time"));
  await_timed_out(server, 1);
  raw_client idle(server.port());
  CHECK(idle.read_to_end().empty());
  CHECK(server.counters().timed_out_clients == 1);
}

TEST_CASE("a deadline that was set long ago does not end a connection that is busy since") {
  http_server server(with([](auto& o) { o.idle_timeout = 1s, o.header_timeout = 1s; }), echo);
  raw_client client(server.port());
  const auto until = std::chrono::steady_clock::now() + 1300ms;
  while (std::chrono::steady_clock::now() < until) {
    client.send(get("/"));
    REQUIRE(status_of(client.read_answer()) == 200);
  }
  CHECK(client.read_to_end().empty());
  CHECK(server.counters().timed_out_clients == 0);
}

TEST_CASE("a client that takes no answer is closed at write_timeout") {
  http_server server(with([](auto& o) { o.write_timeout = 100ms; }),
                     [](const http_request&, const http_responder& respond) {
                       respond(http_response{200, "text/plain", std::string(64 << 20, 'x'), {}});
                     });
  raw_client client(server.port());
  client.send(get("/"));
  await_timed_out(server, 1);
  CHECK(client.read_to_end().size() < (64 << 20));
}

TEST_CASE(
    "a responder dropped without an answer answers 500, an exception in the handler too, and the server goes on") {
  http_server server({}, [](const http_request& request, const http_responder& respond) {
    if (request.target == "/throw")
      throw std::runtime_error("no such luck");
    if (request.target == "/ok")
      respond(http_response{200, "", "fine", {}});
  });
  raw_client client(server.port());
  client.send(get("/drop") + get("/throw") + get("/ok"));
  CHECK(status_of(client.read_answer()) == 500);
  const auto thrown = client.read_answer();
  CHECK(status_of(thrown) == 500);
  CHECK(contains(thrown, "no such luck"));
  CHECK(body_of(client.read_answer()) == "fine");
}

TEST_CASE("without an answer at the deadline the client gets 504, and the late answer does not become the next one's") {
  std::mutex guard;
  std::vector<http_responder> kept;
  http_server server(with([](auto& o) { o.answer_deadline = 50ms; }),
                     [&](const http_request& request, const http_responder& respond) {
                       const std::lock_guard<std::mutex> lock(guard);
                       if (request.target == "/late") {
                         kept.push_back(respond);
                       } else {
                         for (auto& late : kept)
                           late(http_response{200, "", "late", {}});
                         respond(http_response{200, "", "in time", {}});
                       }
                     });
  raw_client client(server.port());
  client.send(get("/late") + get("/now"));
  CHECK(status_of(client.read_answer()) == 504);
  CHECK(body_of(client.read_answer()) == "in time");
  client.send(get("/now"));
  CHECK(body_of(client.read_answer()) == "in time");
  CHECK(server.counters().missed_deadlines == 1);
}

TEST_CASE("answers from other threads reach the right ones of 16 concurrent connections") {
  std::mutex guard;
  std::vector<std::thread> workers;
  std::atomic<int> wrong{0};
  {
    http_server server({}, [&](const http_request& request, const http_responder& respond) {
      const std::lock_guard<std::mutex> lock(guard);
      workers.emplace_back([request, respond] { echo(request, respond); });
    });
    std::vector<std::thread> clients;
    for (int c = 0; c < 16; ++c)
      clients.emplace_back([&, c] {
        raw_client client(server.port());
        for (int i = 0; i < 20; ++i) {
          const auto target = "/" + std::to_string(c) + "/" + std::to_string(i);
          client.send(get(target));
          if (body_of(client.read_answer()) != "GET " + target + " 0")
            ++wrong;
        }
      });
    for (auto& client : clients)
      client.join();
    CHECK(server.counters().requests == 320);
  }
  for (auto& worker : workers)
    worker.join();
  CHECK(wrong == 0);
}

TEST_CASE("a responder that outlives its connection and its server answers nobody and harms nothing") {
  std::promise<http_responder> taken;
  std::optional<http_responder> kept;
  {
    http_server server({}, [&](const http_request&, const http_responder& respond) { taken.set_value(respond); });
    {
      raw_client client(server.port());
      client.send(get("/"));
      kept = taken.get_future().get();
    }
    server.stop();
    server.stop();
  }
  CHECK((*kept)(http_response{}));
}

TEST_CASE("stopping closes open connections and frees the handler, also while a responder is kept") {
  std::promise<http_responder> taken;
  auto token = std::make_shared<int>(1);
  http_server server({},
                     [&taken, token](const http_request&, const http_responder& respond) { taken.set_value(respond); });
  raw_client client(server.port());
  client.send(get("/"));
  const auto kept = taken.get_future().get();
  server.stop();
  CHECK(client.read_to_end().empty());
  CHECK(token.use_count() == 1);
}

TEST_CASE("the connection over max_connections gets 503, when one ends there is room again") {
  http_server server(with([](auto& o) { o.max_connections = 2; }), echo);
  raw_client first(server.port());
  {
    raw_client second(server.port());
    first.send(get("/"));
    CHECK(status_of(first.read_answer()) == 200);
    second.send(get("/"));
    CHECK(status_of(second.read_answer()) == 200);
    raw_client third(server.port());
    CHECK(status_of(third.read_to_end()) == 503);
    CHECK(server.counters().refused_connections == 1);
  }
  while (server.counters().open_connections > 1)
    std::this_thread::yield();
  raw_client fourth(server.port());
  fourth.send(get("/"));
  CHECK(status_of(fourth.read_answer()) == 200);
}

TEST_CASE("connections that come and go leave none open") {
  http_server server({}, echo);
  for (int i = 0; i < 500; ++i) {
    raw_client client(server.port());
    if (i % 2 == 0)
      client.send(get("/"));
  }
  raw_client last(server.port());
  last.send(get("/", head + "Connection: close\r\n"));
  last.read_to_end();
  while (server.counters().open_connections > 0)
    std::this_thread::yield();
  CHECK(server.counters().connections == 501);
}

TEST_CASE("HEAD gets the header of GET with its Content-Length and no body") {
  http_server server({}, echo);
  raw_client client(server.port());
  client.send("HEAD /x HTTP/1.1\r\n" + head + "\r\n" + get("/y"));
  const auto answer = client.read_answer(true);
  CHECK(contains(answer, "Content-Length: 9"));
  CHECK(body_of(client.read_answer()) == "GET /y 0");
}

TEST_CASE("a client that waits for 100 Continue is told to go on, unless its body is too large") {
  http_server server(with([](auto& o) { o.max_body_bytes = 10; }), echo);
  raw_client client(server.port());
  client.send("PUT / HTTP/1.1\r\n" + head + "Content-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  CHECK(client.read_answer() == "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("four");
  CHECK(body_of(client.read_answer()) == "PUT / 4");
  client.send("PUT / HTTP/1.1\r\n" + head + "Content-Length: 11\r\nExpect: 100-continue\r\n\r\n");
  CHECK(status_of(client.read_answer()) == 413);
}

TEST_CASE("a foreign Host gets 421 and a foreign Origin 403 before the handler sees them") {
  http_server server({}, echo);
  raw_client rebound(server.port());
  rebound.send(get("/", "Host: evil.example\r\n"));
  CHECK(status_of(rebound.read_to_end()) == 421);
  raw_client page(server.port());
  page.send(get("/", head + "Origin: http://evil.example\r\n"));
  CHECK(status_of(page.read_to_end()) == 403);
  CHECK(server.counters().requests == 0);
}

TEST_CASE("a line end in a header value of an answer cannot start another header") {
  http_server server({}, [](const http_request&, const http_responder& respond) {
    respond(http_response{200, "text/plain\r\nX-Type: 1", "", {{"Location", "/a\r\nX-Evil: 1"}}});
  });
  raw_client client(server.port());
  client.send(get("/"));
  const auto answer = client.read_answer();
  CHECK(contains(answer, "Location: /a  X-Evil: 1\r\n"));
  CHECK(contains(answer, "Content-Type: text/plain  X-Type: 1\r\n"));
}

TEST_CASE("only loopback addresses with a port are listened on, and the refusal says what would be right") {
  CHECK(refusal("localhost:0").empty());
  CHECK(refusal("127.0.0.2:0").empty());
  CHECK(contains(refusal("0.0.0.0:7070"), "not a loopback address, and this API has no TLS; use `127.0.0.1:7070`"));
  CHECK(contains(refusal("192.168.1.1:0"), "not a loopback address"));
  CHECK(contains(refusal("[::]:0"), "not a loopback address"));
  CHECK(contains(refusal("127.0.0.1"), "it is not ADDRESS:PORT"));
  CHECK(contains(refusal("127.0.0.1:"), "it is not ADDRESS:PORT"));
  CHECK(contains(refusal("127.0.0.1:x"), "it is not ADDRESS:PORT"));
  CHECK(contains(refusal("127.0.0.1:65536"), "above 65535"));
  CHECK(contains(refusal("example.org:80"), "not a loopback address"));
}

TEST_CASE("a port in use is refused with a sentence, and is free again when its server stops") {
  std::optional<http_server> first;
  first.emplace(http_server_options{}, echo);
  const auto address = "127.0.0.1:" + std::to_string(first->port());
  CHECK(contains(refusal(address), "the port is in use, perhaps by another agent"));
  first.reset();
  CHECK(refusal(address).empty());
}

TEST_CASE("2,000 requests with random damage leave a server that answers, counts them all and holds none open") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  http_server server(with([](auto& o) { o.max_body_bytes = 64, o.header_timeout = o.body_timeout = 200ms; }), echo);
  const std::string good = "POST /v1/applications/a%20b/scale?x=1 HTTP/1.1\r\n" + head +
                           "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
  for (int i = 0; i < 2'000; ++i) {
    auto damaged = good;
    for (auto n = random() % 6; n > 0; --n) {
      const auto at = random() % damaged.size();
      if (random() % 3 == 0)
        damaged.erase(at, random() % 8);
      else if (random() % 2 == 0)
        damaged[at] = static_cast<char>(random());
      else
        damaged.insert(at, damaged.substr(random() % damaged.size(), random() % 16));
    }
    raw_client client(server.port());
    client.send(damaged);
    client.end_of_sending();
    client.read_to_end();
  }
  raw_client last(server.port());
  last.send(get("/", head + "Connection: close\r\n"));
  CHECK(body_of(last.read_to_end()) == "GET / 0");
  while (server.counters().open_connections > 0)
    std::this_thread::yield();
  CHECK(server.counters().connections == 2'001);
}

TEST_CASE("a server with a secret refuses who does not show it before it reaches the handler, and says which scheme it wants") {
  http_server server(with([](auto& o) {
                       o.token = "5ec3e7";
                       o.open_paths = {"/healthz"};
                     }),
                     echo);
  http_call_options options;
  const auto ask = [&](const std::string& target) { return std::get<http_answer>(http_call(server.url(), "PUT", target, "body", options)); };
  CHECK(ask("/healthz").status == 200);
  CHECK(ask("/v1/x").status == 401);
  options.token = "guessed";
  CHECK(ask("/v1/x").status == 401);
  CHECK(contains(ask("/v1/x").body, "another secret"));
  CHECK(server.counters().requests == 1);
  options.token = "5ec3e7";
  CHECK(ask("/v1/x").body == "PUT /v1/x 4");
  raw_client client(server.port());
  client.send(get("/v1/x"));
  CHECK(contains(client.read_answer(), "WWW-Authenticate: Bearer\r\n"));
}
