#pragma once

// Keeps the images of this host: brings what containers here ask for and what the site wants to have here, holds what is
// in use, lets go of the rest when the disk gets tight, and gives other hosts what they ask for. Child of the host's root
// supervisor, `HOST/root/images`, permanent. It has a thread of its own for the store, and never waits for a source: that
// is done by workers. A crash loses the requests that wait (their askers time out and ask again) and nothing that arrived.
// A host that never needed an image has no store: nothing is opened, nothing costs memory.
//
// Messages: `actors/instance/images.hpp` (provide_image, keep_holders), below, and from other hosts
// (`actors/image_messages.hpp`):
//   image_orders → image_report   at once
//   find_image   → image_found    at once
//   read_blob    → blob_part      at once; with `max_bytes` 0 nothing of the blob, which was found to be other bytes than its
//                                 digest promises: it is looked at, and removed if that is so
// Bounds: `image_job_options`, `max_waiting` unanswered provide_image and import_image.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include "actors/host/image_fetch.hpp"
#include "actors/host/image_jobs.hpp"
#include "actors/host/wall_clock.hpp"
#include "actors/instance/images.hpp"
#include "actors/site/image_tags.hpp"
#include "storage/event_journal.hpp"
#include "storage/images/collect.hpp"
#include "storage/images/shared_images.hpp"

namespace prunella::actors {

/// Imports an OCI layout folder or an archive on this host. → `image_imported` when it is done. The same `key` again joins
/// the import that it began, or gets its result for a minute. Errors: all `image_errc`.
struct import_image {
  std::string name; ///< what it is to be called; empty: as the file says
  std::string path; ///< absolute
  std::string key;  ///< chosen by who asks

  PRUNELLA_FIELDS(import_image, name, path, key)
};

struct image_imported {
  std::string name;
  std::string manifest;
  std::uint64_t bytes = 0;

  PRUNELLA_FIELDS(image_imported, name, manifest, bytes)
};

/// → `image_report`, for who answers without a leader.
struct get_image_report {
  std::uint8_t unused = 0;

  PRUNELLA_FIELDS(get_image_report, unused)
};

struct image_keeper_options {
  std::string host;
  std::uint64_t incarnation = 0;
  std::shared_ptr<storage::shared_images> images;
  bool may_unpack = false; ///< the agent is root; otherwise provide_image is refused
  /// Carries out an order in a thread of its own: calls `progress` from it now and then (false: end), and `done` once.
  std::function<void(const fetch_order& order, std::function<bool(const fetch_progress&)> progress,
                     std::function<void(const fetch_outcome&)> done)>
    run;
  /// Tells what the image in a file or folder is called, from any thread, now or later.
  std::function<void(const std::string& path, std::function<void(const storage::result<std::string>&)> done)> find_name;
  std::function<caf::actor()> site;               ///< of the leader; an invalid handle if none is known
  std::function<std::vector<std::string>()> peers; ///< the other hosts that are up
  std::function<caf::actor(const std::string& host)> keeper_of;
  /// References that this host needs though nobody holds them now: of what is assigned to it, and to go back to.
  std::function<std::vector<std::string>()> needed;
  /// What the site decided about a tag, for a container of this host; empty: a tag is what it is here.
  std::function<tag_meaning(const std::string& container, const std::string& tag)> meaning_of;
  std::function<void(storage::journal_event)> record;
  wall_clock clock = wall_clock_ms;
  image_job_options jobs;
  storage::collect_options collecting;
  std::chrono::milliseconds look_every{60'000};  ///< at the disk's room
  std::chrono::milliseconds find_timeout{1'000}; ///< for the other hosts' answers
  std::size_t max_waiting = 4'096;
  bool detached = false; ///< own thread; see `outer_parts::own_threads`
};

caf::actor spawn_image_keeper(caf::local_actor* parent, image_keeper_options options);

} // namespace prunella::actors
