#pragma once

// Hosts with image stores on disk, and peers that behave as a test wants.

#include <memory>
#include <string>

#include "actors/host/image_fetch.hpp"
#include "storage/images/shared_images.hpp"
#include "tests/storage/images/image_builder.hpp"
#include "tests/storage/outcome.hpp"
#include "tests/storage/temporary_folder.hpp"

namespace prunella::tests {

/// The image store of one host.
struct host_images {
  host_images() : shared(std::make_shared<storage::shared_images>(folder / "images", options())) {}

  static storage::image_store_options options() {
    storage::image_store_options made;
    made.owner = {"harbour", "host-1"};
    made.reserve_bytes = 0;
    return made;
  }

  storage::image_store& store() { return *must(shared->get()); }

  temporary_folder folder;
  std::shared_ptr<storage::shared_images> shared;
};

/// Gives parts out of another host's store; `fault` is what goes wrong behind `good_parts` of them.
class scripted_peer final : public actors::blob_peer {
public:
  enum class fault { none, dies, stalls, lies, forgets };

  scripted_peer(storage::blob_store& blobs, fault what = fault::none, int good_parts = 0)
      : blobs_(blobs), fault_(what), good_parts_(good_parts) {}

  void ask(const storage::digest& blob, const actors::blob_range& part) override {
    asked_.push_back({blob, part});
    bytes_asked += part.bytes;
  }

  storage::result<actors::blob_part> take() override {
    using storage::storage_errc;
    const auto [blob, part] = asked_.at(taken_++);
    const bool is_bad = static_cast<int>(taken_) > good_parts_;
    if (is_bad && fault_ == fault::dies)
      return storage::storage_error{storage_errc::unreachable, "the link is lost"};
    if (is_bad && fault_ == fault::stalls)
      return storage::storage_error{storage_errc::stalled, "it sent nothing for 5000 ms"};
    if (is_bad && fault_ == fault::forgets)
      return storage::storage_error{storage_errc::not_found, "it does not have it any more"};
    actors::blob_part answer{part.offset, must(blobs_.size(blob)), must(blobs_.read(blob, part.offset, part.bytes))};
    if (is_bad && fault_ == fault::lies)
      answer.bytes[0] = static_cast<char>(answer.bytes[0] ^ 1);
    return answer;
  }

  std::uint64_t bytes_asked = 0;

private:
  storage::blob_store& blobs_;
  fault fault_;
  int good_parts_;
  std::vector<std::pair<storage::digest, actors::blob_range>> asked_;
  std::size_t taken_ = 0;
};

} // namespace prunella::tests
