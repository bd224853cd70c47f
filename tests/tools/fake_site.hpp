#pragma once

// A small site behind the real HTTP server: enough of the API for the commands, with a record of what they asked.

#include <algorithm>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "actors/api/log_view.hpp"
#include "actors/api/views.hpp"
#include "config/json.hpp"
#include "config/reader.hpp"
#include "net/http_router.hpp"
#include "net/http_server.hpp"

namespace prunella::tests {

class fake_site {
public:
  fake_site() : server_({}, routes()) {}

  std::string url() const { return server_.url(); }

  /// `METHOD target body` of each request so far.
  std::vector<std::string> requests() const {
    const std::lock_guard<std::mutex> lock(guard_);
    return requests_;
  }

  /// Specs that were put, by full name.
  std::map<std::string, config::application_spec> applied() const {
    const std::lock_guard<std::mutex> lock(guard_);
    return applied_;
  }

  std::vector<actors::host_view> hosts;
  std::vector<actors::application_view> applications;
  std::vector<actors::instance_view> instances;
  std::vector<actors::published_view> services;
  std::vector<actors::actor_view> actors;
  std::vector<actors::event_view> events;
  actors::status_view status;
  std::vector<actors::logs_view> logs; ///< answers to `/v1/logs`, one after the other; then 404
  std::size_t page = 1'000; ///< rows of instances in one answer

private:
  template <class T>
  static net::http_response json(const T& value, unsigned code = 200) {
    return {code, "application/json", config::json_text(config::to_json(value)), {}};
  }

  void record(const net::routed_request& r) {
    const std::lock_guard<std::mutex> lock(guard_);
    requests_.push_back(r.request.method + ' ' + r.request.target +
                        (r.request.body.empty() ? "" : ' ' + r.request.body));
  }

  /// Answers `GET` with what `member` is at that time.
  template <class T>
  void list(net::http_router& router, const char* path, T fake_site::*member) {
    router.add("GET", path, [this, member](const net::routed_request& r, const net::http_responder& respond) {
      record(r);
      respond(json(this->*member));
    });
  }

  void on_put(const net::routed_request& r, const net::http_responder& respond) {
    record(r);
    auto read = config::read_documents(r.request.body, "", config::document_kind::application);
    if (!read.problems.empty())
      return static_cast<void>(respond(net::http_problem{400, config::problem_summary(read.problems[0]), "", "", {}}));
    const std::lock_guard<std::mutex> lock(guard_);
    const auto& name = r.path.at("name");
    if (name == "default.refused")
      return static_cast<void>(respond(net::http_problem{422,
                                                         "the application does not fit",
                                                         "no host has 64 GiB",
                                                         "ask for less memory",
                                                         {"services[0]: too large", "services[1]: too large"}}));
    const auto& spec = read.documents.at(0).application;
    const bool is_new = applied_.count(name) == 0;
    const char* result = is_new ? "created" : applied_[name] == spec ? "unchanged" : "updated";
    applied_[name] = spec;
    respond(net::http_response{is_new ? 201U : 200U,
                               "application/json",
                               "{\"application\":\"" + name + "\",\"result\":\"" + result + "\",\"revision\":1}",
                               {}});
  }

  net::http_handler routes() {
    net::http_router router;
    list(router, "/v1/hosts", &fake_site::hosts);
    list(router, "/v1/applications", &fake_site::applications);
    router.add("GET", "/v1/instances", [this](const net::routed_request& r, const net::http_responder& respond) {
      record(r);
      std::vector<actors::instance_view> rows;
      for (const auto& x : instances)
        if (r.query.count("after") == 0 || x.name > r.query.at("after"))
          rows.push_back(x);
      const bool is_last = rows.size() <= page;
      rows.resize(std::min(rows.size(), page));
      auto answer = json(rows);
      if (!is_last)
        answer.headers.push_back({"Link", "</v1/instances?after=" + rows.back().name + ">; rel=\"next\""});
      respond(answer);
    });
    router.add("GET", "/v1/logs", [this](const net::routed_request& r, const net::http_responder& respond) {
      record(r);
      if (logs.empty())
        return static_cast<void>(respond(net::http_problem{404, "nothing here is called `x`", "", "look", {}}));
      respond(json(logs.front()));
      logs.erase(logs.begin());
    });
    list(router, "/v1/services", &fake_site::services);
    list(router, "/v1/actors", &fake_site::actors);
    list(router, "/status", &fake_site::status);
    router.add("GET", "/v1/events", [this](const net::routed_request& r, const net::http_responder& respond) {
      record(r);
      std::vector<actors::event_view> later;
      for (const auto& event : events)
        if (r.query.count("after") == 0 || event.id > r.query.at("after"))
          later.push_back(event);
      respond(json(later));
    });
    router.add("PUT", "/v1/applications/{name}", [this](const auto& r, const auto& respond) { on_put(r, respond); });
    const auto accept = [this](const net::routed_request& r, const net::http_responder& respond) {
      record(r);
      respond(net::http_response{200, "application/json", "{}", {}});
    };
    router.add("GET", "/v1/applications/{name}", [this](const net::routed_request& r, const net::http_responder& respond) {
      record(r);
      const std::lock_guard<std::mutex> lock(guard_);
      const auto known = applied_.find(r.path.at("name"));
      if (known == applied_.end())
        return static_cast<void>(respond(net::http_problem{404, "there is no such application", "", "look", {}}));
      respond(json(known->second));
    });
    router.add("DELETE", "/v1/applications/{name}", accept);
    router.add("POST", "/v1/applications/{name}/scale", accept);
    router.add("POST", "/v1/applications/{name}/rollback", accept);
    router.add("POST", "/v1/hosts/{host}/drain", accept);
    router.add("POST", "/v1/hosts/{host}/undrain", accept);
    router.add("POST", "/v1/actors/kill", accept);
    return router;
  }

  mutable std::mutex guard_;
  std::vector<std::string> requests_;
  std::map<std::string, config::application_spec> applied_;
  net::http_server server_; // last: its thread looks at all of the above
};

} // namespace prunella::tests
