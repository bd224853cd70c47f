#include "actors/host/site_address.hpp"

#include <optional>
#include <utility>

#include <caf/event_based_actor.hpp>
#include <caf/local_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/site/address_holder.hpp"
#include "actors/site/leadership_actor.hpp"
#include "config/networks.hpp"
#include "runtime/supervised_actor.hpp"

namespace prunella::actors {

namespace {

struct hold_on {
  std::uint64_t epoch = 0;

  PRUNELLA_FIELDS(hold_on, epoch)
};

struct look_at_device {
  std::uint8_t unused = 0;

  PRUNELLA_FIELDS(look_at_device, unused)
};

struct site_address_state;
using site_address_self = caf::stateful_actor<site_address_state, runtime::supervised_actor>;

struct site_address_state {
  static inline const char* name = "address";

  explicit site_address_state(site_address_self* self) : self_(self) {}

  /// Whoever ends in order lets go at once; a crash is followed by a successor.
  ~site_address_state() {
    if (is_held_ && address_)
      options_.device->remove(*address_);
  }

  caf::behavior start(site_address_options options) {
    options_ = std::move(options);
    look_at_the_device();
    look();
    return {
      [this](const state_applied&) { look(); },
      [this](const leader_changed&) { look(); },
      [this](const hold_on& x) {
        if (x.epoch == epoch_)
          hold();
      },
      [this](const look_at_device&) { look_at_the_device(); },
    };
  }

private:
  void look() {
    const auto state = options_.state->get();
    if (!address_ && !state->site.address.empty())
      address_ = config::parse_interface_address(state->site.address);
    if (!address_)
      return;
    const auto leader = options_.leader->get().leader;
    const auto holder = address_holder(*state, leader);
    if (holder == options_.host && !is_wanted_)
      take(leader);
    else if (holder != options_.host && is_wanted_)
      let_go(leader.empty() ? "no leader is known here" : holder + " holds it");
    else if (!is_wanted_ && !holder.empty() && std::exchange(may_be_left_, false))
      options_.device->remove(*address_);
  }

  void take(const std::string& leader) {
    is_wanted_ = true;
    may_be_left_ = false;
    to_announce_ = options_.announcements;
    why_ = leader == options_.host ? options_.host + " leads" : "the leader " + leader + " cannot hold it";
    hold();
  }

  void hold() {
    self_->delayed_send(self_, options_.refresh, hold_on{++epoch_});
    const bool others_may = others_may_hold_address(*options_.state->get(), options_.host);
    const auto lifetime_s = others_may ? options_.lifetime_s : options_.lifetime_alone_s;
    auto problem = options_.device->put(*address_, {lifetime_s, others_may});
    const bool has_it = problem.empty();
    if (has_it && to_announce_ > 0) {
      --to_announce_;
      problem = options_.device->announce(*address_, to_announce_ > 0);
    }
    if (has_it && !std::exchange(is_held_, true))
      tell("", "held by " + options_.host, why_);
    if (problem != problem_ && !problem.empty())
      tell("", options_.host + " cannot hold it", problem);
    problem_ = problem;
    options_.trouble->set(has_it ? std::string{} : problem); // the site lets another host hold it
  }

  void look_at_the_device() {
    self_->delayed_send(self_, options_.look_again, look_at_device{});
    auto obstacle = options_.device->obstacle();
    if (obstacle_ == obstacle)
      return;
    options_.trouble->set(obstacle);
    obstacle_ = std::move(obstacle);
  }

  void let_go(const std::string& why) {
    is_wanted_ = false;
    ++epoch_;
    const auto problem = options_.device->remove(*address_);
    if (std::exchange(is_held_, false))
      tell("held by " + options_.host, "let go", problem.empty() ? why : why + "; " + problem);
  }

  void tell(const std::string& from, const std::string& to, const std::string& reason) const {
    if (options_.record)
      options_.record({"", 0, 0, "address/" + address_->address, from, to, reason, "host/" + options_.host});
  }

  site_address_self* self_;
  site_address_options options_;
  std::optional<config::interface_address> address_; ///< of the site, once its state is known
  bool may_be_left_ = true; ///< the device may have it from an earlier life of the agent
  bool is_wanted_ = false;  ///< this host is the one
  bool is_held_ = false;    ///< the device has it
  std::uint32_t to_announce_ = 0;
  std::string why_;
  std::string problem_;
  std::optional<std::string> obstacle_; ///< what the device said last
  std::uint64_t epoch_ = 0;
};

} // namespace

caf::actor spawn_site_address(caf::local_actor* parent, site_address_options options) {
  return parent->spawn([](site_address_self* self, site_address_options x) { return self->state.start(std::move(x)); },
                       std::move(options));
}

} // namespace prunella::actors
