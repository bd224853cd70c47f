#include "actors/site/plan.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <string_view>

#include "actors/names.hpp"
#include "actors/site/image_copies.hpp"
#include "actors/site/placement.hpp"

namespace prunella::actors {

namespace {

constexpr time_ms longest_avoidance_ms = 3'600'000;

using assignment_row = std::pair<const std::string, assignment>;

constexpr auto nowhere = std::numeric_limits<host_slot>::max();

/// A service that is wanted, with what is assigned of it.
struct wanted_service {
  const application_record* record = nullptr;
  const config::application_spec* application = nullptr;
  const config::service_spec* service = nullptr;
  placement_board::service_id id = 0;
  std::uint64_t changed_at = 0;           ///< revision that running instances need
  std::uint64_t former = 0;               ///< the one that they may run instead until they are updated; 0: none
  bool is_paused = false;                 ///< what is not updated stays so
  std::vector<assigned_replica> replicas; ///< at N - 1
  std::vector<host_slot> at;              ///< the same: where it is, or `nowhere`

  // The last explanation, for the next replica that meets the same.
  rejection_counts explained{};
  std::string explanation;

  bool has_volumes = false; ///< that stay on their host, and its instances with them
};

bool has_persistent_volumes(const config::service_spec& service) {
  const auto is_persistent = [](const auto& volume) { return volume.kind == config::volume_kind::persistent && !volume.movable; };
  for (const auto* containers : {&service.containers, &service.init_containers})
    for (const auto& container : *containers)
      if (std::any_of(container.volumes.begin(), container.volumes.end(), is_persistent))
        return true;
  return false;
}

/// The host that has the volumes of an instance of a service that has some; empty: it was nowhere yet.
std::string home_of(const assignment_row* row) {
  if (row == nullptr)
    return {};
  return row->second.home.empty() ? row->second.host : row->second.home;
}

/// An instance that needs a (new) host.
struct homeless_instance {
  std::size_t service = 0;
  std::uint32_t replica = 0;
  std::string reason; ///< empty: it has no host
  std::string cause;
  std::vector<avoided_host> avoided;
  std::uint64_t revision = 0; ///< that it is to run
};

class planner {
public:
  planner(const site_state& state, const gave_up_reports& gave_up, time_ms now, const image_places& images, const sight& seen)
    : state_(state), gave_up_(gave_up), now_(now), images_(images), seen_(seen), board_(state, images) {}

  site_plan run() {
    collect_wanted();
    collect_assigned();
    for (const auto i : by_age())
      judge_service(i);
    const auto in_order = [](const auto& a, const auto& b) { return std::pair{a.service, a.replica} < std::pair{b.service, b.replica}; };
    std::sort(updates_.begin(), updates_.end(), in_order);
    for (const auto& x : updates_)
      update(services_[x.service], *services_[x.service].replicas[x.replica - 1]);
    std::sort(homeless_.begin(), homeless_.end(), in_order);
    for (auto& x : homeless_)
      place(x);
    return std::move(result_);
  }

private:
  // -- what is wanted and what is assigned -----------------------------------------------------------------------------

  /// Services in the order in which they are decided about: by application, then by name.
  void collect_wanted() {
    for (const auto& [key, record] : state_.applications) {
      const auto first = services_.size();
      const auto id = board_.add(record.spec, record.images);
      for (std::uint32_t i = 0; i < record.spec.services.size(); ++i) {
        const auto& service = record.spec.services[i];
        const auto number = [&](const auto& changed_at) {
          const auto found = changed_at.find(service.name);
          return found == changed_at.end() ? 0 : found->second;
        };
        const bool is_over = record.update == update_phase::done;
        services_.push_back({&record, &record.spec, &service, id + i, number(record.changed_at),
                             is_over ? 0 : number(record.former.changed_at), record.update == update_phase::paused, {}, {}, {}, {},
                             false});
        services_.back().has_volumes = has_persistent_volumes(service);
        services_.back().replicas.resize(service.replicas);
        services_.back().at.resize(service.replicas, nowhere);
      }
      std::sort(services_.begin() + static_cast<std::ptrdiff_t>(first), services_.end(),
                [](const auto& a, const auto& b) { return a.service->name < b.service->name; });
      of_application_.emplace(key, std::make_pair(first, services_.size()));
    }
  }

  void collect_assigned() {
    for (const auto& row : state_.assignments) {
      auto* x = service_of(row.second);
      const auto place = row.second.replica - 1;
      if (x != nullptr && place < x->replicas.size()) {
        x->replicas[place] = &row;
        x->at[place] = board_.find(row.second.host).value_or(nowhere);
      } else {
        result_.changes.changes.push_back(removal(row));
      }
    }
  }

  /// Rows come in order of names, so most are of the service of the row before.
  wanted_service* service_of(const assignment& x) {
    if (last_ != nullptr && last_->service->name == x.service && last_->application->name == x.application
        && last_->application->tenant == x.tenant)
      return last_;
    const auto found = of_application_.find(application_key(x.tenant, x.application));
    if (found == of_application_.end())
      return nullptr;
    for (auto i = found->second.first; i < found->second.second; ++i)
      if (services_[i].service->name == x.service)
        return last_ = &services_[i];
    return nullptr;
  }

  assignment_change removal(const assignment_row& row) const {
    const auto& [name, current] = row;
    assignment_change change;
    change.instance = name;
    change.from_host = current.host;
    change.from_generation = current.generation;
    change.remove = true;
    const auto key = application_key(current.tenant, current.application);
    change.cause = "application/" + key;
    change.next.reason = state_.applications.count(key) != 0 ? "no longer wanted by its application" : "application deleted";
    return change;
  }

  /// Where a host has become too small, who was changed last has to leave: a change of one application takes no place from
  /// the others.
  std::vector<std::size_t> by_age() const {
    std::vector<std::size_t> order(services_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [this](auto a, auto b) { return services_[a].record->updated_at < services_[b].record->updated_at; });
    return order;
  }

  // -- who may stay ----------------------------------------------------------------------------------------------------

  void judge_service(std::size_t service) {
    const auto& x = services_[service];
    const auto see = [this](const std::string& name, const assignment& a, const config::update_spec& update) {
      const auto at = board_.find(a.host);
      return at && board_.host(*at).up && seen_ ? seen_(name, a, update) : seen_as::away;
    };
    const auto updates = x.is_paused ? std::vector<std::size_t>{} : to_update(x.replicas, *x.service, x.changed_at, now_, see);
    for (std::size_t i = 0; i < x.replicas.size(); ++i) {
      const bool is_due = std::binary_search(updates.begin(), updates.end(), i) && may_begin(x, i, see);
      const bool waits = !is_due && is_outdated(x.replicas[i], x.changed_at);
      judge(service, static_cast<std::uint32_t>(i + 1), is_due ? update_turn::due : waits ? update_turn::waits : update_turn::none);
    }
  }

  /// Nothing that runs is stopped before the image of what replaces it is where it is.
  template <class See>
  bool may_begin(const wanted_service& x, std::size_t i, const See& see) const {
    const auto& [name, current] = *x.replicas[i];
    return missing_image(*x.record, *x.service, current.host, images_).empty() || see(name, current, x.service->update) == seen_as::away;
  }

  enum class update_turn : std::uint8_t { none, waits, due };

  /// Leaves an instance where it is, updates it there, or says why it has to leave.
  void judge(std::size_t service, std::uint32_t replica, update_turn turn) {
    const auto& x = services_[service];
    const auto at = x.at[replica - 1];
    const auto why = at == nowhere ? rejection::down : board_.check(x.id, at);
    if (!why && gave_up_.empty() && turn == update_turn::none)
      return board_.occupy(x.id, at);
    const auto* row = x.replicas[replica - 1];
    if (row == nullptr || row->second.host.empty())
      return homeless_.push_back({service, replica, {}, {}, row == nullptr ? std::vector<avoided_host>{} : row->second.avoided,
                                  x.is_paused && x.former != 0 ? x.former : x.changed_at}); // nothing begins with what failed
    const auto& [name, current] = *row;
    const auto& host = current.host;
    if (why == rejection::down && at != nowhere && x.has_volumes && home_of(row) == host)
      return board_.occupy(x.id, at); // it would find its volumes empty anywhere else: it waits for its host
    // Who only has to move is not updated by the way.
    const bool is_as_before = current.revision == x.former || (x.is_paused && current.revision != x.changed_at);
    homeless_instance leaves{service, replica, {}, {}, {}, x.former != 0 && is_as_before ? x.former : x.changed_at};
    if (why == rejection::down) {
      leaves.reason = host + " is down" + (at == nowhere ? std::string{} : ": " + board_.host(at).reason);
      leaves.cause = "host/" + host;
      leaves.avoided = current.avoided;
    } else if (const auto* report = turn == update_turn::due ? nullptr : report_of(*row)) { // another spec is another chance
      leaves.reason = "gave up on " + host + ": " + report->reason;
      leaves.cause = "instance/" + name;
      leaves.avoided = with_failure(current.avoided, *report);
    } else if (turn == update_turn::waits) { // whether the new spec still fits there is asked in its turn
      result_.waits_for_reports = result_.waits_for_reports || !x.is_paused;
      return board_.occupy(x.id, at);
    } else if (why) {
      leaves.reason = host + " no longer fits (" + to_text(*why, *x.service) + ")";
      leaves.cause = application_object(x);
      leaves.avoided = current.avoided;
      leaves.revision = x.changed_at;
    } else {
      board_.occupy(x.id, at);
      if (turn == update_turn::due)
        updates_.push_back({service, replica});
      return;
    }
    homeless_.push_back(std::move(leaves));
  }

  /// A new generation where it is.
  void update(const wanted_service& x, const assignment_row& row) {
    const auto& [name, current] = row;
    assignment_change change{name, current.host, current.generation, false, current, application_object(x)};
    change.next.revision = x.changed_at;
    change.next.avoided.clear(); // another spec is another chance
    change.next.reason = "updated to version " + x.application->version;
    result_.changes.changes.push_back(std::move(change));
  }

  /// That it gave up where it is now; null: it did not.
  const gave_up_report* report_of(const assignment_row& row) const {
    const auto found = gave_up_.find(row.first);
    return found != gave_up_.end() && found->second.host == row.second.host
               && found->second.generation == row.second.generation
             ? &found->second
             : nullptr;
  }

  std::vector<avoided_host> with_failure(std::vector<avoided_host> avoided, const gave_up_report& report) const {
    auto it = std::find_if(avoided.begin(), avoided.end(), [&](const auto& a) { return a.host == report.host; });
    if (it == avoided.end())
      it = avoided.insert(avoided.end(), {report.host, 0, 0, 0, {}});
    it->generation = report.generation;
    // An hour of peace there, and the next failure is a first one again.
    it->times = it->times > 0 && now_ - it->until < longest_avoidance_ms ? it->times + 1 : 1;
    it->until = now_ + avoidance_ms(it->times);
    it->reason = report.reason;
    return avoided;
  }

  // -- where the others go ---------------------------------------------------------------------------------------------

  void place(homeless_instance& x) {
    auto& service = services_[x.service];
    const auto* row = service.replicas[x.replica - 1];
    const auto home = service.has_volumes ? home_of(row) : std::string{};
    auto choice = home.empty() ? board_.choose(service.id, x.avoided, now_) : choose_home(service, home, x.avoided);
    if (!choice.host) {
      look_again_for(x.avoided);
      x.reason = last_failure(x.avoided)
                 + (home.empty() ? explanation(service, choice.rejected)
                                 : "its volumes are on " + home + ", and " + explanation(service, choice.rejected));
      // Nothing new to say: an unplaced instance is written once, not at every look.
      if (row != nullptr && row->second.host.empty() && row->second.reason == x.reason)
        return;
    } else {
      board_.occupy(service.id, *choice.host);
    }
    assignment_change change;
    change.instance = row != nullptr ? row->first
                                     : instance_name(service.application->tenant, service.application->name,
                                                     service.service->name, x.replica);
    change.cause = x.cause.empty() ? application_object(service) : std::move(x.cause);
    if (row != nullptr) {
      change.from_host = row->second.host;
      change.from_generation = row->second.generation;
    }
    change.next.tenant = service.application->tenant;
    change.next.application = service.application->name;
    change.next.service = service.service->name;
    change.next.replica = x.replica;
    change.next.host = choice.host ? board_.host(*choice.host).spec.id : std::string{};
    change.next.reason = x.reason.empty() ? "placed" : std::move(x.reason);
    change.next.avoided = std::move(x.avoided);
    const bool is_still_homeless = !choice.host && row != nullptr && row->second.host.empty();
    change.next.revision = is_still_homeless ? row->second.revision : x.revision;
    if (service.has_volumes)
      change.next.home = home.empty() ? change.next.host : home;
    result_.changes.changes.push_back(std::move(change));
  }

  /// There or nowhere.
  placement_result choose_home(const wanted_service& service, const std::string& home,
                               const std::vector<avoided_host>& avoided) const {
    const auto at = board_.find(home);
    auto why = at ? board_.check(service.id, *at) : rejection::down;
    const auto is_avoided = [&](const avoided_host& x) { return x.host == home && now_ < x.until; };
    if (!why && std::any_of(avoided.begin(), avoided.end(), is_avoided))
      why = rejection::avoided;
    if (!why)
      return {at, {}};
    placement_result none;
    none.rejected[static_cast<std::size_t>(*why)] = 1;
    return none;
  }

  void look_again_for(const std::vector<avoided_host>& avoided) {
    for (const auto& x : avoided)
      if (now_ < x.until && (result_.look_again_at == 0 || x.until < result_.look_again_at))
        result_.look_again_at = x.until;
  }

  /// The latest failure, for the reason of an instance that found no host.
  static std::string last_failure(const std::vector<avoided_host>& avoided) {
    const auto latest = std::max_element(avoided.begin(), avoided.end(),
                                         [](const auto& a, const auto& b) { return a.generation < b.generation; });
    return latest == avoided.end() ? std::string{} : "gave up on " + latest->host + ": " + latest->reason + "; ";
  }

  static const std::string& explanation(wanted_service& x, const rejection_counts& rejected) {
    if (x.explanation.empty() || x.explained != rejected) {
      x.explained = rejected;
      x.explanation = explain(rejected, *x.service);
    }
    return x.explanation;
  }

  static std::string application_object(const wanted_service& x) {
    return "application/" + application_key(x.application->tenant, x.application->name);
  }

  const site_state& state_;
  const gave_up_reports& gave_up_;
  time_ms now_;
  const image_places& images_;
  const sight& seen_;
  placement_board board_;
  std::vector<wanted_service> services_;
  std::map<std::string, std::pair<std::size_t, std::size_t>> of_application_; ///< range in `services_`
  wanted_service* last_ = nullptr;
  struct updated_instance {
    std::size_t service = 0;
    std::uint32_t replica = 0;
  };
  std::vector<updated_instance> updates_;
  std::vector<homeless_instance> homeless_;
  site_plan result_;
};

std::size_t bytes_of(const assignment_change& x) {
  std::size_t sum = 200 + x.instance.size() + x.cause.size() + x.next.reason.size();
  for (const auto& avoided : x.next.avoided)
    sum += 40 + avoided.host.size() + avoided.reason.size();
  return sum;
}

} // namespace

time_ms avoidance_ms(std::uint32_t times_in_a_row) {
  constexpr time_ms first = 30'000;
  const auto doublings = std::min<std::uint32_t>(times_in_a_row == 0 ? 0 : times_in_a_row - 1, 7);
  return std::min(first << doublings, longest_avoidance_ms);
}

std::deque<change_assignments> in_portions(change_assignments all) {
  std::deque<change_assignments> portions;
  std::size_t bytes = 0;
  for (auto& x : all.changes) {
    const auto more = bytes_of(x);
    if (portions.empty() || portions.back().changes.size() == max_portion_changes || bytes + more > max_portion_bytes) {
      portions.emplace_back();
      bytes = 0;
    }
    bytes += more;
    portions.back().changes.push_back(std::move(x));
  }
  return portions;
}

site_plan plan(const site_state& state, const gave_up_reports& gave_up, time_ms now, const image_places& images,
               const sight& seen) {
  return planner{state, gave_up, now, images, seen}.run();
}

} // namespace prunella::actors
