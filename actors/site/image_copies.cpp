#include "actors/site/image_copies.hpp"

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

#include "actors/names.hpp"
#include "actors/site/update.hpp"
#include "storage/images/reference.hpp"

namespace prunella::actors {

namespace {

void sort_and_unite(std::vector<std::string>& list) {
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
}

const image_transfer* find_transfer(const image_report& report, const std::string& reference) {
  for (const auto& x : report.transfers)
    if (x.reference == reference)
      return &x;
  return nullptr;
}

bool is_pinned(const std::string& reference) {
  return reference.find('@') != std::string::npos;
}

/// A host whose containers can only be processes has no use for an image that nobody there asked for.
bool can_run_images(const host_record& host) {
  if (!host.drivers.empty())
    return host.drivers != std::vector<config::driver_kind>{config::driver_kind::process};
  return host.spec.drivers.empty() || std::any_of(host.spec.drivers.begin(), host.spec.drivers.end(), [](const auto& x) {
           return x.kind != config::driver_kind::process;
         });
}

/// One image on the hosts of one kind of machine.
class image_planner {
public:
  image_planner(const site_state& state, const needed_image& image, const copy_options& options,
                const std::map<std::string, image_orders>& told, bool knows_all, std::map<std::string, std::size_t>& gives,
                copy_plan& plan)
    : state_(state), image_(image), options_(options), told_(told), knows_all_(knows_all), gives_(gives), plan_(plan) {}

  void add(const image_report& report) {
    const auto* held = find_image_in(report, image_.reference);
    if (held != nullptr)
      holders_.emplace_back(&report, held);
    else
      others_.push_back(&report);
  }

  void run() {
    keep();
    if (!image_.is_current || image_.look_since != 0 || !is_pinned(image_.reference))
      return;
    choose_targets();
    if (!targets_.empty())
      holders_.empty() ? from_registry() : from_holders();
  }

private:
  bool runs_it(const std::string& host) const { return image_.hosts.count(host) != 0; }

  /// The copies that the site counts on: where it runs, then by id.
  void keep() {
    std::stable_sort(holders_.begin(), holders_.end(), [&](const auto& a, const auto& b) {
      return runs_it(a.first->host) > runs_it(b.first->host);
    });
    for (std::size_t i = 0; i < holders_.size(); ++i)
      if (i < options_.copies || runs_it(holders_[i].first->host))
        plan_.keep[holders_[i].first->host].push_back(image_.reference);
  }

  void choose_targets() {
    std::vector<const image_report*> in_case;
    for (const auto* host : others_) {
      const auto* transfer = find_transfer(*host, image_.reference);
      if (runs_it(host->host) || (transfer != nullptr && transfer->asked_for))
        targets_.push_back(host);
      else if (has_room(*host) && can_run_images(state_.hosts.at(host->host)))
        in_case.push_back(host);
    }
    const auto there = holders_.size() + targets_.size();
    if (there >= options_.copies || !knows_all_)
      return;
    // Who is at it goes on with it; who failed comes last; then who has most room, in steps that a log does not change.
    const auto rank = [&](const image_report& host) {
      const auto* transfer = find_transfer(host, image_.reference);
      const auto failures = transfer == nullptr ? 0 : transfer->attempts;
      const bool is_at_it = transfer != nullptr || told_order(host.host) != nullptr;
      return std::tuple{failures, !is_at_it, ~(host.free_bytes >> 30), host.host};
    };
    std::sort(in_case.begin(), in_case.end(), [&](const auto* a, const auto* b) { return rank(*a) < rank(*b); });
    in_case.resize(std::min<std::size_t>(in_case.size(), options_.copies - there));
    targets_.insert(targets_.end(), in_case.begin(), in_case.end());
  }

  bool has_room(const image_report& host) const {
    if (host.free_bytes == 0 || holders_.empty())
      return true; // neither room nor need is known
    return host.free_bytes >= 2 * holders_.front().second->bytes + options_.spare_bytes;
  }

  void order(const std::string& host, image_order x) {
    x.reference = image_.reference;
    plan_.orders[host].push_back(std::move(x));
  }

  void from_holders() {
    const auto& held = *holders_.front().second;
    std::vector<std::string> sources;
    for (const auto& holder : holders_)
      sources.push_back(holder.first->host);
    std::sort(sources.begin(), sources.end());
    for (const auto* target : targets_) {
      image_order x;
      x.manifest = held.manifest;
      x.bytes = held.bytes;
      // The least busy first; the others after it, in case it goes away.
      std::stable_sort(sources.begin(), sources.end(), [&](const auto& a, const auto& b) { return gives_[a] < gives_[b]; });
      if (gives_[sources.front()] < options_.most_per_source) {
        ++gives_[sources.front()];
        x.from = sources;
      }
      order(target->host, std::move(x));
    }
  }

  const image_order* told_order(const std::string& host) const {
    if (const auto it = told_.find(host); it != told_.end())
      for (const auto& x : it->second.orders)
        if (x.reference == image_.reference)
          return &x;
    return nullptr;
  }

  /// One host asks the registry, the others wait for what it brings: who is at it, else who failed least.
  void from_registry() {
    const auto rank = [&](const image_report& host) {
      const auto* transfer = find_transfer(host, image_.reference);
      const bool is_at_it = transfer != nullptr && transfer->from_registry;
      const bool waits = transfer != nullptr && transfer->asked_for;
      const auto* told = told_order(host.host);
      const bool was_told = told != nullptr && told->may_ask_registry;
      return std::tuple{!is_at_it, transfer == nullptr ? 0 : transfer->attempts, !was_told, !waits, host.host};
    };
    const auto* first = *std::min_element(targets_.begin(), targets_.end(),
                                          [&](const auto* a, const auto* b) { return rank(*a) < rank(*b); });
    for (const auto* target : targets_) {
      image_order x;
      x.may_ask_registry = knows_all_ && target == first;
      order(target->host, std::move(x));
    }
  }

  const site_state& state_;
  const needed_image& image_;
  const copy_options& options_;
  const std::map<std::string, image_orders>& told_;
  bool knows_all_;
  std::map<std::string, std::size_t>& gives_; ///< copies that each host gives, of all images
  copy_plan& plan_;
  std::vector<std::pair<const image_report*, const held_image*>> holders_;
  std::vector<const image_report*> others_;
  std::vector<const image_report*> targets_;
};

bool is_up(const site_state& state, const std::string& host) {
  const auto it = state.hosts.find(host);
  return it != state.hosts.end() && it->second.up;
}

/// Who looks at a tag and who waits for that.
class look_planner {
public:
  look_planner(const site_state& state, const image_reports& reports, const needed_image& tag,
               const std::map<std::string, image_orders>& told)
    : state_(state), reports_(reports), tag_(tag), told_(told) {}

  void run(copy_plan& plan) const {
    std::optional<rank> best;
    for (const auto& [host, report] : reports_)
      if (is_up(state_, host) && may_look(report)) {
        const auto x = rank_of(report);
        best = best ? std::min(*best, x) : x;
      }
    if (!best)
      return;
    const auto& first = std::get<std::string>(*best);
    for (const auto& [host, report] : reports_) {
      if (!is_up(state_, host) || (host != first && !runs_it(host)))
        continue;
      image_order x;
      x.reference = tag_.reference;
      x.may_ask_registry = host == first;
      x.look_since = host == first ? tag_.look_since : 0;
      plan.orders[host].push_back(std::move(x));
    }
  }

private:
  using rank = std::tuple<bool, bool, std::uint32_t, time_ms, bool, bool, bool, std::string>;

  bool runs_it(const std::string& host) const { return tag_.hosts.count(host) != 0; }

  bool may_look(const image_report& report) const {
    return find_image_in(report, tag_.reference) != nullptr || runs_it(report.host) || can_run_images(state_.hosts.at(report.host));
  }

  /// Who has an image of that name can say what it is also without a registry, best the newest; else one whose container
  /// waits, so that it hears what is wrong. Who is at it goes on, and who failed comes last.
  rank rank_of(const image_report& report) const {
    const auto* held = find_image_in(report, tag_.reference);
    const auto* transfer = find_transfer(report, tag_.reference);
    const bool is_at_it = transfer != nullptr && transfer->from_registry;
    const bool waits = transfer != nullptr && transfer->asked_for;
    return {held == nullptr, !is_at_it, transfer == nullptr ? 0 : transfer->attempts, held == nullptr ? 0 : -held->added_at,
            !was_told(report.host), !runs_it(report.host), !waits, report.host};
  }

  bool was_told(const std::string& host) const {
    const auto it = told_.find(host);
    return it != told_.end() && std::any_of(it->second.orders.begin(), it->second.orders.end(), [&](const auto& x) {
             return x.reference == tag_.reference && x.look_since != 0;
           });
  }

  const site_state& state_;
  const image_reports& reports_;
  const needed_image& tag_;
  const std::map<std::string, image_orders>& told_;
};

/// The first name of an image in `service` that is none, as an older version of the agent may have let it in; empty: all are.
std::string unreadable_image(const config::service_spec& service) {
  for (const auto* containers : {&service.init_containers, &service.containers})
    for (const auto& container : *containers)
      if (!container.image.empty() && !storage::parse_reference(container.image))
        return container.image;
  return {};
}

} // namespace

std::vector<needed_image> needed_images(const site_state& state) {
  std::map<std::string, needed_image> found;
  const auto need = [&](const std::string& reference) -> needed_image& {
    auto& x = found[reference];
    x.reference = reference;
    return x;
  };
  for (const auto& [key, record] : state.applications) {
    for (const auto& reference : images_of(record.former.spec, record.former.images))
      need(reference);
    for (const auto& service : record.spec.services)
      for (const auto& reference : images_of(service, digests_of(record.images, service.name))) {
        auto& x = need(reference);
        x.is_current = x.is_current || service.replicas > 0;
      }
    for (const auto& service : record.spec.services)
      for (const auto& tag : tags_of(service))
        if (service.replicas > 0 && std::binary_search(record.open_tags.begin(), record.open_tags.end(), tag)) {
          auto& x = need(tag);
          x.look_since = std::max(x.look_since, record.open_since);
        }
  }
  if (found.empty())
    return {};
  for (const auto& [name, x] : state.assignments) {
    const auto record = state.applications.find(application_key(x.tenant, x.application));
    if (x.host.empty() || x.ended != instance_end::none || record == state.applications.end())
      continue;
    // Of what it runs, and of what it is to be updated to.
    const auto needs = [&](const config::application_spec& version, const image_digests& decided) {
      if (const auto* service = find_service(version, x.service))
        for (const auto& reference : images_of(*service, digests_of(decided, x.service)))
          need(reference).hosts.insert(x.host);
    };
    needs(version_of(record->second, x), digests_of(record->second, x));
    needs(record->second.spec, record->second.images);
  }
  std::vector<needed_image> list;
  for (auto& [reference, x] : found)
    list.push_back(std::move(x));
  return list;
}

std::vector<std::string> needed_on(const site_state& state, const std::string& host) {
  std::set<std::string> applications;
  for (const auto& [name, x] : state.assignments)
    if (x.host == host && x.ended == instance_end::none)
      applications.insert(application_key(x.tenant, x.application));
  std::vector<std::string> list;
  for (const auto& key : applications) {
    const auto record = state.applications.find(key);
    if (record == state.applications.end())
      continue;
    const auto now = images_of(record->second.spec, record->second.images);
    list.insert(list.end(), now.begin(), now.end());
    const auto before = images_of(record->second.former.spec, record->second.former.images);
    list.insert(list.end(), before.begin(), before.end());
  }
  sort_and_unite(list);
  return list;
}

const held_image* find_image_in(const image_report& report, const std::string& reference) {
  const auto wanted = storage::parse_reference(reference);
  if (!wanted)
    return nullptr;
  const auto name = wanted->name() + (wanted->is_pinned() ? "@" + wanted->pinned.text() : ":" + wanted->tag);
  for (const auto& image : report.images)
    if ((wanted->is_pinned() && image.manifest == wanted->pinned.text())
        || std::find(image.names.begin(), image.names.end(), name) != image.names.end())
      return &image;
  return nullptr;
}

copy_plan plan_copies(const site_state& state, const image_reports& reports, const copy_options& options,
                      const std::map<std::string, image_orders>& told, bool knows_all) {
  copy_plan plan;
  std::map<std::string, std::size_t> gives;
  std::set<std::string> platforms;
  for (const auto& [host, report] : reports)
    if (is_up(state, host))
      platforms.insert(report.platform);
  for (const auto& image : needed_images(state)) {
    for (const auto& platform : platforms) {
      image_planner planner(state, image, options, told, knows_all, gives, plan);
      for (const auto& [host, report] : reports)
        if (report.platform == platform && is_up(state, host))
          planner.add(report);
      planner.run();
    }
    if (image.look_since != 0)
      look_planner{state, reports, image, told}.run(plan);
  }
  return plan;
}

image_places places_of(const site_state& state, const image_reports& reports) {
  image_places places;
  for (const auto& image : needed_images(state))
    for (const auto& [host, report] : reports)
      if (const auto* held = find_image_in(report, image.reference); held != nullptr && held->unpacked)
        places[image.reference].insert(host);
  return places;
}

std::string missing_image(const application_record& record, const config::service_spec& service, const std::string& host,
                          const image_places& places) {
  if (auto unreadable = unreadable_image(service); !unreadable.empty())
    return unreadable;
  for (const auto& tag : tags_of(service))
    if (std::binary_search(record.open_tags.begin(), record.open_tags.end(), tag))
      return tag;
  for (const auto& reference : images_of(service, digests_of(record.images, service.name)))
    if (const auto found = places.find(reference); found == places.end() || found->second.count(host) == 0)
      return reference;
  return {};
}

std::string why_hopeless(const std::string& reference, const image_reports& reports) {
  if (reference.empty())
    return {};
  if (const auto read = storage::parse_reference(reference); !read)
    return read.error().message;
  for (const auto& [host, report] : reports)
    for (const auto& transfer : report.transfers)
      if (transfer.reference == reference && transfer.is_hopeless)
        return transfer.reason;
  return {};
}

} // namespace prunella::actors
