#pragma once

// Containers that run here without anybody who looks after them, and are assigned to nobody or to others: left by an earlier life of
// the agent, or by actors that were killed. Who was told to end, and what the host still has to report of them. A value.

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "actors/instance/driver.hpp"
#include "runtime/instant.hpp"

namespace prunella::actors {

class leftovers {
public:
  /// How long after its grace a container that was told to end still counts as running. What the kernel does not let go of after
  /// that was killed long ago and does nothing any more; nobody waits for it.
  static constexpr std::chrono::seconds patience{60};

  /// All that there are now. Returns those that are to be told to stop: new ones, and those whose last try failed.
  std::vector<recovered_container> take(const std::vector<recovered_container>& found, runtime::instant now);

  /// `x` may take this long to end by itself.
  void told(const recovered_container& x, std::chrono::milliseconds grace);

  /// `x` is gone.
  void ended(const recovered_container& x) { all_.erase({x.name, x.generation}); }

  /// It could not be told; if it is found again, it is told again.
  void failed(const recovered_container& x);

  /// Generation of what is left of `instance` and counts as running; 0: nothing.
  std::uint64_t generation_of(const std::string& instance, runtime::instant now) const;

  /// Those with something left that counts as running, ascending.
  std::vector<std::string> instances(runtime::instant now) const;

private:
  struct leftover {
    std::string instance;
    runtime::instant found_at;
    std::chrono::milliseconds grace{0};
    bool is_told = false;
  };

  static bool counts(const leftover& x, runtime::instant now) { return now - x.found_at < x.grace + patience; }

  std::map<std::pair<std::string, std::uint64_t>, leftover> all_; ///< by container and generation
};

} // namespace prunella::actors
