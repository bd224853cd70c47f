#pragma once

// One layer, a tar, into a folder of overlayfs. The layer is taken for hostile: nothing is written outside the folder,
// and every bound is checked before it is passed.

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "config/fields.hpp"
#include "storage/errors.hpp"
#include "storage/images/digest.hpp"
#include "storage/images/documents.hpp"

namespace prunella::storage {

/// Bounds for one layer; more is `refused`, and beyond `room` `disk_full`.
struct unpack_limits {
  std::uint64_t bytes = std::uint64_t{16} << 30; ///< of all files, as they would be read (a hole counts in full)
  std::uint64_t entries = 1'000'000;
  std::uint64_t room = std::numeric_limits<std::uint64_t>::max(); ///< bytes of the disk that it may take, counted like `bytes`

  PRUNELLA_FIELDS(unpack_limits, bytes, entries, room)
};

struct unpacked_layer {
  std::uint64_t bytes = 0;
  std::uint64_t entries = 0;

  PRUNELLA_FIELDS(unpacked_layer, bytes, entries)
};

/// What a tar entry's name means. Pure.
struct layer_entry {
  enum class kind : std::uint8_t {
    file,     ///< anything that is to be made at `path`
    whiteout, ///< `path` of the layers below is gone
    opaque,   ///< the folder `path` shows nothing of the layers below
    ignored,  ///< bookkeeping of AUFS
  };
  kind what = kind::file;
  std::string path; ///< relative, without `.`, `..`, empty parts and a slash at the end; "" is the root itself

  PRUNELLA_FIELDS(layer_entry, what, path)
};

/// Errors: `refused` for absolute names, `..`, NUL, more than 4095 characters or 255 in one part, whiteouts of nothing.
result<layer_entry> read_entry_name(std::string_view name);

/// Unpacks the blob at `blob_path` into the empty folder `into`, whose layers below are `lower` (topmost first).
/// Folders the tar does not mention get owner and mode from there. Modes, owners (by number), times, hard links,
/// symbolic links and the attributes `user.*` and `security.capability` are as in the tar; other attributes are left
/// out. Whiteouts become those of overlayfs. Both digests are checked: that of the blob and that of the bytes in it.
/// Not synced. Errors: `unverified` (blob or diff id), `malformed` (no tar, broken compression), `refused` (a bound, a
/// path that leaves the folder or goes through a link, a device, a socket), `inaccessible` (needs root), `disk_full`.
/// After an error the folder holds a part and has to be removed.
result<unpacked_layer> unpack_layer(const std::string& blob_path, const descriptor& blob, const digest& diff_id,
                                    const std::vector<std::string>& lower, const std::string& into,
                                    const unpack_limits& limits);

} // namespace prunella::storage
