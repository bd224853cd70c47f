#include "actors/host/image_worker.hpp"

#include <algorithm>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include "actors/host/token_bucket.hpp"
#include "actors/instance/image_error.hpp"
#include "runtime/exit_reason.hpp"
#include "storage/images/image_name.hpp"
#include "storage/images/reference.hpp"
#include "storage/os_files.hpp"

namespace prunella::actors {

namespace {

using std::chrono::milliseconds;
using storage::storage_errc;
using storage::storage_error;

constexpr milliseconds tell_every{250};
constexpr milliseconds longest_pause{200}; ///< before it is looked whether to go on

/// Another host's image keeper, over a link. Used by one thread.
class linked_peer final : public blob_peer {
public:
  linked_peer(caf::actor_system& system, std::string host, caf::actor keeper, milliseconds timeout)
    : self_(system), host_(std::move(host)), keeper_(std::move(keeper)), timeout_(timeout) {}

  void ask(const storage::digest& blob, const blob_range& part) override {
    waiting_.push_back(self_->request(keeper_, timeout_, read_blob{blob.text(), part.offset, part.bytes}));
  }

  storage::result<blob_part> take() override {
    storage::result<blob_part> taken = storage_error{storage_errc::unreachable, host_ + " was not asked"};
    if (waiting_.empty())
      return taken;
    auto answer = std::move(waiting_.front());
    waiting_.pop_front();
    answer.receive([&](blob_part& part) { taken = std::move(part); },
                   [&](const caf::error& reason) { taken = error_of(reason); });
    return taken;
  }

  void doubt(const storage::digest& blob) override { caf::anon_send(keeper_, read_blob{blob.text(), 0, 0}); }

private:
  using response = decltype(std::declval<caf::scoped_actor&>()->request(caf::actor{}, milliseconds{1}, read_blob{}));

  storage_error error_of(const caf::error& reason) const {
    const auto why = runtime::reason_text(reason);
    if (is_image_error(reason, image_errc::not_found))
      return {storage_errc::not_found, host_ + " does not have it any more: " + why};
    if (reason == caf::sec::request_timeout)
      return {storage_errc::stalled, host_ + " sent nothing for " + std::to_string(timeout_.count()) + " ms"};
    return {storage_errc::unreachable, host_ + " cannot give it: " + why};
  }

  caf::scoped_actor self_;
  std::string host_;
  caf::actor keeper_;
  milliseconds timeout_;
  std::deque<response> waiting_;
};

/// The share of a line that all copies to this host have together. A site's setting, so it may not be known yet.
class shared_bandwidth {
public:
  std::chrono::microseconds take(std::uint64_t bytes, std::int64_t bytes_per_second) {
    std::lock_guard<std::mutex> guard{mutex_};
    if (rate_ != bytes_per_second)
      bucket_ = token_bucket(static_cast<std::uint64_t>(std::max<std::int64_t>(rate_ = bytes_per_second, 0)), max_part_bytes);
    return bucket_.take(bytes, std::chrono::steady_clock::now());
  }

private:
  std::mutex mutex_;
  std::int64_t rate_ = 0;
  token_bucket bucket_{0, max_part_bytes};
};

/// Progress is told when it says something new, or now and then.
class teller {
public:
  explicit teller(std::function<bool(const fetch_progress&)> tell) : tell_(std::move(tell)) {}

  bool operator()(const fetch_progress& now) {
    const auto at = std::chrono::steady_clock::now();
    const bool is_new = now.state != told_.state || now.from != told_.from;
    if (!goes_on_ || (!is_new && at - told_at_ < tell_every))
      return goes_on_;
    told_ = now;
    told_at_ = at;
    return goes_on_ = tell_(now);
  }

private:
  std::function<bool(const fetch_progress&)> tell_;
  fetch_progress told_;
  std::chrono::steady_clock::time_point told_at_{};
  bool goes_on_ = true;
};

struct shared_parts {
  explicit shared_parts(image_worker_options x) : options(std::move(x)) {}

  image_worker_options options;
  shared_bandwidth bandwidth;
  shared_bandwidth uplink;
};

fetch_outcome run(caf::actor_system& system, shared_parts& parts, const fetch_order& order,
                  const std::function<bool(const fetch_progress&)>& progress) {
  auto& options = parts.options;
  auto store = options.images->get();
  if (!store) {
    fetch_outcome outcome;
    outcome.failed = true;
    outcome.failure = to_image_failure(store.error());
    return outcome;
  }
  auto told = std::make_shared<teller>(progress);
  fetch_tools tools;
  tools.store = std::move(*store);
  tools.unpacking = &options.images->unpacking();
  if (const auto reference = storage::parse_reference(order.reference))
    tools.access = access_of(options.registry, reference->registry);
  if (options.uplink_bytes_per_second() > 0)
    tools.access.pace = [&](std::uint64_t bytes) { return parts.uplink.take(bytes, options.uplink_bytes_per_second()); };
  tools.peer = [&](const std::string& host) -> std::unique_ptr<blob_peer> {
    auto keeper = options.keeper_of(host);
    if (!keeper)
      return nullptr;
    return std::make_unique<linked_peer>(system, host, std::move(keeper), options.part_timeout);
  };
  tools.now = [] { return std::chrono::steady_clock::now(); };
  tools.clock = options.clock;
  tools.pause = [](milliseconds time) { std::this_thread::sleep_for(time); };
  tools.progress = [told](const fetch_progress& now) { return (*told)(now); };
  tools.pace = [&](std::uint64_t bytes) {
    // In short pauses: the agent may end meanwhile.
    for (auto wait = parts.bandwidth.take(bytes, options.bytes_per_second()); wait.count() > 0;) {
      const auto part = std::min<std::chrono::microseconds>(wait, longest_pause);
      std::this_thread::sleep_for(part);
      wait -= part;
    }
  };
  return fetch_image(order, tools);
}

/// Whoever waits hears of an end in any case: no memory, or a file system that fails, costs this image only.
fetch_outcome run_or_why(caf::actor_system& system, shared_parts& parts, const fetch_order& order,
                         const std::function<bool(const fetch_progress&)>& progress) {
  try {
    return run(system, parts, order, progress);
  } catch (const std::exception& error) {
    fetch_outcome outcome;
    outcome.failed = true;
    outcome.failure = {image_errc::store_unusable,
                       "the image " + order.reference + " cannot be fetched: " + error.what() + "; see the host's memory and disk"};
    return outcome;
  }
}

} // namespace

storage::registry_access access_of(const registry_options& options, const std::string& registry) {
  storage::registry_access access;
  access.auth_place = options.auth_file;
  if (storage::file_exists(options.auth_file))
    access.auth_file = options.auth_file;
  access.certificates = options.certificates;
  access.insecure = std::find(options.insecure.begin(), options.insecure.end(), registry) != options.insecure.end();
  access.stall_after = options.stall_after;
  return access;
}

image_runner make_image_runner(caf::actor_system& system, image_worker_options options) {
  auto parts = std::make_shared<shared_parts>(std::move(options));
  return [&system, parts](const fetch_order& order, std::function<bool(const fetch_progress&)> progress,
                          std::function<void(const fetch_outcome&)> done) {
    // A worker is nobody's child: it always ends by itself, and the keeper hears how.
    system.spawn<caf::detached>([&system, parts, order, progress = std::move(progress),
                                 done = std::move(done)](caf::event_based_actor*) {
      done(run_or_why(system, *parts, order, progress));
    });
  };
}

image_name_finder make_image_name_finder(caf::actor_system& system) {
  return [&system](const std::string& path, std::function<void(const storage::result<std::string>&)> done) {
    system.spawn<caf::detached>([path, done = std::move(done)](caf::event_based_actor*) { done(storage::name_in(path)); });
  };
}

} // namespace prunella::actors
