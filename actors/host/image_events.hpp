#pragma once

// What people are told of the images of a host: pure. What happens again and again, as a fetch that fails for the same reason, is one
// event.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "actors/host/image_fetch.hpp"
#include "storage/event_journal.hpp"

namespace prunella::actors {

class image_events {
public:
  /// The image is being fetched from `source` (empty: not known yet). Nothing: that was told.
  std::optional<storage::journal_event> from(const std::string& reference, const std::string& source);

  /// The image is here: what failed on the way, and that it is new, if it was not here before.
  std::vector<storage::journal_event> fetched(const std::string& reference, const fetch_outcome& outcome);

  /// The image was not brought. Nothing: the last time that had the same reason.
  std::optional<storage::journal_event> failed(const std::string& reference, const image_failure& why);

  /// Nobody wants it any more: what comes next is told in any case.
  void forget(const std::string& reference);

private:
  std::map<std::string, std::set<std::string>> sources_told_; ///< by reference, as the next
  std::map<std::string, std::string> reasons_told_;
};

/// An image is another thing now. People look for its tag; what that means is in the reason.
storage::journal_event image_event(const std::string& reference, const std::string& from, const std::string& to,
                                   const std::string& reason);

} // namespace prunella::actors
