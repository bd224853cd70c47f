#include "actors/host/driver_watch.hpp"

#include <chrono>
#include <utility>
#include <variant>

#include "actors/instance/engine/engine_client.hpp"
#include "actors/instance/thread_without_signals.hpp"
#include "storage/images/child_process.hpp"

namespace prunella::actors {

namespace {

using namespace std::chrono_literals;

constexpr auto look_for = 1s;      ///< between two looks for an engine that has not told what it is
constexpr auto look_again = 10min; ///< it may have been replaced by a newer one

} // namespace

driver_watch::driver_watch(host_findings found, std::function<void(const std::string&)> log)
  : log_(std::move(log)), found_(std::move(found)), offer_(offer_of(found_)) {}

driver_watch::~driver_watch() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable())
    thread_.join();
}

void driver_watch::watch_engine(const std::string& socket) {
  engine_ = std::make_unique<engine_client>(socket);
  thread_ = thread_without_signals([this] { run(); });
}

host_offer driver_watch::offer() const {
  const std::lock_guard lock{mutex_};
  return offer_;
}

void driver_watch::run() {
  bool is_told = false; // that it does not answer
  std::unique_lock lock{mutex_};
  while (!stopping_) {
    lock.unlock();
    auto asked = engine_->ask_version();
    const auto* failure = std::get_if<driver_failure>(&asked);
    if (failure != nullptr && !is_told && log_)
      log_(failure->message);
    is_told = failure != nullptr;
    lock.lock();
    if (const auto* version = std::get_if<engine_version>(&asked)) {
      found_.engine = version->name;
      found_.engine_joins_networks = version->is_podman;
      offer_ = offer_of(found_);
    } // what it was it still is for now: what runs there is not to be moved because of a pause
    changed_.wait_for(lock, is_told ? std::chrono::milliseconds{look_for} : std::chrono::milliseconds{look_again}, [this] { return stopping_; });
  }
}

std::string version_of_runtime(const std::string& runtime) {
  storage::child_order order;
  order.command = {runtime, "--version"};
  order.environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  order.go_on = [](std::chrono::milliseconds passed) { return passed < 2s; };
  const auto end = storage::run_child(order);
  return end.ok() && end->succeeded() ? end->output.substr(0, end->output.find('\n')) : std::string{};
}

} // namespace prunella::actors
