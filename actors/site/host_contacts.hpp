#pragma once

// When each host was last heard: noted where its messages arrive, in any thread, and taken from here by the site actor when
// it looks. So a heartbeat wakes nobody who would only write down that it came.

#include <cstddef>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "runtime/instant.hpp"

namespace prunella::actors {

struct host_contact {
  std::string host;
  runtime::instant at;
};

/// Thread-safe. Bounded by the hosts that are noted: of each, the last `most_kept` contacts.
class host_contacts {
public:
  /// Of contacts that are less than `at_least_apart` behind the last one, none is kept: what a busy host says between its
  /// heartbeats tells nothing more.
  explicit host_contacts(runtime::instant::duration at_least_apart = {}) : at_least_apart_(at_least_apart) {}

  void note(const std::string& host, runtime::instant now) {
    std::lock_guard<std::mutex> guard{mutex_};
    auto& x = hosts_[host];
    if (x.last != runtime::instant{} && now - x.last < at_least_apart_)
      return;
    x.last = now;
    if (x.untaken.size() == most_kept)
      x.untaken.pop_front();
    x.untaken.push_back(now);
  }

  /// By host. Taking leaves it as it is.
  std::map<std::string, runtime::instant> last() const {
    std::lock_guard<std::mutex> guard{mutex_};
    std::map<std::string, runtime::instant> result;
    for (const auto& [host, x] : hosts_)
      result.emplace(host, x.last);
    return result;
  }

  /// What was noted since the last call; of each host, oldest first.
  std::vector<host_contact> take() {
    std::lock_guard<std::mutex> guard{mutex_};
    std::vector<host_contact> result;
    for (auto& [host, x] : hosts_) {
      for (const auto at : x.untaken)
        result.push_back({host, at});
      x.untaken.clear();
    }
    return result;
  }

  static constexpr std::size_t most_kept = 64;

private:
  struct noted {
    runtime::instant last{};
    std::deque<runtime::instant> untaken;
  };

  runtime::instant::duration at_least_apart_;
  mutable std::mutex mutex_;
  std::map<std::string, noted> hosts_;
};

} // namespace prunella::actors
