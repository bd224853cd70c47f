#include "actors/host/image_keeper.hpp"

#include <algorithm>
#include <atomic>
#include <map>
#include <set>
#include <utility>

#include <caf/event_based_actor.hpp>
#include <caf/local_actor.hpp>
#include <caf/response_promise.hpp>
#include <caf/result.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/host/image_events.hpp"
#include "actors/host/image_imports.hpp"
#include "actors/host/image_shelf.hpp"
#include "actors/host/image_waiters.hpp"
#include "actors/instance/image_error.hpp"
#include "actors/site/leadership_actor.hpp"
#include "runtime/supervised_actor.hpp"

namespace prunella::actors {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds report_pause{200};     ///< changes within it travel together
constexpr milliseconds progress_pause{1'000}; ///< progress alone is told so often
constexpr milliseconds ask_site_every{1'000}; ///< while containers wait
constexpr milliseconds result_kept{60'000};
constexpr std::uint64_t room_step = std::uint64_t{256} << 20;

struct keeper_tick {
  std::uint64_t epoch = 0;

  PRUNELLA_FIELDS(keeper_tick, epoch)
};

struct report_now {
  std::uint8_t unused = 0;

  PRUNELLA_FIELDS(report_now, unused)
};

struct look_at_room {
  std::uint8_t unused = 0;

  PRUNELLA_FIELDS(look_at_room, unused)
};

struct check_blobs {
  std::uint8_t unused = 0;

  PRUNELLA_FIELDS(check_blobs, unused)
};

struct fetch_moved {
  std::string reference;
  fetch_progress how_far;

  PRUNELLA_FIELDS(fetch_moved, reference, how_far)
};

struct fetch_over {
  std::string reference;
  fetch_outcome outcome;

  PRUNELLA_FIELDS(fetch_over, reference, outcome)
};

/// The file says what its image is called; or not, and why.
struct import_named {
  std::string path;
  std::string key;
  std::string name;
  image_failure failure;

  PRUNELLA_FIELDS(import_named, path, key, name, failure)
};

struct keeper_state;
using keeper_self = caf::stateful_actor<keeper_state, runtime::supervised_actor>;

struct keeper_state {
  static inline const char* name = "images";

  explicit keeper_state(keeper_self* self) : self_(self) {}

  /// CAF says nothing to who waits for an actor that ended.
  ~keeper_state() {
    *ending_ = true;
    const auto ended = to_error({image_errc::ended, "the image keeper of " + options_.host + " ends; ask again"});
    waiters_.end_all(ended);
    imports_.end_all(ended);
  }

  caf::behavior start(image_keeper_options options) {
    options_ = std::move(options);
    waiters_ = image_waiters(options_.max_waiting);
    jobs_ = std::make_unique<image_jobs>(options_.jobs, options_.may_unpack);
    shelf_ = std::make_unique<image_shelf>(options_.images, options_.clock);
    look_at_disk();
    return {
      [this](const provide_image& x) { return on_provide(x); },
      [this](const keep_holders& x) { return on_keep_holders(x); },
      [this](const import_image& x) { return on_import(x); },
      [this](const image_orders& x) { return on_orders(x); },
      [this](const get_image_report&) { return make_report(); },
      [this](const find_image& x) { return on_find(x); },
      [this](const read_blob& x) { return on_read(x); },
      [this](const fetch_moved& x) { on_moved(x); },
      [this](const fetch_over& x) { on_over(x); },
      [this](const import_named& x) { on_import_named(x); },
      [this](const keeper_tick& x) {
        if (x.epoch == tick_epoch_)
          pump();
      },
      [this](const report_now&) { report(); },
      [this](const look_at_room&) { on_look(); },
      [this](const check_blobs&) { on_check_blobs(); },
      [this](const leader_changed&) { tell_site(); },
      [this](const state_applied&) { on_decided(); }, // what is wanted here comes as orders
    };
  }

private:
  runtime::instant now() { return self_->clock().now(); }

  // -- containers of this host ---------------------------------------------------------------------------------------

  caf::result<provided_image> on_provide(const provide_image& x) {
    auto reference = storage::parse_reference(x.reference);
    if (!reference)
      return to_error({image_errc::reference_malformed, reference.error().message});
    if (x.holder.empty())
      return to_error({image_errc::refused, "who asks for the image " + x.reference + " does not say for which container"});
    if (!options_.may_unpack)
      return to_error({image_errc::needs_root, "the image " + x.reference
                                                 + " cannot be unpacked: containers from images need an agent that runs as "
                                                   "root; without, run a `command` of the host"});
    if (waiters_.is_full())
      return too_many();
    auto promise = self_->make_response_promise<provided_image>();
    provide(*std::move(reference), waiters_.admit(x.holder, promise));
    return promise;
  }

  caf::error too_many() const {
    return to_error({image_errc::too_many, options_.host + " waits for as many images as it can; ask again later"});
  }

  /// Now, or when the site decided what a tag is, or when the image was brought.
  void provide(storage::image_reference reference, image_waiter x) {
    const auto tag = reference.text();
    const auto meaning = options_.meaning_of && !reference.is_pinned() ? options_.meaning_of(x.holder, tag) : tag_meaning{};
    if (meaning.is_open)
      return await_decision(tag, std::move(x));
    if (const auto digest = storage::parse_digest(meaning.digest); digest)
      reference.pinned = *digest;
    auto here = shelf_->provide(reference, x.holder);
    if (here.ok()) {
      tell_site(); // holders are part of the report
      return waiters_.answer(x, std::move(*here));
    }
    if (here.error().code != storage::storage_errc::not_found)
      return waiters_.answer(x, to_error(to_image_failure(here.error())));
    const auto image = reference.text();
    if (!jobs_->ask(image, now()))
      return waiters_.answer(x, too_many());
    if (shelf_->is_ready(reference, false))
      jobs_->is_here(image);
    waiters_.await_image(image, std::move(x));
    pump();
    tell_site();
  }

  void await_decision(const std::string& tag, image_waiter x) {
    if (!jobs_->ask(tag, now(), true))
      return waiters_.answer(x, too_many());
    waiters_.await_decision(tag, std::move(x));
    tell_site();
  }

  /// Those who wait for a decision look whether it was made.
  void on_decided() {
    const auto is_open = [this](const std::string& holder, const std::string& tag) {
      return options_.meaning_of(holder, tag).is_open;
    };
    for (auto& [tag, waiters, was_last] : waiters_.take_decided(is_open)) {
      if (was_last)
        jobs_->no_longer_asked(tag);
      const auto reference = storage::parse_reference(tag);
      for (auto& x : waiters)
        provide(*reference, std::move(x));
    }
  }

  caf::result<caf::unit_t> on_keep_holders(const keep_holders& x) {
    // A host without a store holds nothing, and needs none to say so.
    if (!options_.images->was_used())
      return caf::unit;
    const auto released = shelf_->release_except({x.holders.begin(), x.holders.end()});
    if (!released)
      return to_error(to_image_failure(released.error()));
    if (*released > 0)
      tell_site();
    return caf::unit;
  }

  void deliver(const std::string& image) {
    const auto reference = storage::parse_reference(image);
    for (auto& x : waiters_.take(image)) {
      auto provided = shelf_->provide(*reference, x.holder);
      if (provided)
        waiters_.answer(x, std::move(*provided));
      else
        waiters_.answer(x, to_error(to_image_failure(provided.error())));
    }
  }

  // -- imports -------------------------------------------------------------------------------------------------------

  caf::result<image_imported> on_import(const import_image& x) {
    auto promise = self_->make_response_promise<image_imported>();
    if (imports_.join(x.key, promise, now()))
      return promise;
    if (const auto checked = shelf_->check_import(x.path); !checked) {
      promise.deliver(to_error(to_image_failure(checked.error())));
      return promise;
    }
    if (imports_.size() >= options_.max_waiting) {
      promise.deliver(to_error({image_errc::too_many, options_.host + " is told of as many imports as it takes; try again in a minute"}));
      return promise;
    }
    imports_.begin(x.key, promise);
    if (x.name.empty()) // which may take as long as to read all of it
      options_.find_name(x.path, [me = caf::actor_cast<caf::actor>(self_), x](const storage::result<std::string>& found) {
        caf::anon_send(me, import_named{x.path, x.key, found ? *found : "", found ? image_failure{} : why_no_name(found.error())});
      });
    else
      import_as(x.path, x.key, x.name);
    return promise;
  }

  /// A file that names no image, or several, is no fault of the store: who asks says the name.
  static image_failure why_no_name(const storage::storage_error& error) {
    return error.code == storage::storage_errc::invalid_argument ? image_failure{image_errc::reference_malformed, error.message}
                                                                 : to_image_failure(error);
  }

  void on_import_named(const import_named& x) {
    x.name.empty() ? imports_.refuse(x.key, to_error(x.failure)) : import_as(x.path, x.key, x.name);
  }

  void import_as(const std::string& path, const std::string& key, const std::string& wanted) {
    const auto reference = storage::parse_reference(wanted);
    if (!reference)
      return imports_.refuse(key, to_error({image_errc::reference_malformed, reference.error().message}));
    const auto image = reference->text();
    if (!jobs_->import(image, path, now()))
      return imports_.refuse(key, to_error({image_errc::too_many, "the image " + image + " is on its way to " + options_.host
                                                                    + " already; `prunella get images` shows how far it is"}));
    imports_.set_name(key, image);
    pump();
    tell_site();
  }

  // -- the site and other hosts --------------------------------------------------------------------------------------

  image_report on_orders(const image_orders& x) {
    std::vector<image_order> missing;
    std::map<std::string, tag_found> tags;
    for (const auto& order : x.orders) {
      const auto reference = storage::parse_reference(order.reference);
      const auto known = tags_.find(order.reference);
      const bool was_looked_at = known != tags_.end() && known->second.since >= order.look_since;
      if (order.look_since != 0 && was_looked_at)
        tags.insert(*known);
      else if (reference && (order.look_since != 0 || !shelf_->is_ready(*reference, options_.may_unpack)))
        missing.push_back(order);
    }
    tags_ = std::move(tags);
    jobs_->order(missing, now());
    for (const auto& order : missing)
      if (order.look_since == 0 && shelf_->is_ready(*storage::parse_reference(order.reference), false))
        jobs_->is_here(order.reference);
    kept_ = {x.keep.begin(), x.keep.end()};
    pump();
    return make_report();
  }

  image_found on_find(const find_image& x) {
    image_found answer;
    const auto reference = storage::parse_reference(x.reference);
    if (!reference)
      return answer;
    answer = shelf_->find(*reference, x.platform);
    answer.under_way = jobs_->is_running(reference->text());
    return answer;
  }

  caf::result<blob_part> on_read(const read_blob& x) {
    if (const auto doubted = storage::parse_digest(x.digest); doubted && x.max_bytes == 0 && check_.doubt(*doubted))
      self_->send(self_, check_blobs{});
    auto part = shelf_->read(x);
    if (!part)
      return to_error(to_image_failure(part.error()));
    return std::move(*part);
  }

  /// A portion of a blob at a time, between other messages: the whole of one may take long.
  void on_check_blobs() {
    for (const auto& image : shelf_->check(check_)) {
      options_.record(image_event(image, "present", "damaged", "its bytes have changed on the disk of " + options_.host
                                                                 + ", so they were removed; look at the disk's health (`dmesg`)"));
      tell_site(); // which has it brought here again, if it is to be here
    }
    if (!check_.is_idle())
      self_->send(self_, check_blobs{});
  }

  void tell_site() {
    if (report_armed_)
      return;
    report_armed_ = true;
    self_->delayed_send(self_, report_pause, report_now{});
  }

  void report() {
    report_armed_ = false;
    if (const auto site = options_.site())
      self_->send(site, make_report());
    if (jobs_->needs_site() || jobs_->running() > 0) {
      report_armed_ = true;
      self_->delayed_send(self_, jobs_->needs_site() ? ask_site_every : progress_pause, report_now{});
    }
  }

  image_report make_report() {
    image_report x;
    x.host = options_.host;
    x.incarnation = options_.incarnation;
    x.revision = ++revision_;
    x.platform = storage::this_platform().text();
    x.transfers = jobs_->transfers();
    for (const auto& [tag, found] : tags_)
      x.tags.push_back(found);
    shelf_->fill(x, max_image_report_bytes);
    return x;
  }

  // -- fetching ------------------------------------------------------------------------------------------------------

  void pump() {
    for (const auto& step : jobs_->next(now()))
      step.what == image_step::kind::fetch ? fetch(step.order) : find(step.order.reference);
    ++tick_epoch_;
    if (const auto at = jobs_->next_deadline())
      self_->delayed_send(self_, std::max(milliseconds{1}, std::chrono::ceil<milliseconds>(*at - now())),
                          keeper_tick{tick_epoch_});
  }

  void fetch(const fetch_order& order) {
    const auto me = caf::actor_cast<caf::actor>(self_);
    options_.run(
      order,
      [me, ending = ending_, reference = order.reference](const fetch_progress& how_far) {
        caf::anon_send(me, fetch_moved{reference, how_far});
        return !*ending;
      },
      [me, reference = order.reference](const fetch_outcome& outcome) {
        caf::anon_send(me, fetch_over{reference, outcome});
      });
  }

  /// Asks all hosts; each that does not answer has said that it has nothing.
  void find(const std::string& reference) {
    auto answers = std::make_shared<std::vector<found_at>>();
    auto waiting = std::make_shared<std::size_t>(1);
    const auto one_less = [this, answers, waiting, reference] {
      if (--*waiting > 0)
        return;
      jobs_->found(reference, *answers, now());
      pump();
    };
    for (const auto& host : options_.peers()) {
      const auto keeper = options_.keeper_of(host);
      if (!keeper)
        continue;
      ++*waiting;
      self_->request(keeper, options_.find_timeout, find_image{reference, storage::this_platform().text()})
        .then(
          [answers, host, one_less](const image_found& x) {
            answers->push_back({host, x});
            one_less();
          },
          [one_less](const caf::error&) { one_less(); });
    }
    one_less();
  }

  void on_moved(const fetch_moved& x) {
    jobs_->progress(x.reference, x.how_far);
    auto event = events_.from(x.reference, x.how_far.from);
    if (!event)
      return;
    options_.record(*std::move(event));
    tell_site();
  }

  void on_over(const fetch_over& x) {
    shelf_->look_again();
    imports_.end(x.reference, x.outcome, now());
    x.outcome.failed ? on_failed(x) : on_fetched(x);
    look_at_disk();
    pump();
    tell_site();
  }

  void on_fetched(const fetch_over& x) {
    const auto& image = x.outcome.image;
    jobs_->done(x.reference, image.look_since);
    if (!image.meaning.empty())
      tags_[x.reference] = {x.reference, image.look_since, image.meaning};
    for (auto& event : events_.fetched(x.reference, x.outcome))
      options_.record(std::move(event));
    deliver(x.reference);
  }

  void on_failed(const fetch_over& x) {
    const auto& failure = x.outcome.failure;
    if (auto event = events_.failed(x.reference, failure))
      options_.record(*std::move(event));
    const bool tell = jobs_->failed(x.reference, failure, now(), x.outcome.peers_doubted);
    // How much it takes is not always known: each failure in a row asks for twice as much.
    if (failure.code == image_errc::disk_full)
      make_room(room_step << std::min(jobs_->failures(x.reference), 16u));
    if (!tell)
      return;
    waiters_.refuse(x.reference, to_error(failure));
    if (!jobs_->is_wanted(x.reference))
      events_.forget(x.reference);
  }

  // -- room ----------------------------------------------------------------------------------------------------------

  /// From the first image on. The first look opens the store and tells the site what is there.
  void look_at_disk() {
    if (looks_ || !options_.images->was_used())
      return;
    looks_ = true;
    self_->send(self_, look_at_room{});
  }

  void on_look() {
    self_->delayed_send(self_, options_.look_every, look_at_room{});
    shelf_->look_again();
    if (const auto room = shelf_->room())
      make_room(storage::bytes_to_free(*room, options_.collecting));
    tell_site();
  }

  /// Never while a fetch runs: what it has brought belongs to no image yet.
  void make_room(std::uint64_t bytes) {
    if (bytes == 0 || jobs_->running() > 0)
      return;
    auto wanted = options_.needed();
    wanted.insert(wanted.end(), kept_.begin(), kept_.end());
    const auto removed = shelf_->collect(bytes, wanted);
    if (!removed)
      return note_store("cannot make room: " + removed.error().message);
    for (const auto& [what, why] : *removed)
      options_.record(image_event(what, "present", "removed", why));
  }

  void note_store(const std::string& reason) {
    options_.record({"", 0, 0, "host/" + options_.host, "", "its image store is in trouble", reason, ""});
  }

  keeper_self* self_;
  image_keeper_options options_;
  std::unique_ptr<image_jobs> jobs_;
  std::unique_ptr<image_shelf> shelf_;
  std::shared_ptr<std::atomic<bool>> ending_ = std::make_shared<std::atomic<bool>>(false); ///< workers look at it
  image_waiters waiters_;
  std::map<std::string, tag_found> tags_; ///< by tag: those of the last orders that were looked at
  image_imports imports_{result_kept};
  image_events events_;
  storage::blob_check check_; ///< blobs that another host found to be other bytes
  std::set<std::string> kept_; ///< references that the site counts on here
  std::uint64_t revision_ = 0;
  std::uint64_t tick_epoch_ = 0;
  bool report_armed_ = false;
  bool looks_ = false; ///< at the disk, again and again
};

} // namespace

caf::actor spawn_image_keeper(caf::local_actor* parent, image_keeper_options options) {
  const auto init = [](keeper_self* self, image_keeper_options x) { return self->state.start(std::move(x)); };
  return options.detached ? parent->spawn<caf::detached>(init, std::move(options)) : parent->spawn(init, std::move(options));
}

} // namespace prunella::actors
