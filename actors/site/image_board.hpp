#pragma once

// What the hosts reported of their images, as the leader holds it, and what it told them last. Soft: a new leader asks for
// all of it again.

#include <map>
#include <string>
#include <vector>

#include "actors/site/image_copies.hpp"

namespace prunella::actors {

class image_board {
public:
  explicit image_board(copy_options options) : options_(options) {}

  /// Takes a host's report; an older one than is known is left out. True: something changed that orders depend on.
  bool take(image_report report);

  /// What to tell whom now: hosts that are up and whose orders changed; with `all`, every host that is up, if images are
  /// of any concern here. Counts as told.
  std::vector<std::pair<std::string, image_orders>> orders(const site_state& state, bool all);

  /// Whether it is known who holds what: all hosts that are up have reported, or it was waited for them long enough. What they say
  /// later is news, which nobody waits for.
  bool knows_all(const site_state& state);

  /// It was waited for the hosts' reports as long as a host may be silent.
  void stop_waiting() { knows_all_ = true; }

  /// A host did not answer: it is told again.
  void forget_told(const std::string& host) { told_.erase(host); }

  const image_reports& reports() const { return reports_; }

  /// Changes with every report that is taken.
  std::uint64_t revision() const { return revision_; }

private:
  copy_options options_;
  image_reports reports_;
  std::map<std::string, image_orders> told_;
  std::uint64_t revision_ = 0;
  bool knows_all_ = false;
};

} // namespace prunella::actors
