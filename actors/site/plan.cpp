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
  bool is_to_leave = false;   ///< where it still is, before anything else
  bool has_left = false;      ///< where its assignment says
};

class planner {
public:
  planner(const site_state& state, const gave_up_reports& gave_up, time_ms now, const image_places& images, const sight& seen,
          const departure_sight& has_left, const ended_reports& ended)
    : state_(state), gave_up_(gave_up), now_(now), images_(images), seen_(seen), has_left_(has_left), board_(state, images) {
    for (const auto& x : ended) // of most that is reported the site knows
      if (const auto row = state.assignments.find(x.first); row != state.assignments.end() && is_news(row->second, x.second))
        ended_.emplace(&*row, &x.second);
  }

  site_plan run() {
    collect_wanted();
    collect_assigned();
    for (const auto i : by_age())
      judge_service(i);
    const auto in_order = [](const auto& a, const auto& b) { return std::pair{a.service, a.replica} < std::pair{b.service, b.replica}; };
    std::sort(finished_.begin(), finished_.end(), in_order);
    for (const auto& x : finished_)
      finish(*services_[x.service].replicas[x.replica - 1]);
    std::sort(updates_.begin(), updates_.end(), in_order);
    for (const auto& x : updates_)
      update(services_[x.service], *services_[x.service].replicas[x.replica - 1]);
    std::sort(homeless_.begin(), homeless_.end(), in_order);
    for (auto& x : homeless_)
      x.is_to_leave ? leave(x) : place(x);
    settle_held_back();
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
    if (!current.home.empty())
      change.next.reason += "; its persistent volumes stay on " + current.home + ", in DATA_DIR/volumes/" + name;
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
      const bool may_run = at && board_.host(*at).up && a.leaves_since == 0 && a.ended == instance_end::none;
      return may_run && seen_ ? seen_(name, a, update) : seen_as::away;
    };
    misplaced_.clear();
    auto updates = x.is_paused ? std::vector<std::size_t>{} : to_update(x.replicas, *x.service, x.changed_at, now_, see);
    updates.erase(std::remove_if(updates.begin(), updates.end(), [&](auto i) { return !may_begin(x, i, see); }), updates.end());
    for (const bool is_over : {false, true}) // what has ended takes no place from who has one
      for (std::size_t i = 0; i < x.replicas.size(); ++i) {
        if (has_ended(x.replicas[i]) != is_over)
          continue;
        const bool is_due = std::binary_search(updates.begin(), updates.end(), i);
        const bool waits = !is_due && is_outdated(x.replicas[i], x.changed_at);
        judge(service, static_cast<std::uint32_t>(i + 1), is_due ? update_turn::due : waits ? update_turn::waits : update_turn::none);
      }
    if (!misplaced_.empty())
      move_some(x, see, updates);
  }

  /// Of those whose host does not suit them as many as the service may miss.
  template <class See>
  void move_some(const wanted_service& x, const See& see, const std::vector<std::size_t>& updates) {
    std::vector<seen_as> states(x.replicas.size(), seen_as::steady); // what was never placed, or fits nowhere, holds nothing up
    for (std::size_t i = 0; i < x.replicas.size(); ++i)
      if (const auto* row = x.replicas[i]; row != nullptr && !row->second.host.empty())
        states[i] = std::binary_search(updates.begin(), updates.end(), i) ? seen_as::away : see(row->first, row->second, x.service->update);
    for (const auto& leaves : misplaced_)
      if (auto& state = states[leaves.replica - 1]; state == seen_as::fresh)
        state = seen_as::steady; // how long it runs there tells nothing about elsewhere
    auto unsteady = static_cast<std::size_t>(std::count_if(states.begin(), states.end(), [](auto s) { return s != seen_as::steady; }));
    const bool is_at_once = x.service->restart.type != config::restart_type::permanent; // nobody can wait until they run
    for (auto& leaves : misplaced_) {
      const auto state = states[leaves.replica - 1];
      board_.occupy(x.id, x.at[leaves.replica - 1]);
      if (is_at_once || state == seen_as::away || unsteady++ < x.service->update.parallel)
        homeless_.push_back(std::move(leaves));
      else
        result_.waits_for_reports = true;
    }
  }

  /// Nothing that runs is stopped before the image of what replaces it is where it is.
  template <class See>
  bool may_begin(const wanted_service& x, std::size_t i, const See& see) const {
    const auto& [name, current] = *x.replicas[i];
    return missing_image(*x.record, *x.service, current.host, images_).empty() || see(name, current, x.service->update) == seen_as::away;
  }

  enum class update_turn : std::uint8_t { none, waits, due };

  /// As the site knows: then nothing of it runs where it is assigned.
  static bool has_ended(const assignment_row* row) { return row != nullptr && row->second.ended != instance_end::none; }

  static bool is_news(const assignment& x, const ended_report& report) {
    return x.ended == instance_end::none && x.leaves_since == 0 && !x.host.empty() && x.host == report.host
           && x.generation == report.generation;
  }

  /// How it came to its end, as the site knows or is about to; what has to begin anew in this plan has not.
  instance_end end_of(const wanted_service& x, const assignment_row& row, update_turn turn) const {
    const auto news = row.second.ended == instance_end::none ? ended_.find(&row) : ended_.end();
    const auto how = news == ended_.end() ? row.second.ended : news->second->how;
    if (how == instance_end::again)
      return instance_end::none;
    const bool is_left_at_it = turn == update_turn::none ? is_final(how, *x.service) : turn == update_turn::waits;
    return is_left_at_it ? how : instance_end::none;
  }

  /// Leaves an instance where it is, updates it there, or says why it has to leave.
  void judge(std::size_t service, std::uint32_t replica, update_turn turn) {
    const auto& x = services_[service];
    const auto at = x.at[replica - 1];
    const auto* row = x.replicas[replica - 1];
    const bool is_over = has_ended(row);
    if (row != nullptr && end_of(x, *row, turn) != instance_end::none) {
      if (!is_over)
        finished_.push_back({service, replica});
      return;
    }
    if (is_over)
      turn = update_turn::due;
    const auto why = at == nowhere ? rejection::down : board_.check(x.id, at);
    const bool leaves_already = row != nullptr && row->second.leaves_since != 0;
    if (!why && gave_up_.empty() && turn == update_turn::none && !leaves_already)
      return board_.occupy(x.id, at);
    const bool is_asked_for = is_over && row->second.ended == instance_end::again; // it takes no place from who has one
    if (row == nullptr || row->second.host.empty() || is_asked_for)
      return homeless_.push_back({service, replica, is_asked_for ? row->second.reason : std::string{}, {},
                                  row == nullptr ? std::vector<avoided_host>{} : row->second.avoided,
                                  x.is_paused && x.former != 0 ? x.former : x.changed_at}); // nothing begins with what failed
    const auto& [name, current] = *row;
    const auto& host = current.host;
    if (why == rejection::down && at != nowhere && x.has_volumes && home_of(row) == host)
      return board_.occupy(x.id, at); // it would find its volumes empty anywhere else: it waits for its host
    const bool is_up = at != nowhere && board_.host(at).up;
    if (current.leaves_since != 0 && is_up && has_left_ && !has_left_(name, current)) {
      ++leaving_;
      result_.waits_for_reports = true;
      return board_.occupy(x.id, at);
    }
    // Who only has to move is not updated by the way.
    const bool is_as_before = current.revision == x.former || (x.is_paused && current.revision != x.changed_at);
    homeless_instance leaves{service, replica, {}, {}, {}, x.former != 0 && is_as_before && !is_over ? x.former : x.changed_at};
    if (why == rejection::down) {
      leaves.reason = host + " is down" + (at == nowhere ? std::string{} : ": " + board_.host(at).reason);
      leaves.cause = "host/" + host;
      leaves.avoided = current.avoided;
    } else if (leaves_already) {
      leaves.reason = current.reason;
      leaves.avoided = current.avoided;
      leaves.has_left = true;
    } else if (const auto* report = turn == update_turn::due ? nullptr : report_of(*row)) { // another spec is another chance
      leaves.reason = "gave up on " + host + ": " + report->reason;
      leaves.cause = "instance/" + name;
      leaves.avoided = with_failure(current.avoided, *report);
    } else if (why == rejection::drained && turn != update_turn::due) {
      leaves.reason = host + " is drained";
      leaves.cause = "host/" + host;
      leaves.avoided = current.avoided;
      return misplace(std::move(leaves));
    } else if (turn == update_turn::waits) { // whether the new spec still fits there is asked in its turn
      result_.waits_for_reports = result_.waits_for_reports || !x.is_paused;
      return board_.occupy(x.id, at);
    } else if (why) {
      leaves.reason = host + " no longer fits (" + to_text(*why, *x.service) + ")";
      leaves.cause = application_object(x);
      leaves.avoided = current.avoided;
      leaves.revision = x.changed_at;
      if (turn == update_turn::none && is_unsuitable(*why))
        return misplace(std::move(leaves));
    } else {
      board_.occupy(x.id, at);
      if (turn == update_turn::due)
        updates_.push_back({service, replica});
      return;
    }
    if (is_up && !leaves_already && !is_over) {
      leaves.is_to_leave = true;
      board_.occupy(x.id, at); // until it has ended
    }
    homeless_.push_back(std::move(leaves));
  }

  void misplace(homeless_instance leaves) {
    leaves.is_to_leave = true;
    misplaced_.push_back(std::move(leaves));
  }

  /// It stays assigned to its host, which ends it.
  void leave(homeless_instance& x) {
    const auto& service = services_[x.service];
    const auto& [name, current] = *service.replicas[x.replica - 1];
    assignment_change change{name, current.host, current.generation, false, current,
                             x.cause.empty() ? application_object(service) : std::move(x.cause)};
    change.next.leaves_since = 1;
    change.next.reason = std::move(x.reason);
    change.next.avoided = std::move(x.avoided);
    change.next.revision = x.revision;
    result_.changes.changes.push_back(std::move(change));
  }

  /// It stays assigned to its host, which does nothing for it any more.
  void finish(const assignment_row& row) {
    const auto& [name, current] = row;
    const auto& report = *ended_.at(&row);
    assignment_change change{name, current.host, current.generation, false, current, "host/" + current.host};
    change.next.ended = report.how;
    change.next.reason = report.reason.substr(0, max_end_reason_bytes);
    result_.changes.changes.push_back(std::move(change));
  }

  /// A new generation where it is.
  void update(const wanted_service& x, const assignment_row& row) {
    const auto& [name, current] = row;
    assignment_change change{name, current.host, current.generation, false, current, application_object(x)};
    change.next.revision = x.changed_at;
    change.next.avoided.clear(); // another spec is another chance
    change.next.ended = instance_end::none;
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
    if (row == nullptr && has_left_ && !has_left_(name_of(x), {})) { // deleted and applied again, and the former is still ending
      result_.waits_for_reports = true;
      return;
    }
    const auto home = service.has_volumes ? home_of(row) : std::string{};
    auto choice = home.empty() ? board_.choose(service.id, x.avoided, now_) : choose_home(service, home, x.avoided);
    if (!choice.host && x.has_left && leaving_ > 0)
      held_back_.push_back({&x, choice}); // those who still leave make room
    else
      settle(x, choice);
  }

  /// Who has ended and waits for room stays where it was on paper, but not beside who was given that place.
  void settle_held_back() {
    for (auto& [x, choice] : held_back_)
      if (const auto& service = services_[x->service]; board_.crowded(service.id, service.at[x->replica - 1]))
        settle(*x, choice);
  }

  std::string name_of(const homeless_instance& x) const {
    const auto& service = services_[x.service];
    const auto* row = service.replicas[x.replica - 1];
    return row != nullptr ? row->first
                          : instance_name(service.application->tenant, service.application->name, service.service->name, x.replica);
  }

  void settle(homeless_instance& x, const placement_result& choice) {
    auto& service = services_[x.service];
    const auto* row = service.replicas[x.replica - 1];
    const auto home = service.has_volumes ? home_of(row) : std::string{};
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
    change.instance = name_of(x);
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
    auto why = at ? board_.check_new(service.id, *at) : rejection::down;
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

  const std::string& explanation(wanted_service& x, const rejection_counts& rejected) const {
    if (x.explanation.empty() || x.explained != rejected) {
      x.explained = rejected;
      x.explanation = explain(rejected, *x.service, state_);
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
  const departure_sight& has_left_;
  placement_board board_;
  std::vector<wanted_service> services_;
  std::map<std::string, std::pair<std::size_t, std::size_t>> of_application_; ///< range in `services_`
  wanted_service* last_ = nullptr;
  std::map<const assignment_row*, const ended_report*> ended_; ///< what the site does not know yet
  struct judged_instance {
    std::size_t service = 0;
    std::uint32_t replica = 0;
  };
  std::vector<judged_instance> finished_;
  std::vector<judged_instance> updates_;
  std::vector<homeless_instance> homeless_;
  std::vector<homeless_instance> misplaced_; ///< of the service that is judged
  std::vector<std::pair<homeless_instance*, placement_result>> held_back_; ///< of `homeless_`
  std::size_t leaving_ = 0; ///< that have not ended where they were
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
               const sight& seen, const departure_sight& has_left, const ended_reports& ended) {
  return planner{state, gave_up, now, images, seen, has_left, ended}.run();
}

} // namespace prunella::actors
