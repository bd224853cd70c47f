#pragma once

// Where the containers of an instance wait for its init containers: each init container for those before it, all others for
// the last. Shared by the container actors of one instance, whatever thread they run in; outlives their restarts.

#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace prunella::actors {

class init_gate {
public:
  /// `init_containers`: names, in their order.
  explicit init_gate(std::vector<std::string> init_containers) : inits_{std::move(init_containers)} {}

  /// Whether all that `container` waits for have passed. If not, `on_change` is called once something changed: ask again.
  bool is_open(const std::string& container, std::function<void()> on_change);

  /// The init container that `container` waits for; empty: none.
  std::string awaited_by(const std::string& container) const;

  /// The init container is to run (again).
  void begin(const std::string& init);

  /// It ended with exit code 0, or what it does was done before.
  void pass(const std::string& init);

private:
  const std::vector<std::string> inits_;
  mutable std::mutex mutex_;
  std::set<std::string> passed_;
  std::vector<std::function<void()>> waiting_; ///< at most one for each start of a container that waits
};

} // namespace prunella::actors
