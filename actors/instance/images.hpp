#pragma once

// The images contract: how a driver gets what a container runs from. The actor that understands these messages is the
// host's image keeper (`actors/host/image_keeper.hpp`, in the tree `HOST/root/images`); tests use a scripted one. Every
// request is answered, with the stated value or an `image_errc` whose text (`runtime::reason_text`) is a sentence for a
// person; a caller still gives each request a finite timeout. Nothing here blocks the caller, and none of this crosses a
// link: hosts speak of images in `actors/messages.hpp`.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/fields.hpp"
#include "storage/errors.hpp"
#include "storage/images/documents.hpp"

namespace prunella::actors {

enum class image_errc : std::uint8_t {
  /// The reference is no image name: the sentence says which part is wrong and what would be right.
  reference_malformed = 1,
  /// Neither this host nor a peer nor its registry has an image of this name.
  not_found = 2,
  /// The registry wants credentials, or other ones.
  unauthorized = 3,
  /// The source gave other bytes than their digest promises, or fewer; they were thrown away.
  digest_mismatch = 4,
  /// There is an image, but none for machines like this one.
  wrong_platform = 5,
  /// There is no room for it, also after everything was collected that nobody needs.
  disk_full = 6,
  /// The source stopped sending. What had arrived whole is kept for the next attempt.
  source_stalled = 7,
  /// The source does not answer, or the connection was cut. What had arrived whole is kept.
  source_unreachable = 8,
  /// It would break a limit or leave its folder (a hostile layer), or the registry's certificate is not trusted.
  refused = 9,
  /// Unpacking or mounting images takes root, and the agent is not.
  needs_root = 10,
  /// What the source gave is no image that this version can read.
  unreadable = 11,
  /// The host's image store cannot be used: the sentence says what is wrong with it.
  store_unusable = 12,
  /// The stated bound of images, holders or waiting requests is reached.
  too_many = 13,
  /// The keeper is ending; whoever still wants the image asks the next one.
  ended = 14,
};

/// True when the same request may succeed within minutes without anybody doing anything; the only oracle for that. The
/// keeper itself has tried several times before it answers with one of these.
constexpr bool is_retryable(image_errc code) {
  return code == image_errc::disk_full || code == image_errc::source_stalled || code == image_errc::source_unreachable
         || code == image_errc::digest_mismatch || code == image_errc::too_many || code == image_errc::ended;
}

/// True when no other host would get it sooner, and nobody has to do anything: who wants the image waits for it.
constexpr bool is_to_be_awaited(image_errc code) {
  return code == image_errc::source_stalled || code == image_errc::source_unreachable || code == image_errc::too_many
         || code == image_errc::ended;
}

/// The name of `code` as logs and problem documents carry it.
std::string_view to_text(image_errc code);

/// Makes sure that the image is in this host's store, unpacked, and held by `holder` until a `keep_holders` without it. →
/// `provided_image`: at once if it is there, else when it was brought here, from a host of the site that has it or from
/// its registry, which may take many minutes; what happens meanwhile is told as events of `image/REFERENCE`. A tag means
/// what the site decided for the version that the holder's instance runs; until it did, the answer waits. Repeated and
/// simultaneous asks share one fetch; asking again after a timeout joins what is under way. Idempotent per holder; a
/// holder holds one image, the last that it was given. Errors: all.
struct provide_image {
  std::string reference; ///< as in the spec: `[registry/]name[:tag][@sha256:…]`
  std::string holder;    ///< name of the container

  PRUNELLA_FIELDS(provide_image, reference, holder)
};

struct provided_image {
  std::string manifest; ///< `sha256:…`: which image the reference means here
  storage::image_config config;
  std::vector<std::string> layers; ///< folders, topmost first: what `storage::mount_root` takes. Read only.
  std::string config_file{};              ///< the configuration as it was stored; as the layers, for who hands the image on
  std::vector<std::string> layer_files{}; ///< packed as they came, lowest first

  PRUNELLA_FIELDS(provided_image, manifest, config, layers, config_file, layer_files)
};

/// Of this host's containers only these use images any more: every other hold ends. → unit. What nobody needs goes when the
/// disk gets tight, not before. Said from time to time, so no hold outlives its container for long, whatever was lost; holds
/// outlive the agent: after a restart they are as they were.
struct keep_holders {
  std::vector<std::string> holders; ///< names of containers

  PRUNELLA_FIELDS(keep_holders, holders)
};

/// Why an image is not provided, before it becomes a `caf::error` (`image_error.hpp`).
struct image_failure {
  image_errc code = image_errc::store_unusable;
  std::string message; ///< a sentence: what, where, what would be right

  PRUNELLA_FIELDS(image_failure, code, message)
};

/// What a failure of the store or of a source means for who wants an image.
image_failure to_image_failure(const storage::storage_error& error);

} // namespace prunella::actors
