#pragma once

// Starts of earlier agents that nobody ends but us, for the threads that end them: one that goes through all of them, and those
// that start a container anew and must not do so beside what is left of it. Any thread may call.

#include <condition_variable>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace prunella::actors {

struct start_of_container {
  std::string name; ///< of the container
  std::string id;
};

class left_over_starts {
public:
  void add(start_of_container start);

  /// The next one in the order in which they were added, of the container `name` if that is not empty. Each is given once, and
  /// `ended` has to follow. Nothing: there is none left to take; others may still be at what they took.
  std::optional<start_of_container> take(const std::string& name = {});

  /// Who took it has ended it, or cannot.
  void ended(const start_of_container& taken);

  /// Waits until nothing that was taken of the container is being ended: as long as those who took it take.
  void await(const std::string& name);

  /// Containers of which something has not ended yet, one for each start.
  std::vector<std::string> names() const;

private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<start_of_container> left_;
  std::multiset<std::string> ending_; ///< names of containers, one for each start that was taken and has not ended
};

} // namespace prunella::actors
