// `prunella host run` on a data directory or with keys it cannot use: what is wrong, where, and what to do.

#include <doctest/doctest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "tests/cluster/site_processes.hpp"

using namespace prunella;
using namespace prunella::tests;

namespace fs = std::filesystem;

namespace {

/// The command must refuse within ten seconds, with every one of `says`.
void check_refused(const site_processes& site, const std::vector<std::string>& words, const std::vector<std::string>& says) {
  const auto end = run_prunella(words, site.folder(), {}, std::chrono::seconds{10});
  INFO(end.output);
  CHECK(end.code == 1);
  for (const auto& word : says)
    CHECK_MESSAGE(end.output.find(word) != std::string::npos, "it does not say: " << word);
  CHECK(end.output.find("terminate called") == std::string::npos);
}

std::vector<std::string> run_on(const site_processes& site, const fs::path& data) {
  auto words = site.run_words("host-1");
  *(std::find(words.begin(), words.end(), "--data-dir") + 1) = data.string();
  return words;
}

} // namespace

TEST_CASE("a data directory that is a device or below a file is no folder, and one that is not there has no keys") {
  const site_processes site;
  check_refused(site, run_on(site, "/dev/null"), {"/dev/null is not a folder", "--data-dir"});
  check_refused(site, run_on(site, "/dev/null/x"), {"/dev/null/x is not a folder", "--data-dir"});
  check_refused(site, run_on(site, "/nowhere"), {"there are no keys in /nowhere/tls", "prunella site init"});
}

TEST_CASE("keys of another site and keys that cannot be read to their end are refused at once") {
  const site_processes site;
  auto text = file_text(site.site_file());
  text.replace(text.find("market"), 6, "marina");
  std::ofstream{site.folder() / "other.yaml"} << text;
  auto words = site.run_words("host-1");
  *(std::find(words.begin(), words.end(), "--site") + 1) = site.folder() / "other.yaml";
  check_refused(site, words, {"are of site market, not of site marina", "prunella site init"});

  const auto key = site.data_dir("host-1") / "tls" / "host.key";
  fs::remove(key);
  REQUIRE(::mkfifo(key.c_str(), 0600) == 0);
  check_refused(site, site.run_words("host-1"), {key.string(), "is a pipe that nobody writes into"});
  fs::remove(key);
  fs::create_symlink("/dev/zero", key);
  check_refused(site, site.run_words("host-1"), {key.string(), "is a device"});
}

TEST_CASE("a damaged log is told in one sentence before all levels that it stopped, and the agent ends") {
  site_processes site{config::liveness_profile::balanced, 1};
  site.start("host-1");
  CHECK(site.end("host-1") == 0);
  const auto log = site.data_dir("host-1") / "raft.db";
  std::ofstream{log} << std::string(8'000, 'x');
  check_refused(site, site.run_words("host-1"),
                {"prunella: host-1: the consensus log failed: the Raft log " + log.string() + " is damaged", "prunella host repair"});
}

TEST_CASE("a damaged journal and a damaged site database are replaced, nothing of the site is lost, and events say so") {
  site_processes site{config::liveness_profile::balanced, 1};
  site.start_all();
  REQUIRE(site.apply(simple_application("shop")).status == 201);
  site.wait_for_running(1);
  CHECK(site.end("host-1") == 0);
  for (const auto* name : {"events.db", "site.db"})
    std::ofstream{site.data_dir("host-1") / name} << std::string(8'000, 'x');
  site.start_all();
  site.wait_for_running(1);
  site.wait_for("events tell of both", [&] {
    const auto events = site.get<std::vector<actors::event_view>>("host-1", "/v1/events?limit=100");
    return std::count_if(events.begin(), events.end(), [](const auto& x) { return x.to == "a damaged file was replaced"; }) == 2;
  });
  for (const auto* name : {"events.db", "site.db"})
    CHECK(fs::exists(site.data_dir("host-1") / (std::string{name} + ".damaged-1") / name));
}
