// What was acknowledged is never lost: a client keeps its own record while leaders are killed under it.

#include <doctest/doctest.h>

#include <atomic>
#include <map>
#include <mutex>
#include <thread>

#include "net/http_client.hpp"
#include "tests/cluster/site_processes.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace {

constexpr int kills = 5;

/// What a client knows of an application that it applied or deleted.
enum class known { there, gone, unsure };

/// Applies and deletes applications without instances, one request after the other, at whichever host answers. Runs in a
/// thread of its own, so it asserts nothing.
class recording_client {
public:
  void set_endpoints(std::vector<std::string> endpoints) {
    const std::lock_guard<std::mutex> guard{mutex_};
    endpoints_ = std::move(endpoints);
  }

  void run() {
    for (int number = 0; !stopping_; ++number) {
      const auto name = "order-" + std::to_string(number);
      const bool is_there = change(name, "PUT", document(name), known::there);
      if (is_there && number % 4 == 3)
        change(name, "DELETE", {}, known::gone);
    }
  }

  void stop() { stopping_ = true; }
  int acknowledged() const { return acknowledged_; }
  int unsure() const { return unsure_; }
  std::map<std::string, known> record() const { return record_; } ///< after `run` has returned

private:
  static std::string document(const std::string& name) {
    auto value = config::to_json(simple_application(name, {"sleep", "1"}, 0));
    value.as_object()["kind"] = "application";
    return config::json_text(value);
  }

  bool change(const std::string& name, const char* method, const std::string& body, known then) {
    std::vector<std::string> endpoints;
    {
      const std::lock_guard<std::mutex> guard{mutex_};
      endpoints = endpoints_;
    }
    net::http_call_options options;
    options.timeout = 15s;
    const auto outcome = net::http_call_any(endpoints, method, "/v1/applications/" + name, body, false, options);
    const auto* answer = std::get_if<net::http_answer>(&outcome);
    const bool good = answer != nullptr && answer->status >= 200 && answer->status < 300;
    record_[name] = good ? then : known::unsure;
    ++(good ? acknowledged_ : unsure_);
    return good;
  }

  std::mutex mutex_;
  std::vector<std::string> endpoints_;
  std::map<std::string, known> record_;
  std::atomic<bool> stopping_{false};
  std::atomic<int> acknowledged_{0};
  std::atomic<int> unsure_{0};
};

std::vector<std::string> urls_of(const site_processes& site, const std::vector<std::string>& hosts) {
  std::vector<std::string> urls;
  for (const auto& host : hosts)
    urls.push_back(site.url(host));
  return urls;
}

/// Stops the client and its thread also when the test fails.
struct client_thread {
  recording_client& client;
  std::thread thread;

  explicit client_thread(recording_client& x) : client{x}, thread{[&x] { x.run(); }} {}
  ~client_thread() { join(); }
  client_thread(const client_thread&) = delete;
  client_thread& operator=(const client_thread&) = delete;

  void join() {
    client.stop();
    if (thread.joinable())
      thread.join();
  }
};

} // namespace

TEST_CASE("no acknowledged change is lost when the leader is killed right behind an answer, five times in a row") {
  site_processes site;
  site.start_all();
  recording_client client;
  client.set_endpoints(urls_of(site, site.hosts()));
  client_thread writing{client};
  for (int kill = 0; kill < kills; ++kill) {
    const auto leader = site.leader();
    REQUIRE(leader != "");
    client.set_endpoints(urls_of(site, site.hosts_without(leader))); // who asks the victim never knows
    const auto before = client.acknowledged();
    site.wait_for("changes are acknowledged", [&] { return client.acknowledged() > before + 5; });
    const auto last = client.acknowledged();
    while (client.acknowledged() == last && client.unsure() == 0) {
    } // no pause: the kill shall follow the answer as closely as it can
    site.kill_host(leader);
    const auto at_kill = client.acknowledged();
    site.wait_for("changes are acknowledged without " + leader, [&] { return client.acknowledged() > at_kill + 2; });
    site.start(leader);
    site.wait_for("all hosts follow a leader", [&] {
      for (const auto& host : site.hosts())
        if (!site.status(host).quorum)
          return false;
      return site.leader() != "";
    });
  }
  writing.join();
  MESSAGE(client.acknowledged() << " changes acknowledged, " << client.unsure() << " not, over " << kills << " kills");
  CHECK(client.acknowledged() > 10 * kills);

  site.wait_for_agreement(site.hosts());
  for (const auto& host : site.hosts()) {
    INFO(host);
    std::map<std::string, known> seen;
    for (const auto& x : site.get<std::vector<actors::application_view>>(host, "/v1/applications"))
      seen[x.name] = known::there;
    for (const auto& [name, expected] : client.record()) {
      // From the host's own state, not from what the leader says.
      const auto status = site.call(host, "GET", "/v1/applications/" + name).status;
      if (expected == known::there)
        CHECK_MESSAGE(status == 200, name << " was acknowledged and is lost");
      if (expected == known::gone)
        CHECK_MESSAGE(status == 404, name << " was deleted and is back");
      CHECK((seen.count(name) == 1) == (status == 200));
    }
  }
}
