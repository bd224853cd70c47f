// How each part of the composition is started: with whom it speaks, and what it has of the world.

#include "actors/host/composition.hpp"

#include <algorithm>
#include <utility>

#include <caf/actor_clock.hpp>
#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>

#include "actors/host/host_findings.hpp"
#include "actors/host/image_keeper.hpp"
#include "actors/host/journal_actor.hpp"
#include "actors/host/site_address.hpp"
#include "actors/host/use_actor.hpp"
#include "actors/instance/container_log.hpp"
#include "actors/instance/driver.hpp"
#include "actors/logs/logs_actor.hpp"
#include "actors/site/image_copies.hpp"
#include "actors/site/image_tags.hpp"
#include "actors/site/leadership_actor.hpp"
#include "actors/site/site_machine.hpp"
#include "actors/terminal/terminals_actor.hpp"
#include "config/address.hpp"
#include "runtime/consensus/consensus_actor.hpp"

namespace prunella::actors {

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

// -- answers -----------------------------------------------------------------------------------------------------------

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

} // namespace prunella::actors
