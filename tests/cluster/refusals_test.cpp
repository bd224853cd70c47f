// `prunella host run` where it cannot run: one sentence that says what is wrong and what to do, exit code 1, and nothing
// done to the data directory that would be in the way of the right command.

#include <doctest/doctest.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>

#include "net/http_client.hpp"
#include "tests/cluster/site_processes.hpp"

using namespace prunella;
using namespace prunella::tests;

namespace {

/// A listening socket that is in the way.
class occupied_port {
public:
  explicit occupied_port(const std::string& address, std::uint16_t port = 0)
    : fd_{socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(port);
    REQUIRE(inet_pton(AF_INET, address.c_str(), &name.sin_addr) == 1);
    socklen_t size = sizeof(name);
    REQUIRE(bind(fd_, reinterpret_cast<sockaddr*>(&name), size) == 0);
    REQUIRE(listen(fd_, 1) == 0);
    REQUIRE(getsockname(fd_, reinterpret_cast<sockaddr*>(&name), &size) == 0);
    text_ = address + ':' + std::to_string(ntohs(name.sin_port));
  }
  ~occupied_port() { close(fd_); }
  occupied_port(const occupied_port&) = delete;
  occupied_port& operator=(const occupied_port&) = delete;

  const std::string& text() const { return text_; }

private:
  int fd_;
  std::string text_;
};

std::vector<std::string> with(std::vector<std::string> words, const std::string& option, const std::string& value) {
  for (std::size_t i = 0; i + 1 < words.size(); ++i)
    if (words[i] == option)
      words[i + 1] = value;
  return words;
}

/// Runs the command, which must refuse; every one of `says` must be in what it prints.
void check_refused(const site_processes& site, const std::vector<std::string>& words,
                   const std::vector<std::string>& says) {
  const auto end = run_prunella(words, site.folder());
  INFO(end.output);
  CHECK(end.code == 1);
  for (const auto& word : says)
    CHECK_MESSAGE(end.output.find(word) != std::string::npos, "it does not say: " << word);
  CHECK(end.output.find("terminate called") == std::string::npos);
}

} // namespace

TEST_CASE("a second agent on the same data directory is refused and names the process that uses it") {
  site_processes site;
  site.start("host-1");
  check_refused(site, site.run_words("host-1"),
                {"is in use by process " + std::to_string(site.agent("host-1").pid()), "stop that process first"});
  CHECK(site.agent("host-1").is_alive());
  CHECK(site.call("host-1", "GET", "/healthz").status == 200);
}

TEST_CASE("the data directory of another host or another site is refused, and still works for its own") {
  site_processes site;
  site.start("host-1");
  CHECK(site.end("host-1") == 0);
  check_refused(site, with(site.run_words("host-2"), "--data-dir", site.data_dir("host-1")), {"host-1", "host-2"});

  auto text = file_text(site.site_file());
  text.replace(text.find("market"), 6, "marina");
  const auto other = site.folder() / "other.yaml";
  std::ofstream{other} << text;
  check_refused(site, with(site.run_words("host-1"), "--site", other), {"market", "marina"});
  site.start("host-1");
}

TEST_CASE("a wrong host id or missing keys are refused and leave no mark on the data directory") {
  site_processes site;
  check_refused(site, with(site.run_words("host-1"), "--host-id", "host-9"), {"has no host host-9", "--host-id"});
  check_refused(site, with(site.run_words("host-1"), "--host-id", "host-2"), {"host-1", "host-2"}); // the keys are host-1's
  const auto keys = site.data_dir("host-1") / "tls";
  std::filesystem::rename(keys, site.folder() / "keys");
  check_refused(site, site.run_words("host-1"), {keys.string(), "prunella site init"});
  std::filesystem::rename(site.folder() / "keys", keys);
  site.start("host-1");
}

TEST_CASE("keys that others may read are refused") {
  site_processes site;
  const auto key = site.data_dir("host-1") / "tls" / "host.key";
  std::filesystem::permissions(key, std::filesystem::perms::others_read, std::filesystem::perm_options::add);
  check_refused(site, site.run_words("host-1"), {key.string(), "chmod"});
}

TEST_CASE("a taken port is refused with its address, be it of the links or of the API") {
  site_processes site;
  const auto links = site.link_address("host-1");
  {
    const auto colon = links.rfind(':');
    const occupied_port taken{links.substr(0, colon), static_cast<std::uint16_t>(std::stoi(links.substr(colon + 1)))};
    check_refused(site, site.run_words("host-1"), {links, "in use", "stop what listens there"});
  }
  const occupied_port taken{"127.0.0.1"};
  check_refused(site, with(site.run_words("host-1"), "--api", taken.text()), {taken.text(), "in use"});
  check_refused(site, with(site.run_words("host-1"), "--api", "0.0.0.0:0"), {"0.0.0.0", "127.0.0.1"});
  site.start("host-1");
}

TEST_CASE("a bad site file is refused with file, line and what would be right") {
  site_processes site;
  const auto file = (site.folder() / "bad.yaml").string();
  const auto refuse = [&](const std::string& text, const std::vector<std::string>& says) {
    std::ofstream{file} << text;
    check_refused(site, with(site.run_words("host-1"), "--site", file), says);
  };
  refuse("kind: site\nname: market\nhost:\n  - {id: host-1, address: 127.0.0.1:1}\n", {file + ":3:1", "did you mean hosts?"});
  refuse("kind: site\nname: market\nhosts:\n  - {id: host-1, address: nowhere, capacity: {cpu: 1, memory: 1Gi}}\n",
         {file + ":4:", "address"});
  refuse("kind: application\nname: shop\nversion: 1\nservices:\n  - name: a\n    containers: [{name: b, command: [c]}]\n",
         {file, "no `kind: site` document"});
  refuse("\x7f\x45\x4c\x46\x02\x01", {file + ":1:"});
  refuse("a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\n"
         "c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c]\n"
         "e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d]\nf: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e]\n"
         "g: [*f, *f, *f, *f, *f, *f, *f, *f, *f]\n",
         {file + ":"});
  check_refused(site, with(site.run_words("host-1"), "--site", "/nowhere/site.yaml"),
                {"/nowhere/site.yaml", "No such file"});
}

TEST_CASE("a data directory that is a file, of a newer format or not empty is refused") {
  site_processes site;
  const auto file = site.folder() / "file";
  std::ofstream{file} << "text";
  check_refused(site, with(site.run_words("host-1"), "--data-dir", file), {file.string()});

  site.start("host-1");
  CHECK(site.end("host-1") == 0);
  const auto identity = site.data_dir("host-1") / "identity";
  const auto good = file_text(identity);
  auto newer = good;
  newer.replace(newer.find(" 1\n"), 3, " 2\n");
  std::ofstream{identity} << newer;
  check_refused(site, site.run_words("host-1"), {"has format 2", "run the newer version"});
  std::ofstream{identity} << good;
  site.start("host-1");

  std::ofstream{site.data_dir("host-2") / "thesis.txt"} << "do not delete";
  check_refused(site, site.run_words("host-2"), {"thesis.txt"});
  CHECK(file_text(site.data_dir("host-2") / "thesis.txt") == "do not delete");
}

TEST_CASE("who cannot read the API's secret, as a container with the host's network, learns that the agent lives and nothing else") {
  site_processes site{config::liveness_profile::balanced, 1};
  site.start("host-1");
  const auto status_of = [&](const std::string& method, const std::string& target) {
    const auto outcome = net::http_call(site.endpoint("host-1").url, method, target);
    const auto* answer = std::get_if<net::http_answer>(&outcome);
    return answer == nullptr ? 0 : answer->status;
  };
  site.wait_for("the host is ready", [&] { return status_of("GET", "/readyz") == 200; });
  CHECK(status_of("GET", "/status") == 401);
  CHECK(status_of("GET", "/v1/applications") == 401);
  CHECK(status_of("PUT", "/v1/applications/default.shop") == 401);
  CHECK(status_of("POST", "/v1/sessions") == 401);
  CHECK(site.call("host-1", "GET", "/status").status == 200);
}
