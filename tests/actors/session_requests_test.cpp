// Requests of `/v1/sessions`, and bytes in base64.

#include <doctest/doctest.h>

#include <fstream>

#include "actors/terminal/session_requests.hpp"
#include "actors/terminal/task_run.hpp"
#include "net/base64.hpp"
#include "tests/storage/temporary_folder.hpp"

using namespace prunella;
using namespace prunella::actors;

namespace {

site_state shop() {
  site_state state;
  config::application_spec spec;
  spec.name = "shop";
  spec.services.resize(1);
  spec.services[0].name = "web";
  spec.services[0].containers.resize(2);
  spec.services[0].containers[0].name = "front";
  spec.services[0].containers[1].name = "side";
  spec.services[0].init_containers.resize(1);
  spec.services[0].init_containers[0].name = "setup";
  state.applications["default.shop"].spec = spec;
  for (const auto* name : {"default.shop.web-1", "default.shop.web-2"}) {
    auto& x = state.assignments[name];
    x.tenant = "default";
    x.application = "shop";
    x.service = "web";
    x.replica = name == std::string{"default.shop.web-1"} ? 1 : 2;
    x.generation = 1;
  }
  state.assignments["default.shop.web-1"].host = "host-1";
  return state;
}

net::routed_request with_body(const std::string& body) {
  net::routed_request request;
  request.request.body = body;
  return request;
}

or_problem<session_target> open(const std::string& of) {
  return open_request(with_body(R"({"of": ")" + of + R"(", "command": ["ls", "-l"], "terminal": true, "rows": 24, "columns": 80})"),
                      shop());
}

std::string container(const std::string& of) {
  const auto opened = open(of);
  return std::holds_alternative<session_target>(opened) ? std::get<session_target>(opened).open.container : std::string{};
}

unsigned status(const std::string& of) {
  const auto opened = open(of);
  return std::holds_alternative<problem_view>(opened) ? std::get<problem_view>(opened).status : 0;
}

template <class T>
bool is_refused(const or_problem<T>& outcome) {
  return std::holds_alternative<problem_view>(outcome) && std::get<problem_view>(outcome).status == 400;
}

} // namespace

TEST_CASE("a session is opened in the named container, else in the first that is no init container, on the host that has it") {
  CHECK(container("shop.web-1") == "default.shop.web-1.front");
  CHECK(container("default.shop.web-1/side") == "default.shop.web-1.side");
  CHECK(container("shop.web-1/setup") == "default.shop.web-1.setup");
  const auto target = std::get<session_target>(open("shop.web-1"));
  CHECK(target.host == "host-1");
  CHECK(target.open.command == std::vector<std::string>{"ls", "-l"});
  CHECK(target.open.terminal == "xterm");
  CHECK_FALSE(target.open.has_input);
  CHECK(target.open.window == window_size{24, 80});
}

TEST_CASE("a terminal is of the kind that its client says, of xterm where it says none or what is no name of one") {
  const auto kind = [](const std::string& rest) {
    return std::get<session_target>(open_request(with_body(R"({"of": "shop.web-1", "command": ["sh"])" + rest + "}"), shop())).open.terminal;
  };
  CHECK(kind("").empty());
  CHECK(kind(R"(, "term": "screen")").empty());
  CHECK(kind(R"(, "terminal": true)") == "xterm");
  CHECK(kind(R"(, "terminal": true, "term": "screen-256color")") == "screen-256color");
  CHECK(kind(R"(, "terminal": true, "term": "x\ny")") == "xterm");
  CHECK(kind(R"(, "terminal": true, "term": ")" + std::string(64, 'x') + '"') == std::string(64, 'x'));
  CHECK(kind(R"(, "terminal": true, "term": ")" + std::string(65, 'x') + '"') == "xterm");
}

TEST_CASE("a command in what does not run is refused with what is in the way, and with what to look at") {
  instance_view x;
  x.name = "default.shop.web-1";
  x.application = "shop";
  x.state = "starting";
  x.reason = "default.shop.web-1.setup exited with code 3";
  const auto starting = not_running_problem("default.shop.web-1.front", {x}, "it does not run");
  CHECK(starting.status == 409);
  CHECK(starting.detail == "default.shop.web-1 is starting");
  CHECK(starting.cause == "default.shop.web-1.setup exited with code 3");
  CHECK(starting.fix.find("`prunella get instances -a shop --watch`") != std::string::npos);
  x.state = "finished";
  CHECK(not_running_problem("default.shop.web-1.front", {x}, "it does not run").fix.find("`prunella logs default.shop.web-1` shows") == 0);
  x.state = "starting";
  x.reason.clear();
  CHECK(not_running_problem("default.shop.web-1.front", {x}, "it does not run").cause == "it does not run");
  x.state = "running";
  x.containers = {{"default.shop.web-1.front", "failed", 0, 1, "exited with code 4"}};
  CHECK(not_running_problem("default.shop.web-1.front", {x}, "why").detail == "default.shop.web-1.front is failed");
  CHECK(not_running_problem("default.shop.web-11.front", {x}, "why").detail == "default.shop.web-11.front does not run");
}

TEST_CASE("what is not there is refused with what is near, and an instance that is nowhere with a conflict") {
  CHECK(status("shop.web-2") == 409);
  CHECK(status("shop.web-3") == 404);
  CHECK(status("shop") == 404);
  CHECK(status("shop.web-1/fron") == 404);
  CHECK(std::get<problem_view>(open("shop.web-1/fron")).fix == "did you mean `front`?");
  for (const auto* body : {"", "{", "[]", R"({"of": "shop.web-1"})", R"({"of": "shop.web-1", "command": []})",
                           R"({"of": "shop.web-1", "command": [""]})", R"({"of": 1, "command": ["ls"]})"})
    CHECK(is_refused(open_request(with_body(body), shop())));
}

TEST_CASE("a task is run where the first placed instance of its service is, in the likeness of its first container") {
  const auto task = [](const std::string& of, const std::string& more = "") {
    return open_request(with_body(R"({"of": ")" + of + R"(", "command": ["ls"], "task": true)" + more + "}"), shop());
  };
  const auto target = std::get<session_target>(task("shop/web"));
  CHECK(target.host == "host-1");
  CHECK(target.open.container == "default.shop.web-1.front");
  CHECK(target.open.is_task);
  CHECK(std::get<problem_view>(task("shop/nosuch")).status == 404);
  CHECK(std::get<problem_view>(task("shop")).status == 404);
  CHECK(std::get<session_target>(task("shop/web", R"(, "input": true)")).open.has_input);
  auto nowhere = shop();
  nowhere.assignments["default.shop.web-1"].host.clear();
  CHECK(std::get<problem_view>(open_request(with_body(R"({"of": "shop/web", "command": ["ls"], "task": true})"), nowhere)).status == 409);
}

TEST_CASE("a task has the environment and limits of its container, a name and a command of its own") {
  auto state = shop();
  auto& front = state.applications["default.shop"].spec.services[0].containers[0];
  front.command = {"serve"};
  front.image = "shop/web";
  front.env = {{"GREETING", "hello from ${HOST}"}};
  front.resources.memory_bytes = 64 << 20;
  auto made = task_order(state, {"harbour", "host-1", "127.0.0.1"}, "default.shop.web-1.front", "ab12", {"ls", "-l"}, true);
  REQUIRE(std::holds_alternative<container_order>(made));
  const auto& order = std::get<container_order>(made);
  CHECK(order.name == "default.shop.web-1.front-run-ab12");
  CHECK(order.instance == "default.shop.web-1");
  CHECK(order.spec.command == std::vector<std::string>{"ls", "-l"});
  CHECK(order.has_input);
  CHECK(order.spec.image == "shop/web");
  CHECK(order.spec.resources.memory_bytes == 64 << 20);
  CHECK(order.env.at("GREETING") == "hello from host-1");
  CHECK(std::holds_alternative<driver_failure>(task_order(state, {"harbour", "host-2", "127.0.0.1"}, "default.shop.web-1.front", "ab12", {"ls"}, false)));
  CHECK(std::holds_alternative<driver_failure>(task_order(state, {"harbour", "host-1", "127.0.0.1"}, "default.shop.web-1.nosuch", "ab12", {"ls"}, false)));
}

TEST_CASE("a task's output is that of its log, its end comes behind all of it, and a dropped one is told to stop once") {
  tests::temporary_folder folder;
  std::ofstream log{folder / "log"};
  const auto print = [&](const std::string& text) { log << "2026-11-21T12:00:00.000000000+00:00 " << text << std::endl; };
  int stops = 0;
  task_run task{folder / "log", nullptr, [&] { ++stops; }};
  CHECK_FALSE(task.look());
  print("stdout F one");
  print("stderr F oops");
  CHECK(task.look());
  auto chunks = task.read(0);
  REQUIRE(chunks.size() == 2);
  CHECK(chunks[0].bytes == "one\n");
  CHECK(chunks[1].is_error);
  print("stdout P no newline");
  container_exited how;
  how.known = true;
  how.exit_code = 3;
  CHECK_FALSE(task.end(2));
  task.ended(how);
  CHECK_FALSE(task.end(2));
  chunks = task.read(2);
  REQUIRE(chunks.size() == 1);
  CHECK(chunks[0].bytes == "no newline");
  REQUIRE(task.end(3));
  CHECK(task.end(3)->exit_code == 3);
  task.hang_up();
  CHECK(stops == 0); // it has ended
  task_run dropped{folder / "log", nullptr, [&] { ++stops; }};
  dropped.hang_up();
  dropped.hang_up();
  CHECK(stops == 1);
  how.exit_code = 0;
  how.signal = 15;
  dropped.ended(how);
  REQUIRE(dropped.end(1'000));
  CHECK(dropped.end(1'000)->exit_code == 128 + 15);
}

TEST_CASE("a session is found again by its text, and a text that is none is refused") {
  net::routed_request request;
  request.path["session"] = session_text({"host-1", "4711"});
  const auto place = std::get<session_place>(parse_session(request));
  CHECK(place.host == "host-1");
  CHECK(place.session == "4711");
  for (const auto* bad : {"", "host-1", "~4711", "host-1~"}) {
    request.path["session"] = bad;
    CHECK(std::holds_alternative<problem_view>(parse_session(request)));
  }
}

TEST_CASE("reads and writes take what they document, and a byte more of input than they do is refused") {
  net::routed_request request;
  request.query = {{"after", "18446744073709551615"}, {"wait", "5s"}};
  const auto read = std::get<read_terminal>(read_request(request, "4711"));
  CHECK(read.after == 18446744073709551615u);
  CHECK(read.wait_ms == 5000);
  for (const net::http_parameters& bad : {net::http_parameters{{"after", "-1"}}, {{"after", ""}}, {{"wait", "6s"}}, {{"wait", "x"}}}) {
    request.query = bad;
    CHECK(is_refused(read_request(request, "4711")));
  }
  const auto body = [](std::size_t size) {
    return with_body(R"({"from": 3, "data": ")" + net::to_base64(std::string(size, '\x01')) + R"(", "end": true})");
  };
  const auto written = std::get<write_terminal>(write_request(body(max_input_bytes), "4711"));
  CHECK(written.from == 3);
  CHECK(written.bytes == std::string(max_input_bytes, '\x01'));
  CHECK(written.is_end);
  CHECK(is_refused(write_request(body(max_input_bytes + 1), "4711")));
  CHECK(is_refused(write_request(with_body(R"({"data": "a"})"), "4711")));
}

TEST_CASE("bytes of any length and value survive base64, and what is not exactly base64 is none") {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    CHECK(net::from_base64(net::to_base64(bytes)) == bytes);
    bytes += static_cast<char>(i * 31);
  }
  CHECK(net::to_base64("light w") == "bGlnaHQgdw==");
  for (const auto* bad : {"a", "ab", "abc", "ab=c", "====", "bGlnaHQgdx==", "bGln\n", " bGl", "bGl nHQg"})
    CHECK_FALSE(net::from_base64(bad));
}
