#include "actors/logs/log_reading.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <limits>
#include <string_view>

#include "actors/fnv1a.hpp"
#include "actors/names.hpp"
#include "actors/site/requests.hpp"
#include "actors/site/update.hpp"
#include "config/did_you_mean.hpp"
#include "config/time.hpp"
#include "config/yaml/characters.hpp"

namespace prunella::actors {

namespace {

constexpr std::size_t longest_name = 1024;

template <class Number>
bool parse_whole(std::string_view text, Number& number, int base = 10) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  return error == std::errc{} && end == text.data() + text.size() && !text.empty();
}

problem_view bad_parameter(const std::string& key, const std::string& value, const std::string& right) {
  return make_problem(400, key + " is `" + value + "`", "it is not what this parameter takes", "use " + right);
}

/// Takes the text up to `mark` off `rest`.
std::string_view next_part(std::string_view& rest, char mark) {
  const auto end = std::min(rest.find(mark), rest.size());
  const auto part = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return part;
}

/// Adds the containers of one instance; only `container` if it is not empty.
void add_instance(log_targets& result, const site_state& state, const std::string& instance, const std::string& container,
                  bool all_hosts) {
  const auto& x = state.assignments.at(instance);
  const auto gave_up = std::max_element(x.avoided.begin(), x.avoided.end(),
                                        [](const auto& a, const auto& b) { return a.generation < b.generation; });
  const auto last = x.host.empty() && gave_up != x.avoided.end() && !all_hosts ? gave_up->host : x.host;
  if (x.host.empty())
    result.notes.push_back(instance + " is on no host" + (x.reason.empty() ? "" : ": " + x.reason)
                           + (all_hosts || x.generation == 0 ? ""
                              : last.empty()                 ? "; all-hosts shows what it printed where it was"
                                                             : ". These lines are of " + last + "; all-hosts shows those of its former hosts too"));
  const auto* service = service_of(state, x);
  if ((last.empty() && !all_hosts) || service == nullptr)
    return;
  for (const auto* containers : {&service->init_containers, &service->containers})
    for (const auto& one : *containers)
      if (container.empty() || one.name == container)
        result.targets.push_back({container_name(instance, one.name), last, false, x.host.empty() ? time_ms{0} : x.assigned_at});
}

/// The first of them, where there are too many.
void limit_targets(log_targets& result, std::size_t most) {
  if (result.targets.size() <= most)
    return;
  result.notes.push_back("these are the first " + std::to_string(most) + " of " + std::to_string(result.targets.size())
                         + " logs; name a service or an instance for the others");
  result.targets.resize(most);
}

/// Each container on each host of the site, its present one first: what was written before it moved is there still.
void spread_over_hosts(log_targets& result, const site_state& state) {
  std::vector<log_target> all;
  for (const auto& one : result.targets) {
    if (!one.host.empty())
      all.push_back({one.container, one.host, true, one.since});
    for (const auto& [host, record] : state.hosts)
      if (host != one.host)
        all.push_back({one.container, host, true, 0});
  }
  result.targets = std::move(all);
}

struct replica {
  std::string instance;
  std::uint32_t number = 0;
  bool is_placed = false;
};

/// The instances of each service of the application `key`, by their numbers.
std::map<std::string, std::vector<replica>> replicas_of(const site_state& state, const std::string& key) {
  std::map<std::string, std::vector<replica>> services;
  for (const auto& [name, x] : state.assignments)
    if (application_key(x.tenant, x.application) == key)
      services[x.service].push_back({name, x.replica, !x.host.empty()});
  for (auto& [name, list] : services)
    std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.number < b.number; });
  return services;
}

void add_service(log_targets& result, const site_state& state, const std::string& service, const std::vector<replica>& list,
                 const logs_request& request) {
  if (request.all_replicas) {
    for (const auto& one : list)
      add_instance(result, state, one.instance, {}, request.all_hosts);
    return;
  }
  auto first = std::find_if(list.begin(), list.end(), [](const auto& x) { return x.is_placed; });
  if (first == list.end())
    first = list.begin();
  add_instance(result, state, first->instance, {}, request.all_hosts);
  if (list.size() > 1)
    result.notes.push_back("of the " + std::to_string(list.size()) + " replicas of " + service + " this is " + first->instance
                           + "; all-replicas shows all of them");
}

problem_view not_found(const site_state& state, const logs_request& request) {
  std::vector<std::string> names;
  for (const auto& [key, record] : state.applications)
    for (const auto& name : {key, record.spec.name})
      names.push_back(name);
  for (const auto& [name, x] : state.assignments)
    names.push_back(name);
  const auto near = config::did_you_mean(request.of.substr(0, request.of.find('/')), names);
  return make_problem(404, "nothing here is called `" + request.of + "`", "it is no instance, application or service of this site",
                      near.empty() ? "`prunella get instances` lists what there is" : "did you mean `" + near + "`?");
}

std::variant<log_targets, problem_view> finished(log_targets result, const site_state& state, const logs_request& request) {
  if (result.targets.empty() && result.notes.empty())
    return not_found(state, request);
  limit_targets(result, max_log_queries);
  if (request.all_hosts)
    spread_over_hosts(result, state);
  limit_targets(result, max_log_targets);
  return result;
}

/// `text` without what is not UTF-8, which JSON cannot hold.
log_line_view view_of(const log_target& target, log_entry&& entry) {
  const std::chrono::system_clock::time_point at{std::chrono::milliseconds{entry.at_ms}};
  return {config::time_text(at), target.container, entry.is_error ? "stderr" : "stdout",
          config::yaml::with_replacements(entry.text), entry.is_partial, target.is_one_of_many ? target.host : std::string{}};
}

/// One of the logs that are merged.
struct source {
  read_log log;
  std::vector<std::int64_t> times; ///< of the entries, never falling: two streams of a log are not exactly in order
  std::size_t taken = 0;
  std::size_t may_take = 0; ///< entries up to the horizon, and on to where a page can begin
};

std::vector<source> to_sources(std::vector<read_log> logs) {
  std::vector<source> sources;
  auto horizon = std::numeric_limits<std::int64_t>::max();
  for (auto& log : logs) {
    source one;
    for (const auto& entry : log.page.entries)
      one.times.push_back(std::max(entry.at_ms, one.times.empty() ? entry.at_ms : one.times.back()));
    if (log.page.has_more && !one.times.empty())
      horizon = std::min(horizon, one.times.back());
    one.log = std::move(log);
    sources.push_back(std::move(one));
  }
  for (auto& one : sources) {
    const auto& entries = one.log.page.entries;
    while (one.may_take < entries.size()
           && (one.times[one.may_take] <= horizon || (one.may_take > 0 && entries[one.may_take - 1].next.file == 0)))
      ++one.may_take;
  }
  return sources;
}

} // namespace

std::string unread_note(const site_state& state, const std::string& host, const std::string& why, bool all_hosts) {
  const auto known = state.hosts.find(host);
  if (known == state.hosts.end() || known->second.up)
    return host + " does not say what it keeps of these logs: " + why + "; try again in a moment";
  return host + " is down (" + known->second.reason + "), and what it keeps of these logs can be read when it is back"
         + (all_hosts ? "" : "; all-hosts shows what others keep");
}

// -- requests ------------------------------------------------------------------------------------------------------------

std::variant<logs_request, problem_view> parse_logs_request(const net::http_parameters& query) {
  logs_request request;
  for (const auto& [key, value] : query) {
    std::uint32_t number = 0;
    const auto duration = config::parse_duration(value);
    if (key == "of" && !value.empty() && value.size() <= longest_name)
      request.of = value;
    else if (key == "of")
      return bad_parameter(key, value.substr(0, 100), "of=INSTANCE[/CONTAINER] or of=APPLICATION[/SERVICE]");
    else if (key == "all-replicas" && (value == "true" || value == "false"))
      request.all_replicas = value == "true";
    else if (key == "all-hosts" && (value == "true" || value == "false"))
      request.all_hosts = value == "true";
    else if (key == "tail" && parse_whole(value, number))
      request.tail = number;
    else if (key == "since" && duration)
      request.since = *duration;
    else if (key == "wait" && duration && *duration <= std::chrono::milliseconds{max_log_wait_ms})
      request.wait = *duration;
    else if (auto cursor = parse_cursor(value); key == "after" && cursor)
      request.after = *std::move(cursor);
    else
      return bad_parameter(key, value.substr(0, 100),
                           "of=NAME, all-replicas=true, all-hosts=true, tail=100, since=10m, wait=5s at most, and after as `next` of the last answer");
  }
  if (request.of.empty())
    return make_problem(400, "of is missing", "it says whose logs are wanted", "use of=INSTANCE or of=APPLICATION/SERVICE");
  return request;
}

std::variant<log_targets, problem_view> find_log_targets(const site_state& state, const logs_request& request) {
  std::string_view rest = request.of;
  const std::string name{next_part(rest, '/')};
  const std::string part{rest};
  log_targets result;
  for (const auto& instance : {name, "default." + name})
    if (state.assignments.count(instance) != 0) {
      add_instance(result, state, instance, part, request.all_hosts);
      return finished(std::move(result), state, request);
    }
  const auto services = replicas_of(state, application_key_of(name));
  for (const auto& [service, list] : services)
    if (part.empty() || part == service)
      add_service(result, state, service, list, request);
  return finished(std::move(result), state, request);
}

std::string log_name(const log_target& target) {
  return target.is_one_of_many ? target.container + '@' + target.host : target.container;
}

bool was_followed_elsewhere(const log_target& target, const logs_request& request, const site_state& state) {
  return std::any_of(state.hosts.begin(), state.hosts.end(), [&](const auto& host) {
    return host.first != target.host && request.after.count(log_key({target.container, host.first})) != 0;
  });
}

bool has_moved(const log_target& target, const logs_request& request, time_ms now) {
  // Who follows asks every few seconds. What it could not read for longer, as its host was down, is no news of a move.
  constexpr time_ms newest = 60'000;
  return !request.after.empty() && request.after.count(log_key(target)) == 0 && target.since > 0 && now - target.since < newest;
}

log_query query_for(const log_target& target, const logs_request& request, time_ms now) {
  log_query query;
  query.container = target.container;
  const auto known = request.after.find(log_key(target));
  query.has_position = known != request.after.end();
  if (query.has_position)
    query.from = known->second;
  if (has_moved(target, request, now)) {
    query.since_ms = target.since;
    return query;
  }
  if (request.tail)
    query.tail = *request.tail;
  if (request.since)
    query.since_ms = std::max<std::int64_t>(now - request.since->count(), 0);
  return query;
}

// -- cursors -------------------------------------------------------------------------------------------------------------

std::uint32_t log_key(const log_target& target) { return fnv1a(target.container + '@' + target.host); }

std::string cursor_text(const std::map<std::uint32_t, log_position>& positions) {
  std::string text;
  for (const auto& [name, at] : positions) {
    char part[64];
    std::snprintf(part, sizeof part, "%s%x.%x.%llx", text.empty() ? "" : "-", name, at.file,
                  static_cast<unsigned long long>(at.offset));
    text += part;
  }
  return text;
}

std::optional<std::map<std::uint32_t, log_position>> parse_cursor(const std::string& text) {
  std::map<std::uint32_t, log_position> positions;
  for (std::string_view rest = text; !rest.empty();) {
    auto part = next_part(rest, '-');
    std::uint32_t name = 0;
    log_position at;
    const bool good = parse_whole(next_part(part, '.'), name, 16) && parse_whole(next_part(part, '.'), at.file, 16)
                      && parse_whole(part, at.offset, 16) && at.offset >= 0;
    if (!good || positions.size() >= max_log_targets)
      return std::nullopt;
    positions[name] = at;
  }
  return positions;
}

// -- several logs as one -------------------------------------------------------------------------------------------------

merged_logs merge_logs(std::vector<read_log> logs, std::map<std::uint32_t, log_position>& positions) {
  auto sources = to_sources(std::move(logs));
  merged_logs merged;
  for (;;) {
    source* next = nullptr;
    for (auto& one : sources)
      if (one.taken < one.may_take && (next == nullptr || one.times[one.taken] < next->times[next->taken]))
        next = &one;
    if (next == nullptr)
      break;
    merged.lines.push_back(view_of(next->log.target, std::move(next->log.page.entries[next->taken])));
    ++next->taken;
  }
  for (const auto& one : sources) {
    const auto& page = one.log.page;
    const bool whole = one.taken == page.entries.size();
    merged.has_more = merged.has_more || page.has_more || !whole;
    positions[log_key(one.log.target)] =
      whole ? page.next : one.taken == 0 ? page.begin : page.entries[one.taken - 1].next;
  }
  return merged;
}

} // namespace prunella::actors
