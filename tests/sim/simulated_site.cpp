#include "tests/sim/simulated_site.hpp"

#include <algorithm>
#include <set>

#include <caf/exit_reason.hpp>
#include <caf/send.hpp>

#include "actors/names.hpp"
#include "actors/site/membership.hpp"
#include "actors/site/update.hpp"
#include "config/json.hpp"
#include "config/label_expression.hpp"
#include "config/time.hpp"
#include "runtime/consensus/consensus_actor.hpp"
#include "tests/runtime/consensus_actors.hpp"
#include "tests/sim/slow_log.hpp"

namespace prunella::tests {

namespace {

constexpr std::chrono::milliseconds step{20};
constexpr std::chrono::seconds longest_step{15}; ///< of a host: what it does for an application when it hears of an end comes first
constexpr actors::time_ms epoch_ms = 1'790'000'000'000;

} // namespace

config::service_spec simulated_service(std::string name, std::uint32_t replicas) {
  config::service_spec service;
  service.name = std::move(name);
  service.replicas = replicas;
  config::container_spec container;
  container.name = "main";
  container.command = {"serve"};
  container.resources = {100, 16 << 20};
  container.grace = 2s;
  service.containers = {container};
  return service;
}

config::application_spec simulated_application(std::string name, std::vector<config::service_spec> services,
                                               std::string version) {
  config::application_spec application;
  application.name = std::move(name);
  application.version = std::move(version);
  application.services = std::move(services);
  return application;
}

simulated_site::simulated_site(simulation_options options)
  : options_(options),
    random_(options.seed),
    world_({options.seed, 1'000'000, 1'000'000, actors::announce}),
    network_(std::make_unique<net::memory_network>(world_.system(), random_())) {
  spec_.name = "shop";
  spec_.liveness = options_.liveness;
  for (std::size_t i = 1; i <= options_.hosts; ++i) {
    config::host_spec host;
    host.id = "host-" + std::to_string(i);
    host.address = "127.0.0.1:" + std::to_string(7000 + i);
    host.capacity = options_.capacity;
    host.labels = {{"number", std::to_string(i)}};
    spec_.hosts.push_back(host);
  }
  const auto range = static_cast<std::uint64_t>(2 * options_.clock_skew.count() + 1);
  for (const auto& spec : spec_.hosts) {
    auto& host = hosts_[spec.id];
    host.log = std::make_shared<memory_disk>();
    host.database = std::make_shared<memory_database_file>();
    host.database->on_applied = [this, id = spec.id](const auto& content) {
      try {
        record_.applied(id, content);
      } catch (const broken_promise& e) {
        if (!broken_)
          broken_ = e.what(); // an exception here would only end the actor that applies
      }
    };
    host.journal = std::make_shared<memory_journal_file>();
    host.machine = std::make_shared<scripted_host>();
    host.machine->start_time = milliseconds{random_() % 50};
    host.machine->stop_time = milliseconds{random_() % 200};
    host.skew = milliseconds{static_cast<std::int64_t>(random_() % range)} - options_.clock_skew;
    start_host(spec.id);
  }
}

simulated_site::~simulated_site() {
  for (auto& [id, host] : hosts_)
    if (host.inside)
      end_agent(host);
}

actors::outer_parts simulated_site::outside(const std::string& id) {
  actors::outer_parts x;
  auto& host = hosts_.at(id);
  x.make_links = [this](net::link_options links) { return network_->attach(std::move(links)); };
  x.spawn_driver = [this, machine = host.machine] { return spawn_scripted_driver(world_.system(), machine); };
  x.spawn_log = [this, disk = host.log](actors::log_hooks hooks) {
    slow_log_options log;
    log.open = [disk]() -> storage::result<std::unique_ptr<storage::raft_log>> {
      return std::unique_ptr<storage::raft_log>(std::make_unique<memory_log>(disk));
    };
    log.say_ready = std::move(hooks.say_ready);
    log.draw_delay = [this] { return std::chrono::microseconds{500 + random_() % 5'000}; };
    return spawn_slow_log(world_.system(), std::move(log));
  };
  x.open_database = [file = host.database](const actors::file_trouble&) -> storage::result<std::unique_ptr<storage::site_database>> {
    return std::unique_ptr<storage::site_database>(std::make_unique<memory_site_database>(file));
  };
  x.open_journal = [file = host.journal](const actors::file_trouble&) -> storage::result<std::unique_ptr<storage::event_journal>> {
    return std::unique_ptr<storage::event_journal>(std::make_unique<memory_journal>(file));
  };
  x.draw_seed = [this] { return random_() | 1; };
  x.clock = [this, skew = host.skew] { return epoch_ms + (elapsed() + skew).count(); };
  return x;
}

// -- time ----------------------------------------------------------------------------------------------------------------

simulated_site::milliseconds simulated_site::elapsed() {
  return std::chrono::duration_cast<milliseconds>(world_.elapsed());
}

void simulated_site::advance(milliseconds amount) {
  for (const auto end = elapsed() + amount; elapsed() < end;) {
    world_.advance(std::min(step, end - elapsed()));
    check();
    run_crash_loops();
  }
}

bool simulated_site::await(const std::function<bool()>& done, milliseconds limit) {
  for (const auto end = elapsed() + limit; !done() && elapsed() < end;)
    advance(step);
  return done();
}

void simulated_site::check() {
  if (broken_)
    throw broken_promise(*broken_);
  std::set<std::pair<std::string, std::uint64_t>> copies; // (container, generation)
  for (auto& [id, host] : hosts_) {
    check_starts(id, host);
    for (const auto& [name, process] : host.machine->running) {
      record_.runs(id, process.order.instance, process.order.generation);
      if (!copies.emplace(name, process.order.generation).second)
        throw broken_promise(name + " runs twice with generation " + std::to_string(process.order.generation));
    }
  }
  if (auto why = clients_.judge(record_.latest()); !why.empty())
    throw broken_promise(std::move(why));
  trace_ = trace_ * 1'099'511'628'211ULL + record_.latest().applied_index * 31 + network_->delivered() * 7 + copies.size();
}

/// A generation that is known to have ended is never started again.
void simulated_site::check_starts(const std::string& id, simulated_host& host) {
  const auto known = host.inside ? host.inside->state().get() : nullptr;
  if (known && known->applied_index != host.looked_at) {
    const bool is_first = std::exchange(host.looked_at, known->applied_index) == 0; // what it knows from the start on it heeds at once
    const auto since = is_first ? elapsed() - longest_step - 1s : elapsed();
    for (const auto& [name, x] : known->assignments)
      if (x.ended != actors::instance_end::none)
        host.ends.try_emplace({name, x.generation}, since);
  }
  for (const auto& [name, process] : host.machine->running) {
    if (!host.pids.insert(process.pid).second)
      continue;
    const auto end = host.ends.find({process.order.instance, process.order.generation});
    if (end != host.ends.end() && elapsed() - end->second > longest_step)
      throw broken_promise(id + " started " + name + " generation " + std::to_string(process.order.generation)
                           + " again although it knows that it has ended");
  }
}

void simulated_site::run_crash_loops() {
  for (const auto& rule : crash_loops_)
    for (auto& [id, host] : hosts_) {
      if (!rule.host.empty() && rule.host != id)
        continue;
      std::vector<std::string> ending;
      for (const auto& [name, process] : host.machine->running)
        if (process.order.instance.compare(0, rule.instance.size(), rule.instance) == 0)
          ending.push_back(name);
      for (const auto& name : ending)
        host.machine->end(name, 3);
    }
}

// -- faults --------------------------------------------------------------------------------------------------------------

void simulated_site::start_host(const std::string& id) {
  auto& host = hosts_.at(id);
  if (host.inside)
    return;
  host.is_on = true;
  host.machine->released = false;
  host.inside = std::make_unique<actors::composition>(world_.system(), actors::composition_options{spec_, id, "simulated"},
                                                      outside(id));
  host.root = host.inside->start();
  host.root_end = world_.watch(host.root);
}

/// Ends all actors of an agent as the end of its process does: no handler runs, nothing is said.
void simulated_site::end_agent(simulated_host& host) {
  caf::anon_send_exit(host.root, caf::exit_reason::kill);
  world_.settle();
  host.inside->release();
  host.machine->driver = nullptr;
  host.ends.clear();
  host.looked_at = 0;
  host.root = nullptr;
  ended_.push_back(std::move(host.inside));
  world_.settle();
}

void simulated_site::crash_agent(const std::string& id) {
  if (auto& host = hosts_.at(id); host.inside)
    end_agent(host);
}

void simulated_site::crash_host(const std::string& id) {
  auto& host = hosts_.at(id);
  network_->power_off(id);
  if (host.inside)
    end_agent(host);
  if (host.is_on)
    host.database->cut_power(random_);
  host.machine->running.clear();
  host.is_on = false;
}

void simulated_site::restart_ended_agents() {
  for (auto& [id, host] : hosts_)
    if (host.inside && *host.root_end) {
      end_agent(host);
      start_host(id);
    }
}

bool simulated_site::kill_actor(const std::string& path) {
  const auto& host = hosts_.at(path.substr(0, path.find('/')));
  return host.inside && host.inside->tree().kill(path);
}

void simulated_site::begin_crash_loop(const std::string& instance, const std::string& host) {
  crash_loops_.push_back({instance, host});
}

void simulated_site::transfer_leadership(const std::string& to) {
  if (const auto from = leader(); !from.empty())
    if (const auto consensus = hosts_.at(from).inside->local("consensus"))
      caf::anon_send(consensus, runtime::transfer_leadership{actors::member_id_of(to)});
}

// -- clients -------------------------------------------------------------------------------------------------------------

simulated_site::answer simulated_site::request(const std::string& host, std::string method, std::string target,
                                               std::string body) {
  auto result = std::make_shared<std::optional<net::http_response>>();
  net::http_responder respond{[result](net::http_response response) { *result = std::move(response); }};
  if (auto& x = hosts_.at(host); x.inside)
    x.inside->router()({std::move(method), std::move(target), {}, std::move(body)}, respond);
  return result; // a host without an agent refuses the connection: 500 of the dropped responder
}

unsigned simulated_site::ask(const std::string& host, std::string method, std::string target, std::string body) {
  const auto got = request(host, std::move(method), std::move(target), std::move(body));
  await([&] { return got->has_value(); }, 20s);
  if (!got->has_value())
    throw broken_promise(host + " did not answer a request within 20 s");
  return (*got)->status;
}

simulated_site::answer simulated_site::follow(const std::string& application, content_change change, const std::string& host,
                                              std::string method, std::string target, std::string body) {
  auto result = std::make_shared<std::optional<net::http_response>>();
  clients_.asked(application, std::move(change));
  net::http_responder respond{[this, application, result](net::http_response response) {
    clients_.answered(application, response.status, elapsed(), response.body);
    *result = std::move(response);
  }};
  if (auto& x = hosts_.at(host); x.inside)
    x.inside->router()({std::move(method), std::move(target), {}, std::move(body)}, respond);
  return result;
}

simulated_site::answer simulated_site::put(const config::application_spec& spec, const std::string& host) {
  application_content content{spec.version, {}};
  for (const auto& service : spec.services)
    content.replicas[service.name] = service.replicas;
  const auto name = actors::application_key(spec.tenant, spec.name);
  return follow(name, [content](const maybe_content&) { return maybe_content{content}; }, host, "PUT",
                "/v1/applications/" + name, config::json_text(config::to_json(spec)));
}

simulated_site::answer simulated_site::scale(const std::string& application, const std::string& service,
                                             std::uint32_t replicas, const std::string& host) {
  return follow(
    application,
    [service, replicas](maybe_content content) {
      if (content && content->replicas.count(service) != 0)
        content->replicas[service] = replicas;
      return content;
    },
    host, "POST", "/v1/applications/" + application + "/scale",
    R"({"service": ")" + service + R"(", "replicas": )" + std::to_string(replicas) + '}');
}

simulated_site::answer simulated_site::remove(const std::string& application, const std::string& host) {
  return follow(application, [](const maybe_content&) { return maybe_content{}; }, host, "DELETE",
                "/v1/applications/" + application, {});
}

// -- what is -------------------------------------------------------------------------------------------------------------

std::vector<std::string> simulated_site::hosts() const {
  std::vector<std::string> result;
  for (const auto& [id, host] : hosts_)
    result.push_back(id);
  return result;
}

std::vector<std::string> simulated_site::running_hosts() const {
  std::vector<std::string> result;
  for (const auto& [id, host] : hosts_)
    if (host.inside)
      result.push_back(id);
  return result;
}

std::string simulated_site::leader() const {
  std::string found;
  std::uint64_t term = 0;
  for (const auto& [id, host] : hosts_)
    if (host.inside)
      if (const auto x = host.inside->leader().get(); x.role == "leader" && x.term > term) {
        found = id;
        term = x.term;
      }
  return found;
}

bool simulated_site::await_leader(milliseconds limit) {
  return await(
    [this] {
      const auto id = leader();
      return !id.empty() && hosts_.at(id).inside->local("site") && !state().site.name.empty();
    },
    limit);
}

std::multimap<std::string, std::pair<std::string, std::uint64_t>> simulated_site::running() const {
  std::multimap<std::string, std::pair<std::string, std::uint64_t>> result;
  for (const auto& [id, host] : hosts_)
    for (const auto& [name, process] : host.machine->running)
      result.emplace(process.order.instance, std::pair{id, process.order.generation});
  return result;
}

bool simulated_site::suits(const actors::host_record& host, const config::service_spec& service) {
  return config::parse_label_expression(service.placement.match_host_labels).expression.matches(host.spec.labels);
}

/// Why `x` may be without a host; empty if some host could hold it. Knows nothing of the planner.
std::string simulated_site::missing(const std::string& name, const actors::assignment& x) const {
  const auto& now = state();
  const auto& application = now.applications.at(actors::application_key(x.tenant, x.application)).spec;
  const auto service = std::find_if(application.services.begin(), application.services.end(),
                                    [&](const auto& s) { return s.name == x.service; });
  const auto& foes = service->placement.anti_affinity;
  const bool alone = std::find(foes.begin(), foes.end(), x.service) != foes.end();
  for (const auto& [id, host] : now.hosts) {
    std::int64_t cpu = 0;
    bool has_sibling = false;
    for (const auto& [other, y] : now.assignments)
      if (y.host == id && y.ended == actors::instance_end::none) {
        cpu += 100;
        has_sibling = has_sibling || (y.tenant == x.tenant && y.application == x.application && y.service == x.service);
      }
    const auto avoided = std::any_of(x.avoided.begin(), x.avoided.end(), [id = id](const auto& a) { return a.host == id; });
    if (host.up && suits(host, *service) && cpu + 100 <= host.spec.capacity.cpu_millis && !(alone && has_sibling) && !avoided)
      return name + " has no host, and " + id + " could hold it; it says: " + x.reason;
  }
  return {};
}

std::string simulated_site::difference() const {
  const auto& now = state();
  for (const auto& [id, host] : hosts_) {
    if (!host.inside)
      continue;
    const auto held = host.inside->state().get();
    if (held->assignments != now.assignments || held->applications != now.applications)
      return id + " holds an older state, of log index " + std::to_string(held->applied_index);
  }
  auto runs = running();
  for (const auto& [name, record] : now.applications)
    for (const auto& service : record.spec.services)
      for (std::uint32_t replica = 1; replica <= service.replicas; ++replica) {
        const auto instance = actors::instance_name(record.spec.tenant, record.spec.name, service.name, replica);
        const auto assigned = now.assignments.find(instance);
        if (assigned == now.assignments.end())
          return instance + " is wanted and not assigned";
        const auto& x = assigned->second;
        if (x.host.empty()) {
          if (auto why = missing(instance, x); !why.empty())
            return why;
          continue;
        }
        if (x.leaves_since != 0)
          return instance + " still leaves " + x.host;
        if (x.ended != actors::instance_end::none) {
          if (actors::is_outdated(&*assigned, record.changed_at.at(service.name)))
            return instance + " has ended and does not begin anew with the changed spec";
          if (runs.count(instance) != 0)
            return instance + " has ended and runs all the same";
          continue;
        }
        if (!suits(now.hosts.at(x.host), service))
          return instance + " is on " + x.host + ", which has not the labels that it asks for";
        if (!now.hosts.at(x.host).up)
          return instance + " is assigned to " + x.host + ", which is down";
        if (actors::is_outdated(&*assigned, record.changed_at.at(service.name)))
          return instance + " still runs an older spec";
        const auto count = runs.count(instance);
        const auto copy = runs.find(instance);
        if (count != service.containers.size())
          return instance + " runs " + std::to_string(count) + " containers instead of "
                 + std::to_string(service.containers.size()) + "; it is assigned to " + x.host + " in generation "
                 + std::to_string(x.generation);
        for (auto it = copy; it != runs.end() && it->first == instance; ++it)
          if (it->second != std::pair{x.host, x.generation})
            return instance + " runs on " + it->second.first + " in generation " + std::to_string(it->second.second)
                   + " and is assigned to " + x.host + " in generation " + std::to_string(x.generation);
        runs.erase(instance);
      }
  if (!runs.empty())
    return runs.begin()->first + " runs on " + runs.begin()->second.first + " and is not wanted";
  for (const auto& [name, x] : now.assignments)
    if (now.applications.count(actors::application_key(x.tenant, x.application)) == 0)
      return name + " is assigned and its application is gone";
  return {};
}

std::string simulated_site::newest_events(std::size_t count) const {
  std::map<std::tuple<std::int64_t, std::string, std::uint64_t>, std::string> lines;
  for (const auto& [id, host] : hosts_)
    for (const auto& [key, event] : host.journal->events)
      lines[{event.time_ms, event.origin, event.sequence}] =
        std::to_string(event.time_ms - epoch_ms) + " ms " + event.origin + ' ' + event.object + ": " + event.from + " -> "
        + event.to + " (" + event.reason + ")";
  std::string text;
  auto it = lines.begin();
  std::advance(it, lines.size() - std::min(lines.size(), count));
  for (; it != lines.end(); ++it)
    text += "  " + it->second + '\n';
  return text;
}

} // namespace prunella::tests
