#pragma once

// Images made for a test: layers as tars, and the documents around them.

#include <archive.h>
#include <archive_entry.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "storage/images/documents.hpp"
#include "storage/images/image_store.hpp"

namespace prunella::tests {

enum class packing { plain, gzip, zstd };

/// Bytes that no packing makes fewer; the same ones for the same seed.
std::string noise(std::size_t size, std::uint32_t seed = 1);

/// A tar in memory; names are written as they are, however hostile.
class tar_builder {
public:
  explicit tar_builder(packing packed = packing::plain);

  tar_builder& file(const std::string& path, const std::string& text, int mode = 0644);
  tar_builder& folder(const std::string& path, int mode = 0755);
  tar_builder& symlink(const std::string& path, const std::string& target);
  tar_builder& hardlink(const std::string& path, const std::string& target);
  /// An entry of any kind without content; `change` may set what it likes.
  tar_builder& entry(const std::string& path, unsigned type, const std::function<void(archive_entry*)>& change = {});

  /// Ends the tar.
  std::string bytes();

private:
  struct freer {
    void operator()(archive* made) const { archive_write_free(made); }
  };
  void put(archive_entry* made, const std::string& text);

  std::unique_ptr<std::string> out_ = std::make_unique<std::string>();
  std::unique_ptr<archive, freer> tar_;
};

/// The same bytes under a compression.
std::string packed(const std::string& bytes, packing how);

/// An image whose documents fit together. Change members before they are asked for, to make one that does not.
struct test_image {
  std::vector<std::string> layers;   ///< as stored
  std::vector<std::string> diff_ids; ///< of the tars in them
  std::string architecture;
  std::string config_members = R"("Cmd":["/bin/sh"])";

  explicit test_image(const std::vector<std::string>& tars, packing how = packing::gzip);

  std::string config() const;
  std::string manifest() const;
  storage::digest digest() const { return storage::digest_of(manifest()); }

  /// Stores all blobs and the image itself, unpacked or not.
  void add_to(storage::image_store& store, const std::string& name, std::int64_t now_ms = 1) const;

  /// Writes an OCI layout with this image under `tag`.
  void write_layout(const std::string& folder, const std::string& tag) const;
};

storage::descriptor descriptor_of(const std::string& bytes, const std::string& media_type = {});

} // namespace prunella::tests
