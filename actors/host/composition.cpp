// What the composition is: names, the tree, and what happens in it. How each part is started: `composition_parts.cpp`.

#include "actors/host/composition.hpp"

#include <algorithm>
#include <stdexcept>

#include <caf/actor_clock.hpp>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>

#include "actors/host/exports.hpp"
#include "actors/host/journal_actor.hpp"
#include "actors/host/link_watch.hpp"
#include "actors/host/tree_actor.hpp"
#include "actors/instance/driver.hpp"
#include "actors/site/site_errors.hpp"
#include "actors/type_ids.hpp"
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

/// What the site's document says of this host, which it has (`require_host`).
const config::host_spec& composition::own() const {
  return *std::find_if(options_.site.hosts.begin(), options_.site.hosts.end(), [&](const auto& x) { return x.id == options_.host; });
}

caf::actor composition::site_of_leader() {
  const auto leader = leader_->get().leader;
  return leader.empty() ? caf::actor{} : actor_on(leader, "site");
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
