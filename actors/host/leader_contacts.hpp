#pragma once

// When each host was last heard as leader, for the judgement of the next leader.

#include <map>
#include <mutex>
#include <string>

#include "runtime/instant.hpp"

namespace prunella::actors {

/// Thread-safe.
class leader_contacts {
public:
  void note(const std::string& leader, runtime::instant now) {
    std::lock_guard<std::mutex> guard{mutex_};
    last_[leader] = now;
  }
  std::map<std::string, runtime::instant> get() const {
    std::lock_guard<std::mutex> guard{mutex_};
    return last_;
  }

private:
  mutable std::mutex mutex_;
  std::map<std::string, runtime::instant> last_;
};

} // namespace prunella::actors
