#include "runtime/supervision_spec.hpp"

#include <set>

namespace prunella::runtime {

namespace {

using std::chrono::milliseconds;

/// Counting more is memory without meaning: at that rate nothing works anyway.
constexpr std::uint32_t max_intensity = 100'000;

void check_backoff(const std::string& who, const backoff_options& backoff, std::vector<std::string>& problems) {
  if (backoff.initial <= milliseconds{0})
    problems.push_back(who + "backoff.initial is not positive; leave the backoff out for immediate restarts");
  if (backoff.max < backoff.initial)
    problems.push_back(who + "backoff.max is below backoff.initial; it is the longest delay");
  if (backoff.calm <= milliseconds{0})
    problems.push_back(who + "backoff.calm is not positive; it is how long a calm run must be to forget the past");
  if (!(backoff.jitter >= 0 && backoff.jitter <= 1))
    problems.push_back(who + "backoff.jitter is not within 0 and 1; it is a fraction of the delay");
}

} // namespace

std::vector<std::string> problems_of(const child_spec& child, auto_shutdown mode) {
  std::vector<std::string> problems;
  const auto who = "child '" + child.id + "': ";
  if (child.id.empty())
    problems.push_back("a child has no id; give it a name that is unique under its supervisor");
  if (child.id.find('/') != std::string::npos)
    problems.push_back(who + "its id contains '/', which separates the parts of a path; use another character");
  if (child.significant && mode == auto_shutdown::never)
    problems.push_back(who +
                       "it is significant, but the supervisor's auto_shutdown is never; set one or clear the other");
  if (child.significant && child.restart == config::restart_type::permanent)
    problems.push_back(who + "it is significant and permanent, so it would never end; make it transient or temporary");
  const auto shutdown = child.effective_shutdown();
  if (shutdown.kind == shutdown_kind::timeout && shutdown.grace <= milliseconds{0})
    problems.push_back(who + "its shutdown grace is not positive; use brutal to kill at once");
  if (child.start_timeout <= milliseconds{0})
    problems.push_back(who + "its start_timeout is not positive; it is how long it may take until it is ready");
  if (child.backoff)
    check_backoff(who, *child.backoff, problems);
  return problems;
}

std::vector<std::string> problems_of(const supervisor_spec& spec) {
  std::vector<std::string> problems;
  if (spec.limit.period <= milliseconds{0})
    problems.push_back("limit.period is not positive; it is the time in which restarts are counted");
  if (spec.limit.intensity > max_intensity)
    problems.push_back("limit.intensity is above " + std::to_string(max_intensity) +
                       "; such a loop is not supervision");
  if (spec.kill_timeout <= milliseconds{0})
    problems.push_back("kill_timeout is not positive; it is how long a killed child may take to end");
  if (spec.children.size() > spec.max_children)
    problems.push_back("there are " + std::to_string(spec.children.size()) + " children, but max_children is " +
                       std::to_string(spec.max_children));
  std::set<std::string> ids;
  for (const auto& child : spec.children) {
    for (auto& problem : problems_of(child, spec.auto_shutdown))
      problems.push_back(std::move(problem));
    if (!ids.insert(child.id).second)
      problems.push_back("child '" + child.id + "': its id is used twice; ids are unique under a supervisor");
  }
  return problems;
}

std::string joined(const std::vector<std::string>& problems) {
  std::string line;
  for (const auto& problem : problems)
    line += (line.empty() ? "" : "; ") + problem;
  return line;
}

} // namespace prunella::runtime
