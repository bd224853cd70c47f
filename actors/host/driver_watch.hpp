#pragma once

// What this host offers the site, as it is known by now: an engine may come up later than the agent, and become another one.

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "actors/host/host_findings.hpp"

namespace prunella::actors {

class engine_client;

class driver_watch {
public:
  /// `log` takes a sentence for the operator, once each time that the engine does not answer; it is called in a thread of
  /// its own.
  driver_watch(host_findings found, std::function<void(const std::string&)> log);
  driver_watch(const driver_watch&) = delete;
  driver_watch& operator=(const driver_watch&) = delete;
  ~driver_watch();

  /// Asks the engine at `socket` (as in `config::driver_spec`) from now on. Call it once at most.
  void watch_engine(const std::string& socket);

  /// Any thread.
  host_offer offer() const;

private:
  void run();

  const std::function<void(const std::string&)> log_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  host_findings found_;
  host_offer offer_;
  std::unique_ptr<engine_client> engine_;
  std::thread thread_;
};

/// The first line that `RUNTIME --version` prints; empty if it does not within two seconds.
std::string version_of_runtime(const std::string& runtime);

} // namespace prunella::actors
