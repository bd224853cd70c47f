#pragma once

// The bytes of images on this host, each blob under its own digest: `blobs/sha256/<hex>`. A file there is whole and was
// verified; what is on its way lies in `partial/<hex>` and goes on where it stopped. Nothing but files: any thread may
// read, and one writer per blob is enforced.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/fields.hpp"
#include "storage/errors.hpp"
#include "storage/images/digest.hpp"
#include "storage/images/documents.hpp"
#include "storage/os_files.hpp"
#include "storage/sha256.hpp"

namespace prunella::storage {

/// One `read` gives at most so much: a frame to a peer, not a file.
inline constexpr std::size_t max_read_bytes = 1u << 20;

/// A file or folder of the image store.
struct stored_part {
  digest name;
  std::uint64_t bytes = 0;
  std::int64_t changed_at_ms = 0; ///< since 1970-01-01 UTC

  PRUNELLA_FIELDS(stored_part, name, bytes, changed_at_ms)
};

/// A blob on its way into the store. Destroying it keeps what was written, for the next writer of the same blob.
class blob_writer {
public:
  /// The next byte wanted; not 0 when an earlier transfer was cut.
  std::uint64_t offset() const { return offset_; }
  const descriptor& expected() const { return expected_; }

  /// Appends. Errors: `unverified` (more than `expected().size`; all is thrown away), `disk_full`, `io_failed`.
  result<void> write(std::string_view bytes);

  /// Checks size and digest, makes the bytes durable and the blob visible; the writer is spent. Errors: `unverified`
  /// (all is thrown away: a fresh transfer starts at 0), `malformed` (called too early: the rest is still missing),
  /// `disk_full`, `io_failed`.
  result<void> commit();

private:
  friend class blob_store;
  blob_writer(descriptor expected, std::string partial, std::string final_path, unique_fd file)
      : expected_(std::move(expected)), partial_(std::move(partial)), final_(std::move(final_path)),
        file_(std::move(file)) {}
  result<void> hash_what_is_there();
  storage_error throw_away(const std::string& why);

  descriptor expected_;
  std::string partial_;
  std::string final_;
  unique_fd file_;
  sha256 hash_;
  std::uint64_t offset_ = 0;
};

class blob_store {
public:
  /// Makes `folder`'s sub-folders if they are missing. Errors: `inaccessible`, `disk_full`, `io_failed`.
  static result<blob_store> open(const std::string& folder);

  std::string path(const digest& name) const { return blobs_ + "/" + name.hex; }
  bool contains(const digest& name) const { return file_exists(path(name)); }

  /// Error: `not_found`.
  result<std::uint64_t> size(const digest& name) const;

  /// Up to `max_bytes` (at most `max_read_bytes`) from `offset`; fewer only at the end, none at the end itself. The
  /// bytes are as the disk gives them: who gets them verifies. Errors: `not_found`, `invalid_argument` (behind the
  /// end).
  result<std::string> read(const digest& name, std::uint64_t offset, std::size_t max_bytes) const;

  /// A whole small blob (a manifest, a configuration), verified. Errors: `not_found`, `damaged` (it is thrown away: the
  /// next pull fetches it), `refused` (more than `max_document_bytes`).
  result<std::string> read_document(const digest& name) const;

  /// Starts or resumes the transfer of a blob. What is there already is hashed first: about 1 s per GiB. Errors:
  /// `locked` (another writer has it), `disk_full`, `io_failed`.
  result<blob_writer> write(const descriptor& expected);

  /// Stores a small blob at once; one that is there already is left alone. Errors as `blob_writer`.
  result<void> put(const descriptor& expected, std::string_view bytes);

  /// Copies the file `from` in. Errors: `not_found`, `unverified`, and as `blob_writer`.
  result<void> copy(const descriptor& expected, const std::string& from);

  /// Moves the file `from` in, which must lie on the same file system and belong to the caller alone. Errors as `copy`;
  /// an unverified file is removed.
  result<void> take(const descriptor& expected, const std::string& from);

  /// Removes blob and partial transfer; an absent one is no error. Not yet durable: a blob that comes back after a
  /// power cut is still whole.
  result<void> remove(const digest& name);

  /// Ordered by name.
  result<std::vector<stored_part>> list() const;
  result<std::vector<stored_part>> list_partial() const;

private:
  blob_store(std::string blobs, std::string partial) : blobs_(std::move(blobs)), partial_(std::move(partial)) {}

  std::string blobs_;
  std::string partial_;
};

/// Hashes a file and compares it with what it should be. Errors: `not_found`, `unverified`.
result<void> verify_file(const std::string& path, const descriptor& expected);

/// Makes a folder (mode 0700, parents must exist); one that is there is fine.
result<void> make_folder(const std::string& path);

} // namespace prunella::storage
