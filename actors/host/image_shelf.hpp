#pragma once

// The image store as the image keeper asks it: by references, in the words of the contract and of the site. Opens it when
// it is needed, and opens it anew after its disk failed. No actors; one thread.

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "actors/host/wall_clock.hpp"
#include "actors/image_messages.hpp"
#include "actors/instance/images.hpp"
#include "storage/images/blob_check.hpp"
#include "storage/images/reference.hpp"
#include "storage/images/shared_images.hpp"

namespace prunella::actors {

class image_shelf {
public:
  image_shelf(std::shared_ptr<storage::shared_images> images, wall_clock clock)
    : images_(std::move(images)), clock_(std::move(clock)) {}

  /// The image, held by `holder`. Error `not_found`: it is not here, not whole, or not unpacked.
  storage::result<provided_image> provide(const storage::image_reference& reference, const std::string& holder);

  /// Ends all holds but those of `holders`. Returns how many that were; with none nothing is written.
  storage::result<std::size_t> release_except(const std::set<std::string>& holders);

  /// Whether it is here and whole, and unpacked if `unpacked`.
  bool is_ready(const storage::image_reference& reference, bool unpacked);

  /// The image under that name, if it is whole and runs on `platform`.
  image_found find(const storage::image_reference& reference, const std::string& platform);

  storage::result<blob_part> read(const read_blob& x);

  /// Goes on with `check`, by a portion. What is damaged is removed; returns the images that were whole until then.
  std::vector<std::string> check(storage::blob_check& check);

  /// Whether there is something to import. Errors: `malformed` (a relative path), `not_found`.
  static storage::result<void> check_import(const std::string& path);

  /// Adds what is here to a report, up to about `max_bytes`, and the disk's room.
  void fill(image_report& report, std::size_t max_bytes);

  /// What `fill` tells is looked up again; holders are always new.
  void look_again() { is_fresh_ = false; }

  storage::result<storage::disk_room> room();

  /// Frees `bytes` without touching what is held or named in `wanted`. Returns what went, and why.
  storage::result<std::vector<std::pair<std::string, std::string>>> collect(std::uint64_t bytes,
                                                                           const std::vector<std::string>& wanted);

private:
  storage::result<std::shared_ptr<storage::image_store>> open();
  storage::result<void> look(storage::image_store& store);
  template <class T>
  storage::result<T> noted(storage::result<T> outcome);

  std::shared_ptr<storage::shared_images> images_;
  wall_clock clock_;
  std::vector<storage::image_view> rows_; ///< as last looked up
  bool is_fresh_ = false;
};

} // namespace prunella::actors
