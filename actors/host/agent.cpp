#include "actors/host/agent.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <random>
#include <stdexcept>
#include <thread>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/io/middleman.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include "actors/api/api_actor.hpp"
#include "actors/host/addresses.hpp"
#include "actors/host/host_actor.hpp"
#include "actors/host/journal_actor.hpp"
#include "actors/host/link_watch.hpp"
#include "actors/host/tree_actor.hpp"
#include "actors/instance/driver_error.hpp"
#include "actors/instance/process_driver.hpp"
#include "actors/site/leadership_actor.hpp"
#include "actors/site/membership.hpp"
#include "actors/site/site_errors.hpp"
#include "actors/site/site_machine.hpp"
#include "actors/type_ids.hpp"
#include "net/http_server.hpp"
#include "net/links.hpp"
#include "runtime/consensus/consensus_actor.hpp"
#include "runtime/consensus/log_writer.hpp"
#include "runtime/exit_reason.hpp"
#include "runtime/supervisor.hpp"
#include "storage/data_dir.hpp"

namespace prunella::actors {

namespace {

using namespace std::chrono_literals;

struct agent_config : caf::actor_system_config {
  agent_config() {
    load<caf::io::middleman>();
    add_message_types<caf::id_block::prunella>();
    runtime::add_supervision_errors(*this);
    runtime::add_consensus_errors(*this);
    add_site_errors(*this);
    add_error_category(net::link_category, net::render_link_error);
    // `sharing` sleeps while there is nothing to do; the default polls (CAF.md §3: 0.9 % of a core, 400 wake-ups/s).
    set("scheduler.policy", caf::atom("sharing"));
    set("scheduler.max-threads", std::clamp<std::size_t>(std::thread::hardware_concurrency(), 2, 4));
  }
};

template <class T>
T or_throw(storage::result<T> result) {
  if (!result.ok())
    throw std::runtime_error(result.error().message);
  return std::move(result).value();
}

std::uint64_t random_seed() {
  std::random_device device;
  return (static_cast<std::uint64_t>(device()) << 32) | device();
}

} // namespace

struct agent::parts {
  explicit parts(agent_options x);
  ~parts();

  // Composition, from the bottom up; see the tree in the header.
  net::link_options make_link_options();
  runtime::supervision_tree make_tree();
  runtime::supervised_child core_child();
  caf::actor start_log(const runtime::start_context& my);
  caf::actor start_consensus(const runtime::start_context& my);
  caf::actor start_leadership(const runtime::start_context& my);
  caf::actor start_host(const runtime::start_context& my);
  caf::actor start_api(const runtime::start_context& my);
  site_actor_options make_site_options(std::uint64_t term, const std::string& former);
  void on_event(const runtime::supervision_event& event);
  void record(storage::journal_event event) const;

  caf::actor lookup(const std::string& path) const { return names->lookup(options.host + "/root/" + path); }
  caf::actor local(const std::string& name) const;
  caf::actor actor_on(const std::string& host, const std::string& name);
  std::string hosts_name(storage::member_id member) const { return host_of(member, options.site.hosts); }

  agent_options options;
  const config::host_spec* self_spec = nullptr;
  runtime::liveness_figures figures;
  storage::host_owner owner;
  storage::data_dir data;
  agent_config config;
  caf::actor_system system;
  std::shared_ptr<runtime::directory> names = std::make_shared<runtime::directory>();
  std::shared_ptr<runtime::actor_tree> tree = std::make_shared<runtime::actor_tree>();
  std::shared_ptr<state_cell> state = std::make_shared<state_cell>();
  std::shared_ptr<leadership_cell> leader = std::make_shared<leadership_cell>();
  std::shared_ptr<leader_contacts> contacts = std::make_shared<leader_contacts>();
  std::shared_ptr<host_memory> memory = std::make_shared<host_memory>();
  std::shared_ptr<storage::container_records> records;
  std::shared_ptr<net::links> links;
  std::mutex proxies_mutex;
  std::map<std::pair<std::string, std::string>, caf::actor> proxies; ///< bounded: hosts × exported names
  caf::actor root;
  std::unique_ptr<net::http_server> http;

  std::mutex end_mutex;
  std::condition_variable end_changed;
  bool interrupted = false;
  bool root_ended = false;
  caf::error root_reason;
};

agent::parts::parts(agent_options x)
  : options(std::move(x)),
    figures(runtime::figures_of(options.site.liveness)),
    owner{options.site.name, options.host},
    data(or_throw(storage::data_dir::open(options.data_dir, owner))),
    system(config) {
  const auto& hosts = options.site.hosts;
  const auto it = std::find_if(hosts.begin(), hosts.end(), [&](const auto& h) { return h.id == options.host; });
  if (it == hosts.end())
    throw std::runtime_error("the site " + options.site.name + " has no host " + options.host
                             + "; name one of its `hosts` with --host-id");
  self_spec = &*it;
  records = or_throw(storage::open_container_records(data.file("containers.db"), owner));
  links = net::make_links(system, make_link_options());
  runtime::supervisor_options supervision;
  supervision.path = options.host + "/root";
  supervision.tree = tree;
  supervision.names = names;
  supervision.on_event = [this](const runtime::supervision_event& event) { on_event(event); };
  supervision.jitter_seed = random_seed();
  net::http_server_options api;
  api.address = options.api;
  http = std::make_unique<net::http_server>(api, make_api_router([this] { return local("api"); }));
  root = runtime::spawn_supervisor(system, make_tree(), supervision);
  system.spawn([this](caf::event_based_actor* watcher) {
    watcher->monitor(root);
    watcher->set_down_handler([this, watcher](const caf::down_msg& down) {
      std::lock_guard<std::mutex> guard{end_mutex};
      root_ended = true;
      root_reason = down.reason;
      end_changed.notify_all();
      watcher->quit();
    });
    return caf::behavior{[](caf::unit_t) {}};
  });
}

agent::parts::~parts() {
  http.reset();
  if (root)
    caf::anon_send_exit(root, caf::exit_reason::kill);
  proxies.clear();
  root = nullptr;
}

caf::actor agent::parts::local(const std::string& name) const {
  if (name == "site")
    return lookup("leading/site");
  if (name == "consensus")
    return lookup("core/consensus");
  return lookup(name);
}

caf::actor agent::parts::actor_on(const std::string& host, const std::string& name) {
  if (host == options.host)
    return local(name);
  std::lock_guard<std::mutex> guard{proxies_mutex};
  auto& proxy = proxies[{host, name}];
  if (!proxy)
    proxy = links->remote(host, name);
  return proxy;
}

net::link_options agent::parts::make_link_options() {
  net::link_options result;
  result.host = options.host;
  result.identity = net::load_identity(options.identity_dir, options.host);
  result.listen = numeric_address(self_spec->address);
  for (const auto& host : options.site.hosts)
    if (host.id != options.host)
      result.peers.push_back({host.id, numeric_address(host.address)});
  const auto type = [](const char* name) { return std::string{"prunella::actors::"} + name; };
  const auto serve = [&](const std::string& name, std::vector<std::string> types) {
    result.exports[name] = {[this, name] { return local(name); }, std::move(types)};
  };
  serve("consensus", {"prunella::runtime::raft_message"});
  serve("site", {type("host_heartbeat"), type("site_request"), type("view_request")});
  serve("journal", {type("events_request")});
  serve("tree", {type("actors_request"), type("kill_request")});
  // A lost peer is back within a heartbeat or two of its return.
  result.timeouts.backoff_max = 1s;
  return result;
}

// -- the tree ------------------------------------------------------------------------------------------------------------

runtime::supervision_tree agent::parts::make_tree() {
  using runtime::spec_of;
  using runtime::worker;
  const auto group = [](const char* id, runtime::supervision_tree below) {
    return runtime::supervisor(spec_of(id), std::move(below));
  };
  runtime::supervision_tree root_tree;
  root_tree.spec.limit = {10, 60s};
  runtime::supervision_tree leading;
  leading.spec.limit = {10, 60s};
  runtime::supervision_tree applications;
  applications.spec.limit = {10, 60s};
  applications.spec.order = runtime::shutdown_order::together;

  auto driver = spec_of("driver");
  driver.shutdown = runtime::shutdown_policy::after(15s);
  root_tree.children = {
    worker(spec_of("links"), [this](const runtime::start_context&) { return links->start(); }),
    worker(driver,
           [this](const runtime::start_context&) {
             process_driver_options x;
             x.data_directory = data.path();
             x.records = records;
             return spawn_process_driver(system, x);
           }),
    worker(spec_of("journal"),
           [this](const runtime::start_context& my) {
             journal_actor_options x;
             x.host = options.host;
             x.open = [this] { return storage::open_event_journal(data.file("events.db"), owner, {}); };
             return spawn_journal(my.self, x);
           }),
    group("leading", std::move(leading)),
    core_child(),
    group("applications", std::move(applications)),
    worker(spec_of("host"), [this](const runtime::start_context& my) { return start_host(my); }),
    worker(spec_of("tree"), [this](const runtime::start_context& my) { return spawn_tree(my.self, tree); }),
    worker(spec_of("api"), [this](const runtime::start_context& my) { return start_api(my); }),
  };
  return root_tree;
}

runtime::supervised_child agent::parts::core_child() {
  using runtime::spec_of;
  runtime::supervision_tree core;
  core.spec.strategy = config::restart_strategy::rest_for_one;
  core.spec.limit = {5, 60s};
  auto log = spec_of("log");
  log.start_timeout = 60s; // verifies every entry
  auto consensus = spec_of("consensus");
  consensus.start_timeout = 60s;
  core.children = {
    runtime::worker_that_says_ready(log, [this](const runtime::start_context& my) { return start_log(my); }),
    runtime::worker_that_says_ready(consensus, [this](const runtime::start_context& my) { return start_consensus(my); }),
    runtime::worker(spec_of("leadership"), [this](const runtime::start_context& my) { return start_leadership(my); }),
    runtime::worker(spec_of("link-watch"),
                    [this](const runtime::start_context& my) {
                      return spawn_link_watch(my.self, {lookup("links"), [this] { return local("consensus"); }});
                    }),
  };
  return runtime::supervisor(spec_of("core"), std::move(core));
}

caf::actor agent::parts::start_log(const runtime::start_context& my) {
  runtime::log_writer_options x;
  x.open = [this] {
    return storage::open_raft_log(data.file("raft.db"), {options.site.name, member_id_of(options.host)});
  };
  x.say_ready = [parent = my.parent] { parent.say_ready(); };
  return runtime::spawn_log_writer(system, x);
}

caf::actor agent::parts::start_consensus(const runtime::start_context& my) {
  runtime::consensus_options x;
  x.raft.self = member_id_of(options.host);
  x.raft.group = member_id_of("site/" + options.site.name);
  x.raft.initial = initial_membership(options.site.hosts);
  x.raft.election_ticks = figures.raft_election_ticks;
  x.raft.heartbeat_ticks = figures.raft_heartbeat_ticks;
  x.tick_interval = figures.raft_tick;
  x.seed = random_seed();
  x.log_writer = lookup("core/log");
  site_machine_options machine;
  machine.database = or_throw(storage::open_site_database(data.file("site.db"), owner));
  machine.state = state;
  machine.on_decided = [this](std::vector<storage::journal_event> events) {
    if (const auto journal = local("journal"))
      caf::anon_send(journal, record_events{std::move(events)});
  };
  x.machine = or_throw(make_site_machine(std::move(machine)));
  x.send = [this](storage::member_id to, runtime::raft_message message) {
    const auto host = hosts_name(to);
    if (!host.empty())
      caf::anon_send(actor_on(host, "consensus"), std::move(message));
  };
  x.say_ready = [parent = my.parent] { parent.say_ready(); };
  return runtime::spawn_consensus(system, x);
}

caf::actor agent::parts::start_leadership(const runtime::start_context& my) {
  const auto controllers = controllers_of(options.site.hosts);
  leadership_actor_options x;
  x.host = options.host;
  x.is_controller = std::binary_search(controllers.begin(), controllers.end(), options.host);
  x.cell = leader;
  x.consensus = [this] { return local("consensus"); };
  x.supervisor = [this] { return lookup("leading"); };
  x.host_of = [this](storage::member_id member) { return hosts_name(member); };
  x.site_options = [this](std::uint64_t term, const std::string& former) { return make_site_options(term, former); };
  x.on_elected = [this](std::uint64_t term, const std::string& former) {
    record({"", 0, 0, "site/" + options.site.name, former.empty() ? std::string{} : "led by " + former,
            "led by " + options.host, "elected in term " + std::to_string(term), ""});
  };
  x.listeners = [this] {
    std::vector<caf::actor> listeners;
    for (const auto* name : {"site", "host"})
      if (auto listener = local(name))
        listeners.push_back(std::move(listener));
    return listeners;
  };
  return spawn_leadership(my.self, x);
}

site_actor_options agent::parts::make_site_options(std::uint64_t term, const std::string& former) {
  site_actor_options x;
  x.host = options.host;
  x.term = term;
  x.site = options.site;
  x.state = state;
  x.consensus = [this] { return local("consensus"); };
  x.figures = figures;
  const auto heard = contacts->get();
  if (const auto it = heard.find(former); it != heard.end())
    x.last_heard.insert(*it);
  return x;
}

caf::actor agent::parts::start_host(const runtime::start_context& my) {
  host_actor_options x;
  x.host = options.host;
  x.site = options.site.name;
  x.incarnation = links->incarnation();
  x.state = state;
  x.leader = leader;
  x.contacts = contacts;
  x.memory = memory;
  x.actor_on = [this](const std::string& host, const std::string& name) { return actor_on(host, name); };
  x.lookup = [this](const std::string& path) { return names->lookup(path); };
  x.applications_path = options.host + "/root/applications";
  x.containers.driver = [this] { return local("driver"); };
  x.containers.observer = [this] { return local("host"); };
  x.figures = figures;
  return spawn_host(my.self, x);
}

caf::actor agent::parts::start_api(const runtime::start_context& my) {
  api_options x;
  x.host = options.host;
  x.version = options.version;
  x.state = state;
  x.leader = leader;
  x.actor_on = [this](const std::string& host, const std::string& name) { return actor_on(host, name); };
  return spawn_api(my.self, x);
}

/// The host actor acts on what happens below `applications`; the end of any other actor is an event for people.
void agent::parts::on_event(const runtime::supervision_event& event) {
  const auto applications = options.host + "/root/applications";
  if (event.path.compare(0, applications.size(), applications) == 0) {
    if (const auto host = local("host"))
      caf::anon_send(host, event);
    return;
  }
  const bool is_news = event.report.kind == runtime::report_kind::exited || event.report.kind == runtime::report_kind::gave_up
                       || event.report.kind == runtime::report_kind::start_failed;
  if (is_news)
    record({"", 0, 0, "actor/" + event.path, "", std::string{to_text(event.report.kind)}, event.report.reason, ""});
}

void agent::parts::record(storage::journal_event event) const {
  if (const auto journal = local("journal"))
    caf::anon_send(journal, record_events{{std::move(event)}});
}

// -- life ----------------------------------------------------------------------------------------------------------------

agent::agent(agent_options options) : parts_(std::make_unique<parts>(std::move(options))) {}

agent::~agent() = default;

std::string agent::api_url() const { return parts_->http->url(); }

void agent::wait() {
  std::unique_lock<std::mutex> guard{parts_->end_mutex};
  parts_->end_changed.wait(guard, [this] { return parts_->interrupted || parts_->root_ended; });
}

void agent::interrupt() {
  std::lock_guard<std::mutex> guard{parts_->end_mutex};
  parts_->interrupted = true;
  parts_->end_changed.notify_all();
}

agent_end agent::stop(bool stop_containers) {
  auto& x = *parts_;
  x.http->stop();
  if (const auto driver = x.local("driver"); driver && !stop_containers) {
    caf::scoped_actor self{x.system};
    self->request(driver, 5s, release_containers{"the agent ends"}).receive([](caf::unit_t) {}, [](const caf::error&) {});
  }
  caf::anon_send_exit(x.root, caf::exit_reason::user_shutdown);
  std::unique_lock<std::mutex> guard{x.end_mutex};
  const bool ended = x.end_changed.wait_for(guard, 60s, [&x] { return x.root_ended; });
  if (!ended)
    return {true, "the agent's actors did not end within 60 s"};
  const auto kind = runtime::exit_kind_of(x.root_reason);
  return {kind == runtime::exit_kind::abnormal, runtime::reason_text(x.root_reason)};
}

} // namespace prunella::actors
