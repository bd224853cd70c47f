#include "actors/host/use_actor.hpp"

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include <caf/event_based_actor.hpp>
#include <caf/local_actor.hpp>
#include <caf/result.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include "actors/host/use.hpp"
#include "actors/instance/container_folder.hpp"
#include "actors/instance/disk_limit.hpp"
#include "actors/site/site_errors.hpp"
#include "actors/type_ids.hpp"
#include "runtime/supervised_actor.hpp"

namespace prunella::actors {

namespace {

using std::chrono::microseconds;

/// The first reading is old enough now.
struct read_again {
  std::uint64_t round = 0;

  PRUNELLA_FIELDS(read_again, round)
};

struct use_state;
using use_self = caf::stateful_actor<use_state, runtime::supervised_actor>;

struct use_state {
  static inline const char* name = "use";

  explicit use_state(use_self* self) : self_(self) {}

  caf::behavior start(use_actor_options options) {
    options_ = std::move(options);
    limited_.emplace(options_.limited_share, options_.longest_span);
    return {
      [this](const use_request&) { return on_request(); },
      [this](const measure_disk& x) { return on_measure(x); },
      [this](const read_again& x) {
        if (x.round == round_)
          read();
      },
    };
  }

private:
  struct disk_counted {
    microseconds at{0};
    disk_count count;
  };

  microseconds now() const {
    return std::chrono::duration_cast<microseconds>(self_->clock().now().time_since_epoch());
  }

  caf::result<use_answer> on_request() {
    if (answer_ && now() - answered_at_ < options_.same_answer)
      return *answer_;
    if (waiting_.size() >= options_.max_waiting)
      return make_site_error(site_errc::busy, "too many ask this host at once what it uses; ask again in a moment");
    auto promise = self_->make_response_promise<use_answer>();
    waiting_.push_back(promise);
    if (waiting_.size() == 1) {
      ++round_;
      read();
    }
    return promise;
  }

  void read() {
    const auto driver = options_.driver();
    if (!driver)
      return on_stats({});
    self_->request(driver, options_.driver_patience, get_container_stats{})
      .then([this](const container_stats_list& stats) { on_stats(stats); }, [this](const caf::error&) { on_stats({}); });
  }

  void on_stats(const container_stats_list& stats) {
    const auto at = now();
    const auto before = machine_;
    machine_ = read_machine(options_.data_directory, at);
    // A container that was started since the last look is looked at twice too, once per answer: there may always be a newer one.
    const bool has_new = containers_.has_new(stats) && std::exchange(waited_in_, round_) != round_;
    auto containers = containers_.advance(stats, at);
    const auto span = before ? at - before->cpu.at : microseconds{0};
    if (!before || has_new || span > options_.longest_span || span < options_.least_span) {
      self_->delayed_send(self_, options_.least_span, read_again{round_});
      return;
    }
    machine_->use.cpu_millis = cpu_millis_between(before->cpu, machine_->cpu);
    add_disk(containers, at);
    answer_ = use_answer{machine_->use, std::move(containers)};
    answered_at_ = at;
    for (auto& promise : std::exchange(waiting_, {}))
      promise.deliver(*answer_);
  }

  void add_disk(std::vector<container_use>& containers, microseconds at) {
    std::map<std::string, disk_counted> next;
    auto left = options_.max_files;
    for (auto& use : containers) {
      const auto known = disk_.find(use.name);
      auto counted = known != disk_.end() && at - known->second.at < options_.disk_span
                       ? known->second
                       : disk_counted{at, count_disk(container_folder(options_.data_directory, use.name), left)};
      if (counted.at == at)
        left -= counted.count.entries;
      use.disk_bytes = counted.count.bytes;
      use.disk_is_at_least = counted.count.is_at_least;
      next.emplace(use.name, std::move(counted));
    }
    disk_ = std::move(next);
  }

  disk_measured on_measure(const measure_disk& x) {
    if (const auto known = limited_->ask(x, now()))
      return *known;
    const auto begin = std::chrono::steady_clock::now();
    const auto count = count_container_disk(container_folder(options_.data_directory, x.container), x.pid, options_.max_limited_files);
    const auto cost = std::chrono::steady_clock::now() - begin;
    const disk_measured measured{count.bytes, count.is_at_least};
    limited_->counted(x, measured, std::chrono::duration_cast<microseconds>(cost), now());
    return measured;
  }

  use_self* self_;
  use_actor_options options_;
  std::optional<machine_reading> machine_;
  container_readings containers_;
  std::map<std::string, disk_counted> disk_; ///< of running containers only
  std::optional<paced_counts> limited_;
  std::vector<caf::typed_response_promise<use_answer>> waiting_;
  std::uint64_t round_ = 0;
  std::uint64_t waited_in_ = 0; ///< the round in which new containers were waited for
  std::optional<use_answer> answer_;
  microseconds answered_at_{0};
};

} // namespace

caf::actor spawn_use(caf::local_actor* parent, use_actor_options options) {
  const auto start = [](use_self* self, use_actor_options x) { return self->state.start(std::move(x)); };
  return options.detached ? parent->spawn<caf::detached>(start, std::move(options)) : parent->spawn(start, std::move(options));
}

} // namespace prunella::actors
