// The engine's API as values: answers recorded from Podman 4.3.1, and from Docker's reference.

#include <doctest/doctest.h>

#include <numeric>

#include <boost/json/object.hpp>

#include "actors/instance/engine/engine_api.hpp"
#include "actors/instance/engine/engine_process.hpp"
#include "actors/instance/engine/engine_stream.hpp"
#include "config/json.hpp"

using namespace prunella::actors;

namespace {

using outcome = std::variant<engine_version, driver_failure>;

std::string version_body(const std::string& api, const std::string& least, const std::string& component = "Engine") {
  return R"({"Components":[{"Name":")" + component + R"(","Version":"4.3.1"}],"Version":"4.3.1","ApiVersion":")" + api + R"(","MinAPIVersion":")" + least + R"("})";
}

engine_create_request request() {
  engine_create_request x;
  x.order.name = "default.shop.web-1.server";
  x.order.instance = "default.shop.web-1";
  x.order.generation = 7;
  x.order.spec_hash = "abc";
  x.order.spec.image = "shop/web:1";
  x.order.env = {{"A", "b"}, {"PRUNELLA_SITE", "harbour"}, {"PRUNELLA_HOST", "host-1"}};
  x.image = "localhost/prunella:sha256-1";
  x.agent = "/data";
  x.network_mode = "host";
  return x;
}

boost::json::object body_of(const engine_create_request& x) {
  return prunella::config::parse_json(create_body(x)).value.as_object();
}

std::string head(int stream, std::uint32_t size) {
  std::string text(8, '\0');
  text[0] = static_cast<char>(stream);
  for (int i = 0; i < 4; ++i)
    text[static_cast<std::size_t>(7 - i)] = static_cast<char>(size >> (8 * i) & 255);
  return text;
}

} // namespace

TEST_CASE("an engine is spoken to in 1.41, or the nearest version that it has, and before 1.40 not at all") {
  const auto spoken = [](const outcome& x) { return std::get<engine_version>(x).api; };
  CHECK(spoken(parse_engine_version(version_body("1.41", "1.24"))) == "1.41");
  CHECK(spoken(parse_engine_version(version_body("1.52", "1.44"))) == "1.44");
  CHECK(spoken(parse_engine_version(version_body("1.40", "1.12"))) == "1.40");
  const auto old = std::get<driver_failure>(parse_engine_version(version_body("1.39", "1.12")));
  CHECK(old.code == driver_errc::no_driver);
  CHECK(old.message.find("speaks version 1.39 of the engine's API, and 1.40 is the oldest that will do") != std::string::npos);
  CHECK(std::get<engine_version>(parse_engine_version(version_body("1.41", "1.24", "Podman Engine"))).is_podman);
  CHECK_FALSE(std::get<engine_version>(parse_engine_version(version_body("1.41", "1.24"))).is_podman);
  for (const auto* bad : {"", "{}", "[]", "OK", R"({"ApiVersion":"x"})", R"({"ApiVersion":"1."})", R"({"ApiVersion":41})"})
    CHECK(std::get<driver_failure>(parse_engine_version(bad)).code == driver_errc::runtime_failed);
}

TEST_CASE("what an engine says is wrong is its message, or the first of what is none") {
  CHECK(engine_message(R"({"cause":"no such container","message":"no container\nwith name","response":404})") == "no container with name");
  CHECK(engine_message("page not found\n") == "page not found");
  CHECK(engine_message(std::string(10'000, 'x')).size() == 500);
}

TEST_CASE("a container is made without restarts, rights or new privileges, and says in labels what a later agent needs") {
  auto x = request();
  const auto body = body_of(x);
  const auto& host = body.at("HostConfig").as_object();
  CHECK(host.at("RestartPolicy").as_object().at("Name") == "no");
  CHECK(host.at("CapDrop").as_array().at(0) == "ALL");
  CHECK(host.at("CapAdd").as_array().size() == default_capabilities.size());
  CHECK(host.at("SecurityOpt").as_array().at(0) == "no-new-privileges");
  CHECK(host.at("PidsLimit") == default_pids);
  CHECK(host.at("LogConfig").as_object().at("Type") == "json-file");
  CHECK_FALSE(body.contains("Entrypoint")); // the image's
  CHECK_FALSE(body.contains("User"));
  CHECK_FALSE(host.contains("Sysctls"));
  std::map<std::string, std::string> labels;
  for (const auto& [name, value] : body.at("Labels").as_object())
    labels.emplace(std::string{name}, value.as_string().c_str());
  CHECK(labels.at("prunella.site") == "harbour");
  CHECK(labels.at("prunella.image") == "shop/web:1");
  const auto record = record_of(labels);
  REQUIRE(record);
  CHECK(record->name == x.order.name);
  CHECK(record->generation == 7);
  CHECK(record->spec_hash == "abc");
  CHECK(record->stop_signal == 15);
  x.image_stop_signal = "SIGQUIT";
  CHECK(body_of(x).at("Labels").as_object().at("prunella.stop-signal") == "3");
  labels["prunella.stop-signal"] = "SIGQUIT"; // as an agent before this one wrote it
  CHECK(record_of(labels)->stop_signal == 3);
  labels.erase("prunella.stop-signal");
  CHECK(record_of(labels)->stop_signal == 15);
  for (const auto* needed : {"prunella.container", "prunella.generation", "prunella.spec-hash"}) {
    auto fewer = labels;
    fewer.erase(needed);
    CHECK_FALSE(record_of(fewer));
  }
  labels["prunella.generation"] = "7x";
  CHECK_FALSE(record_of(labels));
}

TEST_CASE("limits, user, mounts and command of a container are those of its spec, and a user that is not root has no rights") {
  auto x = request();
  x.order.spec.command = {"httpd", "-f"};
  x.order.spec.user = "www";
  x.order.spec.resources = {250, 64 << 20};
  x.order.spec.pids = 9;
  x.is_root = false;
  x.swap_is_counted = true;
  x.network_mode = "ns:/run/x";
  x.log_path = "/data/log";
  x.mounts = {{"/srv", "/media", true, 0}, {"", "/scratch", false, 4096}};
  const auto body = body_of(x);
  const auto& host = body.at("HostConfig").as_object();
  CHECK(body.at("Entrypoint").as_array().at(0) == "httpd");
  CHECK(body.at("Cmd").as_array().at(0) == "-f");
  x.order.spec.arguments = {"-p", "80"};
  CHECK(body_of(x).at("Cmd").as_array().size() == 3);
  x.order.spec.command.clear();
  CHECK_FALSE(body_of(x).contains("Entrypoint"));
  CHECK(body_of(x).at("Cmd").as_array().at(0) == "-p");
  CHECK(host.at("CapAdd").as_array().empty());
  CHECK(host.at("NanoCpus") == 250'000'000);
  CHECK(host.at("CpuShares") == 256);
  CHECK(host.at("Memory") == 64 << 20);
  CHECK(host.at("MemorySwap") == 64 << 20);
  CHECK(host.at("PidsLimit") == 9);
  CHECK(host.at("Sysctls").as_object().size() == 1);
  CHECK(host.at("LogConfig").as_object().at("Config").as_object().at("path") == "/data/log");
  REQUIRE(host.at("Mounts").as_array().size() == 1);
  CHECK(host.at("Mounts").as_array().at(0).as_object().at("ReadOnly") == true);
  CHECK(host.at("Tmpfs").as_object().at("/scratch") == "nosuid,nodev,exec,mode=1777,rw,size=4096");
}

TEST_CASE("a container's state is read from Podman's and from Docker's answer, and what is none is none") {
  const auto running = parse_engine_container(
    R"({"Id":"ab","State":{"Status":"running","Running":true,"Paused":false,"OOMKilled":false,"Pid":29870,"ExitCode":0,"ConmonPid":29860,)"
    R"("StartedAt":"2026-11-22T00:15:58.854490772Z"},"HostConfig":{"Memory":67108864},"Config":{"Labels":{"a":"b"}}})");
  REQUIRE(running);
  CHECK(running->is_running);
  CHECK(running->pid == 29870);
  CHECK(running->monitor_pid == 29860);
  CHECK(running->started_at_ms % 1000 == 854);
  CHECK(running->labels.at("a") == "b");
  const auto ended = parse_engine_container(R"({"Id":"ab","State":{"Status":"exited","Running":false,"OOMKilled":true,"Pid":0,"ExitCode":137},"HostConfig":{"Memory":5}})");
  REQUIRE(ended);
  CHECK(ended->was_started);
  CHECK(ended->out_of_memory);
  CHECK(end_of(*ended).signal == 9);
  CHECK_FALSE(parse_engine_container(R"({"Id":"ab","State":{"Status":"created","Running":false}})")->was_started);
  for (const auto* bad : {"", "{}", "null", "[1]", R"({"Id":7})", "{\"Id\":\"ab\""})
    CHECK_FALSE(parse_engine_container(bad));
  const auto listed = parse_engine_list(R"([{"Id":"ab","Labels":{"prunella.agent":"x"}},{"Id":"cd","Labels":null},7])");
  REQUIRE(listed);
  CHECK(listed->size() == 2);
  CHECK_FALSE(parse_engine_list(R"({"message":"x"})"));
}

TEST_CASE("an image is known to the engine by its digest, and what could not be loaded is told") {
  CHECK(engine_image_name("sha256:ab") == "localhost/prunella:sha256-ab");
  CHECK(parse_engine_images(R"([{"RepoTags":["localhost/prunella:sha256-ab","mine:1"]},{"RepoTags":null}])") == std::vector<std::string>{"localhost/prunella:sha256-ab"});
  CHECK(parse_engine_image(R"({"Id":"sha256:1","RootFS":{"Type":"layers","Layers":["sha256:2","sha256:3"]}})")->diff_ids.size() == 2);
  CHECK_FALSE(load_problem("{\"stream\":\"Loaded image: x\\n\"}\n"));
  CHECK(load_problem("{\"stream\":\"a\"}\n{\"errorDetail\":{},\"error\":\"unexpected EOF\"}\n") == "unexpected EOF");
  CHECK(archive_manifest("n:1", 2) == R"([{"Config":"config.json","RepoTags":["n:1"],"Layers":["layer-0","layer-1"]}])");
}

TEST_CASE("the head of a file in a tar has the sum of its bytes, and a size from 8 GiB on in binary") {
  const auto small = tar_header("layer-0", 8);
  REQUIRE(small.size() == 512);
  auto summed = small;
  summed.replace(148, 8, "        ");
  const auto sum = std::accumulate(summed.begin(), summed.end(), 0L, [](long x, char c) { return x + static_cast<unsigned char>(c); });
  CHECK(std::stol(small.substr(148, 6), nullptr, 8) == sum);
  CHECK(small.substr(124, 11) == "00000000010");
  CHECK(tar_header("x", (std::uint64_t{1} << 33) - 1).substr(124, 11) == "77777777777");
  const auto large = tar_header("x", std::uint64_t{1} << 33);
  CHECK(large.substr(124, 12) == std::string("\x80\0\0\0\0\0\0\x02\0\0\0\0", 12));
}

TEST_CASE("the streams of a container are told apart however the bytes are cut, and a stream that is none is broken") {
  const auto bytes = head(1, 3) + "hi\n" + head(2, 4) + "oops" + head(1, 0);
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    stream_demultiplexer streams;
    auto pieces = streams.take(std::string_view{bytes}.substr(0, cut));
    for (auto& piece : streams.take(std::string_view{bytes}.substr(cut)))
      pieces.push_back(std::move(piece));
    REQUIRE(pieces.size() == 3);
    CHECK(pieces[0].text == "hi\n");
    CHECK_FALSE(pieces[0].is_error);
    CHECK(pieces[1].text == "oops");
    CHECK(pieces[1].is_error);
    CHECK(streams.is_whole());
  }
  for (const auto& bad : {std::string{"HTTP/1.1 500"}, head(3, 1), head(1, stream_demultiplexer::max_piece + 1)}) {
    stream_demultiplexer streams;
    CHECK(streams.take(bad).empty());
    CHECK(streams.is_broken());
    CHECK(streams.take(head(1, 1) + "x").empty());
  }
  stream_demultiplexer cut;
  cut.take(head(1, 5) + "abc");
  CHECK_FALSE(cut.is_whole());
}

TEST_CASE("a line of an engine's log becomes one of ours, and what is not later than the last one is left out") {
  CHECK(log_lines({false, "2026-11-21T17:59:24.0752137Z hello there\n"}, {}) == "2026-11-21T17:59:24.075213700Z stdout F hello there\n");
  CHECK(log_lines({true, "2026-11-21T17:59:24Z part"}, {}) == "2026-11-21T17:59:24.000000000Z stderr P part\n");
  CHECK(log_lines({false, "2026-11-21T17:59:24Z \n"}, {}) == "2026-11-21T17:59:24.000000000Z stdout F \n");
  CHECK(log_lines({false, "2026-11-21T17:59:24.1Z x\n"}, "2026-11-21T17:59:24.100000000Z").empty());
  CHECK_FALSE(log_lines({false, "2026-11-21T17:59:24.100000001Z x\n"}, "2026-11-21T17:59:24.100000000Z").empty());
  CHECK(log_lines({false, "no time here\n"}, {}).empty());
  CHECK(log_time("2026-11-21T17:59:24.5+00:00 stdout F x") == "2026-11-21T17:59:24.500000000Z");
  CHECK(log_time("2026-11-21T17:59:24.5+02:00 stdout F x").empty());
  CHECK(since_text("1970-01-01T00:00:01.000000005Z") == "1.000000005");
  CHECK(since_text("").empty());
}

TEST_CASE("a conmon's folder and a process's control group are found in what the kernel tells of them") {
  CHECK(bundle_in(std::string_view{"conmon\0-c\0id\0-b\0/run/x\0-p\0y\0", 29}) == "/run/x");
  CHECK(bundle_in(std::string_view{"conmon\0-c\0id\0", 13}).empty());
  CHECK(cgroup_in("9:name=systemd:/a\n7:memory:/libpod_parent/libpod-1\n0::/b\n") == "/libpod_parent/libpod-1");
  CHECK(cgroup_in("0::/system.slice/docker-1.scope\n") == "/system.slice/docker-1.scope");
  CHECK(cgroup_in("").empty());
}

TEST_CASE("texts in a target are percent-encoded but for letters, digits and four signs") {
  CHECK(percent_encoded("aZ09-._~/{\"é") == "aZ09-._~%2F%7B%22%C3%A9");
  CHECK(list_target("/d").find("/containers/json?all=true&filters=%7B%22label%22%3A%5B%22prunella.agent%3D%2Fd%22%5D%7D") == 0);
}
