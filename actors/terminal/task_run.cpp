#include "actors/terminal/task_run.hpp"

#include <utility>

#include "actors/names.hpp"
#include "actors/site/update.hpp"
#include "actors/terminal/interactive_command.hpp"

namespace prunella::actors {

namespace {

constexpr std::size_t looked_at_once = 64 * 1024;
constexpr int most_looks = 1'000; // at a log that does not end: no log is that long

} // namespace

std::variant<container_order, driver_failure> task_order(const site_state& state, const plan_place& place, const std::string& of,
                                                         const std::string& suffix, const std::vector<std::string>& command,
                                                         bool has_input) {
  const auto instance = of.substr(0, of.rfind('.'));
  const auto found = state.assignments.find(instance);
  const auto missing = driver_failure{driver_errc::not_running, "the site has no container " + of + " on " + place.host};
  if (found == state.assignments.end() || found->second.host != place.host)
    return missing;
  const auto& x = found->second;
  const auto record = state.applications.find(application_key(x.tenant, x.application));
  if (record == state.applications.end())
    return missing;
  const auto plan = plan_application(version_of(record->second, x), {{x.service, x.replica, x.generation}}, place);
  for (const auto& one : plan.instances)
    for (auto order : one.containers)
      if (order.name == of) {
        order.name += "-run-" + suffix;
        order.spec_hash = suffix;
        order.spec.command = command;
        order.spec.arguments.clear();
        order.init = false;
        order.has_input = has_input;
        return order;
      }
  return missing;
}

std::uint64_t task_run::write(std::uint64_t from, std::string_view bytes) {
  if (!input_)
    return from + bytes.size();
  const auto taken = waiting_input_.add(from, bytes);
  give_input();
  return taken;
}

void task_run::end_input() {
  waiting_input_.end();
  give_input();
}

void task_run::give_input() {
  if (!input_)
    return;
  input_->drain();
  if (is_input_closed_)
    return;
  waiting_input_.pop(input_->write(waiting_input_.waiting()));
  if (!waiting_input_.is_done())
    return;
  input_->close();
  is_input_closed_ = true;
}

bool task_run::look() {
  give_input();
  const auto page = read_log_page(log_path_, position_, looked_at_once);
  if (chunks_.waiting_bytes() >= max_waiting_output)
    return false;
  if (page.entries.empty())
    return end_ && !page.has_more && !std::exchange(is_complete_, true);
  position_ = page.next;
  for (const auto& entry : page.entries)
    if (auto line = entry.text + (entry.is_partial ? "" : "\n"); !line.empty())
      chunks_.push(entry.is_error, std::move(line));
  return true;
}

void task_run::ended(const container_exited& how) {
  input_.reset();
  session_end end;
  end.exit_code = how.signal > 0 ? 128 + how.signal : how.exit_code;
  if (!how.known)
    end.failure = driver_failure{driver_errc::runtime_failed, "the task ended, and nobody saw how"};
  end_ = std::move(end);
  for (int i = 0; i < most_looks && look(); ++i)
    continue;
}

std::optional<session_end> task_run::end(std::uint64_t confirmed) {
  return (is_complete_ || is_dropped_) && chunks_.is_read(confirmed) ? end_ : std::nullopt;
}

void task_run::hang_up() {
  is_dropped_ = true;
  if (auto stop = std::exchange(stop_, nullptr); stop && !end_)
    stop();
}

} // namespace prunella::actors
