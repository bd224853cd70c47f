#pragma once

// A blob from another host of the site. Blocks: for the threads that fetch images.

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "actors/host/blob_window.hpp"
#include "actors/image_messages.hpp"
#include "runtime/instant.hpp"
#include "storage/errors.hpp"
#include "storage/images/blob_store.hpp"

namespace prunella::actors {

/// A host that has images, as who copies from it sees it: asked for several parts, it gives them in that order.
class blob_peer {
public:
  virtual ~blob_peer() = default;

  virtual void ask(const storage::digest& blob, const blob_range& part) = 0;

  /// The oldest part that was asked for and not taken; waits for it. Errors: `unreachable` (no answer, the link is lost),
  /// `stalled` (no answer in time), `not_found` (it has no such blob any more).
  virtual storage::result<blob_part> take() = 0;

  /// What it gave of this blob are other bytes: it is to look at its own. Nobody waits for that.
  virtual void doubt(const storage::digest&) {}
};

/// What copying needs of the world.
struct copy_tools {
  std::function<runtime::instant()> now;
  /// Takes `bytes` of the host's share of bandwidth: waits until they may go. May be empty.
  std::function<void(std::uint64_t bytes)> pace;
  /// Called with the bytes of each part; false ends the copy. May be empty.
  std::function<bool(std::uint64_t bytes)> progress;
  window_options window{};
};

/// The size of a blob that `peer` has. Errors: those of `blob_peer::take`.
storage::result<std::uint64_t> size_at(blob_peer& peer, const storage::digest& blob);

/// Brings `blob` into `store`; goes on where an earlier copy stopped. Errors: those of `blob_peer::take`, `unverified`
/// (other bytes than the digest promises, or another size; they are thrown away, and `peer` is told of it), `locked` (it is on its way already),
/// `disk_full`, `io_failed`, `unreachable` also when `progress` said no.
storage::result<void> copy_blob(storage::blob_store& store, const storage::descriptor& blob, blob_peer& peer,
                                const copy_tools& tools);

} // namespace prunella::actors
