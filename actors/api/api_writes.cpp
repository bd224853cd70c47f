#include "actors/api/api_writes.hpp"

#include <algorithm>

#include <caf/event_based_actor.hpp>

#include "actors/api/status_answer.hpp"
#include "actors/names.hpp"
#include "actors/site/requests.hpp"
#include "actors/site/site_command_bytes.hpp"
#include "actors/site/site_errors.hpp"
#include "net/link_errors.hpp"
#include "runtime/exit_reason.hpp"

namespace prunella::actors {

namespace {

problem_view refused(const std::string& why) {
  return make_problem(503, "the site cannot decide now", why, std::string{"nothing was changed; "} + without_leader);
}

problem_view unconfirmed(const std::string& why) {
  return make_problem(503, "the site did not confirm the change", why,
                      "it may still be carried out when more than half of the controllers reach each other again; then "
                      "look with `prunella get applications`, and send it once more, which is harmless");
}

changed_subject subject_of(const api_call& call) {
  if (call.route == api_route::restart_instance) {
    const auto parts = parse_instance_name(call.request.path.at("instance"));
    return {application_key(parts.tenant, parts.application), {}};
  }
  const auto& name = call.request.path.at("name");
  if (call.route == api_route::drain_host || call.route == api_route::undrain_host)
    return {{}, name};
  return {application_key_of(name), {}};
}

} // namespace

void api_writes::begin(const api_call& call, or_problem<site_command> command) {
  if (auto* problem = std::get_if<problem_view>(&command))
    return void(call.respond(problem_response(*problem)));
  if (writes_.size() >= options_.max_calls)
    return void(call.respond(problem_response(
      make_problem(503, "too many unfinished requests", "this host takes " + std::to_string(options_.max_calls),
                   "nothing was changed; ask again in a moment"))));
  const auto id = ++last_write_;
  const auto subject = subject_of(call);
  writes_.emplace(id, write{subject, encode(std::get<site_command>(command)), call.respond,
                            self_->clock().now() + options_.write_deadline,
                            call.route == api_route::delete_application, false, std::nullopt});
  attempt(id);
}

void api_writes::attempt(std::uint64_t id) {
  const auto it = writes_.find(id);
  if (it == writes_.end())
    return;
  const auto leader = options_.leader->get().leader;
  auto& since = it->second.leaderless_since;
  if (!leader.empty())
    since.reset();
  else if (!since)
    since = self_->clock().now();
  const auto site = leader.empty() ? caf::actor{} : options_.actor_on(leader, "site");
  if (!site)
    return retry(id, leader.empty() ? "no leader is known" : leader + " is taking up leadership");
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(it->second.deadline - self_->clock().now());
  // Not all of what is left: a leader that is silently gone has a successor long before.
  const auto limit = std::clamp(left, std::chrono::milliseconds{1}, options_.attempt_timeout);
  self_->request(site, limit, site_request{it->second.command})
    .then([this, id](const site_answer& answer) { finish(id, answer); },
          [this, id, leader](const caf::error& reason) { on_failed(id, leader, reason); });
}

void api_writes::on_failed(std::uint64_t id, const std::string& leader, const caf::error& reason) {
  const auto it = writes_.find(id);
  if (it == writes_.end())
    return;
  if (is_passing(reason)) {
    it->second.may_be_done = it->second.may_be_done || may_be_done(reason);
    return retry(id, leader + ": " + runtime::reason_text(reason));
  }
  it->second.respond(problem_response(make_problem(422, "the site cannot take this request", runtime::reason_text(reason),
                                                   "make the document smaller, or split the application")));
  writes_.erase(it);
}

void api_writes::finish(std::uint64_t id, const site_answer& answer) {
  const auto it = writes_.find(id);
  if (it == writes_.end())
    return;
  const auto x = std::move(it->second);
  writes_.erase(it);
  if (x.is_delete && x.may_be_done && answer.outcome.result == command_result::not_found)
    x.respond(outcome_response(x.subject, {command_result::deleted, 0, {}})); // by an earlier attempt
  else if (answer.problem.status != 0)
    x.respond(problem_response(answer.problem));
  else
    x.respond(outcome_response(x.subject, answer.outcome));
}

void api_writes::retry(std::uint64_t id, std::string why) {
  if (const auto trouble = options_.trouble->get(); !trouble.empty())
    why = options_.host + ": " + trouble + ". " + why;
  const auto it = writes_.find(id);
  if (it == writes_.end())
    return;
  auto& x = it->second;
  const auto give_up_at = x.leaderless_since ? std::min(x.deadline, *x.leaderless_since + options_.leader_patience) : x.deadline;
  if (self_->clock().now() + options_.retry_after < give_up_at)
    return self_->delayed_send(self_, options_.retry_after, retry_write{id});
  x.respond(problem_response(x.may_be_done ? unconfirmed(why) : refused(why)));
  writes_.erase(it);
}

} // namespace prunella::actors
