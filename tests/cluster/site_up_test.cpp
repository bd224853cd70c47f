// `prunella site up`: a whole site as one command.

#include <doctest/doctest.h>

#include <signal.h>

#include "actors/instance/proc_filesystem.hpp"
#include "net/http_client.hpp"
#include "tools/cli/api_token.hpp"
#include "tests/cluster/site_processes.hpp"

using namespace prunella;
using namespace prunella::tests;

namespace {

/// The first URL of `host` that `log` tells of; empty: none yet.
std::string url_in(const std::string& log, const std::string& host) {
  const auto sign = host + ": API on ";
  const auto at = log.find(sign);
  const auto end = at == std::string::npos ? at : log.find('\n', at);
  return end == std::string::npos ? std::string{} : log.substr(at + sign.size(), end - at - sign.size());
}

std::size_t containers_below(const std::filesystem::path& data, const std::vector<std::string>& hosts) {
  std::size_t count = 0;
  for (const auto& host : hosts)
    count += actors::find_marked_processes((data / host).string()).size();
  return count;
}

unsigned status_of(const std::string& url, const std::string& method, const std::string& target, std::string body = {}) {
  net::http_call_options options;
  options.token = tools::find_api_token(tools::api_token_path());
  const auto outcome = net::http_call(url, method, target, std::move(body), options);
  const auto* answer = std::get_if<net::http_answer>(&outcome);
  return answer == nullptr ? 0 : answer->status;
}

} // namespace

TEST_CASE("a site that was started as one command runs applications, stops them when interrupted, and resumes") {
  site_processes site; // for its file and its folder; its hosts are started by the command
  const auto data = site.folder() / "up";
  auto document = config::to_json(simple_application("shop", {"sleep", "1000000"}, 3));
  document.as_object()["kind"] = "application";
  for (const bool is_first : {true, false}) {
    INFO((is_first ? "first start" : "second start"));
    const auto log = site.folder() / (is_first ? "first.log" : "second.log");
    program up{{"site", "up", "-f", site.site_file(), "--data-dir", data, "--api-port", "0"}, log};
    std::string url;
    const bool is_ready = eventually([&] {
      url = url_in(file_text(log), "host-2");
      return !url.empty() && status_of(url, "GET", "/readyz") == 200;
    });
    REQUIRE_MESSAGE(is_ready, file_text(log));
    if (is_first)
      REQUIRE(status_of(url, "PUT", "/v1/applications/shop", config::json_text(document)) == 201);
    CHECK_MESSAGE(eventually([&] { return containers_below(data, site.hosts()) == 3; }), file_text(log));
    up.signal(SIGINT);
    const auto code = up.wait();
    CHECK_MESSAGE(code == 0, file_text(log));
    CHECK(file_text(log).find("all hosts have ended") != std::string::npos);
    CHECK(containers_below(data, site.hosts()) == 0);
  }
}
