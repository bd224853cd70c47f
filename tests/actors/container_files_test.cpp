// What containers leave on the disk: their logs within bounds, and folders that are tidied away; with real processes.

#include <doctest/doctest.h>

#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include <caf/actor_cast.hpp>

#include "actors/instance/container_folder.hpp"
#include "actors/instance/images.hpp"
#include "actors/instance/log_bounds.hpp"
#include "actors/instance/raw_log.hpp"
#include "tests/actors/process_driver_fixture.hpp"

using namespace prunella::tests;

TEST_CASE_FIXTURE(process_driver_under_test, "with each tidying the image keeper hears who may hold an image: what runs here and what is assigned") {
  caf::scoped_actor keeper{system};
  end_driver(caf::exit_reason::user_shutdown);
  auto chosen = options();
  chosen.images = [handle = caf::actor_cast<caf::actor>(keeper)] { return handle; };
  driver = spawn_container_driver(system, chosen);
  const auto started = start(order("exec sleep 1000"));
  const auto holders = [&](tidy_folders request) {
    std::vector<std::string> told;
    tell(std::move(request));
    keeper->receive([&](const keep_holders& x) { told = x.holders; }, caf::after(20s) >> [] { FAIL("nothing was told"); });
    return told;
  };
  CHECK(holders({{}, {"default.shop.web-2.server"}}) == std::vector<std::string>{started.name, "default.shop.web-2.server"});
  CHECK(holders({{"default.shop.web-2.server"}, {}}) == std::vector<std::string>{started.name}); // its log is kept, its image not
  stop();
  CHECK(holders({{}, {}}).empty());
}

TEST_CASE_FIXTURE(process_driver_under_test, "tidying deletes the folders of ended containers that are not to be kept, and no other") {
  const auto started = start(order("exec sleep 1000"));
  const auto folder = container_folder(data.path(), started.name);
  const auto other = container_folder(data.path(), "default.other.main-1.one");
  std::filesystem::create_directories(other + "/work");
  std::filesystem::create_directory_symlink(data.path(), other + "/work/link");
  tell(tidy_folders{{"default.other.main-1.one"}, {}});
  CHECK_FALSE(error);
  CHECK(std::filesystem::exists(folder)); // it runs
  CHECK(std::filesystem::exists(other));
  tell(tidy_folders{});
  CHECK_FALSE(std::filesystem::exists(other));
  CHECK(std::filesystem::exists(folder));
  stop();
  tell(tidy_folders{{started.name}, {}});
  CHECK(std::filesystem::exists(folder));
  tell(tidy_folders{});
  CHECK_FALSE(error);
  CHECK_FALSE(std::filesystem::exists(folder));
  CHECK(eventually([&] { return std::filesystem::is_empty(data.path() + "/removed"); }));
}

TEST_CASE_FIXTURE(process_driver_under_test, "what was moved out of the way and not deleted is deleted by the next driver, and two of one name beside each other") {
  const auto aside = data.path() + "/removed";
  for (const auto& folder : {aside + "/default.shop.web-1.server", container_folder(data.path(), "default.shop.web-1.server")})
    std::filesystem::create_directories(folder + "/work");
  CHECK_FALSE(set_folders_aside({"default.shop.web-1.server"}, data.path()));
  CHECK(std::filesystem::exists(aside + "/default.shop.web-1.server.1/work"));
  crash_driver();
  CHECK(eventually([&] { return std::filesystem::is_empty(aside); }));
}

TEST_CASE_FIXTURE(process_driver_under_test, "what a process prints is in its log with its time and stream, in order and whole when its end is told") {
  start(order("for i in 1 2 3; do echo out $i; done; printf unfinished; echo err >&2"));
  next_exit();
  CHECK(output() == "out 1\nout 2\nout 3\nunfinished\n");
  CHECK(lines_of(log(), "stderr") == "err\n");
  start(order("echo again"));
  next_exit();
  CHECK(output() == "out 1\nout 2\nout 3\nunfinished\nagain\n");
}

TEST_CASE_FIXTURE(process_driver_under_test, "other bounds of the log reach a process that runs, and hold on after a crash of the driver") {
  auto wanted = order("exec sleep 1000");
  const auto started = start(wanted);
  const auto log_file = container_log_path(data.path(), started.name);
  CHECK(kept_log_bounds(log_file) == prunella::config::log_spec{128 * 1024, 0ms});
  wanted.spec.logs = {1024 * 1024, 168h};
  CHECK(ask<container_started>(adopt_container{wanted}).pid == started.pid);
  CHECK(kept_log_bounds(log_file) == wanted.spec.logs);
  crash_driver();
  ask<recovered_containers>(recover_containers{});
  CHECK(kept_log_bounds(log_file) == wanted.spec.logs);
  wanted.spec.logs.max_age = 24h;
  CHECK(start(wanted).adopted);
  CHECK(kept_log_bounds(log_file) == wanted.spec.logs);
  CHECK_FALSE(is_gone(to_pid(started)));
}

TEST_CASE_FIXTURE(process_driver_under_test, "logs stay bounded, also what was written while no driver was there, and nothing is kept twice") {
  const auto started = start(order("while [ ! -e go ]; do sleep 0.01; done; i=0; while [ $i -lt 30000 ]; do echo line $i; i=$((i+1)); done; echo end; exec sleep 1000"));
  const auto folder = container_folder(data.path(), started.name);
  const auto raw = raw_stdout_path(folder);
  end_driver(caf::exit_reason::kill);
  std::ofstream{folder + "/work/go"} << "now";
  REQUIRE(eventually([&] {
    const auto text = read_text(raw);
    return text.size() > 4 && text.substr(text.size() - 4) == "end\n";
  }));
  driver = spawn();
  const auto path = container_log_path(data.path(), started.name);
  // The keeper turns the files over while they are read here: only what stays counts.
  CHECK(eventually([&] {
    auto text = read_text(older_log_path(path));
    text += read_text(path);
    const auto all = lines_of(text, "stdout");
    const auto last = all.find("line 29999\n");
    return last != std::string::npos && all.rfind("line 29999\n") == last && all.substr(last) == "line 29999\nend\n";
  }));
  CHECK(eventually([&] { // a cap of text, each line with its time; it is turned over behind the last line that was taken
    std::error_code not_yet;
    return std::filesystem::file_size(older_log_path(path), not_yet) <= 512 * 1024;
  }));
  struct stat info {};
  REQUIRE(::stat(raw.c_str(), &info) == 0);
  CHECK(info.st_blocks * 512 <= 128 * 1024);
  CHECK_FALSE(is_gone(to_pid(started)));
  stop();
}
