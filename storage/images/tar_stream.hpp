#pragma once

// The tar in a layer's blob, unpacked with libarchive, while the bytes of the tar are hashed: a configuration promises
// those (the diff id), the manifest those of the blob. Internal to this folder.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/errors.hpp"
#include "storage/images/digest.hpp"
#include "storage/os_files.hpp"
#include "storage/sha256.hpp"

struct archive;

namespace prunella::storage {

struct archive_freer {
  void operator()(archive* owned) const;
};
using archive_handle = std::unique_ptr<archive, archive_freer>;

class tar_stream {
public:
  /// What is read, for sentences, and what to do when it cannot be.
  struct words {
    std::string what;
    std::string next_step;
  };

  /// Plain, gzip or zstd, told apart by the first bytes. At most `max_bytes` come out of the compression. Errors:
  /// `inaccessible`, `malformed`.
  static result<std::unique_ptr<tar_stream>> open(const std::string& path, std::uint64_t max_bytes,
                                                  words said = {"the layer", "push or export the image again"});

  /// A file that somebody hands over as an image.
  static result<std::unique_ptr<tar_stream>> open_archive(const std::string& path);

  /// For libarchive's calls; entries are read from it in order.
  archive* tar() const { return tar_.get(); }

  /// Calls `see` with the name of each entry in its order, normal as a path, until that answers false or the archive is over; behind
  /// `most_entries` an archive is taken to be over. Errors: as `error`.
  result<void> each_file(int most_entries, const std::function<bool(const std::string& name)>& see);

  /// The bytes of the entry that is seen. What is larger than `max_bytes` has more than that here, but not all; what cannot be read
  /// ends early.
  std::string read_entry(std::size_t max_bytes);

  /// Reads what is left and returns the digest of the whole tar.
  result<digest> finish();

  /// Why reading stopped; `malformed` unless a bound was passed.
  storage_error error() const;

private:
  tar_stream() = default;
  static long read_blob(archive* from, void* self, const void** buffer);
  static long read_tar(archive* from, void* self, const void** buffer);

  unique_fd file_;
  std::string path_;
  words said_;
  std::uint64_t left_ = 0;
  bool ended_ = false;
  std::vector<char> packed_, plain_;
  sha256 hash_;
  std::optional<storage_error> failed_;
  archive_handle raw_; ///< takes the compression off; after `tar_`, which reads from it, in destruction
  archive_handle tar_;
};

} // namespace prunella::storage
