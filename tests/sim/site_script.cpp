#include "tests/sim/site_script.hpp"

#include <algorithm>

#include "actors/names.hpp"

namespace prunella::tests {

namespace {

using namespace std::chrono_literals;

const std::vector<std::string> applications{"default.bakery", "default.camera", "default.till"};

/// Just enough on all hosts together for everything the script may ask for, so that hosts are often full.
config::resources capacity_of(std::size_t hosts) {
  const std::int64_t wanted = 3 * 2 * 3 * 100;
  return {wanted / static_cast<std::int64_t>(hosts) / 100 * 100, std::int64_t{8} << 30};
}

simulation_options simulation_of(const script_options& options) {
  simulation_options x;
  x.seed = options.seed;
  x.hosts = options.hosts;
  x.capacity = capacity_of(options.hosts);
  return x;
}

} // namespace

site_script::site_script(script_options options)
  : options_(options), random_(options.seed ^ 0x5eedu), site_(simulation_of(options)), hosts_(site_.hosts()) {}

void site_script::note(const std::string& kind, const std::string& what) {
  ++counts_[kind];
  story_.push_back(std::to_string(site_.elapsed().count()) + " ms: " + kind + ' ' + what);
}

std::string site_script::story() const {
  std::string text;
  for (const auto& line : story_)
    text += "  " + line + '\n';
  return text;
}

void site_script::run() {
  site_.network().set_faults({200us, 2ms, 0.001, 0.001, 0.001});
  for (const auto& host : hosts_)
    site_.machine(host).stop_time = milliseconds{draw(2) == 0 ? 0 : draw(3'000)};
  for (std::size_t i = 0; i < options_.steps; ++i) {
    take_step();
    site_.advance(milliseconds{20 + draw(draw(4) == 0 ? 3'000 : 400)});
    site_.restart_ended_agents();
  }
  heal_and_require();
}

void site_script::take_step() {
  switch (draw(10)) {
  case 0:
  case 1:
  case 2: return ask_something();
  case 3:
  case 4: return break_machine();
  case 5: return break_network();
  case 6:
  case 7: return break_containers();
  case 8: return break_actor();
  default: break;
  }
  const auto& to = draw_from(hosts_);
  note("transfer", "to " + to);
  site_.transfer_leadership(to);
}

void site_script::ask_something() {
  const auto& application = draw_from(applications);
  const auto& host = draw_from(hosts_);
  if (site_.clients().is_waiting(application))
    return;
  switch (draw(5)) {
  case 0:
    note("delete", application + " at " + host);
    site_.remove(application, host);
    return;
  case 1:
  case 2: {
    const auto service = draw(2) == 0 ? "front" : "store";
    const auto replicas = static_cast<std::uint32_t>(draw(4));
    note("scale", application + '/' + service + " to " + std::to_string(replicas) + " at " + host);
    site_.scale(application, service, replicas, host);
    return;
  }
  default: return put(application, host);
  }
}

void site_script::put(const std::string& application, const std::string& host) {
  auto front = simulated_service("front", static_cast<std::uint32_t>(draw(4)));
  auto store = simulated_service("store", static_cast<std::uint32_t>(draw(4)));
  store.placement.anti_affinity = {"store"};
  for (auto* service : {&front, &store}) {
    service->restart.intensity = static_cast<std::uint32_t>(1 + draw(3));
    service->restart.period = 5s;
    service->strategy = static_cast<config::restart_strategy>(draw(3));
  }
  if (draw(2) == 0)
    front.restart.type = config::restart_type::transient;
  auto spec = simulated_application(application.substr(application.find('.') + 1), {front, store},
                                    std::to_string(++versions_));
  spec.strategy = static_cast<config::restart_strategy>(draw(3));
  spec.intensity = static_cast<std::uint32_t>(1 + draw(2));
  spec.period = 10s;
  // A third of the new versions has to leave a host that is up.
  if (draw(3) == 0)
    spec.services.front().placement.match_host_labels = "number != " + std::to_string(1 + draw(hosts_.size()));
  // Half of the new versions change what runs, the others only what is written about it.
  if (draw(2) == 0)
    for (auto& service : spec.services)
      service.containers.front().command = {"serve", spec.version};
  note("put", application + " version " + spec.version + " front=" + std::to_string(front.replicas) + " store="
                + std::to_string(store.replicas) + ' ' + spec.services.front().placement.match_host_labels + " at " + host);
  site_.put(spec, host);
}

void site_script::break_machine() {
  const auto& host = draw_from(hosts_);
  if (!site_.has_agent(host)) {
    note("start", host);
    return site_.start_host(host);
  }
  switch (draw(8)) {
  case 0:
  case 1:
  case 2:
    note("crash", host);
    return site_.crash_host(host);
  case 3:
    note("power-cut", "of all hosts");
    for (const auto& id : hosts_)
      site_.crash_host(id);
    for (const auto& id : hosts_)
      site_.start_host(id);
    return;
  default:
    note("agent-crash", host);
    site_.crash_agent(host);
    if (draw(2) == 0)
      site_.start_host(host);
  }
}

void site_script::break_network() {
  const auto& host = draw_from(hosts_);
  const auto& other = draw_from(hosts_);
  switch (draw(5)) {
  case 0:
    note("isolate", host);
    return site_.network().isolate(host);
  case 1:
    note("cut", host + " from " + other);
    if (host != other)
      site_.network().cut(host, other);
    return;
  case 2: {
    const auto loss = static_cast<double>(draw(20)) / 100;
    note("faults", std::to_string(loss));
    return site_.network().set_faults({1ms, milliseconds{2 + draw(60)}, loss, loss / 2, loss});
  }
  default:
    note("heal", "the network");
    site_.network().set_faults({200us, 2ms, 0.001, 0.001, 0.001});
    site_.network().heal();
  }
}

void site_script::break_containers() {
  const auto runs = site_.running();
  if (draw(5) == 0) {
    note("crash-loops-end", "");
    return site_.end_crash_loops();
  }
  if (runs.empty())
    return;
  const auto victim = std::next(runs.begin(), static_cast<std::ptrdiff_t>(draw(runs.size())));
  if (draw(6) == 0) {
    const auto host = draw(2) == 0 ? std::string{} : victim->second.first;
    note("crash-loop", victim->first + " on " + (host.empty() ? "all hosts" : host));
    return site_.begin_crash_loop(victim->first, host);
  }
  note("container-crash", victim->first + " on " + victim->second.first);
  site_.machine(victim->second.first).end(actors::container_name(victim->first, "main"), draw(2) == 0 ? 0 : 1);
}

void site_script::break_actor() {
  const auto hosts = site_.running_hosts();
  if (hosts.empty())
    return;
  const auto& host = draw_from(hosts);
  const auto rows = site_.inside(host).tree().list({});
  if (rows.empty())
    return;
  const auto path = rows[draw(rows.size())].path;
  note("kill-actor", path);
  site_.kill_actor(path);
}

void site_script::heal_and_require() {
  note("heal", "everything");
  site_.network().set_faults({});
  site_.network().heal();
  site_.end_crash_loops();
  for (const auto& host : hosts_)
    site_.start_host(host);
  // Whatever was asked is answered or given up, then every avoided host is eligible again, then the site settles.
  const auto answered = [this] {
    return std::none_of(applications.begin(), applications.end(),
                        [this](const auto& x) { return site_.clients().is_waiting(x); });
  };
  for (auto waited = 0ms; waited < 20s && !answered(); waited += 1s) {
    site_.advance(1s);
    site_.restart_ended_agents();
  }
  if (!answered())
    throw broken_promise("a request was not answered within 20 s");
  // A host that was silent until now may still be declared down in a moment.
  site_.advance(2s);
  const auto at_rest = [this] {
    const auto& hosts = site_.state().hosts;
    return site_.is_satisfied() && std::all_of(hosts.begin(), hosts.end(), [](const auto& x) { return x.second.up; });
  };
  for (auto waited = 0ms; waited < 30s && !at_rest(); waited += 200ms) {
    site_.advance(200ms);
    site_.restart_ended_agents();
  }
  if (auto why = site_.difference(); !why.empty())
    throw broken_promise("the healed site did not come to rest: " + why);
  if (!at_rest())
    throw broken_promise("the healed site still believes a host to be down");
  // At rest it stays: nothing is restarted or moved for no reason.
  note("rest", "");
  const auto before = site_.running();
  const auto assignments = site_.state().assignments;
  site_.advance(3s);
  if (site_.running() != before || site_.state().assignments != assignments)
    throw broken_promise("the healed site moves instances although nothing happens");
}

} // namespace prunella::tests
