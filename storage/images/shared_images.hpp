#pragma once

// The images of a host for several threads: opened when they are first needed, and one call at a time.

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "storage/errors.hpp"
#include "storage/images/image_store.hpp"

namespace prunella::storage {

/// Thread-safe. What `get` returned stays usable after a `reset`.
class shared_images {
public:
  /// The store in `folder`, made there at the first `get`.
  shared_images(std::string folder, image_store_options options);

  /// Whether there is a store that has been used before; costs one look at the file system.
  bool was_used() const;

  /// The store, each of its calls under a lock of its own. While it is not open, opens it: that takes a moment after an
  /// interrupted pull, whose blobs are hashed. Errors as `open_image_store`; the next call tries again.
  result<std::shared_ptr<image_store>> get();

  /// After a call that failed with `io_failed`: the next `get` opens the store anew, once nobody holds the old one.
  void reset();

  /// Held while layers are unpacked: two images may share some.
  std::mutex& unpacking() { return unpacking_; }

private:
  std::string folder_;
  image_store_options options_;
  std::mutex mutex_;
  std::mutex unpacking_;
  std::shared_ptr<image_store> open_;
};

} // namespace prunella::storage
