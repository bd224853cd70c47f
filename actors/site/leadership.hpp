#pragma once

// Who leads the site, as this host knows it, for everyone in the process who has to ask the leader something.

#include <cstdint>
#include <mutex>
#include <string>

#include "config/fields.hpp"

namespace prunella::actors {

struct leadership {
  std::string leader; ///< host id; empty: none known
  std::string role;   ///< of this host: leader | controller | follower
  std::uint64_t term = 0;

  PRUNELLA_FIELDS(leadership, leader, role, term)
};

/// Thread-safe.
class leadership_cell {
public:
  leadership get() const {
    std::lock_guard<std::mutex> guard{mutex_};
    return value_;
  }

  void set(leadership value) {
    std::lock_guard<std::mutex> guard{mutex_};
    value_ = std::move(value);
  }

private:
  mutable std::mutex mutex_;
  leadership value_;
};

} // namespace prunella::actors
