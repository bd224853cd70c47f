#include "actors/site/site_state.hpp"

#include <algorithm>
#include <utility>

#include "actors/names.hpp"
#include "actors/site/update.hpp"

namespace prunella::actors {

namespace {

/// How an assignment reads in an event: "host-2 (generation 3)".
std::string placement_text(const assignment& x) {
  if (x.host.empty())
    return "unplaced";
  if (x.leaves_since != 0)
    return "leaves " + x.host;
  if (x.ended == instance_end::again)
    return "to be placed again";
  if (x.ended != instance_end::none)
    return std::string{config::to_text(x.ended)} + " on " + x.host;
  return x.host + " (generation " + std::to_string(x.generation) + ')';
}

class applier {
public:
  applier(site_state& state, time_ms at, std::uint64_t index) : state_(state), at_(at), index_(index) {}

  applied_command take() { return std::move(out_); }

  void operator()(const register_site& x) {
    if (!state_.site.name.empty())
      return result(command_result::unchanged);
    state_.site.name = x.spec.name;
    state_.site.labels = x.spec.labels;
    state_.site.liveness = x.spec.liveness;
    state_.site.images = x.spec.images;
    state_.site.networks = x.spec.networks;
    state_.site.address = x.spec.address;
    row("site", "site");
    for (const auto& host : x.spec.hosts) {
      state_.hosts[host.id] = host_record{host, true, {}, at_};
      row("host", host.id);
    }
    event({"site/" + x.spec.name, "", "registered", std::to_string(x.spec.hosts.size()) + " hosts", ""});
    result(command_result::created);
  }

  void operator()(const put_application& x) {
    const auto key = application_key(x.spec.tenant, x.spec.name);
    auto [it, is_new] = state_.applications.try_emplace(key);
    auto& record = it->second;
    if (!is_new && record.spec == x.spec)
      return result(command_result::unchanged, record.revision);
    const auto from = is_new ? std::string{} : "version " + record.spec.version;
    if (is_new)
      record.created_at = at_;
    const former_version before{record.spec, record.revision, record.changed_at, record.images};
    record.spec = x.spec;
    touch(key, record);
    note_changes(before, record);
    if (before.spec.version == record.spec.version)
      keep_decided(key, before, record);
    else
      look_at_tags(key, record, tags_of(record.spec)); // they may mean something else by now
    if (record.update == update_phase::done && x.replaced_runs)
      record.former = before;
    const bool is_watched = record.update != update_phase::done || record.changed_at != before.changed_at;
    record.update = is_watched && comes_from_another(record) ? update_phase::running : update_phase::done;
    record.update_reason.clear();
    if (record.former.spec == record.spec && record.former.changed_at == record.changed_at)
      record.former = {}; // that is where it is again
    forget_failures(x.spec);
    event({"application/" + key, from, "version " + x.spec.version, is_new ? "created" : "updated", ""});
    result(is_new ? command_result::created : command_result::updated, record.revision);
  }

  void operator()(const delete_application& x) {
    auto it = state_.applications.find(x.key);
    if (it == state_.applications.end())
      return not_found("application " + x.key);
    event({"application/" + x.key, "version " + it->second.spec.version, "deleted", "deleted", ""});
    state_.applications.erase(it);
    row("application", x.key);
    result(command_result::deleted);
  }

  void operator()(const scale_service& x) {
    auto it = state_.applications.find(x.key);
    if (it == state_.applications.end())
      return not_found("application " + x.key);
    auto& record = it->second;
    auto& services = record.spec.services;
    auto service = std::find_if(services.begin(), services.end(), [&](const auto& s) { return s.name == x.service; });
    if (service == services.end())
      return not_found("service " + x.key + '/' + x.service);
    if (service->replicas == x.replicas)
      return result(command_result::unchanged, record.revision);
    const auto from = std::to_string(service->replicas) + " replicas";
    service->replicas = x.replicas;
    for (auto& former : record.former.spec.services) // how many there are is no question of the version
      if (former.name == x.service)
        former.replicas = x.replicas;
    touch(x.key, record);
    event({"service/" + x.key + '.' + x.service, from, std::to_string(x.replicas) + " replicas", "scaled", ""});
    result(command_result::updated, record.revision);
  }

  void operator()(const roll_back& x) {
    auto it = state_.applications.find(x.key);
    if (it == state_.applications.end())
      return not_found("application " + x.key);
    auto& record = it->second;
    if (record.former.revision == 0)
      return not_found("version before " + record.spec.version + " of application " + x.key);
    if (x.revision != 0 && x.revision != record.revision)
      return result(command_result::stale, record.revision);
    const auto reason = x.reason.empty() ? std::string{"asked for"} : x.reason;
    const former_version left{record.spec, record.revision, record.changed_at, record.images};
    record.spec = record.former.spec;
    record.changed_at = record.former.changed_at;
    record.images = record.former.images;
    look_at_tags(x.key, record, undecided(record));
    record.former = record.update == update_phase::done ? left : former_version{}; // what failed is nothing to go back to
    record.update = update_phase::done;
    record.update_reason = "went back from version " + left.spec.version + ": " + reason;
    touch(x.key, record);
    forget_failures(record.spec);
    event({"application/" + x.key, "version " + left.spec.version, "version " + record.spec.version, "rolled back: " + reason, ""});
    result(command_result::updated, record.revision);
  }

  void operator()(const decide_images& x) {
    auto it = state_.applications.find(x.key);
    if (it == state_.applications.end())
      return not_found("application " + x.key);
    auto& record = it->second;
    auto& open = record.open_tags;
    const auto is_decided = [&](const std::string& tag) { return x.digests.count(tag) != 0; };
    if (record.open_since != x.since || std::none_of(open.begin(), open.end(), is_decided))
      return result(command_result::stale, record.revision);
    const former_version before{record.spec, record.revision, record.changed_at, record.images};
    std::vector<std::string> moved; // services
    for (const auto& tag : open)
      if (const auto found = x.digests.find(tag); found != x.digests.end())
        decide(x, record, tag, found->second, moved);
    open.erase(std::remove_if(open.begin(), open.end(), is_decided), open.end());
    row("application", x.key);
    if (!moved.empty())
      update_to_moved_tags(x, before, record, moved);
    result(command_result::updated, record.revision);
  }

  void operator()(const end_update& x) {
    auto it = state_.applications.find(x.key);
    if (it == state_.applications.end())
      return not_found("application " + x.key);
    auto& record = it->second;
    if (record.revision != x.revision || record.update != update_phase::running)
      return result(command_result::stale, record.revision);
    record.update = x.failure.empty() ? update_phase::done : update_phase::paused;
    record.update_reason = x.failure;
    row("application", x.key);
    event({"application/" + x.key, "update to version " + record.spec.version, x.failure.empty() ? "done" : "paused",
           x.failure.empty() ? "all instances are ready" : x.failure, ""});
    result(command_result::updated, record.revision);
  }

  void operator()(const set_host_state& x) {
    auto it = state_.hosts.find(x.host);
    if (it == state_.hosts.end())
      return not_found("host " + x.host);
    auto& host = it->second;
    if (host.up == x.up)
      return result(command_result::unchanged);
    host.up = x.up;
    host.reason = x.up ? std::string{} : x.reason;
    host.since = at_;
    row("host", x.host);
    event({"host/" + x.host, x.up ? "down" : "up", x.up ? "up" : "down", x.reason, ""});
    result(command_result::updated);
  }

  void operator()(const set_host_drivers& x) {
    auto it = state_.hosts.find(x.host);
    if (it == state_.hosts.end())
      return not_found("host " + x.host);
    if (it->second.drivers == x.drivers && it->second.lacks == x.lacks && it->second.software == x.software)
      return result(command_result::unchanged);
    const auto* before = full_disk_of(it->second.lacks, it->second.software);
    const auto* now = full_disk_of(x.lacks, x.software);
    if ((before == nullptr) != (now == nullptr))
      event({"host/" + x.host, now == nullptr ? "disk full" : "", now == nullptr ? "its disk has room again" : "disk full",
             now == nullptr ? std::string{} : now->why, ""});
    it->second.drivers = x.drivers;
    it->second.lacks = x.lacks;
    it->second.software = x.software;
    row("host", x.host);
    result(command_result::updated);
  }

  void operator()(const restart_instances& x) {
    x.instance.empty() ? restart_service(x) : restart_instance(x);
  }

  void operator()(const drain_host& x) {
    auto it = state_.hosts.find(x.host);
    if (it == state_.hosts.end())
      return not_found("host " + x.host);
    if (it->second.drained == x.drained)
      return result(command_result::unchanged);
    it->second.drained = x.drained;
    row("host", x.host);
    event({"host/" + x.host, x.drained ? "" : "drained", x.drained ? "drained" : "takes instances again", "asked for", ""});
    result(command_result::updated);
  }

  void operator()(const change_assignments& x) {
    result(command_result::stale);
    for (const auto& change : x.changes)
      if (change_one(change))
        result(command_result::updated);
  }

private:
  /// Its instances become outdated, and are updated to what they ran before.
  void restart_service(const restart_instances& x) {
    const auto it = state_.applications.find(x.key);
    if (it == state_.applications.end())
      return not_found("application " + x.key);
    auto& record = it->second;
    if (find_service(record.spec, x.service) == nullptr)
      return not_found("service " + x.key + '/' + x.service);
    if (record.revision != x.revision)
      return result(command_result::stale, record.revision);
    count(x.key, record);
    record.changed_at[x.service] = record.revision;
    event({"service/" + x.key + '.' + x.service, "", "restarting", "asked for", ""});
    result(command_result::updated, record.revision);
  }

  void restart_instance(const restart_instances& x) {
    const auto it = state_.assignments.find(x.instance);
    if (it == state_.assignments.end())
      return not_found("instance " + x.instance);
    auto& current = it->second;
    if (current.host.empty() || current.leaves_since != 0 || current.generation != x.generation)
      return result(command_result::stale);
    if (current.ended == instance_end::again)
      return result(command_result::unchanged);
    const auto from = placement_text(current);
    if (current.ended != instance_end::none)
      current.ended = instance_end::again; // others may have its room by now
    else
      ++current.generation;
    current.assigned_at = at_;
    current.reason = "restarted by hand";
    row("assignment", x.instance);
    event({"instance/" + x.instance, from, placement_text(current), current.reason, ""});
    result(command_result::updated);
  }

  bool change_one(const assignment_change& change) {
    auto it = state_.assignments.find(change.instance);
    const bool exists = it != state_.assignments.end();
    const assignment current = exists ? it->second : assignment{};
    if (current.host != change.from_host || current.generation != change.from_generation || (change.remove && !exists))
      return false;
    const auto from = exists ? placement_text(current) : std::string{};
    row("assignment", change.instance);
    if (change.remove) {
      state_.assignments.erase(change.instance);
      raise_floor(current.generation);
      event({"instance/" + change.instance, from, "removed", change.next.reason, change.cause});
      return true;
    }
    auto& x = state_.assignments[change.instance];
    x = change.next;
    x.assigned_at = x.ended == instance_end::none ? at_ : current.assigned_at;
    x.generation = current.generation;
    if (x.leaves_since != 0)
      x.leaves_since = index_;
    else if (x.ended == instance_end::none && !x.host.empty())
      x.generation = (current.generation == 0 ? state_.site.generation_floor : current.generation) + 1;
    event({"instance/" + change.instance, from, placement_text(x), x.reason, change.cause});
    return true;
  }

  void raise_floor(std::uint64_t generation) {
    if (generation <= state_.site.generation_floor)
      return;
    state_.site.generation_floor = generation;
    row("site", "site");
  }

  void look_at_tags(const std::string& key, application_record& record, std::vector<std::string> tags) {
    if (tags.empty() && record.open_tags.empty())
      return;
    record.open_tags = std::move(tags);
    record.open_since = index_;
    row("application", key);
  }

  /// What the site has decided of `before`; a tag that is still to be looked at may have its meaning of the version before that.
  static tag_digests decided_of(const former_version& before, const std::vector<std::string>& open) {
    tag_digests decided;
    for (const auto& [service, digests] : before.images)
      for (const auto& [tag, digest] : digests)
        if (!std::binary_search(open.begin(), open.end(), tag))
          decided.emplace(tag, digest);
    return decided;
  }

  /// As long as the version is the same its tags mean the same, whatever else was changed and whichever service names them. Only
  /// those that are new in it are looked at; a look that is under way goes on.
  void keep_decided(const std::string& key, const former_version& before, application_record& record) {
    const auto decided = decided_of(before, record.open_tags);
    for (const auto& service : record.spec.services)
      for (const auto& tag : tags_of(service))
        if (const auto found = decided.find(tag); found != decided.end()) {
          auto& known = record.images[service.name][tag];
          if (!known.empty() && known != found->second)
            record.changed_at[service.name] = record.revision; // it is as in the version before, but for what the tag meant then
          known = found->second;
        }
    auto open = tags_of(record.spec);
    open.erase(std::remove_if(open.begin(), open.end(), [&](const auto& tag) { return decided.count(tag) != 0; }), open.end());
    if (std::includes(record.open_tags.begin(), record.open_tags.end(), open.begin(), open.end()))
      record.open_tags = std::move(open);
    else
      look_at_tags(key, record, std::move(open));
  }

  static std::vector<std::string> undecided(const application_record& record) {
    std::vector<std::string> tags;
    for (const auto& service : record.spec.services)
      for (const auto& tag : tags_of(service))
        if (digests_of(record.images, service.name).count(tag) == 0)
          tags.push_back(tag);
    std::sort(tags.begin(), tags.end());
    tags.erase(std::unique(tags.begin(), tags.end()), tags.end());
    return tags;
  }

  /// For each service that names the tag; `moved` gets those that have run another image by it.
  void decide(const decide_images& x, application_record& record, const std::string& tag, const std::string& digest,
              std::vector<std::string>& moved) {
    bool is_news = false;
    for (const auto& service : record.spec.services) {
      const auto tags = tags_of(service);
      if (!std::binary_search(tags.begin(), tags.end(), tag))
        continue;
      auto& known = record.images[service.name][tag];
      is_news = is_news || known != digest;
      if (!known.empty() && known != digest)
        moved.push_back(service.name);
      known = digest;
    }
    if (is_news)
      event({"application/" + x.key, "image " + tag, digest, "version " + record.spec.version + " runs what " + x.found_at + " found under that name", ""});
  }

  void update_to_moved_tags(const decide_images& x, const former_version& before, application_record& record,
                            const std::vector<std::string>& moved) {
    count(x.key, record);
    for (const auto& service : moved)
      record.changed_at[service] = record.revision;
    if (record.update == update_phase::done && x.replaced_runs)
      record.former = before;
    record.update = comes_from_another(record) ? update_phase::running : update_phase::done;
    record.update_reason.clear();
    forget_failures(record.spec);
  }

  /// Another spec is another chance: what the old one did on a host says nothing about it.
  void forget_failures(const config::application_spec& spec) {
    for (auto& [name, x] : state_.assignments)
      if (x.tenant == spec.tenant && x.application == spec.name && !x.avoided.empty()) {
        x.avoided.clear();
        row("assignment", name);
      }
  }

  /// Which services are not only written differently, but have to run anew. What runs as before, or as in the version before
  /// that, keeps its number.
  static void note_changes(const former_version& before, application_record& record) {
    record.changed_at.clear();
    record.images.clear();
    for (const auto& service : record.spec.services) {
      auto number = record.revision;
      tag_digests images;
      for (const auto* version : {&before, &std::as_const(record.former)})
        if (const auto* old = find_service(version->spec, service.name);
            old != nullptr && version->revision != 0 && number == record.revision && !needs_restart(*old, service)) {
          number = version->changed_at.at(service.name);
          images = digests_of(version->images, service.name);
        }
      record.changed_at[service.name] = number;
      if (!images.empty())
        record.images[service.name] = std::move(images);
    }
  }

  /// Whether there is a version to go back to from this one, of which something ran otherwise.
  static bool comes_from_another(const application_record& record) {
    return record.former.revision != 0
           && std::any_of(record.changed_at.begin(), record.changed_at.end(),
                          [&](const auto& x) { return x.second > record.former.revision; });
  }

  void touch(const std::string& key, application_record& record) {
    count(key, record);
    record.applied = record.revision;
  }

  void count(const std::string& key, application_record& record) {
    ++record.revision;
    record.updated_at = at_;
    row("application", key);
  }

  void row(std::string kind, std::string key) { out_.rows.push_back({std::move(kind), std::move(key)}); }
  void event(decision_event x) { out_.events.push_back(std::move(x)); }
  void result(command_result x, std::uint64_t revision = 0) { out_.outcome = {x, revision, {}}; }
  void not_found(std::string what) { out_.outcome = {command_result::not_found, 0, std::move(what)}; }

  site_state& state_;
  time_ms at_;
  std::uint64_t index_;
  applied_command out_;
};

} // namespace

applied_command apply(site_state& state, const site_command& command, std::uint64_t index) {
  applier run{state, command.at, index};
  std::visit(run, command.body);
  state.applied_index = index;
  return run.take();
}

const char* to_text(command_result result) {
  switch (result) {
  case command_result::created: return "created";
  case command_result::updated: return "updated";
  case command_result::deleted: return "deleted";
  case command_result::unchanged: return "unchanged";
  case command_result::not_found: return "not found";
  case command_result::stale: return "stale";
  }
  return "unknown";
}

} // namespace prunella::actors
