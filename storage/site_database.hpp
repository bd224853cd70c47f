#pragma once

// A host's own copy of the replicated state, written by applying the log. It may lose its tail at a power cut, because
// the log replays it: `checkpoint()` says up to where the log is no longer needed. One thread at a time.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "config/fields.hpp"
#include "storage/errors.hpp"

namespace prunella::storage {

/// Whose file it is; a file of another host or site is refused.
struct host_owner {
  std::string site;
  std::string host;

  PRUNELLA_FIELDS(host_owner, site, host)
};

struct site_key {
  std::string kind; ///< "application", "assignment", …: the caller's
  std::string key;

  PRUNELLA_FIELDS(site_key, kind, key)
};

struct site_row {
  std::string kind;
  std::string key;
  std::string value; ///< opaque bytes, at most 64 MiB

  PRUNELLA_FIELDS(site_row, kind, key, value)
};

/// The effect of applying log entries up to `index`; stored all or not at all. Deletes come before puts.
struct site_batch {
  std::uint64_t index = 0; ///< of the last applied entry
  std::uint64_t term = 0;  ///< of that entry
  std::vector<site_key> deletes;
  std::vector<site_row> puts; ///< new or changed rows

  PRUNELLA_FIELDS(site_batch, index, term, deletes, puts)
};

/// The whole state; equal states are equal bytes on every host, so this is also what a snapshot carries.
struct site_contents {
  std::uint64_t applied_index = 0;
  std::uint64_t applied_term = 0;
  std::vector<site_row> rows; ///< ordered by kind and key (bytewise)

  PRUNELLA_FIELDS(site_contents, applied_index, applied_term, rows)
};

class site_database {
public:
  virtual ~site_database() = default;

  /// Reads and verifies every row. `damaged` says how to rebuild.
  virtual result<site_contents> load_all() = 0;

  /// One transaction without a sync (about 10 us). An index that was already applied is a no-op, so a replay may start
  /// anywhere at or before the applied index as long as its batches end where the first run's did.
  virtual result<void> apply(const site_batch& batch) = 0;

  /// The state becomes `contents`, in one transaction and durable when it returns: for a received snapshot.
  virtual result<void> replace_all(const site_contents& contents) = 0;

  /// Everything applied so far is durable when it returns. Call it before the log is compacted up to `applied_index()`.
  virtual result<void> checkpoint() = 0;

  virtual std::uint64_t applied_index() const = 0;
  virtual std::uint64_t applied_term() const = 0;
};

/// Opens or creates the database at `path` (its folder must exist). Errors as `open_raft_log`.
result<std::unique_ptr<site_database>> open_site_database(const std::string& path, const host_owner& owner);

} // namespace prunella::storage
