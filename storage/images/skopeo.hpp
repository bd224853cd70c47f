#pragma once

// The calls of skopeo that pulling needs. Internal to this folder.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "storage/errors.hpp"
#include "storage/images/pull.hpp"

namespace prunella::storage {

/// One folder below the store's staging folder in which skopeo works: `blobs/sha256/` with what it brings, `layout`,
/// `home`. Destroyed with everything that nobody took out.
class skopeo_folder {
public:
  /// `store`'s blobs named in `known` are linked in, so that skopeo does not fetch them.
  static result<skopeo_folder> make(image_store& store, const std::string& name, const std::vector<descriptor>& known);

  skopeo_folder(skopeo_folder&& other) noexcept : path_(std::move(other.path_)), blobs_(other.blobs_) {
    other.path_.clear();
  }
  skopeo_folder& operator=(skopeo_folder&&) = delete;
  /// Whole blobs go to the store, for the next attempt.
  ~skopeo_folder();

  /// All that is needed was taken: the rest (documents that skopeo made from others) is of no use.
  void discard();

  const std::string& path() const { return path_; }
  std::string blob(const digest& name) const { return path_ + "/blobs/sha256/" + name.hex; }
  std::string layout() const { return path_ + "/layout"; }

  /// Bytes of what was not linked in.
  std::uint64_t new_bytes() const;

private:
  skopeo_folder(std::string path, blob_store& blobs) : path_(std::move(path)), blobs_(&blobs) {}

  std::string path_;
  blob_store* blobs_;
};

/// `skopeo inspect --raw` of a manifest, or with `config` of a configuration. `what` is for sentences.
result<std::string> inspect(const skopeo_folder& folder, const std::string& source, bool config,
                            const registry_access& access, const std::string& what);

/// `skopeo copy` of `source` into the folder's layout. `progress` gets the new bytes; false ends it.
result<void> copy_with_skopeo(const skopeo_folder& folder, const std::string& source, const registry_access& access,
                              const platform& wanted, const std::string& what,
                              const std::function<bool(std::uint64_t)>& progress);

} // namespace prunella::storage
