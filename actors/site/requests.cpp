#include "actors/site/requests.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <set>
#include <utility>
#include <variant>

#include "actors/names.hpp"
#include "config/address.hpp"
#include "config/validate.hpp"
#include "net/http.hpp"

namespace prunella::actors {

namespace {

std::size_t replicas_of(const config::application_spec& spec) {
  std::size_t count = 0;
  for (const auto& service : spec.services)
    count += service.replicas;
  return count;
}

/// Instances of the site if `key` had `spec`.
std::size_t instances_with(const site_state& state, const std::string& key, const config::application_spec& spec) {
  std::size_t count = replicas_of(spec);
  for (const auto& [other, record] : state.applications)
    count += other == key ? 0 : replicas_of(record.spec);
  return count;
}

problem_view too_many_instances(std::size_t count) {
  return make_problem(422, "the site would have " + std::to_string(count) + " instances", "a site holds at most "
                      + std::to_string(max_instances), "lower the replicas, or delete what is not needed");
}

using port_id = std::pair<std::uint16_t, config::port_protocol>;

/// What an application takes of every host of the site (published) and of those that its instances are on (own).
struct ports_of {
  std::set<port_id> published;
  std::set<port_id> own;

  explicit ports_of(const config::application_spec& spec) {
    for (const auto& service : spec.services)
      for (const auto& container : service.containers)
        for (const auto& port : container.ports) {
          if (service.network == config::instance_network::host)
            own.insert({port.port, port.protocol});
          if (port.publish != 0)
            published.insert({port.publish, port.protocol});
        }
  }
};

std::optional<port_id> common(const std::set<port_id>& a, const std::set<port_id>& b) {
  for (const auto& port : a)
    if (b.count(port) != 0)
      return port;
  return std::nullopt;
}

std::string port_text(const port_id& port) {
  return "port " + std::to_string(port.first) + '/' + std::string{config::to_text(port.second)};
}

/// Every host answers on a published port, so none may be one that a host has for the others.
problem_view refuse_own_ports(const site_state& state, const std::string& key, const std::set<port_id>& published) {
  for (const auto& [id, host] : state.hosts)
    for (const auto& [address, name] : {std::pair{host.spec.address, "address"}, std::pair{host.spec.door, "door"}}) {
      const auto own = config::parse_address(address);
      const auto port = port_id{own ? own->port : std::uint16_t{0}, config::port_protocol::tcp};
      if (published.count(port) != 0)
        return make_problem(409, port_text(port) + " cannot be published by " + key,
                            id + " listens on it for the other hosts of the site: its `" + name + "` is " + address, "publish another port");
    }
  return {};
}

/// A published port belongs to one application of the site, and neither a container nor the site itself can listen on it.
problem_view refuse_ports(const site_state& state, const std::string& key, const config::application_spec& spec) {
  const ports_of wanted{spec};
  if (auto own = refuse_own_ports(state, key, wanted.published); own.status != 0)
    return own;
  std::size_t count = wanted.published.size();
  for (const auto& [other, record] : state.applications) {
    if (other == key)
      continue;
    const ports_of taken{record.spec};
    count += taken.published.size();
    if (const auto port = common(wanted.published, taken.published))
      return make_problem(409, port_text(*port) + " cannot be published by " + key, "application " + other + " publishes it",
                          "publish another port, or delete " + other);
    if (const auto port = common(wanted.published, taken.own))
      return make_problem(409, port_text(*port) + " cannot be published by " + key,
                          "containers of application " + other + " listen on it", "publish another port");
    if (const auto port = common(wanted.own, taken.published))
      return make_problem(409, "containers of " + key + " cannot listen on " + port_text(*port),
                          "application " + other + " publishes it, so every host of the site answers on it itself",
                          "let the containers listen on another port");
  }
  return count <= max_published ? problem_view{}
                                : make_problem(422, "the site would publish " + std::to_string(count) + " ports",
                                               "a site publishes at most " + std::to_string(max_published),
                                               "publish fewer, or delete what is not needed");
}

struct refusal {
  const site_state& state;

  problem_view operator()(const put_application& x) const {
    problem_view invalid = make_problem(422, "application " + x.spec.name + " is not valid", "the document breaks rules",
                                        "correct what is listed; `prunella config validate FILE` shows line and column");
    for (const auto& problem : config::validate(x.spec))
      invalid.errors.push_back(config::problem_summary(problem));
    if (!invalid.errors.empty())
      return invalid;
    for (const auto& service : x.spec.services)
      if (service.when_cut_off.mode != config::cut_off_mode::keep_running)
        return make_problem(422, "service " + service.name + " asks for `when-cut-off: "
                            + std::string{config::to_text(service.when_cut_off.mode)} + '`',
                            "this version has no leases: a host that is cut off keeps running what it runs",
                            "use `when-cut-off: keep-running`, and only where two copies at once do no harm");
    const auto key = application_key(x.spec.tenant, x.spec.name);
    if (state.applications.count(key) == 0 && state.applications.size() >= max_applications)
      return make_problem(422, "the site has " + std::to_string(max_applications) + " applications",
                          "a site holds no more", "delete one that is not needed");
    const auto count = instances_with(state, key, x.spec);
    return count > max_instances ? too_many_instances(count) : refuse_ports(state, key, x.spec);
  }

  problem_view operator()(const scale_service& x) const {
    const auto it = state.applications.find(x.key);
    if (it == state.applications.end())
      return {}; // answered as not found when applied
    auto spec = it->second.spec;
    for (auto& service : spec.services)
      if (service.name == x.service)
        service.replicas = x.replicas;
    const auto known = config::validate(it->second.spec); // an older version may have let in what is refused by now
    for (const auto& problem : config::validate(spec))
      if (std::find(known.begin(), known.end(), problem) == known.end())
        return make_problem(422, config::problem_summary(problem), "the number of replicas is out of bounds",
                            "ask for a number within them");
    const auto count = instances_with(state, x.key, spec);
    return count > max_instances ? too_many_instances(count) : problem_view{};
  }

  problem_view operator()(const delete_application&) const { return {}; }

  problem_view operator()(const restart_instances& x) const {
    if (x.instance.empty()) {
      const auto it = state.applications.find(x.key);
      if (it == state.applications.end())
        return {}; // answered as not found when applied
      if (it->second.update == update_phase::paused)
        return make_problem(409, "the update of " + x.key + " is paused", it->second.update_reason,
                            "apply a corrected version or roll back; that starts anew what has to be");
      if (it->second.revision == x.revision)
        return {};
      return make_problem(409, x.key + " is in revision " + std::to_string(it->second.revision) + ", not " + std::to_string(x.revision),
                          "it was changed, or restarted, meanwhile", "look at it, and ask again if that is still what you want");
    }
    const auto it = state.assignments.find(x.instance);
    if (it == state.assignments.end())
      return make_problem(404, "there is no instance " + x.instance + " in this site", "nothing of that name is assigned",
                          "`prunella get instances` lists what there is");
    const auto& now = it->second;
    if (now.host.empty() || now.leaves_since != 0)
      return make_problem(409, x.instance + " runs nowhere that it could be restarted",
                          now.host.empty() ? now.reason : "it leaves " + now.host + ": " + now.reason, "`prunella get instances` says how it stands");
    if (now.generation != x.generation)
      return make_problem(409, x.instance + " is in generation " + std::to_string(now.generation) + ", not " + std::to_string(x.generation),
                          "it was placed anew, or restarted, meanwhile", "look at it, and ask again if that is still what you want");
    return {};
  }

  problem_view operator()(const drain_host& x) const {
    return state.hosts.count(x.host) != 0 ? problem_view{}
                                          : make_problem(404, "there is no host " + x.host + " in this site", "its document names no such host",
                                                         "`prunella get hosts` lists them");
  }

  problem_view operator()(const roll_back& x) const {
    const auto it = state.applications.find(x.key);
    if (it == state.applications.end())
      return {}; // answered as not found when applied
    const auto& record = it->second;
    if (record.former.revision == 0)
      return make_problem(409, "there is no version to go back to", x.key + " ran in no other version since it was created or went back",
                          "apply the version that you want");
    if (x.revision != record.revision)
      return make_problem(409, x.key + " is in revision " + std::to_string(record.revision) + ", not " + std::to_string(x.revision),
                          "it was changed, or went back, meanwhile", "look at it, and ask again if that is still what you want");
    const auto count = instances_with(state, x.key, record.former.spec);
    return count > max_instances ? too_many_instances(count) : refuse_ports(state, x.key, record.former.spec);
  }

  template <class Internal>
  problem_view operator()(const Internal&) const {
    return make_problem(403, "only the site itself makes this decision", "the command is none that a user may give",
                        "apply, scale or delete applications");
  }
};

} // namespace

problem_view refuse(const site_command& command, const site_state& state) {
  return std::visit(refusal{state}, command.body);
}

site_answer answer_of(const command_outcome& outcome) {
  if (outcome.result == command_result::stale)
    return {outcome, make_problem(409, "nothing was changed: what was asked for is of an earlier revision or generation",
                                  "it was changed, or restarted, in the same moment", "look at it, and ask again if that is still what you want")};
  if (outcome.result != command_result::not_found)
    return {outcome, {}};
  return {outcome, make_problem(404, "there is no " + outcome.detail + " in this site", "nothing of that name was applied",
                                "`prunella get applications` lists what there is")};
}

problem_view make_problem(std::uint32_t status, std::string detail, std::string cause, std::string fix) {
  return {std::string{net::http_reason(status)}, status, std::move(detail), std::move(cause), std::move(fix), {}};
}

problem_view wrong_body(std::vector<std::string> errors, const char* example) {
  auto problem = make_problem(400, "the body is not what this request takes", errors.front(),
                              std::string{"send JSON such as "} + example);
  problem.errors = std::move(errors);
  return problem;
}

std::string application_key_of(const std::string& name) {
  const auto dot = name.find('.');
  const auto tenant = dot == std::string::npos ? std::string{"default"} : name.substr(0, dot);
  const auto application = dot == std::string::npos ? name : name.substr(dot + 1);
  return config::is_name(tenant) && config::is_name(application) ? application_key(tenant, application) : std::string{};
}

} // namespace prunella::actors
