#include "actors/api/every_host.hpp"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include <caf/event_based_actor.hpp>

#include "actors/api/api_requests.hpp"
#include "actors/api/use_views.hpp"
#include "actors/door/published_views.hpp"
#include "actors/host/journal_actor.hpp"
#include "config/json.hpp"

namespace prunella::actors {

namespace {

/// Answers of several hosts that become one.
template <class Row>
struct gathering {
  std::vector<Row> rows;
  std::size_t waiting = 0;
  std::string unreachable;
};

net::http_response with_partial(net::http_response response, const std::string& unreachable) {
  if (!unreachable.empty())
    response.headers.push_back({"Prunella-Unreachable", unreachable});
  return response;
}

} // namespace

template <class Row, class Answer, class Request, class Take, class Done>
void every_host::gather(const std::string& actor_name, const Request& request, Take take, Done done) {
  auto all = std::make_shared<gathering<Row>>();
  const auto state = options_.state->get();
  std::vector<std::string> hosts{options_.host};
  for (const auto& [id, record] : state->hosts)
    if (id != options_.host)
      hosts.push_back(id);
  all->waiting = hosts.size();
  const auto finish_one = [all, done] {
    if (--all->waiting == 0)
      done(std::move(all->rows), all->unreachable);
  };
  for (const auto& host : hosts) {
    const auto fail = [all, host, finish_one](const caf::error&) {
      all->unreachable += (all->unreachable.empty() ? "" : ", ") + host;
      finish_one();
    };
    const auto target = options_.actor_on(host, actor_name);
    if (!target) {
      fail({});
      continue;
    }
    self_->request(target, options_.read_timeout, request)
      .then(
        [all, host, take, finish_one](Answer& answer) {
          take(host, answer, all->rows);
          finish_one();
        },
        fail);
  }
}

void every_host::answer_events(const api_call& call) {
  auto query = events_query(call.request);
  if (auto* problem = std::get_if<problem_view>(&query))
    return void(call.respond(problem_response(*problem)));
  const auto request = std::get<events_request>(query);
  gather<event_view, events_answer>(
    "journal", request,
    [](const std::string&, events_answer& answer, std::vector<event_view>& rows) {
      rows.insert(rows.end(), std::make_move_iterator(answer.events.begin()), std::make_move_iterator(answer.events.end()));
    },
    [respond = call.respond, request](std::vector<event_view> rows, const std::string& unreachable) {
      const auto merged = merge_events(std::move(rows), request.after, request.limit);
      respond(with_partial(json_response(config::json_text(config::to_json(merged))), unreachable));
    });
}

void every_host::answer_services(const net::http_responder& respond) {
  gather<door_status_answer, door_status_answer>(
    "door", door_status_request{},
    [](const std::string&, door_status_answer& answer, std::vector<door_status_answer>& all) { all.push_back(std::move(answer)); },
    [this, respond](std::vector<door_status_answer> doors, const std::string& unreachable) {
      std::sort(doors.begin(), doors.end(), [](const auto& a, const auto& b) { return a.host < b.host; });
      const auto rows = published_views(*options_.state->get(), doors);
      respond(with_partial(json_response(config::json_text(config::to_json(rows))), unreachable));
    });
}

void every_host::answer_use(const api_call& call) {
  gather<std::pair<std::string, use_answer>, use_answer>(
    "use", use_request{},
    [](const std::string& host, use_answer& answer, std::vector<std::pair<std::string, use_answer>>& all) {
      all.emplace_back(host, std::move(answer));
    },
    [this, call](const std::vector<std::pair<std::string, use_answer>>& answers, const std::string& unreachable) {
      const auto state = options_.state->get();
      const auto rows = call.route == api_route::use_of_hosts ? config::to_json(host_use_views(*state, answers))
                                                              : config::to_json(container_use_views(*state, answers));
      call.respond(with_partial(json_response(config::json_text(rows)), unreachable));
    });
}

void every_host::answer_actors(const net::http_responder& respond) {
  gather<std::pair<std::string, actor_view>, actors_answer>(
    "tree", actors_request{10'000},
    [](const std::string& host, actors_answer& answer, std::vector<std::pair<std::string, actor_view>>& rows) {
      for (auto& row : answer.actors)
        rows.emplace_back(host, std::move(row));
    },
    [respond](std::vector<std::pair<std::string, actor_view>> rows, const std::string& unreachable) {
      std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
      std::vector<actor_view> result;
      result.reserve(rows.size());
      for (auto& [host, row] : rows)
        result.push_back(std::move(row));
      respond(with_partial(json_response(config::json_text(config::to_json(result))), unreachable));
    });
}

} // namespace prunella::actors
