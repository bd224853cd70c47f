#include "actors/host/composition.hpp"

#include <algorithm>
#include <stdexcept>

#include <caf/actor_clock.hpp>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>

#include "actors/host/exports.hpp"
#include "actors/host/image_keeper.hpp"
#include "actors/host/journal_actor.hpp"
#include "actors/host/link_watch.hpp"
#include "actors/host/host_findings.hpp"
#include "actors/host/site_address.hpp"
#include "actors/host/tree_actor.hpp"
#include "actors/host/use_actor.hpp"
#include "actors/instance/container_log.hpp"
#include "actors/instance/driver.hpp"
#include "actors/logs/logs_actor.hpp"
#include "actors/site/image_copies.hpp"
#include "actors/site/image_tags.hpp"
#include "actors/site/leadership_actor.hpp"
#include "actors/site/site_errors.hpp"
#include "actors/site/site_machine.hpp"
#include "actors/terminal/terminals_actor.hpp"
#include "actors/type_ids.hpp"
#include "config/address.hpp"
#include "runtime/consensus/consensus_actor.hpp"
#include "runtime/exit_reason.hpp"

namespace prunella::actors {

namespace {

using namespace std::chrono_literals;

} // namespace

void announce(caf::actor_system_config& config) {
  config.add_message_types<caf::id_block::prunella>();
  runtime::add_supervision_errors(config);
  runtime::add_consensus_errors(config);
  add_site_errors(config);
  config.add_error_category(net::link_category, net::render_link_error);
}

void require_host(const config::site_spec& site, const std::string& host) {
  if (std::none_of(site.hosts.begin(), site.hosts.end(), [&](const auto& x) { return x.id == host; }))
    throw std::runtime_error("the site " + site.name + " has no host " + host + "; name one of its `hosts` with --host-id");
}

composition::composition(caf::actor_system& system, composition_options options, outer_parts outer)
  : system_(system),
    options_(std::move(options)),
    outer_(std::move(outer)),
    figures_(runtime::figures_of(options_.site.liveness)),
    started_at_(outer_.clock()),
    hosts_(by_member(options_.site.hosts)),
    contacts_(std::make_shared<host_contacts>(figures_.heartbeat / 2)) {
  require_host(options_.site, options_.host);
  links_ = outer_.make_links(link_options());
  if (outer_.images)
    run_fetch_ = outer_.make_image_runner([this](const std::string& host) { return actor_on(host, "images"); },
                                          [this] { return state_->get()->site.images; });
  door_ = make_door();
}

caf::actor composition::start() {
  runtime::supervisor_options supervision;
  supervision.path = options_.host + "/root";
  supervision.tree = tree_;
  supervision.on_event = [this](const runtime::supervision_event& event) { on_event(event); };
  supervision.jitter_seed = outer_.draw_seed();
  return runtime::spawn_supervisor(system_, make_tree(), supervision);
}

net::http_router composition::router() {
  return make_api_router([this] { return local("api"); }, api_parts());
}

void composition::release() {
  std::lock_guard<std::mutex> guard{proxies_mutex_};
  proxies_.clear();
}

// -- names ---------------------------------------------------------------------------------------------------------------

caf::actor composition::lookup(const std::string& path) const {
  return tree_->find(options_.host + "/root/" + path);
}

caf::actor composition::local(const std::string& name) const {
  if (name == "site")
    return lookup("leading/site");
  if (name == "consensus")
    return lookup("core/consensus");
  return lookup(name);
}

caf::actor composition::actor_on(const std::string& host, const std::string& name) {
  if (host == options_.host)
    return local(name);
  std::lock_guard<std::mutex> guard{proxies_mutex_};
  auto& proxy = proxies_[{host, name}];
  if (!proxy)
    proxy = links_->remote(host, name);
  return proxy;
}

net::link_options composition::link_options() {
  net::link_options result;
  result.host = options_.host;
  for (const auto& host : options_.site.hosts)
    if (host.id == options_.host)
      result.listen = host.address;
    else
      result.peers.push_back({host.id, host.address});
  result.exports = exports_of([this](const std::string& name) { return local(name); }, hosts_);
  result.answer_types = answer_types();
  // A lost peer is back within a heartbeat or two of its return.
  result.timeouts.backoff_max = 1s;
  return result;
}

// -- the tree ------------------------------------------------------------------------------------------------------------

runtime::supervision_tree composition::make_tree() {
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
  // What is in the way of a listening socket, such as the connections of its last life, is often gone a moment later.
  auto links = spec_of("links");
  links.backoff = runtime::backoff_options{};
  links.backoff->initial = 50ms;
  links.backoff->max = 1s;
  std::vector<runtime::supervised_child> children{
    worker(links, [this](const runtime::start_context&) { return links_->start(); }),
    worker(spec_of("images"), [this](const runtime::start_context& my) { return start_images(my); }),
    worker(driver, [this](const runtime::start_context&) { return outer_.spawn_driver(); }),
    worker(spec_of("journal"), [this](const runtime::start_context& my) { return start_journal(my); }),
    group("leading", std::move(leading)),
    core_child(),
    group("applications", std::move(applications)),
    worker(spec_of("host"), [this](const runtime::start_context& my) { return start_host(my); }),
    worker(spec_of("tree"), [this](const runtime::start_context& my) { return spawn_tree(my.self, tree_); }),
    worker(spec_of("api"), [this](const runtime::start_context& my) { return start_api(my); }),
  };
  if (!outer_.images)
    children.erase(children.begin() + 1);
  root_tree.children = std::move(children);
  if (!outer_.data_directory.empty())
    for (auto& child : children_with_files())
      root_tree.children.push_back(std::move(child));
  if (door_.door)
    root_tree.children.push_back(
      worker(spec_of("door"), [this](const runtime::start_context& my) { return start_door(my); }));
  if (outer_.address_device)
    root_tree.children.push_back(
      worker(spec_of("address"), [this](const runtime::start_context& my) { return start_address(my); }));
  return root_tree;
}

/// What looks into the data directory.
std::vector<runtime::supervised_child> composition::children_with_files() {
  using runtime::spec_of;
  using runtime::worker;
  return {
    worker(spec_of("use"), [this](const runtime::start_context& my) { return start_use(my); }),
    worker(spec_of("logs"), [this](const runtime::start_context& my) { return start_logs(my); }),
    worker(spec_of("terminals"), [this](const runtime::start_context& my) { return start_terminals(my); }),
  };
}

runtime::supervised_child composition::core_child() {
  using runtime::spec_of;
  runtime::supervision_tree core;
  core.spec.strategy = config::restart_strategy::rest_for_one;
  core.spec.limit = {5, 60s};
  auto log = spec_of("log");
  log.start_timeout = 60s; // verifies every entry
  auto consensus = spec_of("consensus");
  consensus.start_timeout = 60s;
  core.children = {
    runtime::worker_that_says_ready(log,
                                    [this](const runtime::start_context& my) {
                                      return outer_.spawn_log({[parent = my.parent] { parent.say_ready(); },
                                                               [this](const std::string& why) { on_log_stalled(why); }});
                                    }),
    runtime::worker_that_says_ready(consensus, [this](const runtime::start_context& my) { return start_consensus(my); }),
    runtime::worker(spec_of("leadership"), [this](const runtime::start_context& my) { return start_leadership(my); }),
    runtime::worker(spec_of("link-watch"),
                    [this](const runtime::start_context& my) {
                      return spawn_link_watch(my.self, {[this] { return local("links"); }, [this] { return local("consensus"); },
                                                 [this](storage::journal_event x) { record(std::move(x)); }});
                    }),
  };
  return runtime::supervisor(spec_of("core"), std::move(core));
}

/// A leader whose disk is full can decide nothing that it could apply: another member takes over if there is one.
void composition::on_log_stalled(const std::string& why) {
  trouble_->set(why);
  record({"", 0, 0, "host/" + options_.host, "", why.empty() ? "its disk has room again" : "its disk is full", why, ""});
  if (const auto consensus = local("consensus"); consensus && !why.empty())
    caf::anon_send(consensus, runtime::transfer_leadership{0});
}

void composition::on_replaced_file(const std::string& what) {
  if (outer_.log)
    outer_.log(log_level::warning, what);
  record({"", 0, 0, "host/" + options_.host, "", "a damaged file was replaced", what, ""});
}

caf::actor composition::site_of_leader() {
  const auto leader = leader_->get().leader;
  return leader.empty() ? caf::actor{} : actor_on(leader, "site");
}

caf::actor composition::start_images(const runtime::start_context& my) {
  image_keeper_options x;
  x.host = options_.host;
  x.incarnation = links_->incarnation();
  x.images = outer_.images;
  x.may_unpack = outer_.may_unpack_images;
  x.run = run_fetch_;
  x.find_name = outer_.find_image_name;
  x.site = [this] { return site_of_leader(); };
  x.peers = [this] {
    std::vector<std::string> hosts;
    for (const auto& [id, host] : state_->get()->hosts)
      if (id != options_.host && host.up)
        hosts.push_back(id);
    return hosts;
  };
  x.keeper_of = [this](const std::string& host) { return actor_on(host, "images"); };
  x.needed = [this] { return needed_on(*state_->get(), options_.host); };
  x.meaning_of = [this](const std::string& container, const std::string& tag) { return actors::meaning_of(*state_->get(), container, tag); };
  x.record = [this](storage::journal_event event) { record(std::move(event)); };
  x.clock = outer_.clock;
  x.detached = outer_.own_threads;
  return spawn_image_keeper(my.self, x);
}

caf::actor composition::start_journal(const runtime::start_context& my) {
  journal_actor_options x;
  x.host = options_.host;
  x.open = [this] { return outer_.open_journal([this](const std::string& what) { on_replaced_file(what); }); };
  x.clock = outer_.clock;
  x.detached = outer_.own_threads;
  return spawn_journal(my.self, x);
}

caf::actor composition::start_consensus(const runtime::start_context& my) {
  runtime::consensus_options x;
  x.raft.self = member_id_of(options_.host);
  x.raft.group = member_id_of("site/" + options_.site.name);
  x.raft.initial = initial_membership(options_.site.hosts);
  x.raft.election_ticks = figures_.raft_election_ticks;
  x.raft.heartbeat_ticks = figures_.raft_heartbeat_ticks;
  x.raft.disk_patience_ticks = 4 * figures_.raft_election_ticks;
  x.raft.heartbeats_per_answer = figures_.heartbeats_per_answer;
  x.tick_interval = figures_.raft_tick;
  x.seed = outer_.draw_seed();
  x.log_writer = lookup("core/log");
  site_machine_options machine;
  machine.database = storage::or_throw(
    outer_.open_database([this](const std::string& what) { on_replaced_file(what); }));
  machine.state = state_;
  machine.on_decided = [this](std::vector<storage::journal_event> events) {
    if (const auto journal = local("journal"))
      caf::anon_send(journal, record_events{std::move(events)});
  };
  x.machine = storage::or_throw(make_site_machine(std::move(machine)));
  x.send = [this](std::vector<runtime::raft_message> messages) {
    const net::send_burst together;
    for (auto& message : messages)
      if (const auto host = host_of(message.to, hosts_); !host.empty())
        caf::anon_send(actor_on(host, "consensus"), std::move(message));
  };
  x.on_heard = [this](storage::member_id member) { contacts_->note(host_of(member, hosts_), system_.clock().now()); };
  x.say_ready = [parent = my.parent] { parent.say_ready(); };
  x.detached = outer_.own_threads;
  return runtime::spawn_consensus(system_, x);
}

caf::actor composition::start_leadership(const runtime::start_context& my) {
  const auto controllers = controllers_of(options_.site.hosts);
  leadership_actor_options x;
  x.host = options_.host;
  x.is_controller = std::binary_search(controllers.begin(), controllers.end(), options_.host);
  x.cell = leader_;
  x.consensus = [this] { return local("consensus"); };
  x.supervisor = [this] { return lookup("leading"); };
  x.host_of = [this](storage::member_id member) { return host_of(member, hosts_); };
  x.site_options = [this](std::uint64_t term, const std::string& former) { return site_options(term, former); };
  x.on_elected = [this](std::uint64_t term, const std::string& former) {
    record({"", 0, 0, "site/" + options_.site.name, former.empty() ? std::string{} : "led by " + former,
            "led by " + options_.host, "elected in term " + std::to_string(term), ""});
  };
  x.on_changed = [this](const leadership& now) { on_leader(now); };
  x.listeners = [this] {
    std::vector<caf::actor> listeners;
    for (const auto* name : {"site", "host", "images", "door", "address"})
      if (auto listener = local(name))
        listeners.push_back(std::move(listener));
    return listeners;
  };
  return spawn_leadership(my.self, x);
}

site_actor_options composition::site_options(std::uint64_t term, const std::string& former) {
  site_actor_options x;
  x.host = options_.host;
  x.term = term;
  x.site = options_.site;
  x.state = state_;
  x.status = status_;
  x.consensus = [this] { return local("consensus"); };
  x.figures = figures_;
  x.contacts = contacts_;
  x.clock = outer_.clock;
  if (outer_.images)
    x.images_on = [this](const std::string& host) { return actor_on(host, "images"); };
  const auto heard = contacts_->last();
  if (const auto it = heard.find(former); it != heard.end())
    x.last_heard.insert(*it);
  return x;
}

caf::actor composition::start_logs(const runtime::start_context& my) {
  logs_actor_options x;
  x.host = options_.host;
  x.state = state_;
  x.actor_on = [this](const std::string& host, const std::string& name) { return actor_on(host, name); };
  x.log_path = [this](const std::string& container) { return container_log_path(outer_.data_directory, container); };
  x.clock = outer_.clock;
  x.detached = outer_.own_threads;
  return spawn_logs(my.self, std::move(x));
}

caf::actor composition::start_terminals(const runtime::start_context& my) {
  terminals_options x;
  x.host = options_.host;
  if (const auto address = config::parse_address(own().address))
    x.address = address->host;
  x.state = state_;
  x.actor_on = [this](const std::string& host, const std::string& name) { return actor_on(host, name); };
  x.site = [this] { return site_of_leader(); };
  x.draw_session = [this] { return std::to_string(outer_.draw_seed()) + std::to_string(outer_.draw_seed()); };
  x.log_path = [this](const std::string& container) { return container_log_path(outer_.data_directory, container); };
  return spawn_terminals(my.self, std::move(x));
}

caf::actor composition::start_use(const runtime::start_context& my) {
  use_actor_options x;
  x.data_directory = outer_.data_directory;
  x.driver = [this] { return local("driver"); };
  x.detached = outer_.own_threads;
  return spawn_use(my.self, std::move(x));
}

/// What the site's document says of this host, which it has (`require_host`).
const config::host_spec& composition::own() const {
  return *std::find_if(options_.site.hosts.begin(), options_.site.hosts.end(), [&](const auto& x) { return x.id == options_.host; });
}

caf::actor composition::start_host(const runtime::start_context& my) {
  if (!std::exchange(warned_, true)) // the journal is there by now
    for (const auto& warning : outer_.warnings)
      record({"", 0, 0, "host/" + options_.host, "", "warning", warning, ""});
  host_actor_options x;
  x.host = options_.host;
  x.site = options_.site.name;
  if (const auto address = config::parse_address(own().address))
    x.address = address->host;
  x.incarnation = links_->incarnation();
  x.state = state_;
  x.leader = leader_;
  x.memory = memory_;
  x.actor_on = [this](const std::string& host, const std::string& name) { return actor_on(host, name); };
  x.lookup = [this](const std::string& path) { return tree_->find(path); };
  x.applications_path = options_.host + "/root/applications";
  x.containers.driver = [this] { return local("driver"); };
  x.containers.observer = [this] { return local("host"); };
  x.containers.probe = outer_.probe;
  x.containers.probe_addresses = door_.own_addresses; // where the door would find it
  x.containers.clock = outer_.clock;
  x.containers.disk = [this] { return local("use"); };
  x.figures = figures_;
  x.offer = [this] { return with_address_obstacle(outer_.offer(), address_trouble_->get()); };
  x.clock = outer_.clock;
  if (door_.door) {
    x.containers.door = [this] { return local("door"); };
    x.on_report = [this](const instance_report& report) {
      if (const auto door = local("door"))
        caf::anon_send(door, own_report{report});
    };
    x.on_gone = [this](const std::string& instance) {
      if (const auto door = local("door"))
        caf::anon_send(door, own_instance_gone{instance});
    };
  }
  return spawn_host(my.self, x);
}

// -- the front door ------------------------------------------------------------------------------------------------------

host_door_parts composition::make_door() {
  if (!outer_.make_door)
    return {};
  net::door_options x;
  x.host = options_.host;
  x.address = own().address;
  x.tunnel = own().door;
  x.on_listener = [this](const net::door_listener_event& event) {
    const auto port = std::to_string(event.port) + '/' + std::string{config::to_text(event.protocol)};
    const auto state = event.problem.empty() ? "answers on port " + port : "does not answer on port " + port;
    say(event.problem.empty() ? log_level::info : log_level::warning,
        "the front door " + state + (event.problem.empty() ? "" : ": " + event.problem));
    record({"", 0, 0, "service/" + event.service, "", options_.host + ' ' + state, event.problem, "host/" + options_.host});
  };
  return outer_.make_door(std::move(x));
}

caf::actor composition::start_door(const runtime::start_context& my) {
  door_actor_options x;
  x.host = options_.host;
  x.parts = door_;
  x.state = state_;
  x.leader = leader_;
  x.actor_on = [this](const std::string& host, const std::string& name) { return actor_on(host, name); };
  x.on_names = [this](const std::string& problem) {
    const std::string state{problem.empty() ? "answers the names of services" : "does not answer the names of services"};
    say(problem.empty() ? log_level::info : log_level::warning, options_.host + ' ' + state + (problem.empty() ? "" : ": " + problem));
    record({"", 0, 0, "host/" + options_.host, "", state, problem, ""});
  };
  return spawn_door(my.self, x);
}

caf::actor composition::start_address(const runtime::start_context& my) {
  site_address_options x;
  x.host = options_.host;
  x.device = outer_.address_device;
  x.state = state_;
  x.leader = leader_;
  x.trouble = address_trouble_;
  x.record = [this](storage::journal_event event) {
    say(log_level::info, event.object + ": " + event.to + (event.reason.empty() ? "" : ": " + event.reason));
    record(std::move(event));
  };
  return spawn_site_address(my.self, x);
}

api_options composition::api_parts() {
  api_options x;
  x.host = options_.host;
  x.document = options_.site;
  x.version = options_.version;
  x.state = state_;
  x.leader = leader_;
  x.trouble = trouble_;
  x.warnings = outer_.warnings;
  x.actor_on = [this](const std::string& host, const std::string& name) { return actor_on(host, name); };
  x.clock = outer_.clock;
  x.leader_patience = std::min(x.write_deadline, 2 * figures_.election_max());
  x.started_at = started_at_;
  x.status = status_;
  x.status_age = 2 * figures_.heartbeat; // what hosts report confirms it
  x.now = [this] { return system_.clock().now(); };
  return x;
}

caf::actor composition::start_api(const runtime::start_context& my) {
  return spawn_api(my.self, api_parts());
}

// -- events --------------------------------------------------------------------------------------------------------------

/// The host actor acts on what happens below `applications`; the end of any other actor is an event for people.
void composition::on_event(const runtime::supervision_event& event) {
  const auto applications = options_.host + "/root/applications";
  if (event.path.compare(0, applications.size(), applications) == 0) {
    if (const auto host = local("host"))
      caf::anon_send(host, event);
    return;
  }
  const auto& report = event.report;
  const bool is_bad = report.kind == runtime::report_kind::exited || report.kind == runtime::report_kind::gave_up
                      || report.kind == runtime::report_kind::start_failed || report.kind == runtime::report_kind::abandoned;
  const bool is_restarted = report.kind == runtime::report_kind::started && report.restarts > 0;
  const auto root = options_.host + "/root/";
  const bool is_of_root = event.path.compare(0, root.size(), root) == 0 && event.path.find('/', root.size()) == std::string::npos;
  if (is_of_root && report.kind == runtime::report_kind::gave_up)
    keep_containers(report.reason);
  const auto happened = std::string{to_text(report.kind)};
  if (is_bad) {
    say(report.kind == runtime::report_kind::exited ? log_level::warning : log_level::error,
        "actor " + event.path + ' ' + happened + ": " + report.reason);
    record({"", 0, 0, "actor/" + event.path, "", happened, report.reason, ""});
  }
  if (is_restarted) {
    const auto times = "restart " + std::to_string(report.restarts);
    say(log_level::info, "actor " + event.path + " runs again: " + times);
    record({"", 0, 0, "actor/" + event.path, "exited", "running", times, ""});
  }
}

void composition::on_leader(const leadership& now) {
  const auto term = " in term " + std::to_string(now.term);
  if (now.leader.empty())
    return say(log_level::warning, "site " + options_.site.name + " has no leader" + term);
  say(log_level::info, "site " + options_.site.name + " is led by " + now.leader + term);
}

void composition::say(log_level level, const std::string& line) const {
  if (outer_.log)
    outer_.log(level, line);
}

/// The root gave up and stops its children in order, which would stop the containers too. But an agent that fails is no
/// reason for what runs to end: the driver hears of it before anybody can ask it to stop something.
void composition::keep_containers(const std::string& why) const {
  if (const auto driver = local("driver"))
    caf::anon_send(driver, release_containers{"the agent gave up: " + why});
}

void composition::record(storage::journal_event event) const {
  if (const auto journal = local("journal"))
    caf::anon_send(journal, record_events{{std::move(event)}});
}

} // namespace prunella::actors
