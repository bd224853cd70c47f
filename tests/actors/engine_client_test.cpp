// What becomes of an engine's answers that are none, on a scripted engine.

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "actors/instance/container_log.hpp"
#include "actors/instance/engine/engine_client.hpp"
#include "actors/instance/engine/engine_logs.hpp"
#include "actors/instance/engine/load_turns.hpp"
#include "actors/instance/log_bounds.hpp"
#include "config/time.hpp"
#include "tests/actors/fake_engine.hpp"
#include "tests/actors/real_process.hpp"

using namespace prunella::tests;
using namespace prunella::actors;
using namespace std::chrono_literals;

namespace {

/// Answers `text` to all but the question for the version.
fake_engine::script docker_that_says(std::optional<std::string> text) {
  return [text](const std::string& line) { return line == "GET /version" ? docker_version() : text; };
}

template <class T>
driver_failure failure_of(const driver_result<T>& result) {
  REQUIRE(std::holds_alternative<driver_failure>(result));
  return std::get<driver_failure>(result);
}

std::string piece(int stream, const std::string& text) {
  std::string head(8, '\0');
  head[0] = static_cast<char>(stream);
  head[7] = static_cast<char>(text.size());
  return head + text;
}

} // namespace

TEST_CASE("an engine that is not there is away with a next step, and after its patience has failed") {
  engine_client patient{"/nowhere/engine.sock", 1h};
  const auto away = failure_of(patient.list("/data"));
  CHECK(away.code == driver_errc::engine_away);
  CHECK(away.message.find("/nowhere/engine.sock") != std::string::npos);
  CHECK(away.message.find("systemctl start docker") != std::string::npos);
  engine_client impatient{"/nowhere/engine.sock", -1ms};
  CHECK(failure_of(impatient.list("/data")).code == driver_errc::runtime_failed);
}

TEST_CASE("an engine that takes a connection and says nothing is away after ten seconds") {
  fake_engine engine{[](const std::string&) { return std::nullopt; }};
  engine_client client{engine.socket()};
  const auto begin = std::chrono::steady_clock::now();
  CHECK(failure_of(client.version()).code == driver_errc::engine_away);
  CHECK(std::chrono::steady_clock::now() - begin >= 10s);
}

TEST_CASE("an engine that is too old, no engine, or fails when asked for its version is told as that") {
  std::string answer;
  fake_engine engine{[&](const std::string&) { return answer; }};
  engine_client client{engine.socket()};
  answer = docker_version("1.39");
  CHECK(failure_of(client.version()).code == driver_errc::no_driver);
  answer = http_text(200, "<html>");
  CHECK(failure_of(client.version()).code == driver_errc::runtime_failed);
  answer = "SSH-2.0-OpenSSH_9.2\r\n";
  const auto strange = failure_of(client.version());
  CHECK(strange.code == driver_errc::runtime_failed);
  CHECK(strange.message.find("does not speak HTTP") != std::string::npos);
  answer = http_text(503, R"({"message":"shutting down"})");
  const auto ending = failure_of(client.version());
  CHECK(ending.code == driver_errc::engine_away);
  CHECK(ending.message.find("shutting down") != std::string::npos);
  answer = docker_version();
  CHECK(std::get<engine_version>(client.version()).name == "Docker 24.0.7");
}

TEST_CASE("refusals, garbage and cut answers of an engine are failures with its words, never containers") {
  SUBCASE("500") {
    fake_engine engine{docker_that_says(http_text(500, R"({"message":"disk on fire"})"))};
    engine_client client{engine.socket()};
    for (const auto& failure : {failure_of(client.create("x", "{}")), failure_of(client.inspect("x")), failure_of(client.list("/d")), *client.start("x"), *client.remove("x")}) {
      CHECK(failure.code == driver_errc::runtime_failed);
      CHECK(failure.message.find("disk on fire") != std::string::npos);
    }
  }
  SUBCASE("garbage") {
    fake_engine engine{docker_that_says(http_text(200, "{\"Id\":"))};
    engine_client client{engine.socket()};
    CHECK(failure_of(client.inspect("x")).message.find("is no container") != std::string::npos);
    CHECK(failure_of(client.list("/d")).code == driver_errc::runtime_failed);
  }
  SUBCASE("a cut body") {
    fake_engine engine{docker_that_says("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[{\"Id\"")};
    engine_client client{engine.socket()};
    CHECK(failure_of(client.list("/d")).code == driver_errc::engine_away);
  }
  SUBCASE("more than there is room for") {
    fake_engine engine{docker_that_says("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n[]")};
    engine_client client{engine.socket()};
    CHECK(failure_of(client.list("/d")).message.find("is larger than") != std::string::npos);
  }
}

TEST_CASE("a name that is taken and a container that is gone are answers, not failures") {
  fake_engine engine{[](const std::string& line) -> std::optional<std::string> {
    if (line == "GET /version")
      return docker_version();
    return http_text(line.find("create") == std::string::npos ? 404 : 409, R"({"message":"x"})");
  }};
  engine_client client{engine.socket()};
  CHECK_FALSE(std::get<std::optional<std::string>>(client.create("x", "{}")));
  CHECK_FALSE(std::get<std::optional<engine_container>>(client.inspect("x")));
  CHECK_FALSE(client.remove("x"));
  CHECK(engine.lines().at(1) == "POST /v1.41/containers/create?name=x");
}

TEST_CASE("an image that an engine was sent is there, and one that comes out with other layers is refused") {
  temporary_folder files;
  std::ofstream{files / "config"} << "{}";
  std::ofstream{files / "layer"} << "layer bytes";
  provided_image image;
  image.manifest = "sha256:ab";
  image.config.diff_ids = {prunella::storage::digest{std::string(64, '1')}};
  image.config_file = files / "config";
  image.layer_files = {files / "layer"};
  std::atomic<int> loads{0};
  std::string layer = image.config.diff_ids[0].text();
  fake_engine engine{[&](const std::string& line) -> std::optional<std::string> {
    if (line == "GET /version")
      return docker_version();
    if (line.find("images/load") != std::string::npos) {
      ++loads;
      return http_text(200, "{\"stream\":\"Loaded\"}\n");
    }
    return loads == 0 ? http_text(404, "{}") : http_text(200, R"({"Id":"sha256:9","RootFS":{"Layers":[")" + layer + R"("]}})");
  }};
  engine_client client{engine.socket()};
  CHECK_FALSE(std::get<bool>(client.has(image)));
  SUBCASE("whole") {
    CHECK_FALSE(client.load(image));
    CHECK(std::get<bool>(client.has(image)));
    CHECK(loads == 1);
  }
  SUBCASE("other layers") {
    layer = "sha256:" + std::string(64, '2');
    CHECK(client.load(image)->message.find("has other layers") != std::string::npos);
  }
  SUBCASE("a layer that the store lost") {
    std::filesystem::remove(files / "layer");
    CHECK(client.load(image)->code == driver_errc::image_unavailable);
    CHECK(loads == 0);
  }
}

TEST_CASE("a log goes on behind its last line when the engine cuts the stream, and is over when the engine says so") {
  temporary_folder folder;
  const auto path = folder / "log";
  const auto first = piece(1, "2026-11-21T17:59:24.1Z one\n");
  const auto second = piece(2, "2026-11-21T17:59:24.2Z two\n");
  std::atomic<int> asked{0};
  fake_engine engine{[&](const std::string& line) -> std::optional<std::string> {
    if (line == "GET /version")
      return docker_version();
    const std::string good = "HTTP/1.0 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n";
    return ++asked == 1 ? good + first + second.substr(0, 12) : good + first + second;
  }};
  engine_client client{engine.socket()};
  engine_log_follower logs{[&](const std::string& id, const std::string& since) { return client.logs(id, since); }};
  CHECK(logs.is_over("ab")); // nobody follows it
  bool is_cut = true;
  int looks = 0; // when the stream was cut, when it is there again, when it ends
  SUBCASE("and ends the container") {}
  SUBCASE("and lets the container live") {
    is_cut = false;
  }
  logs.follow("ab", path, [&] { return ++looks == 1 || (looks == 2 && !is_cut); });
  CHECK(logs.wait_until_over("ab", 20s));
  CHECK(logs.was_cut("ab") == is_cut);
  CHECK(read_text(path) == "2026-11-21T17:59:24.100000000Z stdout F one\n2026-11-21T17:59:24.200000000Z stderr F two\n");
  const auto lines = engine.lines();
  REQUIRE(lines.size() >= 3);
  CHECK(lines[1].find("since") == std::string::npos);
  CHECK(lines[2].find("&since=1795283964.100000000") != std::string::npos);
  logs.forget("ab");
  engine_log_follower again{[&](const std::string& id, const std::string& since) { return client.logs(id, since); }};
  again.follow("ab", path, [] { return false; }); // as after a crash of the agent
  CHECK(again.wait_until_over("ab", 20s));
  CHECK(std::filesystem::file_size(path) == 88);
}

TEST_CASE("pieces of one long line with one time, and a line whose time is before that of the one before it, are all kept") {
  temporary_folder folder;
  const auto path = folder / "log";
  const auto long_line = piece(1, "2026-11-21T17:59:24.3Z part ") + piece(1, "2026-11-21T17:59:24.3Z and rest\n");
  const auto late = piece(2, "2026-11-21T17:59:24.2Z late\n");
  fake_engine engine{[&](const std::string& line) -> std::optional<std::string> {
    if (line == "GET /version")
      return docker_version();
    return "HTTP/1.0 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n" + long_line + late;
  }};
  engine_client client{engine.socket()};
  engine_log_follower logs{[&](const std::string& id, const std::string& since) { return client.logs(id, since); }};
  logs.follow("ab", path, [] { return false; });
  CHECK(logs.wait_until_over("ab", 20s));
  CHECK(read_text(path) == "2026-11-21T17:59:24.300000000Z stdout P part \n2026-11-21T17:59:24.300000000Z stdout F and rest\n"
                           "2026-11-21T17:59:24.200000000Z stderr F late\n");
}

TEST_CASE("what an engine kept longer than a log's age allows is not taken again when all of the log went with its age") {
  temporary_folder folder;
  const auto path = folder / "log";
  keep_log_bounds(path, {1'000'000, 1h});
  const auto ago = [](std::chrono::minutes age) { return prunella::config::time_text(std::chrono::system_clock::now() - age); };
  const auto lines = piece(1, ago(61min) + " old\n") + piece(1, ago(59min) + " new\n");
  fake_engine engine{[&](const std::string& line) -> std::optional<std::string> {
    if (line == "GET /version")
      return docker_version();
    return "HTTP/1.0 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n" + lines;
  }};
  engine_client client{engine.socket()};
  engine_log_follower logs{[&](const std::string& id, const std::string& since) { return client.logs(id, since); }};
  logs.follow("ab", path, [] { return false; });
  CHECK(logs.wait_until_over("ab", 20s));
  CHECK(read_text(path).find(" new\n") != std::string::npos);
  CHECK(read_text(path).find(" old\n") == std::string::npos);
  CHECK(engine.lines().back().find("&since=") != std::string::npos);
}

TEST_CASE("a followed log turns over at half of the size that is kept beside it, also when that became another meanwhile") {
  temporary_folder folder;
  const auto path = folder / "log";
  const auto line = piece(1, "2026-11-21T17:59:24.1Z " + std::string(60, 'x') + "\n");
  fake_engine engine{[&](const std::string& asked) -> std::optional<std::string> {
    if (asked == "GET /version")
      return docker_version();
    return "HTTP/1.0 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n" + line;
  }};
  engine_client client{engine.socket()};
  engine_log_follower logs{[&](const std::string& id, const std::string& since) { return client.logs(id, since); }};
  const std::int64_t written = 31 + 10 + 60; // time, ` stdout F `, text and newline
  const auto write_with = [&](std::int64_t most) {
    keep_log_bounds(path, {most, 0ms});
    std::filesystem::remove(path); // else its last time is that of the line
    logs.follow("ab", path, [] { return false; });
    CHECK(logs.wait_until_over("ab", 20s));
    return std::filesystem::exists(prunella::actors::older_log_path(path));
  };
  CHECK_FALSE(write_with(2 * written));
  CHECK(write_with(2 * written - 2));
}

TEST_CASE("an image is loaded by one start at a time, and no more than two images at once") {
  load_turns turns;
  auto first = turns.take("one", 0ms);
  REQUIRE(first);
  CHECK_FALSE(turns.take("one", 1ms));
  const auto second = turns.take("two", 0ms);
  REQUIRE(second);
  CHECK_FALSE(turns.take("three", 1ms));
  bool got_it = false;
  std::thread waiter{[&] { got_it = turns.take("one", 20s).has_value(); }};
  first.reset();
  waiter.join();
  CHECK(got_it);
  CHECK(turns.take("three", 0ms)); // the waiter let go of its own
}
