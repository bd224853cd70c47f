#pragma once

// Brings one image into this host's store: from another host of the site, from its registry, or from a file. Blocks, for
// as long as it takes; runs in a thread of its own, never in an actor that others wait for.

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "actors/host/blob_copy.hpp"
#include "actors/image_messages.hpp"
#include "actors/instance/images.hpp"
#include "storage/images/image_store.hpp"
#include "storage/images/pull.hpp"

namespace prunella::actors {

struct fetch_order {
  std::string reference;
  std::string manifest;           ///< what `peers` have under that name
  std::vector<std::string> peers; ///< asked first, in this order
  bool may_ask_registry = false;  ///< if no peer could give it
  std::string file;               ///< an OCI layout folder or an archive, on this host: imported instead of all that
  bool unpack = false;            ///< the layers too; takes root
  std::uint64_t look_since = 0;   ///< not 0: what the tag means now is the question, as in `image_order`

  PRUNELLA_FIELDS(fetch_order, reference, manifest, peers, may_ask_registry, file, unpack, look_since)
};

/// How far it is. `from`: `host-3`, `registry r.example`, `archive /media/web.tar`.
struct fetch_progress {
  transfer_state state = transfer_state::fetching;
  std::string from;
  bool from_registry = false;
  std::uint64_t bytes_done = 0;
  std::uint64_t bytes_total = 0; ///< 0: not known yet

  PRUNELLA_FIELDS(fetch_progress, state, from, from_registry, bytes_done, bytes_total)
};

struct fetched_image {
  std::string manifest;
  std::string from;
  std::uint64_t bytes = 0; ///< of its blobs
  bool was_there = false;  ///< nothing had to be brought
  std::string meaning;     ///< of a tag that was looked at: digest of a manifest or of an index
  std::uint64_t look_since = 0; ///< of the order

  PRUNELLA_FIELDS(fetched_image, manifest, from, bytes, was_there, meaning, look_since)
};

/// What fetching needs of the world.
struct fetch_tools {
  std::shared_ptr<storage::image_store> store;
  std::mutex* unpacking = nullptr; ///< held while layers are unpacked
  storage::registry_access access; ///< of the registry of the order's reference
  std::chrono::milliseconds look_timeout{5'000}; ///< for a registry to say what a tag means, of which an image is here
  std::function<std::unique_ptr<blob_peer>(const std::string& host)> peer;
  std::function<runtime::instant()> now;
  std::function<time_ms()> clock;
  std::function<void(std::uint64_t bytes)> pace; ///< may be empty
  std::function<void(std::chrono::milliseconds)> pause; ///< waits so long, while another fetch brings the same blob
  /// Called now and then; false ends the fetch with `image_errc::ended`.
  std::function<bool(const fetch_progress&)> progress;
};

struct fetch_outcome {
  fetched_image image;
  bool failed = false;
  image_failure failure;
  /// One sentence for each peer that could not give it, also when another could.
  std::vector<std::string> peers_failed;
  std::vector<std::string> peers_doubted; ///< of these: hosts that gave other bytes than they promised

  PRUNELLA_FIELDS(fetch_outcome, image, failed, failure, peers_failed, peers_doubted)
};

/// Never throws for an operating error. Blobs that are here are not fetched, and what an interrupted fetch left is gone on
/// with. The image appears in the store when all of it is there and verified, then it is unpacked.
fetch_outcome fetch_image(const fetch_order& order, const fetch_tools& tools);

} // namespace prunella::actors
