#pragma once

// What keeps this host from writing down what its site decides, for everyone in the process who has to say so.

#include <mutex>
#include <string>

namespace prunella::actors {

/// Thread-safe. Empty: all is well.
class trouble_cell {
public:
  std::string get() const {
    std::lock_guard<std::mutex> guard{mutex_};
    return why_;
  }

  void set(std::string why) {
    std::lock_guard<std::mutex> guard{mutex_};
    why_ = std::move(why);
  }

private:
  mutable std::mutex mutex_;
  std::string why_;
};

} // namespace prunella::actors
