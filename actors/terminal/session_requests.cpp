#include "actors/terminal/session_requests.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <string_view>

#include "actors/names.hpp"
#include "actors/site/requests.hpp"
#include "actors/site/update.hpp"
#include "config/did_you_mean.hpp"
#include "config/json.hpp"
#include "config/time.hpp"
#include "net/base64.hpp"

namespace prunella::actors {

namespace {

constexpr std::size_t max_arguments = 1'000;
constexpr char between = '~'; // in no host's name

/// A body whose members are fields of `Body`; those that are left out have their defaults.
template <class Body>
or_problem<Body> read_body(const std::string& text, const char* example) {
  const auto parsed = config::parse_json(text);
  Body body;
  auto errors = parsed.error.empty() ? config::from_json(parsed.value, body) : std::vector<std::string>{parsed.error};
  if (errors.empty())
    return body;
  return wrong_body(std::move(errors), example);
}

problem_view no_instance(const site_state& state, const std::string& name) {
  std::vector<std::string> names;
  for (const auto& [instance, x] : state.assignments)
    for (const auto& known : {instance, x.application + instance.substr(instance.rfind('.'))}) // with and without its tenant
      names.push_back(known);
  const auto near = config::did_you_mean(name, names);
  return make_problem(404, "there is no instance `" + name + "`", "a command runs in a container of one instance",
                      near.empty() ? "`prunella get instances` lists them" : "did you mean `" + near + "`?");
}

/// The first container of the first placed instance of a service: where its image is.
or_problem<session_target> find_task_target(const site_state& state, const std::string& of) {
  const auto slash = of.find('/');
  const auto key = application_key_of(of.substr(0, slash));
  const auto service = slash == std::string::npos ? std::string{} : of.substr(slash + 1);
  const assignment* first = nullptr;
  bool is_known = false;
  for (const auto& [instance, x] : state.assignments) {
    if (application_key(x.tenant, x.application) != key || x.service != service)
      continue;
    is_known = true;
    if (!x.host.empty() && (first == nullptr || x.replica < first->replica))
      first = &x;
  }
  const auto* spec = first == nullptr ? nullptr : service_of(state, *first);
  if (spec != nullptr && !spec->containers.empty()) {
    session_target target{first->host, {}};
    target.open.container = container_name(instance_name(first->tenant, first->application, first->service, first->replica),
                                           spec->containers.front().name);
    return target;
  }
  if (is_known)
    return make_problem(409, "no instance of " + of + " is on a host", "a task runs where one is, as its image is there",
                        "wait until one is placed; `prunella get instances` says what is in the way");
  return make_problem(404, "there is no service `" + of + "` with an instance", "a task is made as the instances of a service are",
                      "write APPLICATION/SERVICE, and give it a replica; `prunella get applications` lists them");
}

or_problem<session_target> find_target(const site_state& state, const std::string& of) {
  const auto slash = of.find('/');
  const auto name = of.substr(0, slash);
  const auto container = slash == std::string::npos ? std::string{} : of.substr(slash + 1);
  auto found = state.assignments.find(name);
  if (found == state.assignments.end())
    found = state.assignments.find("default." + name);
  if (found == state.assignments.end())
    return no_instance(state, name);
  const auto& [instance, x] = *found;
  if (x.host.empty())
    return make_problem(409, instance + " is on no host", x.reason.empty() ? "it was not placed yet" : x.reason,
                        "wait until it runs; `prunella get instances` shows it");
  const auto* service = service_of(state, x);
  if (service == nullptr || service->containers.empty())
    return no_instance(state, name);
  session_target target{x.host, {}};
  for (const auto* containers : {&service->containers, &service->init_containers})
    for (const auto& one : *containers)
      if (target.open.container.empty() && (container.empty() || one.name == container))
        target.open.container = container_name(instance, one.name);
  if (!target.open.container.empty())
    return target;
  std::vector<std::string> names;
  for (const auto& one : service->containers)
    names.push_back(one.name);
  const auto near = config::did_you_mean(container, names);
  return make_problem(404, instance + " has no container `" + container + "`", "its first is `" + names.front() + "`",
                      near.empty() ? "leave it out for that one" : "did you mean `" + near + "`?");
}

/// It becomes an environment variable: anything else than a terminal's name is left out.
std::string terminal_kind(const std::string& term) {
  constexpr std::size_t longest = 64;
  const bool is_name = !term.empty() && term.size() <= longest
                       && std::all_of(term.begin(), term.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; });
  return is_name ? term : "xterm";
}

} // namespace

std::string session_text(const session_place& place) {
  return place.host + between + place.session;
}

or_problem<session_place> parse_session(const net::routed_request& request) {
  const auto& text = request.path.at("session");
  const auto mark = text.rfind(between);
  if (mark == std::string::npos || mark == 0 || mark + 1 == text.size())
    return make_problem(404, "there is no session `" + text + "`", "that is not the name of one",
                        "use `session` of the answer to POST /v1/sessions");
  return session_place{text.substr(0, mark), text.substr(mark + 1)};
}

or_problem<session_target> open_request(const net::routed_request& request, const site_state& state) {
  auto body = read_body<session_request_view>(request.request.body, R"({"of": "shop.web-1", "command": ["ls", "-l"]})");
  if (auto* problem = std::get_if<problem_view>(&body))
    return std::move(*problem);
  auto& x = std::get<session_request_view>(body);
  if (x.command.empty() || x.command.front().empty() || x.command.size() > max_arguments)
    return make_problem(400, "the command has no program, or more than 1000 arguments", "nothing was started",
                        R"(send it as a list: "command": ["ls", "-l"])");
  if (x.task && x.terminal)
    return make_problem(400, "a task has no terminal", "its output goes the way of a log",
                        "leave `terminal` out, or open a session in a running container");
  auto target = x.task ? find_task_target(state, x.of) : find_target(state, x.of);
  if (auto* found = std::get_if<session_target>(&target)) {
    found->open.command = std::move(x.command);
    found->open.terminal = x.terminal ? terminal_kind(x.term) : std::string{};
    found->open.has_input = x.input;
    found->open.window = {x.rows, x.columns};
    found->open.is_task = x.task;
  }
  return target;
}

or_problem<read_terminal> read_request(const net::routed_request& request, const std::string& session) {
  read_terminal read{session, 0, 0};
  for (const auto& [key, value] : request.query) {
    bool good = false;
    if (key == "after") {
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), read.after);
      good = error == std::errc{} && end == value.data() + value.size();
    } else if (const auto wait = config::parse_duration(value); key == "wait" && wait) {
      good = wait->count() <= max_terminal_wait_ms;
      read.wait_ms = good ? static_cast<std::uint32_t>(wait->count()) : 0;
    }
    if (!good)
      return make_problem(400, key + " is `" + value + "`", "it is not what this parameter takes",
                          "use after=NUMBER of the last chunk, and wait=5s at most");
  }
  return read;
}

or_problem<write_terminal> write_request(const net::routed_request& request, const std::string& session) {
  auto body = read_body<session_input_view>(request.request.body, R"({"from": 0, "data": "bHMK"})");
  if (auto* problem = std::get_if<problem_view>(&body))
    return std::move(*problem);
  const auto& x = std::get<session_input_view>(body);
  auto bytes = net::from_base64(x.data);
  if (!bytes || bytes->size() > max_input_bytes)
    return make_problem(400, "data is not base64 of at most " + std::to_string(max_input_bytes) + " bytes", "nothing was written",
                        "send the input in parts, each in base64 with padding");
  return write_terminal{session, x.from, *std::move(bytes), x.end, {x.rows, x.columns}};
}

session_output_view view_of(const terminal_output& output) {
  session_output_view view;
  for (const auto& chunk : output.chunks)
    view.chunks.push_back({chunk.number, chunk.is_error ? "stderr" : "stdout", net::to_base64(chunk.bytes)});
  view.over = output.is_over;
  view.exit_code = output.exit_code;
  view.failure = output.failure;
  return view;
}

problem_view not_running_problem(const std::string& container, const std::vector<instance_view>& instances,
                                 const std::string& why) {
  const auto has = [&](const instance_view& x) { return container.compare(0, x.name.size() + 1, x.name + '.') == 0; };
  const auto found = std::find_if(instances.begin(), instances.end(), has);
  if (found == instances.end())
    return make_problem(409, container + " does not run", why, "`prunella get instances` shows what runs");
  const bool is_over = found->state == "finished" || found->state == "failed";
  const auto step = is_over ? "`prunella logs " + found->name + "` shows what it printed; `prunella run " + found->application + '/'
                                + found->service + " -- COMMAND` runs a command in a container of its own"
                            : "wait until it runs, as `prunella get instances -a " + found->application + " --watch` shows";
  if (found->state != "running")
    return make_problem(409, found->name + " is " + found->state, found->reason.empty() ? why : found->reason, step);
  for (const auto& x : found->containers)
    if (x.name == container && x.state != "running")
      return make_problem(409, container + " is " + x.state, x.reason.empty() ? why : x.reason, step);
  return make_problem(409, container + " was not there a moment ago", why, "try again");
}

} // namespace prunella::actors
