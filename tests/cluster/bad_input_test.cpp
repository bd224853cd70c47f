// Bad files and bad requests against the real program: nothing hangs, nothing changes, the agent stays up.

#include <doctest/doctest.h>

#include <sys/stat.h>

#include <algorithm>
#include <fstream>

#include "tests/cluster/site_processes.hpp"

using namespace prunella;
using namespace prunella::tests;

TEST_CASE("a site file that is a folder, a device, a silent pipe or 100 MB is refused within seconds") {
  const site_processes site;
  const auto folder = site.folder();
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  std::ofstream{folder / "large.yaml"};
  std::filesystem::resize_file(folder / "large.yaml", 100'000'000);
  for (const auto& [name, says] : std::vector<std::pair<std::string, std::string>>{
         {folder, "is a folder"},
         {"/dev/zero", "is a device"},
         {folder / "pipe", "is a pipe that nobody writes into"},
         {folder / "large.yaml", "is larger than 1048576 bytes"}}) {
    auto words = site.run_words("host-1");
    *(std::find(words.begin(), words.end(), "--site") + 1) = name;
    for (const auto& command : {words, std::vector<std::string>{"site", "up", "-f", name, "--data-dir", folder / "up"}}) {
      const auto end = run_prunella(command, folder, {}, std::chrono::seconds{10});
      INFO(end.output);
      CHECK(end.code == 1);
      CHECK(end.output.find(name + ": " + says) != std::string::npos);
    }
  }
  CHECK_FALSE(std::filesystem::exists(folder / "up"));
}

TEST_CASE("site up refuses a port above which there are not enough for all its hosts") {
  const site_processes site;
  const auto end = run_prunella({"site", "up", "-f", site.site_file(), "--data-dir", site.folder() / "up", "--api-port", "65534"},
                                site.folder(), {}, std::chrono::seconds{10});
  CHECK(end.code == 1);
  CHECK(end.output.find("3 hosts need as many API ports, and above 65534 there are not enough") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(site.folder() / "up"));
}

TEST_CASE("requests with what nobody reads are refused, and the site is as it was") {
  site_processes site{config::liveness_profile::balanced, 1};
  site.start_all();
  REQUIRE(site.apply(simple_application("shop")).status == 201);
  site.wait_for_running(1);
  const auto before = site.status("host-1").committed;
  const auto refuse = [&](unsigned status, const std::string& method, const std::string& target, const std::string& body) {
    const auto answer = site.call("host-1", method, target, body);
    INFO(method << ' ' << target << ' ' << body << ": " << answer.body);
    CHECK(answer.status == status);
    const auto problem = answer.problem();
    CHECK_FALSE(problem.detail.empty());
    CHECK_FALSE(problem.cause.empty());
    CHECK_FALSE(problem.fix.empty());
  };
  refuse(400, "GET", "/v1/instances?applicaton=shop", "");
  refuse(400, "GET", "/v1/instances?application=shop&application=other", "");
  refuse(400, "GET", "/v1/hosts?limti=3", "");
  refuse(400, "GET", "/v1/applications/%2e%2e%2fetc", "");
  refuse(400, "DELETE", "/v1/applications/a%2fb", "");
  refuse(400, "POST", "/v1/applications/shop/scale", R"({"service": "main", "replicas": 2, "force": true})");
  refuse(422, "PUT", "/v1/applications/shop", "kind: application\nname: shop\nversion: 1\nservices: {}\n");
  CHECK(site.status("host-1").committed == before);
  CHECK(site.all_running(1));
}

TEST_CASE("a site document that was edited after the site was founded is told in the status, and the site's word counts") {
  site_processes site{config::liveness_profile::balanced, 1};
  site.start_all();
  CHECK(site.status("host-1").reason.empty());
  CHECK(site.end("host-1") == 0);
  auto text = file_text(site.site_file());
  const auto at = text.find("\"host\": \"host-1\"");
  REQUIRE(at != std::string::npos);
  text.replace(at, 16, "\"host\": \"host-9\"");
  std::ofstream{site.site_file()} << text;
  site.start_all();
  const auto status = site.status("host-1");
  CHECK(status.reason.find("host-1's labels: the document says host=host-9, the site host=host-1") != std::string::npos);
  CHECK(site.host("host-1").labels.at("host") == "host-1");
}
