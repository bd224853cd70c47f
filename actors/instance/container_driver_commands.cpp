// Further commands in running containers.

#include <algorithm>
#include <csignal>
#include <system_error>
#include <utility>

#include <caf/send.hpp>

#include "actors/instance/container_driver_state.hpp"

namespace prunella::actors {

namespace {

constexpr std::chrono::milliseconds longest_command{std::chrono::hours{1}};

std::optional<driver_failure> check_command(const std::vector<std::string>& command) {
  if (command.empty() || command.front().empty())
    return driver_failure{driver_errc::invalid_request, "the command is empty; give the program and its arguments"};
  for (const auto& argument : command)
    if (argument.find('\0') != std::string::npos)
      return driver_failure{driver_errc::invalid_request,
                            "an argument of the command holds a NUL byte, which no program can be given"};
  return std::nullopt;
}

} // namespace

driver_result<command_plan> container_driver_state::plan_for(const plan_command& request) {
  if (released_)
    return refuse_released();
  if (auto failure = check_command(request.command))
    return *std::move(failure);
  const auto found = containers_.find(request.name);
  const bool is_there = found != containers_.end() && found->second.is_alive()
                        && (request.generation == 0 || found->second.record().generation == request.generation);
  if (!is_there)
    return driver_failure{driver_errc::not_running, request.name + " does not run on this host"};
  auto& entry = found->second;
  if (!entry.order)
    return driver_failure{driver_errc::not_running,
                          "the agent was started a moment ago and has not taken " + request.name + " over yet; try again"};
  return entry.backend->plan(entry.launched, *entry.order, request);
}

caf::result<command_plan> container_driver_state::on_plan(const plan_command& request) {
  auto plan = plan_for(request);
  if (const auto* failure = std::get_if<driver_failure>(&plan))
    return to_error(*failure);
  return std::get<command_plan>(std::move(plan));
}

/// No instance takes all of the host's places: commands that hang would keep the probes of everybody else from being asked.
std::optional<driver_failure> container_driver_state::check_commands(const std::string& instance) const {
  const auto refuse = [](std::size_t running, const std::string& where, const std::string& whose) {
    return driver_failure{driver_errc::too_many, std::to_string(running) + " commands run in containers of " + where + ", as many as "
                                                   + whose + " may have; try again when one has ended"};
  };
  if (commands_.size() >= options_.max_commands)
    return refuse(commands_.size(), "this host", "it");
  const auto own = std::count_if(commands_.begin(), commands_.end(),
                                 [&](const auto& x) { return instance_of(x.second.container) == instance; });
  if (static_cast<std::size_t>(own) >= options_.max_commands_of_instance)
    return refuse(static_cast<std::size_t>(own), instance, "one instance");
  return std::nullopt;
}

caf::result<exec_result> container_driver_state::on_exec(const exec_container& request) {
  if (request.timeout.count() < 1 || request.timeout > longest_command)
    return to_error({driver_errc::invalid_request, "the timeout of a command must be between 1 ms and 1 h, not "
                                                     + std::to_string(request.timeout.count()) + " ms"});
  if (auto failure = check_commands(instance_of(request.name)))
    return to_error(*failure);
  try {
    if (!runner_)
      runner_ = std::make_unique<command_runner>();
  } catch (const std::system_error& error) {
    return to_error({driver_errc::fork_failed, error.what()});
  }
  auto plan = plan_for({request.name, request.generation, request.command, {}}); // last: it leaves files until the command ended
  if (const auto* failure = std::get_if<driver_failure>(&plan))
    return to_error(*failure);
  const auto key = ++last_command_;
  auto promise = self_->make_response_promise();
  auto& ready = std::get<command_plan>(plan);
  commands_.emplace(key, running_command{ready.container, ready.generation, promise});
  const auto self = caf::actor_cast<caf::actor>(self_);
  runner_->run(std::move(ready), request.timeout,
               [self, key](command_end end) {
                 const auto why = end.failure.value_or(driver_failure{});
                 caf::anon_send(self, command_done{key, end.failure.has_value(), why.code, why.message, end.result});
               });
  return caf::delegated<exec_result>{};
}

void container_driver_state::on_command_done(const command_done& event) {
  auto [container, generation, promise] = std::move(commands_.extract(event.key).mapped());
  const auto* running = find(container, generation);
  const bool was_killed = event.result.exit_code == 128 + SIGKILL && !event.result.timed_out;
  // The kernel ends the first process of a container after all others, so it may be there for a moment more.
  const bool ends = running == nullptr || running->stopping || !running->is_alive();
  if (event.is_refused)
    promise.deliver(to_error({event.code, event.why}));
  else if (was_killed && ends) // by the kernel, with all of the container
    promise.deliver(to_error({driver_errc::not_running, container + " ended while the command ran in it"}));
  else
    promise.deliver(event.result);
}

} // namespace prunella::actors
