#include "tests/cluster/recording_client.hpp"

#include <algorithm>
#include <set>

namespace prunella::tests {

namespace {

const std::string versioned = "ledger";
constexpr int most_kept = 800;
constexpr std::chrono::seconds patience{5}; ///< a living host answers within it; one that stands still must not stop the client

std::string document(const std::string& name, const std::string& version) {
  auto spec = simple_application(name, {"sleep", "1"}, 0);
  spec.version = version;
  return application_document(spec);
}

std::string name_of(int number) { return "order-" + std::to_string(number); }

} // namespace

recording_client::recording_client(std::vector<api_endpoint> endpoints)
  : endpoints_{std::move(endpoints)}, thread_{[this] { run(); }} {}

void recording_client::set_endpoints(std::vector<api_endpoint> endpoints) {
  const std::lock_guard<std::mutex> guard{mutex_};
  endpoints_ = std::move(endpoints);
}

void recording_client::stop() {
  stopping_ = true;
  if (thread_.joinable())
    thread_.join();
}

void recording_client::run() {
  for (int number = 0; !stopping_; ++number) {
    if (number % 3 == 2)
      apply_next_version(number);
    else
      apply_and_delete(number);
  }
}

void recording_client::apply_and_delete(int number) {
  const auto name = name_of(number);
  const auto applied = change(name, "PUT", document(name, "1"));
  record_[name] = applied == told::yes ? known::there : applied == told::no ? known::never : known::unsure;
  // Some stay; in a long run not all of them can: a site holds 1000 applications.
  if (applied != told::yes || (number % 4 != 3 && number < most_kept))
    return;
  const auto deleted = change(name, "DELETE", {});
  if (deleted != told::no)
    record_[name] = deleted == told::yes ? known::gone : known::unsure;
}

void recording_client::apply_next_version(int number) {
  const auto applied = change(versioned, "PUT", document(versioned, std::to_string(number)));
  if (applied == told::yes)
    maybe_versions_.clear();
  if (applied != told::no)
    maybe_versions_.push_back(number);
}

recording_client::told recording_client::change(const std::string& name, const char* method, const std::string& body) {
  std::vector<api_endpoint> endpoints;
  {
    const std::lock_guard<std::mutex> guard{mutex_};
    endpoints = endpoints_;
  }
  bool was_sent = false;
  api_answer answer;
  for (const auto& endpoint : endpoints) {
    answer = call_api(endpoint, method, "/v1/applications/" + name, body, patience);
    was_sent = !answer.was_not_sent;
    if (was_sent)
      break;
  }
  longest_ms_ = std::max<std::int64_t>(longest_ms_, answer.took.count());
  if (answer.is_good()) {
    ++acknowledged_;
    return told::yes;
  }
  // A failure of the site's is a refusal only if it says so.
  const bool refused = !was_sent || (answer.status >= 400 && answer.status < 500)
                       || answer.body.find("nothing was changed") != std::string::npos;
  ++(refused ? refused_ : unsure_);
  if (!refused)
    ++unsure_answers_[std::to_string(answer.status) + ' ' + answer.body.substr(0, 200)];
  return refused ? told::no : told::nothing;
}

std::string recording_client::why_unsure() const {
  std::string text;
  for (const auto& [answer, times] : unsure_answers_)
    text += "\n  " + std::to_string(times) + " times: " + answer;
  return text;
}

void recording_client::check(const site_processes& site, const std::vector<std::string>& hosts) {
  stop();
  for (const auto& host : hosts) {
    INFO(host);
    std::map<std::string, std::string> seen;
    for (const auto& x : site.get<std::vector<actors::application_view>>(host, "/v1/applications"))
      seen[x.name] = x.version;
    for (const auto& [name, expected] : record_) {
      const bool is_there = seen.count(name) == 1;
      if (expected == known::there)
        CHECK_MESSAGE(is_there, name << " was acknowledged and is lost");
      if (expected == known::gone)
        CHECK_MESSAGE(!is_there, name << " was deleted and is back");
      if (expected == known::never)
        CHECK_MESSAGE(!is_there, name << " was refused and is there");
    }
    if (maybe_versions_.empty())
      continue;
    std::set<std::string> possible;
    for (const auto number : maybe_versions_)
      possible.insert(std::to_string(number));
    CHECK_MESSAGE(possible.count(seen[versioned]) == 1, versioned << " has version " << seen[versioned] << ", acknowledged was "
                                                                  << maybe_versions_.front());
  }
}

} // namespace prunella::tests
